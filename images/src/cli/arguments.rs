//! The options and their help.

use crate::accel::Choice;
use crate::machine::Kind;
use crate::network::{Network, Publish};
use clap::Parser;
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::PathBuf;

/// Runs a Java program on Demitasse: an unmodified JDK on a kernel of its own in a virtual machine.
///
/// Everything after the jar (or the main class, or the program) goes to the program. Its output, its input and its exit
/// status are this command's own. What the jar needs comes along without being named: the jars in its Class-Path, Java
/// agents, argument files and other files that JVM options name, and the current directory (read-only) unless it is huge.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "demitasse",
    version,
    override_usage = "run-java.sh [OPTIONS] JAR [ARGS]...\n       run-java.sh [OPTIONS] -cp PATH MAINCLASS [ARGS]...\n       run-java.sh [OPTIONS] --exec PROGRAM [ARGS]...",
    after_long_help = AFTER_HELP,
    max_term_width = 110
)]
pub struct Arguments {
    /// Class path (also -cp): jars, directories and DIR/*, with colons between; the main class follows instead of a jar
    #[arg(long = "class-path", visible_alias = "cp", value_name = "PATH", help_heading = "What runs")]
    pub class_path: Option<String>,
    /// Run PROGRAM, any 64-bit Linux executable, instead of Java; the libraries that it needs come along
    #[arg(long, conflicts_with_all = ["class_path", "jvm_option", "jdk"], help_heading = "What runs")]
    pub exec: bool,
    /// The JDK to use [default: $JAVA_HOME, else the one of the java on the PATH]
    #[arg(long, value_name = "DIR", help_heading = "What runs")]
    pub jdk: Option<PathBuf>,
    /// Option for the JVM, for example -J -Xmx1g (repeatable)
    #[arg(short = 'J', value_name = "OPT", allow_hyphen_values = true, help_heading = "What runs")]
    pub jvm_option: Vec<String>,
    /// Environment variable for the program (repeatable); LANG, LC_* and TZ pass from here
    #[arg(long, value_name = "NAME=VALUE", help_heading = "What runs")]
    pub env: Vec<String>,

    /// Main memory of the machine, for example 512M or 4G; Java's heap is sized to it
    #[arg(long, short = 'm', value_name = "SIZE", default_value = "2G", value_parser = crate::size::parse, help_heading = "The machine")]
    pub memory: u64,
    /// Number of virtual CPUs [default: those of this computer]
    #[arg(long, value_name = "N", help_heading = "The machine")]
    pub cpus: Option<u32>,
    /// Machine type
    #[arg(long, value_enum, default_value = "q35", help_heading = "The machine")]
    pub machine: Kind,
    /// Hardware virtualisation (kvm), software emulation (tcg), or kvm if a trial guest runs under it (auto)
    #[arg(long, value_enum, default_value = "auto", help_heading = "The machine")]
    pub accel: Choice,
    /// Argument for QEMU, put at the end of its command line (repeatable)
    #[arg(long, value_name = "ARG", allow_hyphen_values = true, help_heading = "The machine")]
    pub qemu_arg: Vec<OsString>,

    /// The machine's network: user (QEMU's own, no rights needed), tap=NAME[,queues=N] (an existing tap device),
    /// switch=SOCKET (with other machines at the switch of another run's --switch), or none [default: user with --publish or
    /// --ip, else none]
    #[arg(long, value_name = "KIND", help_heading = "The network")]
    pub net: Option<Network>,
    /// Lead a port of this computer's loopback (or of ADDRESS) to a port of the program (repeatable; with --net user; with
    /// --switch to the machine that has the address MACHINE there)
    #[arg(long, value_name = "[ADDRESS:]HOST:[MACHINE:]GUEST[/udp]", help_heading = "The network")]
    pub publish: Vec<Publish>,
    /// Fixed address ADDR/LEN[,gw=ADDR][,dns=ADDR] instead of DHCP (IPv4) or router advertisements (IPv6)
    #[arg(long, value_name = "ADDR/LEN", help_heading = "The network")]
    pub ip: Vec<wire::FixedAddress>,
    /// Run nothing, but be a switch that connects machines (their --net switch=SOCKET, with an --ip within 10.0.2.0/24 each) with
    /// each other, with what this computer reaches (10.0.2.2), and with published ports; until Ctrl-C
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["net", "ip", "exec", "class_path", "command", "volume"], help_heading = "The network")]
    pub switch: Option<PathBuf>,

    /// File or directory of this computer to take along, and where the program finds it (repeatable)
    #[arg(long, value_name = "HOST[:GUEST]", help_heading = "Files")]
    pub add: Vec<String>,
    /// File or directory of the guest to copy out when the program has ended, also after a crash (repeatable)
    #[arg(long, value_name = "GUEST[:HOST]", help_heading = "Files")]
    pub get: Vec<String>,
    /// Disk image with an ext4 file system and the directory where the program finds it; made and formatted (10 GiB, sparse,
    /// unless size= says otherwise) when FILE is missing (repeatable)
    #[arg(long, value_name = "FILE[,size=SIZE]:/PATH[:ro]", conflicts_with = "output", help_heading = "Files")]
    pub volume: Vec<String>,
    /// Leave a bootable image in FILE and say how to run it (with --build-only)
    #[arg(long, short = 'o', value_name = "FILE", requires = "build_only", help_heading = "Files")]
    pub output: Option<PathBuf>,
    /// Build what a run needs, but do not run
    #[arg(long, help_heading = "Files")]
    pub build_only: bool,
    /// Write how the run ended to FILE: "program N", or "demitasse REASON" when it was not the program's choice
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub status_file: Option<PathBuf>,

    /// End the run after this time from the machine's start, with status 124
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Watching it")]
    pub timeout: Option<f64>,
    /// Show the kernel's log and a timeline of the boot on stderr
    #[arg(long, short = 'v', help_heading = "Watching it")]
    pub verbose: bool,
    /// Wait for gdb at TCP port 1234 before the first instruction
    #[arg(long, help_heading = "Watching it")]
    pub gdb: bool,
    /// Word for the kernel's command line, for example strace or loglevel=debug (repeatable)
    #[arg(long, value_name = "WORD", help_heading = "Watching it")]
    pub kernel_arg: Vec<String>,
    /// Boot this kernel ELF file instead of the one built from the sources
    #[arg(long, value_name = "FILE", help_heading = "Watching it")]
    pub kernel: Option<PathBuf>,

    /// Only set up: build the kernel and the layer with the JDK
    #[arg(long, help_heading = "Other")]
    pub setup: bool,
    /// Print a completion script for SHELL
    #[arg(long, value_name = "SHELL", value_enum, help_heading = "Other")]
    pub completion: Option<Shell>,

    /// The jar, main class or program, and its arguments
    #[arg(value_name = "JAR|MAINCLASS|PROGRAM [ARGS]", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

const AFTER_HELP: &str = "\
Keys: Ctrl-C asks the program to end (a JVM runs its shutdown hooks), a second Ctrl-C ends the machine, Ctrl-\\ prints \
the JVM's threads.

Exit status: the program's own; 134 after a JVM abort, 128+n after signal n. Of Demitasse itself: 2 unusable input, 120 \
build failed, 121 kernel panic, 122 deadlock, 124 time limit, 125 the machine failed. --status-file tells the two apart.

Examples:
  run-java.sh app.jar --port 8080
  run-java.sh -J -Xmx1g -J -XX:+UseZGC --memory 2G app.jar
  run-java.sh -cp 'lib/*:classes' com.example.Main
  run-java.sh --add data:/data --get /tmp/out.jfr app.jar
  run-java.sh --volume data.img,size=20G:/data app.jar
  run-java.sh --publish 18080:8080 server.jar
  run-java.sh --switch net.sock --publish 9042:10.0.2.11:9042
  run-java.sh --net switch=net.sock --ip 10.0.2.11/24 node.jar
  run-java.sh --exec /bin/ls -l /
  run-java.sh --build-only --output app.img app.jar
  source <(run-java.sh --completion bash)

What is built is kept in $XDG_CACHE_HOME/demitasse (else ~/.cache/demitasse); it can be removed at any time.";

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e9 => Ok(seconds),
        _ => Err("expected a number of seconds above 0".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_follows_the_jar_is_the_programs() {
        let parsed =
            Arguments::try_parse_from(["demitasse", "-J", "-Xmx1g", "a.jar", "--verbose", "-J", "--", "x"]).unwrap();
        assert_eq!(parsed.command, ["a.jar", "--verbose", "-J", "--", "x"]);
        assert_eq!(parsed.jvm_option, ["-Xmx1g"]);
        assert!(!parsed.verbose);
    }
}
