//! What fairness needs to know of one thread.

use core::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
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

/// What a thread's weight comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Its niceness.
    Fair,
    /// Next to nothing: it runs when others leave time.
    Idle,
    /// More than the least nice thread has, many times.
    RealTime,
}

const WEIGHT_OF_IDLE: u32 = 3;
const WEIGHT_OF_REAL_TIME: u32 = WEIGHTS[0] * 16;

/// A thread's place in the order of its queue. The virtual run time is nanoseconds of running scaled by weight, relative
/// to the queue of the vCPU `Thread::cpu`. Written under that queue's lock, or by who has just unparked the thread.
#[derive(Debug)]
pub(crate) struct Fair {
    pub(super) link: RBTreeAtomicLink,
    vruntime_ns: AtomicU64,
    nice: AtomicI32,
    class: AtomicU8,
    weight: AtomicU32,
}

impl Fair {
    /// Nice 0, no time used.
    pub const fn new() -> Self {
        Self {
            link: RBTreeAtomicLink::new(),
            vruntime_ns: AtomicU64::new(0),
            nice: AtomicI32::new(0),
            class: AtomicU8::new(Class::Fair as u8),
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
        self.set_weight();
    }

    /// See [`Class`]. Counts from the thread's next charge on.
    pub fn set_class(&self, class: Class) {
        self.class.store(class as u8, Ordering::Relaxed);
        self.set_weight();
    }

    fn set_weight(&self) {
        let weight = match self.class.load(Ordering::Relaxed) {
            class if class == Class::Idle as u8 => WEIGHT_OF_IDLE,
            class if class == Class::RealTime as u8 => WEIGHT_OF_REAL_TIME,
            _ => WEIGHTS[(self.nice() - NICE_MIN) as usize],
        };
        self.weight.store(weight, Ordering::Relaxed);
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
