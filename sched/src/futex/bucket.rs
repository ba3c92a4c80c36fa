//! The hash table of waiters.

use super::{Key, RequeueError, Requeued};
use crate::Current;
use crate::preemption::NoPreemption;
use crate::waiter::Waiter;
use core::cell::Cell;
use hal::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use hal::sync::{SpinLock, SpinLockGuard};
use hal::user::UserFault;
use intrusive_collections::{LinkedList, LinkedListAtomicLink, UnsafeRef, intrusive_adapter};

/// Buckets: about one waiter each with a few hundred threads, some twenty with 10,000.
const BUCKETS: usize = 512;
/// Wake-ups in a row before the lock opens and interrupts come in.
const WAKE_BATCH: usize = 32;

/// A waiting thread's entry, on its stack.
pub(super) struct Node {
    link: LinkedListAtomicLink,
    pub waiter: Waiter,
    bitset: u32,
    /// Index of the bucket that the node is in; a requeue changes it.
    bucket: AtomicUsize,
    /// Guarded by that bucket's lock.
    key: Cell<Key>,
    /// Place in the bucket's order of arrival; as `key`.
    ticket: Cell<u64>,
}

// SAFETY: the cells are used under the lock of the node's bucket only.
unsafe impl Sync for Node {}
// SAFETY: as above; the rest is `Send`.
unsafe impl Send for Node {}

intrusive_adapter!(Nodes = UnsafeRef<Node>: Node { link => LinkedListAtomicLink });

/// A cache line of its own, so that two busy words do not disturb each other.
#[repr(align(64))]
pub(super) struct Bucket {
    list: SpinLock<List>,
    /// Nodes in the list and threads about to enter it, readable without the lock.
    waiters: AtomicU32,
}

pub(super) struct List {
    nodes: LinkedList<Nodes>,
    next_ticket: u64,
}

static TABLE: [Bucket; BUCKETS] = [const {
    Bucket {
        list: SpinLock::new(List { nodes: LinkedList::new(Nodes::NEW), next_ticket: 0 }),
        waiters: AtomicU32::new(0),
    }
}; BUCKETS];

fn index(key: Key) -> usize {
    // Fibonacci hashing; words are 4-byte aligned, and the high bits of the product depend on all bits.
    let hash = (key.offset ^ key.object.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> (64 - BUCKETS.trailing_zeros())) as usize
}

/// The bucket of `key`.
pub(super) fn of(key: Key) -> &'static Bucket {
    &TABLE[index(key)]
}

impl Node {
    /// An entry for the running thread.
    pub fn new(current: &Current, key: Key, bitset: u32) -> Self {
        Self {
            link: LinkedListAtomicLink::new(),
            waiter: Waiter::new(current),
            bitset,
            bucket: AtomicUsize::new(index(key)),
            key: Cell::new(key),
            ticket: Cell::new(0),
        }
    }

    /// Takes the node out of its bucket; false if a waker did so before.
    pub fn withdraw(&self) -> bool {
        loop {
            let index = self.bucket.load(Ordering::Acquire);
            let bucket = &TABLE[index];
            let mut list = bucket.list.lock();
            if self.bucket.load(Ordering::Relaxed) != index {
                // Moved to another bucket meanwhile.
                continue;
            }
            if !self.link.is_linked() {
                // The waker held the lock until it was done with the node.
                return false;
            }
            // SAFETY: the node is linked into this bucket's list, whose lock is held.
            unsafe { list.nodes.cursor_mut_from_ptr(self) }.remove();
            bucket.leave();
            return true;
        }
    }
}

impl List {
    /// Puts `node` at the end, to wait on `key`.
    ///
    /// # Safety
    /// The node stays where it is until it was woken or withdrawn; it is in no list.
    pub unsafe fn push(&mut self, node: &Node, key: Key) {
        node.key.set(key);
        node.ticket.set(self.next_ticket);
        self.next_ticket += 1;
        // SAFETY: the caller's duty.
        self.nodes.push_back(unsafe { UnsafeRef::from_raw(node) });
    }
}

impl Bucket {
    /// Locks the list for a thread that may enter it. Counted first: a waker that does not see the count has stored the
    /// word's new value where the thread's compare will see it.
    pub fn enter(&self) -> SpinLockGuard<'_, List> {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        self.list.lock()
    }

    /// Undoes the count of [`Self::enter`].
    pub fn leave(&self) {
        self.waiters.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether somebody waits or is about to.
    pub fn has_waiters(&self) -> bool {
        self.waiters.load(Ordering::Relaxed) != 0
    }

    /// See [`super::wake`].
    #[inline(never)]
    pub fn wake(&self, key: Key, count: usize, bitset: u32) -> usize {
        let mut woken = 0;
        // Who comes from now on, woken threads that wait again among them, is not meant.
        let mut end_ticket = None;
        let _all_of_them = (count > 1).then(NoPreemption::begin);
        loop {
            let mut list = self.list.lock();
            let end = *end_ticket.get_or_insert(list.next_ticket);
            let batch = WAKE_BATCH.min(count - woken);
            let woken_now = wake_in(self, &mut list.nodes, key, batch, bitset, end);
            woken += woken_now;
            if woken_now < WAKE_BATCH || woken == count {
                return woken;
            }
        }
    }
}

/// Wakes at most `count` nodes of a locked bucket.
fn wake_in(
    bucket: &Bucket,
    nodes: &mut LinkedList<Nodes>,
    key: Key,
    count: usize,
    bitset: u32,
    end_ticket: u64,
) -> usize {
    let mut woken = 0;
    let mut cursor = nodes.front_mut();
    while woken < count
        && let Some(node) = cursor.get()
        && node.ticket.get() < end_ticket
    {
        if node.key.get() == key && node.bitset & bitset != 0 {
            let node = cursor.remove().expect("the cursor is at a node");
            bucket.leave();
            node.waiter.wake();
            woken += 1;
        } else {
            cursor.move_next();
        }
    }
    woken
}

/// See [`super::requeue`].
pub(super) fn requeue(
    from: Key,
    to: Key,
    wake_count: usize,
    requeue_count: usize,
    mut still_expected: impl FnMut() -> Result<bool, UserFault>,
) -> Result<Requeued, RequeueError> {
    let (source, target) = (of(from), of(to));
    let same = core::ptr::eq(source, target);
    // Counted as a waiter of the target for the time of the move, so that a waker there waits for the lock.
    target.waiters.fetch_add(1, Ordering::SeqCst);
    // Two buckets: lower index first.
    let (mut from_list, mut to_list) = if same {
        (source.list.lock(), None)
    } else if index(from) < index(to) {
        let first = source.list.lock();
        (first, Some(target.list.lock()))
    } else {
        let first = target.list.lock();
        (source.list.lock(), Some(first))
    };
    let result = match still_expected() {
        Err(fault) => Err(RequeueError::Fault(fault)),
        Ok(false) => Err(RequeueError::Again),
        Ok(true) => {
            let woken = wake_in(source, &mut from_list.nodes, from, wake_count, super::MATCH_ANY, u64::MAX);
            let mut moved = 0;
            let mut cursor = from_list.nodes.front_mut();
            while moved < requeue_count
                && let Some(node) = cursor.get()
            {
                if node.key.get() != from {
                    cursor.move_next();
                    continue;
                }
                moved += 1;
                match &mut to_list {
                    // Same bucket: the node keeps its place.
                    None => {
                        node.key.set(to);
                        cursor.move_next();
                    }
                    Some(to_list) => {
                        let node = cursor.remove().expect("the cursor is at a node");
                        source.leave();
                        target.waiters.fetch_add(1, Ordering::Relaxed);
                        // SAFETY: just taken out; its thread cannot withdraw it without one of the locks held here.
                        unsafe { to_list.push(&node, to) };
                        node.bucket.store(index(to), Ordering::Release);
                    }
                }
            }
            Ok(Requeued { woken, moved })
        }
    };
    drop(to_list);
    drop(from_list);
    target.leave();
    result
}
