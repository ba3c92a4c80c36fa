//! Blocking.

/// Whether a signal ends the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruptible {
    /// Ends when SIGNAL or STOP is set in the thread's work flags.
    Yes,
    /// Ends by a wake-up or the deadline only.
    No,
}
/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// Somebody woke the thread.
    Woken,
    /// The deadline passed.
    TimedOut,
    /// A work flag SIGNAL or STOP is set.
    Interrupted,
}
/// Lets another runnable thread run first.
pub fn yield_now() { unimplemented!() }
/// Sleeps until `deadline_ns` ([`hal::clock::now_ns`] time). `TimedOut` is the ordinary end.
pub fn sleep_until(_deadline_ns: u64, _interruptible: Interruptible) -> WakeReason { unimplemented!() }
/// Switches to another thread when RESCHED is set in the current thread's work flags, and clears it.
/// The return-work hook calls it.
pub fn preempt_point() { unimplemented!() }
