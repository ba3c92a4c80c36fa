//! One vCPU's armed timers, earliest first. Pure data.

use super::TimerNode;
use intrusive_collections::{KeyAdapter, RBTree, RBTreeAtomicLink, UnsafeRef, intrusive_adapter};

intrusive_adapter!(ByDeadline = UnsafeRef<TimerNode>: TimerNode { link => RBTreeAtomicLink });
impl<'a> KeyAdapter<'a> for ByDeadline {
    type Key = u64;
    fn get_key(&self, node: &'a TimerNode) -> u64 {
        node.deadline_ns()
    }
}

/// Timers in order of their deadlines; equal ones in the order in which they came. Intrusive: arming allocates nothing.
pub(crate) struct TimerHeap {
    tree: RBTree<ByDeadline>,
}

impl TimerHeap {
    /// No timer.
    pub const fn new() -> Self {
        Self { tree: RBTree::new(ByDeadline::NEW) }
    }

    /// The earliest deadline.
    pub fn next_ns(&self) -> Option<u64> {
        self.tree.front().get().map(TimerNode::deadline_ns)
    }

    /// Inserts `node`; true if it is the earliest now.
    ///
    /// # Safety
    /// The node stays where it is, alive, until it was taken out.
    pub unsafe fn insert(&mut self, node: &TimerNode) -> bool {
        // SAFETY: the caller's duty.
        let node = unsafe { UnsafeRef::from_raw(node) };
        self.tree.insert(node).as_cursor().peek_prev().is_null()
    }

    /// Takes `node` out.
    ///
    /// # Safety
    /// The node is in this heap.
    pub unsafe fn remove(&mut self, node: &TimerNode) {
        // SAFETY: the caller's duty.
        let mut cursor = unsafe { self.tree.cursor_mut_from_ptr(node) };
        cursor.remove();
    }

    /// Takes out the earliest timer if its deadline is at or before `now_ns`.
    pub fn take_expired(&mut self, now_ns: u64) -> Option<UnsafeRef<TimerNode>> {
        let mut first = self.tree.front_mut();
        if first.get()?.deadline_ns() > now_ns {
            return None;
        }
        first.remove()
    }
}
