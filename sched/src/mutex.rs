//! A lock that sleeps.

use crate::{Interruptible, WaitQueue};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use hal::sync::atomic::{AtomicU32, Ordering};

const OPEN: u32 = 0;
const LOCKED: u32 = 1;
/// Locked, and somebody may wait: unlocking wakes.
const CONTENDED: u32 = 2;

/// Turns of looking before a thread sleeps: most sections are shorter than two context switches.
const SPINS: u32 = 60;

/// Mutual exclusion; waiting sleeps. Locking and unlocking without contention is one atomic operation each. Not for
/// interrupt handlers, idle threads or under a spin lock.
pub struct Mutex<T: ?Sized> {
    state: AtomicU32,
    waiters: WaitQueue,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives one thread at a time access, which is sending the value to and fro.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// Access to a [`Mutex`]'s value until it drops.
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    /// An open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { state: AtomicU32::new(OPEN), waiters: WaitQueue::new(), value: UnsafeCell::new(value) }
    }

    /// The value, when nobody can share the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock. Signals do not end the wait.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if self.state.compare_exchange(OPEN, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.lock_contended();
        }
        MutexGuard { lock: self }
    }

    /// The lock, if it is open now.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let taken = self.state.compare_exchange(OPEN, LOCKED, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok().then(|| MutexGuard { lock: self })
    }

    /// The value, when the caller's exclusive borrow makes locking needless.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    #[cold]
    fn lock_contended(&self) {
        if hal::cpu::count() > 1 {
            for _ in 0..SPINS {
                match self.state.load(Ordering::Relaxed) {
                    OPEN => {
                        if self.state.compare_exchange(OPEN, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                            return;
                        }
                    }
                    LOCKED => hal::cpu::relax(),
                    // Others sleep already: so long a section is not worth looking.
                    _ => break,
                }
            }
        }
        // CONTENDED also when this was the last waiter: it cannot know. The price is one needless look at the queue.
        let wait = self.waiters.wait_until(None, Interruptible::No, || {
            (self.state.swap(CONTENDED, Ordering::Acquire) == OPEN).then_some(())
        });
        debug_assert!(wait.is_ok(), "an untimed, uninterruptible wait ends by its condition");
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if self.lock.state.swap(OPEN, Ordering::Release) == CONTENDED {
            self.lock.waiters.wake_one();
        }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock, and is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
