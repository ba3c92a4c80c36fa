//! One-time events and counted permits.
use crate::{Interruptible, WakeReason};

/// An event that happens once; waiting after it does not block.
pub struct Completion {}
impl Completion {
    /// Not yet happened.
    pub const fn new() -> Self { Self {} }
    /// Happens now; wakes every waiter.
    pub fn complete(&self) { unimplemented!() }
    /// Whether it happened.
    pub fn is_complete(&self) -> bool { unimplemented!() }
    /// Waits for it.
    pub fn wait(&self) { unimplemented!() }
    /// Waits for it with a deadline ([`hal::clock::now_ns`] time).
    pub fn wait_until(&self, _deadline_ns: Option<u64>, _interruptible: Interruptible) -> Result<(), WakeReason> { unimplemented!() }
}
/// Counted permits.
pub struct Semaphore {}
impl Semaphore {
    /// With `permits` free.
    pub const fn new(_permits: usize) -> Self { Self {} }
    /// Waits for a permit.
    pub fn acquire(&self) { unimplemented!() }
    /// A permit, if one is free now.
    pub fn try_acquire(&self) -> bool { unimplemented!() }
    /// Waits with a deadline.
    pub fn acquire_until(&self, _deadline_ns: Option<u64>, _interruptible: Interruptible) -> Result<(), WakeReason> { unimplemented!() }
    /// Gives a permit back.
    pub fn release(&self) { unimplemented!() }
}
impl Default for Completion {
    fn default() -> Self { Self::new() }
}
