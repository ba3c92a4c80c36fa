//! A thread's record in a list of waiters, on that thread's stack, and how a waker lets go of it.

use crate::{Current, Thread, machine};
use hal::sync::atomic::{AtomicU8, Ordering};

const WAITING: u8 = 0;
/// The waker still touches the record and the thread.
const WAKING: u8 = 1;
const WOKEN: u8 = 2;

/// Who waits, and whether it was its turn. The record's list is under a spin lock; the waker holds that lock (hence
/// interrupts are masked on its vCPU), so that a thread that sees WAKING waits only a few instructions. In exchange no
/// waker counts references: the thread cannot end before the record says WOKEN, after which nobody touches either.
#[derive(Debug)]
pub(crate) struct Waiter {
    thread: *const Thread,
    state: AtomicU8,
}

// SAFETY: the pointer is to a thread that outlives the record; `Thread` is `Sync`.
unsafe impl Send for Waiter {}
// SAFETY: as above.
unsafe impl Sync for Waiter {}

impl Waiter {
    /// A record of the running thread.
    pub fn new(current: &Current) -> Self {
        Self { thread: current.as_ptr(), state: AtomicU8::new(WAITING) }
    }

    /// Wakes the thread. The record is out of its list already, and the list's lock is held.
    pub fn wake(&self) {
        self.state.store(WAKING, Ordering::Relaxed);
        // SAFETY: the thread waits for WOKEN before it leaves the wait.
        let thread = unsafe { &*self.thread };
        if thread.park.notify() {
            machine::make_runnable(thread);
        }
        self.state.store(WOKEN, Ordering::Release);
    }

    /// Whether the record was taken out of its list by a waker. Once true, nobody else refers to it.
    pub fn is_woken(&self) -> bool {
        loop {
            match self.state.load(Ordering::Acquire) {
                WAITING => return false,
                WOKEN => return true,
                _ => hal::cpu::relax(),
            }
        }
    }

    /// Waits again. The record is in no list.
    pub fn reset(&self) {
        self.state.store(WAITING, Ordering::Relaxed);
    }
}
