//! A lock for many readers or one writer, that sleeps.

use crate::{Interruptible, WaitQueue};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use hal::sync::atomic::{AtomicU32, Ordering};

/// A writer holds the lock.
const WRITER: u32 = 1 << 31;
/// Writers may wait: new readers stay out, and whoever opens the lock wakes.
const WRITERS_WAIT: u32 = 1 << 30;
/// Readers may wait: whoever opens the lock wakes.
const READERS_WAIT: u32 = 1 << 29;
const WAIT_BITS: u32 = WRITERS_WAIT | READERS_WAIT;
/// The rest counts readers.
const READERS: u32 = READERS_WAIT - 1;

/// Many readers or one writer; a waiting writer goes before new readers, so reading must not nest. Without contention
/// each operation is one atomic. Not for interrupt handlers, idle threads or under a spin lock.
pub struct RwLock<T: ?Sized> {
    state: AtomicU32,
    readers: WaitQueue,
    writers: WaitQueue,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives a writer exclusive access.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: readers share `&T` between threads, hence `Sync`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

/// Shared access until it drops.
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

/// Exclusive access until it drops.
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
}

impl<T> RwLock<T> {
    /// An open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self {
            state: AtomicU32::new(0),
            readers: WaitQueue::new(),
            writers: WaitQueue::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// The value, when nobody can share the lock any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits for shared access. Not to be nested: a writer that comes between the two would stop both.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        if !self.read_now() {
            let wait = self.readers.wait_until(None, Interruptible::No, || self.read_or_mark());
            debug_assert!(wait.is_ok(), "an untimed, uninterruptible wait ends by its condition");
        }
        RwLockReadGuard { lock: self }
    }

    /// Waits for exclusive access.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        if !self.write_now() {
            let wait = self.writers.wait_until(None, Interruptible::No, || self.write_or_mark());
            debug_assert!(wait.is_ok(), "an untimed, uninterruptible wait ends by its condition");
        }
        RwLockWriteGuard { lock: self }
    }

    /// Shared access, if it can be had now.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.read_now().then(|| RwLockReadGuard { lock: self })
    }

    /// Exclusive access, if it can be had now.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.write_now().then(|| RwLockWriteGuard { lock: self })
    }

    /// The value, when the caller's exclusive borrow makes locking needless.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    fn read_now(&self) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & (WRITER | WRITERS_WAIT) == 0 {
            match self.state.compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(found) => state = found,
            }
        }
        false
    }

    fn write_now(&self) -> bool {
        self.state.compare_exchange(0, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Shared access, or else the mark that a reader waits. One atomic step: whoever opens the lock sees the mark.
    fn read_or_mark(&self) -> Option<()> {
        self.step(
            |state| {
                if state & (WRITER | WRITERS_WAIT) == 0 { (state + 1, true) } else { (state | READERS_WAIT, false) }
            },
        )
    }

    /// Exclusive access, or else the mark that a writer waits. A writer that waited leaves all marks: it cannot know
    /// who else waits, and opening the lock finds out.
    fn write_or_mark(&self) -> Option<()> {
        self.step(|state| {
            if state & (WRITER | READERS) == 0 {
                (state | WRITER | WAIT_BITS, true)
            } else {
                (state | WRITERS_WAIT, false)
            }
        })
    }

    fn step(&self, next: impl Fn(u32) -> (u32, bool)) -> Option<()> {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            let (wanted, taken) = next(state);
            match self.state.compare_exchange_weak(state, wanted, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return taken.then_some(()),
                Err(found) => state = found,
            }
        }
    }

    /// Nobody holds the lock and marks were there, which the caller has cleared: one writer's turn, else all readers'.
    #[cold]
    fn pass_on(&self) {
        if !self.writers.wake_one() {
            self.readers.wake_all();
        }
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Becomes a reader; no writer comes between.
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T> {
        let lock = guard.lock;
        core::mem::forget(guard);
        // The writers' mark stays, so that they get their turn; the readers' may go, they are woken.
        let before = lock.state.fetch_sub(WRITER - 1, Ordering::Release);
        if before & WAIT_BITS == WAIT_BITS && lock.writers.is_empty() {
            // The marks of a writer that waited; without a waiting writer they only keep readers out.
            lock.state.fetch_and(!WAIT_BITS, Ordering::AcqRel);
            lock.pass_on();
        } else if before & WAIT_BITS == READERS_WAIT {
            lock.state.fetch_and(!READERS_WAIT, Ordering::AcqRel);
            lock.readers.wake_all();
        }
        RwLockReadGuard { lock }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        let mut state = self.lock.state.fetch_sub(1, Ordering::Release) - 1;
        // The last reader passes the lock on. If another comes in meanwhile, the marks are his business.
        while state & (WRITER | READERS) == 0 && state & WAIT_BITS != 0 {
            match self.lock.state.compare_exchange_weak(state, 0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return self.lock.pass_on(),
                Err(found) => state = found,
            }
        }
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        if self.lock.state.swap(0, Ordering::Release) & WAIT_BITS != 0 {
            self.lock.pass_on();
        }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard holds a share.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock, and is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
