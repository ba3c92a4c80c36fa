//! The manifest: which programs one boot runs, and how.
//!
//! Text, one setting a line: a key, one space, the value as [`crate::escape`] writes it. Empty lines and lines that start
//! with `#` are skipped; the text ends at its end or at the first NUL byte. Settings before the first `program` hold for
//! the machine, later ones for the program that the last `program` line began.
//! ```text
//! demitasse-manifest 1
//! hostname demitasse              what gethostname returns; default "demitasse"
//! epoch-ns 1700000000000000000    wall-clock time at start, for machines without a clock
//! ip 10.0.0.2/24,gw=10.0.0.1,dns=10.0.0.1   a fixed address (one IPv4, one IPv6); default: DHCP, router advertisements
//! bind /demitasse/host/tmp/a /tmp/a   show the tree at the first path of the root also at the second one
//! volume vol0 /data rw            the ext4 disk with this serial is mounted here, after the binds; or ro
//! option KEY=VALUE                switches for tests and debugging, e.g. strace=1
//! program java                    java: the JVM is sized to the machine by options put in after argv[0]; or native
//! exe /usr/lib/jvm/x/bin/java     the executable, an absolute path
//! arg java                        argv, one line each, argv[0] included
//! env LANG=C.UTF-8                the environment, one line each
//! cwd /home/me                    working directory; default /
//! stdin port                      port: bytes from the host; none (default): end of file at once
//! tty stdout stderr               the streams for which isatty says yes
//! window 80 24                    columns and rows of that terminal
//! timeout-ms 5000                 the program is ended after this time, counted from its start
//! get /tmp/out.jfr                sent to the host after the program's end if it exists; a directory whole
//! ```
//! Unknown keys are errors: host and guest are always built from the same source.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

mod parse;
#[cfg(test)]
mod tests;

/// First line of every manifest.
pub const HEADER: &str = "demitasse-manifest 1";

/// What one boot runs. Byte strings are what Linux allows: anything without a NUL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// What `gethostname` returns; `None`: `demitasse`.
    pub hostname: Option<String>,
    /// Wall-clock time at the start of the machine, in nanoseconds since 1970.
    pub epoch_ns: Option<u64>,
    /// Fixed addresses of the network interface: at most one a version of IP, which is then not configured automatically.
    pub addresses: Vec<crate::FixedAddress>,
    /// Trees of the root that are to be seen at a second place.
    pub binds: Vec<Bind>,
    /// Data volumes, mounted in this order.
    pub volumes: Vec<Volume>,
    /// Switches for tests and debugging.
    pub options: Vec<(String, Vec<u8>)>,
    /// Run one after the other, each in a fresh process.
    pub programs: Vec<Program>,
}

/// `from` in the root file system is also to be seen at `to`. For host paths under /tmp, /run and /dev/shm, which are
/// memory file systems in the guest: the host tool puts them elsewhere in the image and names them here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Absolute path in the root file system.
    pub from: Vec<u8>,
    /// Absolute path where the guest makes it visible; parents are created.
    pub to: Vec<u8>,
}

/// An ext4 disk and where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Serial of the block device.
    pub serial: String,
    /// Absolute path of a directory in the root file system or on an earlier volume.
    pub path: Vec<u8>,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// One program to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Whether JVM sizing options are put in.
    pub kind: Kind,
    /// Absolute path of the executable.
    pub exe: Vec<u8>,
    /// All arguments, `argv[0]` included.
    pub argv: Vec<Vec<u8>>,
    /// `NAME=VALUE` each.
    pub env: Vec<Vec<u8>>,
    /// Working directory; empty: `/`.
    pub cwd: Vec<u8>,
    /// Where standard input comes from.
    pub stdin: Stdin,
    /// Which streams are terminals.
    pub ttys: Terminals,
    /// Size of the terminal, if one is attached.
    pub window: Option<WindowSize>,
    /// Ended by the guest after this time from its start, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Files and directories to send to the host after its end.
    pub get: Vec<Vec<u8>>,
}

/// What a program is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The JDK's `java` launcher.
    #[default]
    Java,
    /// Any other Linux executable.
    Native,
}

/// Where a program's standard input comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// End of file at once.
    #[default]
    None,
    /// The port [`crate::PORT_STDIN`].
    Port,
}

/// For which standard streams `isatty` says yes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminals {
    /// Standard input is a terminal.
    pub stdin: bool,
    /// Standard output is a terminal.
    pub stdout: bool,
    /// Standard error is a terminal.
    pub stderr: bool,
}

/// Size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// Why a text is not a manifest. Displays as a message with the line number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// Counted from 1; 0: the whole text.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "manifest: {}", self.problem),
            line => write!(f, "manifest line {line}: {}", self.problem),
        }
    }
}

impl core::error::Error for ManifestError {}

impl Manifest {
    /// The manifest that `bytes` hold; a NUL ends the text.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        parse::parse(bytes)
    }

    /// The value of the option `key`.
    pub fn option(&self, key: &str) -> Option<&[u8]> {
        self.options.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_slice())
    }

    /// The text followed by NULs up to a multiple of [`crate::MANIFEST_BLOCK`]: the content of the manifest device.
    pub fn to_disk(&self) -> Vec<u8> {
        let mut bytes = self.to_string().into_bytes();
        bytes.resize(bytes.len().next_multiple_of(crate::MANIFEST_BLOCK), 0);
        bytes
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(name) = &self.hostname {
            line(f, "hostname", name.as_bytes())?;
        }
        if let Some(ns) = self.epoch_ns {
            writeln!(f, "epoch-ns {ns}")?;
        }
        self.addresses.iter().try_for_each(|address| writeln!(f, "ip {address}"))?;
        for bind in &self.binds {
            let mut text = String::new();
            crate::escape::word(&mut text, &bind.from);
            text.push(' ');
            crate::escape::word(&mut text, &bind.to);
            writeln!(f, "bind {text}")?;
        }
        for volume in &self.volumes {
            let mut text = String::new();
            crate::escape::word(&mut text, volume.serial.as_bytes());
            text.push(' ');
            crate::escape::word(&mut text, &volume.path);
            writeln!(f, "volume {text} {}", if volume.read_only { "ro" } else { "rw" })?;
        }
        for (key, value) in &self.options {
            let mut bytes = format!("{key}=").into_bytes();
            bytes.extend_from_slice(value);
            line(f, "option", &bytes)?;
        }
        self.programs.iter().try_for_each(|program| program.fmt(f))
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "program {}",
            match self.kind {
                Kind::Java => "java",
                Kind::Native => "native",
            }
        )?;
        line(f, "exe", &self.exe)?;
        self.argv.iter().try_for_each(|arg| line(f, "arg", arg))?;
        self.env.iter().try_for_each(|variable| line(f, "env", variable))?;
        if !self.cwd.is_empty() {
            line(f, "cwd", &self.cwd)?;
        }
        if self.stdin == Stdin::Port {
            writeln!(f, "stdin port")?;
        }
        let ttys = [(self.ttys.stdin, " stdin"), (self.ttys.stdout, " stdout"), (self.ttys.stderr, " stderr")];
        if ttys.iter().any(|(is_tty, _)| *is_tty) {
            f.write_str("tty")?;
            ttys.iter().filter(|(is_tty, _)| *is_tty).try_for_each(|(_, name)| f.write_str(name))?;
            writeln!(f)?;
        }
        if let Some(WindowSize { columns, rows }) = self.window {
            writeln!(f, "window {columns} {rows}")?;
        }
        if let Some(ms) = self.timeout_ms {
            writeln!(f, "timeout-ms {ms}")?;
        }
        self.get.iter().try_for_each(|path| line(f, "get", path))
    }
}

fn line(f: &mut fmt::Formatter<'_>, key: &str, value: &[u8]) -> fmt::Result {
    let mut text = String::new();
    crate::escape::rest(&mut text, value);
    writeln!(f, "{key} {text}")
}
