//! Signals.

use crate::process::Process;

/// Signal actions and what is pending for the process.
pub struct ProcessSignals {}
impl ProcessSignals {
    /// Every action the default, nothing pending.
    pub const fn new() -> Self {
        Self {}
    }
}
/// A thread's mask and what is pending for it.
pub struct TaskSignals {}
impl TaskSignals {
    /// Nothing blocked, nothing pending.
    pub const fn new() -> Self {
        Self {}
    }
}
/// kill(2) from outside of the process.
pub fn send_from_outside(_process: &Process, _signo: u8) {}
