//! Programs for the manifest, with the environment that they get from the host.

use crate::jdk::Jdk;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::Path;
use wire::{Kind, Manifest, Program, Stdin, Terminals, WindowSize};

/// The guest's name.
pub const HOSTNAME: &str = "demitasse";

/// What passes from the host besides LC_*.
const PASSED: [&str; 2] = ["LANG", "TZ"];
/// What every program finds, unless the user says otherwise.
const DEFAULTS: [(&str, &str); 3] =
    [("HOME", "/root"), ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C.UTF-8")];

/// `java ARGUMENTS` with the host's locale and time zone.
pub fn java<A: AsRef<OsStr>>(jdk: &Jdk, arguments: &[A]) -> Program {
    let mut program = native(&jdk.java(), "java", arguments);
    program.kind = Kind::Java;
    program
}

/// `NAME ARGUMENTS`, where `executable` is the file.
pub fn native<A: AsRef<OsStr>>(executable: &Path, name: &str, arguments: &[A]) -> Program {
    let bytes = |text: &OsStr| text.as_encoded_bytes().to_vec();
    let mut argv = vec![name.as_bytes().to_vec()];
    argv.extend(arguments.iter().map(|argument| bytes(argument.as_ref())));
    Program {
        kind: Kind::Native,
        exe: bytes(executable.as_os_str()),
        argv,
        env: environment(std::env::vars_os(), &[]),
        cwd: b"/".to_vec(),
        ..Program::default()
    }
}

/// A manifest that runs `programs` one after the other.
pub fn manifest(programs: impl IntoIterator<Item = Program>) -> Manifest {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Manifest {
        hostname: Some(HOSTNAME.to_string()),
        epoch_ns: u64::try_from(now.as_nanos()).ok(),
        programs: programs.into_iter().collect(),
        ..Manifest::default()
    }
}

/// `NAME=VALUE` for a program: `chosen` before what passes from `host` before the defaults.
pub fn environment(host: impl Iterator<Item = (OsString, OsString)>, chosen: &[String]) -> Vec<Vec<u8>> {
    let mut variables: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut put = |name: &[u8], value: &[u8]| {
        if !variables.iter().any(|(known, _)| known == name) {
            variables.push((name.to_vec(), value.to_vec()));
        }
    };
    for (name, value) in chosen.iter().rev().filter_map(|text| text.split_once('=')) {
        put(name.as_bytes(), value.as_bytes());
    }
    for (name, value) in host {
        let (name, value) = (name.as_encoded_bytes(), value.as_encoded_bytes());
        let passes = PASSED.iter().any(|passed| passed.as_bytes() == name) || name.starts_with(b"LC_");
        if passes && !value.is_empty() {
            put(name, value);
        }
    }
    for (name, value) in DEFAULTS {
        put(name.as_bytes(), value.as_bytes());
    }
    variables.into_iter().map(|(name, value)| [name, value].join(&b'=')).collect()
}

/// Connects `program` to this process's standard streams: input from the port, isatty as here.
pub fn attach(program: &mut Program) {
    program.stdin = Stdin::Port;
    program.ttys = Terminals {
        stdin: std::io::stdin().is_terminal(),
        stdout: std::io::stdout().is_terminal(),
        stderr: std::io::stderr().is_terminal(),
    };
    program.window = window_size();
    let is_terminal = program.ttys != Terminals::default();
    if let Some(term) = std::env::var_os("TERM").filter(|_| is_terminal) {
        program.env.push([b"TERM=", term.as_encoded_bytes()].concat());
    }
}

/// The size of the terminal that is attached, if one is.
pub fn window_size() -> Option<WindowSize> {
    let of = |size: rustix::io::Result<rustix::termios::Winsize>| size.ok().filter(|size| size.ws_col > 0);
    let size = of(rustix::termios::tcgetwinsize(std::io::stdout()))
        .or_else(|| of(rustix::termios::tcgetwinsize(std::io::stderr())))
        .or_else(|| of(rustix::termios::tcgetwinsize(std::io::stdin())))?;
    Some(WindowSize { columns: size.ws_col, rows: size.ws_row })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_choice_wins_over_the_host_over_the_defaults() {
        let host =
            [("LANG", "de_DE.UTF-8"), ("LC_TIME", "C"), ("TZ", ""), ("SECRET", "x")].map(|(n, v)| (n.into(), v.into()));
        let text = |chosen: &[&str]| {
            let chosen: Vec<String> = chosen.iter().map(|s| s.to_string()).collect();
            let all = environment(host.clone().into_iter(), &chosen);
            all.into_iter().map(|v| String::from_utf8(v).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(text(&[])[..3], ["LANG=de_DE.UTF-8", "LC_TIME=C", "HOME=/root"]);
        assert_eq!(text(&["LANG=C", "A=1", "A=2"])[..3], ["A=2", "LANG=C", "LC_TIME=C"]);
    }
}
