//! Kernel timers.
use alloc::boxed::Box;

/// Whom a timer serves: the deadlock rule counts those of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerOwner {
    /// Its end may wake an application thread (timerfd, timer_create, alarm).
    Application,
    /// A driver's or the kernel's own.
    Kernel,
}
/// Calls a function at a time. Dropping it cancels.
pub struct Timer {}
impl Timer {
    /// An idle timer. `callback` runs in interrupt context: no sleep, no user memory.
    pub fn new(_owner: TimerOwner, _callback: Box<dyn Fn() + Send + Sync>) -> Self { unimplemented!() }
    /// Fires at `deadline_ns` ([`hal::clock::now_ns`] time), once; replaces an earlier deadline.
    pub fn arm(&self, _deadline_ns: u64) { unimplemented!() }
    /// Does not fire any more once this returned; true if it was armed.
    pub fn cancel(&self) -> bool { unimplemented!() }
    /// The deadline, while armed.
    pub fn deadline_ns(&self) -> Option<u64> { unimplemented!() }
}
