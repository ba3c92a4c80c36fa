//! Getting memory back when it is short: caches above mm, clean file pages that are mapped, spare kernel stacks.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

use super::{cache, zeroed};

/// At most this many reclaimers (page cache, dentry cache, ...).
const MAX_RECLAIMERS: usize = 8;
/// Frames that one round tries to free, so that the next allocations need no round.
const BATCH: usize = 64;

/// Registered functions; 0 is a free place.
static RECLAIMERS: [AtomicUsize; MAX_RECLAIMERS] = [const { AtomicUsize::new(0) }; MAX_RECLAIMERS];
/// One round at a time; also stops a reclaimer from recursing.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// Registers a function that gives memory back: called with the number of frames wanted, returns how many it freed.
/// It runs inside an allocation, with interrupts on, with any sleeping lock possibly held by its caller: it may only
/// *try* to take locks and must not allocate.
///
/// # Panics
/// When more than eight are registered.
pub fn register_reclaimer(reclaim: fn(pages: usize) -> usize) {
    let place = RECLAIMERS.iter().find(|place| place.compare_exchange(0, reclaim as usize, AcqRel, Relaxed).is_ok());
    assert!(place.is_some(), "more than {MAX_RECLAIMERS} reclaimers");
}

/// Frees at least `pages` frames if it can: reclaimers first, then clean file pages mapped in the address space, then
/// the reclaimers again. May sleep; call it with interrupts on and no spin lock held. Returns how many were freed, as
/// far as the reclaimers say so; `None`: somebody else is at it.
fn try_reclaim(pages: usize) -> Option<usize> {
    if RUNNING.swap(true, Acquire) {
        return None;
    }
    let wanted = pages.max(BATCH);
    let mut freed = run_reclaimers(wanted);
    if freed < pages {
        // Unmapped pages are freed by whoever caches them, hence the second run.
        crate::space::space().unmap_clean_pages(wanted);
        freed += run_reclaimers(wanted);
    }
    if freed < pages {
        freed += crate::kernel_stack::POOL.shrink();
    }
    cache::drain();
    zeroed::drain();
    RUNNING.store(false, Release);
    Some(freed)
}

/// As [`try_reclaim`]; nothing is freed if somebody else is at it.
pub fn reclaim(pages: usize) -> usize {
    try_reclaim(pages).unwrap_or(0)
}

fn run_reclaimers(wanted: usize) -> usize {
    let mut freed = 0;
    for place in &RECLAIMERS {
        let address = place.load(Acquire);
        if address == 0 || freed >= wanted {
            break;
        }
        // SAFETY: the only values ever stored are 0 and functions of this type.
        let function: fn(usize) -> usize = unsafe { core::mem::transmute(address) };
        freed += function(wanted - freed);
    }
    freed
}

/// Rounds of reclaim in a row that free nothing before memory counts as out, and the longest time between two: another thread may
/// hold what the round needs, or be writing to a disk what can be given back after that.
const FRUITLESS: u32 = 20;
const PAUSE_NS: u64 = 1_000_000;
const PAUSE_MAX_NS: u64 = 50_000_000;

/// For those who may wait for memory: makes room again and again.
#[derive(Default)]
pub struct Patience {
    fruitless: u32,
}

impl Patience {
    /// Frees frames for another attempt, or waits a little. False: nothing was freed for about half a second. Sleeps; call it
    /// with interrupts on and without a lock that giving memory back needs: mm's, or one that is held over writes to a disk.
    pub fn makes_room(&mut self) -> bool {
        match try_reclaim(1) {
            Some(0) => self.fruitless += 1,
            Some(_) => {
                self.fruitless = 0;
                return true;
            }
            // Another thread's round counts for that one: on a busy machine it may take longer than all of ours.
            None => {}
        }
        if self.fruitless > FRUITLESS {
            return false;
        }
        let pause = (PAUSE_NS << (self.fruitless / 2).min(6)).min(PAUSE_MAX_NS);
        sched::sleep_until(hal::clock::now_ns() + pause, sched::Interruptible::No);
        true
    }
}

/// How often an allocation lets another thread's round go on before it gives up.
const PATIENCE: u32 = 64;

/// The slow path of an allocation: reclaims if that is possible here, then tries again.
#[cold]
pub(super) fn then<R>(pages: usize, again: impl Fn() -> Option<R>) -> Option<R> {
    cache::drain();
    for _ in 0..PATIENCE {
        if !hal::irq::enabled() {
            break;
        }
        let somebody_runs = RUNNING.load(Acquire);
        if somebody_runs {
            sched::yield_now();
        } else {
            reclaim(pages);
        }
        let result = again();
        if result.is_some() || !somebody_runs {
            return result;
        }
    }
    again()
}
