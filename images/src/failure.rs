//! What ends a run that is not the program's own choice: one line, one status.

use std::fmt;
use std::io;
use std::path::Path;

/// Ends a run. Displays as one line: what, why, what to do.
#[derive(Debug)]
pub struct Failure {
    /// Decides the exit status.
    pub reason: Reason,
    /// One line for the user.
    pub message: String,
}

/// The kinds of ends, each with an exit status and a name for `--status-file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Input that cannot be used: 2.
    Usage,
    /// An image or the kernel could not be built: 120.
    Build,
    /// The guest's kernel panicked: 121.
    Panic,
    /// No thread of the program could ever run again: 122.
    Deadlock,
    /// The time limit was reached: 124.
    Timeout,
    /// The virtual machine failed: 125.
    Machine,
    /// The guest ran out of memory with no clearer end possible: 137, as on Linux.
    Memory,
    /// The user ended the machine by this signal: 128 + n.
    Signal(u8),
}

impl Reason {
    /// The exit status of the run.
    pub fn status(self) -> u8 {
        match self {
            Reason::Usage => 2,
            Reason::Build => 120,
            Reason::Panic => wire::STATUS_PANIC,
            Reason::Deadlock => 122,
            Reason::Timeout => 124,
            Reason::Machine => 125,
            Reason::Memory => 137,
            Reason::Signal(number) => 128u8.saturating_add(number),
        }
    }

    /// The word after `demitasse` in a status file.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Usage => "usage",
            Reason::Build => "build",
            Reason::Panic => "panic",
            Reason::Deadlock => "deadlock",
            Reason::Timeout => "timeout",
            Reason::Machine => "machine",
            Reason::Memory => "memory",
            Reason::Signal(_) => "signal",
        }
    }
}

impl Failure {
    /// Input that cannot be used.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { reason: Reason::Usage, message: message.into() }
    }

    /// Something could not be built.
    pub fn build(message: impl Into<String>) -> Failure {
        Failure { reason: Reason::Build, message: message.into() }
    }

    /// The virtual machine failed.
    pub fn machine(message: impl Into<String>) -> Failure {
        Failure { reason: Reason::Machine, message: message.into() }
    }

    /// A file that the user named: status 2.
    pub fn file(action: &str, path: &Path, error: &io::Error) -> Failure {
        Failure::usage(format!("cannot {action} {}: {}", path.display(), reason(error)))
    }

    /// A file of our own, in the cache or below it: status 120, or 2 when the disk is full.
    pub fn own_file(action: &str, path: &Path, error: &io::Error) -> Failure {
        if is_disk_full(error) {
            return Failure::disk_full(path);
        }
        Failure::build(format!("cannot {action} {}: {}", path.display(), reason(error)))
    }

    /// No room at `path`.
    pub fn disk_full(path: &Path) -> Failure {
        Failure::usage(format!(
            "no space left to write {}: free some, or set XDG_CACHE_HOME to a folder on another disk",
            path.display()
        ))
    }
}

/// Whether `error` says that the disk or the quota is used up.
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The system's words, without Rust's "(os error N)".
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
