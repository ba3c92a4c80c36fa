//! Kernel code in which an interrupt does not make another thread run.

use crate::{Current, Thread, try_current};
use core::sync::atomic::Ordering;

/// While it lives, interrupts are served but the running thread keeps its vCPU: for a waker that is not done, who would come
/// back only after all whom it has woken. It does not block meanwhile. Guards nest.
pub(crate) struct NoPreemption(Option<Current>);

impl NoPreemption {
    /// Begins such a section.
    pub fn begin() -> Self {
        let current = try_current();
        // Only the thread itself, and interrupts that end before it goes on, write the count.
        current.as_deref().inspect(|thread| count(thread, 1));
        Self(current)
    }
}

impl Drop for NoPreemption {
    fn drop(&mut self) {
        // Who waits comes at the next interrupt or on the return to the application: RESCHED is still set.
        self.0.as_deref().inspect(|thread| count(thread, -1));
    }
}

fn count(thread: &Thread, by: i32) {
    let sections = thread.no_preemption.load(Ordering::Relaxed);
    thread.no_preemption.store(sections.wrapping_add_signed(by), Ordering::Relaxed);
}

/// Whether the running thread is in such a section.
pub(crate) fn is_off() -> bool {
    try_current().is_some_and(|thread| thread.no_preemption.load(Ordering::Relaxed) != 0)
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    #[test]
    fn sections_nest_and_end() {
        assert!(!is_off());
        let outer = NoPreemption::begin();
        drop(NoPreemption::begin());
        assert!(is_off());
        drop(outer);
        assert!(!is_off());
    }
}
