//! The control channel: what the guest reports and what the host asks for.
//!
//! Lines of ASCII text that end with `\n`; values as [`crate::escape`] writes them.
//!
//! Guest to host:
//! ```text
//! start 0                              program 0 (counted in the manifest's order) is about to run
//! exit 0 code 3 out=12 err=0           it ended by exit(3), having written 12 bytes to stdout, none to stderr
//! exit 0 signal 11 out=12 err=0        ended by a deadly signal
//! exit 0 deadlock out=0 err=0 TEXT     ended by the kernel; also `memory`, `timeout`, `failed`: TEXT says why, in one line
//! file PATH MODE LEN                   a file that was asked for; LEN raw bytes follow the newline. MODE is octal
//! dir PATH MODE                        a directory that was asked for; its entries follow
//! missing PATH TEXT                    a file that was asked for and cannot be sent: why
//! note TEXT                            one line for the user, shown as `demitasse: TEXT`
//! done                                 all programs have ended; the guest waits for `ack` (at most 10 s), then powers off
//! ```
//! `file`, `dir` and `missing` of a program come before its `exit`; `exit` comes when the guest has handed all output to the device.
//!
//! Host to guest:
//! ```text
//! signal 2                             send SIGINT to the running program
//! window 80 24                         the terminal has a new size (columns, rows)
//! ack                                  answer to `done`: all output has been taken
//! ```
//! A guest ignores host lines that it does not know; the host reports unknown guest lines and goes on.

use crate::escape;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

mod decoder;
mod parse;
#[cfg(test)]
mod tests;

pub use decoder::{Decoder, Event};

/// A line from the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestMessage {
    /// The program with this index is about to run.
    Start {
        /// Index in the manifest.
        program: u32,
    },
    /// The program has ended and all that it wrote has been handed to the ports.
    Exit {
        /// Index in the manifest.
        program: u32,
        /// How it ended.
        reason: ExitReason,
        /// Bytes that this program wrote to standard output.
        stdout_bytes: u64,
        /// Bytes that this program wrote to standard error.
        stderr_bytes: u64,
    },
    /// A file follows: `len` raw bytes come right after this line.
    File {
        /// Absolute path in the guest.
        path: Vec<u8>,
        /// Permission bits.
        mode: u32,
        /// Bytes that follow.
        len: u64,
    },
    /// A directory that was asked for, before its entries.
    Dir {
        /// Absolute path in the guest.
        path: Vec<u8>,
        /// Permission bits.
        mode: u32,
    },
    /// A file that was asked for and cannot be sent.
    Missing {
        /// Absolute path in the guest.
        path: Vec<u8>,
        /// Why, in one line.
        reason: String,
    },
    /// One line for the user.
    Note(String),
    /// All programs have ended; the guest waits for [`HostMessage::Ack`].
    Done,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It called `exit` with this status.
    Code(u8),
    /// The default action of this signal ended it.
    Signal(u8),
    /// The kernel ended it: no thread could ever run again. Says which threads wait for what.
    Deadlock(String),
    /// The kernel ended it because memory was out and no clearer end was possible.
    OutOfMemory(String),
    /// The kernel ended it at its time limit.
    TimedOut(String),
    /// It could not be started.
    Failed(String),
}

/// A line from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostMessage {
    /// Send this signal (a Linux number) to the running program.
    Signal(u8),
    /// The terminal's new size.
    Window {
        /// Characters in a line.
        columns: u16,
        /// Lines.
        rows: u16,
    },
    /// All output has been taken: the guest may power off.
    Ack,
}

/// A line that is no message. Displays as what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError(pub String);

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "control channel: {}", self.0)
    }
}

impl core::error::Error for WireError {}

impl GuestMessage {
    /// The message on `line` (without its newline).
    pub fn parse(line: &str) -> Result<GuestMessage, WireError> {
        parse::guest(line).map_err(|problem| parse::error(line, &problem))
    }
}

impl HostMessage {
    /// The message on `line` (without its newline).
    pub fn parse(line: &str) -> Result<HostMessage, WireError> {
        parse::host(line).map_err(|problem| parse::error(line, &problem))
    }
}

/// Displays as the line, newline included.
impl fmt::Display for GuestMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuestMessage::Start { program } => writeln!(f, "start {program}"),
            GuestMessage::Exit { program, reason, stdout_bytes, stderr_bytes } => {
                let (kind, text) = match reason {
                    ExitReason::Code(code) => (format!("code {code}"), None),
                    ExitReason::Signal(signal) => (format!("signal {signal}"), None),
                    ExitReason::Deadlock(text) => ("deadlock".to_string(), Some(text)),
                    ExitReason::OutOfMemory(text) => ("memory".to_string(), Some(text)),
                    ExitReason::TimedOut(text) => ("timeout".to_string(), Some(text)),
                    ExitReason::Failed(text) => ("failed".to_string(), Some(text)),
                };
                write!(f, "exit {program} {kind} out={stdout_bytes} err={stderr_bytes}")?;
                if let Some(text) = text {
                    write!(f, " {}", rest(text.as_bytes()))?;
                }
                writeln!(f)
            }
            GuestMessage::File { path, mode, len } => {
                writeln!(f, "file {} {mode:o} {len}", word(path))
            }
            GuestMessage::Dir { path, mode } => writeln!(f, "dir {} {mode:o}", word(path)),
            GuestMessage::Missing { path, reason } => {
                writeln!(f, "missing {} {}", word(path), rest(reason.as_bytes()))
            }
            GuestMessage::Note(text) => writeln!(f, "note {}", rest(text.as_bytes())),
            GuestMessage::Done => writeln!(f, "done"),
        }
    }
}

/// Displays as the line, newline included.
impl fmt::Display for HostMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostMessage::Signal(number) => writeln!(f, "signal {number}"),
            HostMessage::Window { columns, rows } => writeln!(f, "window {columns} {rows}"),
            HostMessage::Ack => writeln!(f, "ack"),
        }
    }
}

fn word(bytes: &[u8]) -> String {
    let mut out = String::new();
    escape::word(&mut out, bytes);
    out
}

fn rest(bytes: &[u8]) -> String {
    let mut out = String::new();
    escape::rest(&mut out, bytes);
    out
}
