//! Wait queues: threads that wait for a condition which somebody else makes true.

use crate::park;
use crate::preemption::NoPreemption;
use crate::waiter::Waiter;
use crate::{Interruptible, WakeReason};
use hal::sync::SpinLock;
use hal::sync::atomic::{AtomicUsize, Ordering, fence};
use intrusive_collections::{LinkedList, LinkedListAtomicLink, UnsafeRef, intrusive_adapter};

struct Node {
    link: LinkedListAtomicLink,
    waiter: Waiter,
}

intrusive_adapter!(Nodes = UnsafeRef<Node>: Node { link => LinkedListAtomicLink });

/// Threads that wait for a condition. Whoever changes what the condition looks at wakes the queue after it; the
/// condition itself is checked by the waiter, with no lock of the queue held, so it may take locks, also sleeping ones.
/// Waking may happen in interrupt handlers and under spin locks, and costs a load when nobody waits.
pub struct WaitQueue {
    nodes: SpinLock<LinkedList<Nodes>>,
    /// Length of `nodes`, readable without the lock.
    len: AtomicUsize,
}

impl WaitQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { nodes: SpinLock::new(LinkedList::new(Nodes::NEW)), len: AtomicUsize::new(0) }
    }

    /// Waits until `cond` gives a value. `deadline_ns` is [`hal::clock::now_ns`] time; an interruptible wait ends when
    /// SIGNAL or STOP is set in the thread's work flags, also if it was before. A condition that holds wins over both.
    pub fn wait_until<R>(
        &self,
        deadline_ns: Option<u64>,
        interruptible: Interruptible,
        mut cond: impl FnMut() -> Option<R>,
    ) -> Result<R, WakeReason> {
        if let Some(value) = cond() {
            return Ok(value);
        }
        let current = crate::current();
        let entry = Entry::new(self, Node { link: LinkedListAtomicLink::new(), waiter: Waiter::new(&current) });
        loop {
            entry.enqueue();
            // Once more, now that a wake-up cannot be missed.
            if let Some(value) = cond() {
                if !entry.dequeue() {
                    // It was not needed here, and may have been for what another waits for.
                    self.wake_one();
                }
                return Ok(value);
            }
            let reason = loop {
                if entry.node.waiter.is_woken() {
                    break WakeReason::Woken;
                }
                match park::park(&current, interruptible.into(), deadline_ns) {
                    WakeReason::Woken => {}
                    reason => break reason,
                }
            };
            if reason == WakeReason::Woken {
                // Out of the queue, by a waker. Mostly for a reason: then there is no need to enter it again.
                if let Some(value) = cond() {
                    return Ok(value);
                }
            } else {
                let was_woken = !entry.dequeue();
                if let Some(value) = cond() {
                    return Ok(value);
                }
                if was_woken {
                    // The wake-up was meant for somebody who would use it.
                    self.wake_one();
                }
                return Err(reason);
            }
        }
    }

    /// Wakes the longest waiter; false when there is none.
    pub fn wake_one(&self) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut nodes = self.nodes.lock();
        match nodes.pop_front() {
            Some(node) => {
                self.len.fetch_sub(1, Ordering::Relaxed);
                node.waiter.wake();
                true
            }
            None => false,
        }
    }

    /// Wakes every thread that waits now; how many.
    pub fn wake_all(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        // Counted first: who waits again goes to the end. The lock opens between wake-ups, so that interrupts are masked
        // for one at a time however long the queue is.
        let waiting = self.len.load(Ordering::Relaxed);
        let _all_of_them = (waiting > 1).then(NoPreemption::begin);
        (0..waiting).take_while(|_| self.wake_one()).count()
    }

    /// Does `change` and wakes every waiter in one critical section. With [`Self::synchronize`] on the waiters' side this
    /// is the last touch of the queue: the waiters may free it as soon as they are through.
    pub(crate) fn wake_all_with(&self, change: impl FnOnce()) {
        let mut nodes = self.nodes.lock();
        change();
        while let Some(node) = nodes.pop_front() {
            self.len.fetch_sub(1, Ordering::Relaxed);
            node.waiter.wake();
        }
    }

    /// Waits until a waker that is in the critical section has left it.
    pub(crate) fn synchronize(&self) {
        drop(self.nodes.lock());
    }

    /// Whether nobody waits. Ordered after the caller's stores, as a waiter's look at the condition is ordered after its
    /// entry: one of the two sees the other.
    pub fn is_empty(&self) -> bool {
        fence(Ordering::SeqCst);
        self.len.load(Ordering::Relaxed) == 0
    }
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

/// A node on the waiter's stack, out of the queue at the latest when it drops.
struct Entry<'a> {
    queue: &'a WaitQueue,
    node: Node,
}

impl<'a> Entry<'a> {
    fn new(queue: &'a WaitQueue, node: Node) -> Self {
        Self { queue, node }
    }

    /// Puts the node at the queue's end. It is in no queue: new, or woken.
    fn enqueue(&self) {
        self.node.waiter.reset();
        let mut nodes = self.queue.nodes.lock();
        // SAFETY: the entry is borrowed, so it does not move, and it leaves the queue at the latest when it drops.
        nodes.push_back(unsafe { UnsafeRef::from_raw(&self.node) });
        self.queue.len.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes the node out; false if it is out already, by a waker who is done with it or by this function.
    fn dequeue(&self) -> bool {
        if self.node.waiter.is_woken() {
            return false;
        }
        let mut nodes = self.queue.nodes.lock();
        if !self.node.link.is_linked() {
            return false;
        }
        // SAFETY: linked, and only ever into this queue, whose lock is held.
        let mut cursor = unsafe { nodes.cursor_mut_from_ptr(&self.node) };
        cursor.remove();
        self.queue.len.fetch_sub(1, Ordering::Relaxed);
        true
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.dequeue();
    }
}
