//! Timers of the process.

use super::Row;

/// The rows of this family.
pub const ROWS: &[Row] = &[];

/// timer_create(2), setitimer(2), alarm(2).
pub struct ProcessTimers {}
impl ProcessTimers {
    /// None.
    pub const fn new() -> Self {
        Self {}
    }
    /// The process ends.
    pub fn clear(&self) {}
}
