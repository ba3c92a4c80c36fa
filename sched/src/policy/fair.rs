//! What fairness needs to know of one thread.

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use intrusive_collections::RBTreeAtomicLink;

const NICE_MIN: i32 = -20;
const NICE_MAX: i32 = 19;
const WEIGHT_OF_NICE_0: u32 = 1024;

/// Share of each nice level: a step is a fifth less or a quarter more, so that one level between two busy threads
/// shifts about a tenth of the vCPU from one to the other (sched(7)).
const WEIGHTS: [u32; 40] = {
    let mut weights = [0; 40];
    // 10 more bits while computing, so that the small weights do not round away.
    let mut weight = (WEIGHT_OF_NICE_0 as u64) << 10;
    let mut index = 20;
    while index < 40 {
        weights[index] = ((weight + 512) >> 10) as u32;
        weight = weight * 4 / 5;
        index += 1;
    }
    weight = (WEIGHT_OF_NICE_0 as u64) << 10;
    index = 20;
    while index > 0 {
        index -= 1;
        weight = weight * 5 / 4;
        weights[index] = ((weight + 512) >> 10) as u32;
    }
    weights
};

/// A thread's place in the order of its queue. The virtual run time is nanoseconds of running scaled by weight, relative
/// to the queue of the vCPU `Thread::cpu`. Written under that queue's lock, or by who has just unparked the thread.
#[derive(Debug)]
pub(crate) struct Fair {
    pub(super) link: RBTreeAtomicLink,
    vruntime_ns: AtomicU64,
    nice: AtomicI32,
    weight: AtomicU32,
}

impl Fair {
    /// Nice 0, no time used.
    pub const fn new() -> Self {
        Self {
            link: RBTreeAtomicLink::new(),
            vruntime_ns: AtomicU64::new(0),
            nice: AtomicI32::new(0),
            weight: AtomicU32::new(WEIGHT_OF_NICE_0),
        }
    }

    /// Virtual run time.
    pub fn vruntime_ns(&self) -> u64 {
        self.vruntime_ns.load(Ordering::Relaxed)
    }

    pub(super) fn set_vruntime_ns(&self, vruntime_ns: u64) {
        self.vruntime_ns.store(vruntime_ns, Ordering::Relaxed);
    }

    /// What `run_ns` of running count for.
    pub(super) fn scale(&self, run_ns: u64) -> u64 {
        match self.weight.load(Ordering::Relaxed) {
            WEIGHT_OF_NICE_0 => run_ns,
            weight => run_ns.saturating_mul(WEIGHT_OF_NICE_0.into()) / u64::from(weight),
        }
    }

    /// -20 to 19.
    pub fn nice(&self) -> i32 {
        self.nice.load(Ordering::Relaxed)
    }

    /// Clamped to -20..=19. Counts from the thread's next charge on.
    pub fn set_nice(&self, nice: i32) {
        let nice = nice.clamp(NICE_MIN, NICE_MAX);
        self.nice.store(nice, Ordering::Relaxed);
        self.weight.store(WEIGHTS[(nice - NICE_MIN) as usize], Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_step_by_a_quarter() {
        assert_eq!(WEIGHTS[20], WEIGHT_OF_NICE_0);
        for pair in WEIGHTS.windows(2) {
            let ratio = f64::from(pair[0]) / f64::from(pair[1]);
            assert!((1.2..1.3).contains(&ratio), "{pair:?}");
        }
        assert!(WEIGHTS[39] >= 12 && WEIGHTS[0] > 80_000);
    }

    #[test]
    fn nice_is_clamped_and_scales() {
        let fair = Fair::new();
        assert_eq!(fair.scale(1000), 1000);
        fair.set_nice(100);
        assert_eq!(fair.nice(), 19);
        assert!(fair.scale(1000) > 50_000);
        fair.set_nice(-100);
        assert_eq!(fair.nice(), -20);
        assert!(fair.scale(100_000) < 1300);
    }
}
