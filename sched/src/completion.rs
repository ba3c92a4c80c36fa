//! One-time events and counted permits.

use crate::{Interruptible, WaitQueue, WakeReason};
use hal::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// An event that happens once; waiting after it does not block.
#[derive(Default)]
pub struct Completion {
    done: AtomicBool,
    waiters: WaitQueue,
}

impl Completion {
    /// Has not happened.
    pub const fn new() -> Self {
        Self { done: AtomicBool::new(false), waiters: WaitQueue::new() }
    }

    /// Happens now: wakes every waiter. Safe from interrupt handlers. A waiter may free the completion as soon as its
    /// wait returns (it may lie on its stack): nothing here touches it after that.
    pub fn complete(&self) {
        self.waiters.wake_all_with(|| self.done.store(true, Ordering::Release));
    }

    /// Whether it happened. A caller that frees the completion on this alone calls [`Self::wait`] first.
    pub fn is_complete(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Makes it an event to come again. Nobody waits.
    pub fn reset(&self) {
        self.done.store(false, Ordering::Relaxed);
    }

    /// Waits for it.
    pub fn wait(&self) {
        let wait = self.wait_until(None, Interruptible::No);
        debug_assert!(wait.is_ok(), "an untimed, uninterruptible wait ends by its condition");
    }

    /// Waits for it, at most until `deadline_ns` ([`hal::clock::now_ns`] time).
    pub fn wait_until(&self, deadline_ns: Option<u64>, interruptible: Interruptible) -> Result<(), WakeReason> {
        self.waiters.wait_until(deadline_ns, interruptible, || self.is_complete().then_some(()))?;
        self.waiters.synchronize();
        Ok(())
    }
}

/// Counted permits.
pub struct Semaphore {
    permits: AtomicUsize,
    waiters: WaitQueue,
}

impl Semaphore {
    /// With `permits` free.
    pub const fn new(permits: usize) -> Self {
        Self { permits: AtomicUsize::new(permits), waiters: WaitQueue::new() }
    }

    /// Waits for a permit.
    pub fn acquire(&self) {
        let wait = self.acquire_until(None, Interruptible::No);
        debug_assert!(wait.is_ok(), "an untimed, uninterruptible wait ends by its condition");
    }

    /// A permit, if one is free now.
    pub fn try_acquire(&self) -> bool {
        self.permits.fetch_update(Ordering::Acquire, Ordering::Relaxed, |free| free.checked_sub(1)).is_ok()
    }

    /// Waits for a permit, at most until `deadline_ns` ([`hal::clock::now_ns`] time).
    pub fn acquire_until(&self, deadline_ns: Option<u64>, interruptible: Interruptible) -> Result<(), WakeReason> {
        self.waiters.wait_until(deadline_ns, interruptible, || self.try_acquire().then_some(()))
    }

    /// Gives a permit back. Safe from interrupt handlers.
    pub fn release(&self) {
        self.permits.fetch_add(1, Ordering::Release);
        self.waiters.wake_one();
    }
}
