//! Wait queues.
use crate::{Interruptible, WakeReason};

/// Threads that wait for a condition.
pub struct WaitQueue {}

impl WaitQueue {
    /// An empty queue.
    pub const fn new() -> Self { Self {} }
    /// Waits until `cond` gives a value.
    pub fn wait_until<R>(&self, _deadline_ns: Option<u64>, _interruptible: Interruptible, _cond: impl FnMut() -> Option<R>) -> Result<R, WakeReason> { unimplemented!() }
    /// Wakes the longest waiter; false when there is none.
    pub fn wake_one(&self) -> bool { unimplemented!() }
    /// Wakes every waiter; how many.
    pub fn wake_all(&self) -> usize { unimplemented!() }
}
impl Default for WaitQueue {
    fn default() -> Self { Self::new() }
}
