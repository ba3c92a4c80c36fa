//! All living threads, by id. The registry's count keeps a thread alive until it has left its stack.

use crate::{Thread, ThreadRef};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use hal::sync::SpinLock;
use intrusive_collections::{Bound, KeyAdapter, RBTree, RBTreeAtomicLink, intrusive_adapter};

/// Most threads at a time, whatever the memory; about Linux's default on a machine with 4 GiB (threads-max, proc(5)).
const MAX_THREADS: usize = 32_000;
/// Ids stay below this (PID_MAX_LIMIT, proc(5)).
const ID_END: u32 = 1 << 22;

intrusive_adapter!(ById = ThreadRef: Thread { registry_link => RBTreeAtomicLink });
impl<'a> KeyAdapter<'a> for ById {
    type Key = u32;
    fn get_key(&self, thread: &'a Thread) -> u32 {
        thread.id()
    }
}

// Intrusive: taking the lock never allocates under it.
static THREADS: SpinLock<RBTree<ById>> = SpinLock::new(RBTree::new(ById::NEW));
static COUNT: AtomicUsize = AtomicUsize::new(0);
static NEXT_ID: SpinLock<u32> = SpinLock::new(1);
static LIMIT: AtomicUsize = AtomicUsize::new(MAX_THREADS);
static CREATED: AtomicU64 = AtomicU64::new(0);

/// Memory for each thread that may be, in bytes: as on Linux (`set_max_threads`), what threads need of the kernel is a small part of it,
/// and an application that makes threads without end gets an error instead of taking the last frame.
const BYTES_A_THREAD: u64 = 128 << 10;

/// See [`crate::limit_threads`].
pub(crate) fn limit_threads(memory_bytes: u64) {
    LIMIT.store(((memory_bytes / BYTES_A_THREAD) as usize).min(MAX_THREADS), Ordering::Relaxed);
}

/// A place for one more thread, with an id that no living thread has. Dropping it gives the place back.
pub(crate) struct Place(u32);

impl Place {
    /// `None` when the machine has its limit of threads.
    pub fn take() -> Option<Self> {
        if COUNT.fetch_add(1, Ordering::Relaxed) >= LIMIT.load(Ordering::Relaxed) {
            COUNT.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut next = NEXT_ID.lock();
        loop {
            let id = *next;
            *next = if id + 1 == ID_END { 1 } else { id + 1 };
            if THREADS.lock().find(&id).is_null() {
                return Some(Self(id));
            }
        }
    }

    /// The id.
    pub fn id(&self) -> u32 {
        self.0
    }

    /// Puts `thread`, which has this place's id, into the registry.
    pub fn fill(self, thread: ThreadRef) {
        debug_assert_eq!(thread.id(), self.0, "the thread was made with the place's id");
        CREATED.fetch_add(1, Ordering::Relaxed);
        THREADS.lock().insert(thread);
        core::mem::forget(self);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes `thread` out and hands over the registry's count of it.
///
/// # Panics
/// If the thread is not in the registry.
pub(crate) fn remove(thread: &Thread) -> ThreadRef {
    let removed = THREADS.lock().find_mut(&thread.id()).remove();
    COUNT.fetch_sub(1, Ordering::Relaxed);
    removed.expect("a thread leaves the registry once, at its end")
}

/// The living thread `id`.
pub(crate) fn get(id: u32) -> Option<ThreadRef> {
    THREADS.lock().find(&id).clone_pointer()
}

/// Living threads, in order of their ids. Takes the lock for a few threads at a time: interrupts stay responsive.
pub(crate) fn all() -> Vec<ThreadRef> {
    const BATCH: usize = 64;
    let mut threads: Vec<ThreadRef> = Vec::new();
    loop {
        threads.reserve(BATCH);
        let after = threads.last().map_or(0, |thread| thread.id());
        let registry = THREADS.lock();
        let mut cursor = registry.lower_bound(Bound::Excluded(&after));
        for _ in 0..BATCH {
            match cursor.clone_pointer() {
                Some(thread) => threads.push(thread),
                None => return threads,
            }
            cursor.move_next();
        }
    }
}

/// How many threads live.
pub(crate) fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Threads made since boot.
pub(crate) fn created() -> u64 {
    CREATED.load(Ordering::Relaxed)
}

/// How many application threads live, if `test` holds for each. Stops at the first for which it does not; that one is
/// asked first next time, so that the ordinary answer, no, costs one look.
pub(crate) fn every_application_thread(test: impl Fn(&Thread) -> bool) -> Option<usize> {
    static COUNTEREXAMPLE: AtomicU64 = AtomicU64::new(0);
    let hint = COUNTEREXAMPLE.load(Ordering::Relaxed) as u32;
    if get(hint).is_some_and(|thread| thread.is_application() && !test(&thread)) {
        return None;
    }
    let (mut after, mut count) = (0, 0);
    loop {
        let next: Option<ThreadRef> = THREADS.lock().lower_bound(Bound::Excluded(&after)).clone_pointer();
        let Some(thread) = next else { return Some(count) };
        after = thread.id();
        if !thread.is_application() {
            continue;
        }
        if !test(&thread) {
            COUNTEREXAMPLE.store(after.into(), Ordering::Relaxed);
            return None;
        }
        count += 1;
    }
}

/// Gives a counted reference from a borrow, for a thread that is known to be counted by somebody (itself).
///
/// # Safety
/// `thread` lives in an `Arc`, whose count cannot fall to zero during the call.
pub(crate) unsafe fn count_reference(thread: *const Thread) -> ThreadRef {
    // SAFETY: the caller's duty.
    unsafe { Arc::increment_strong_count(thread) };
    // SAFETY: the count that was just added.
    unsafe { Arc::from_raw(thread) }
}
