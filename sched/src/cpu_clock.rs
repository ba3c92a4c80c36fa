//! CPU time of one thread, in one word so that any vCPU reads it exactly.

use core::sync::atomic::{AtomicI64, Ordering};

/// While the thread is off the vCPU: its time so far. While it runs: that minus the time of its dispatch, which is
/// negative, because no thread has run longer than the machine was up before it was dispatched.
/// Only the vCPU that switches the thread writes.
#[derive(Debug, Default)]
pub(crate) struct CpuClock(AtomicI64);

impl CpuClock {
    /// A thread that has not run.
    pub const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// The thread starts to run at `now_ns` (more than 0).
    pub fn start(&self, now_ns: u64) {
        let total = self.0.load(Ordering::Relaxed);
        // `min`: a thread that ran ever since time 0 keeps the sign that says "runs".
        self.0.store((total - now_ns as i64).min(-1), Ordering::Relaxed);
    }

    /// The thread stops at `now_ns`.
    pub fn stop(&self, now_ns: u64) {
        let word = self.0.load(Ordering::Relaxed);
        if word < 0 {
            self.0.store(word + now_ns as i64, Ordering::Relaxed);
        }
    }

    /// Time on a vCPU up to `now_ns`.
    pub fn total_ns(&self, now_ns: u64) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        let total = if word < 0 { word + now_ns as i64 } else { word };
        total.max(0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::CpuClock;

    #[test]
    fn counts_only_while_running() {
        let clock = CpuClock::new();
        assert_eq!(clock.total_ns(50), 0);
        clock.start(100);
        assert_eq!(clock.total_ns(130), 30);
        clock.stop(150);
        assert_eq!(clock.total_ns(1000), 50);
        clock.start(1000);
        assert_eq!(clock.total_ns(1001), 51);
        clock.stop(1002);
        clock.stop(5000);
        assert_eq!(clock.total_ns(9000), 52);
    }
}
