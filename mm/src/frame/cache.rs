//! Free single frames of each vCPU, so that a fault takes no lock that another vCPU takes.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use hal::cpu::{MAX_CPUS, Padded, PerCpu};

use super::global::{Urgency, ZONE, note_taken};
use crate::machine::{self, CpuLocal, Pfn};

/// Most frames in one cache.
const MAX_FRAMES: usize = 64;

/// A stack of frames.
struct Cache {
    count: usize,
    frames: [Pfn; MAX_FRAMES],
}

impl Cache {
    const EMPTY: Cache = Cache { count: 0, frames: [0; MAX_FRAMES] };
}

static CACHES: CpuLocal<Cache> = CpuLocal::new([const { CpuLocal::slot(Cache::EMPTY) }; MAX_CPUS]);
/// `Cache::count` of each vCPU, for others to read.
static COUNTS: PerCpu<AtomicU32> = PerCpu::new([const { Padded::new(AtomicU32::new(0)) }; MAX_CPUS]);
/// Frames that a cache may hold on this machine.
static CAPACITY: AtomicU32 = AtomicU32::new(8);

/// Sizes the caches to the machine: 1/512 of memory each, from 8 to 64 frames.
pub(super) fn set_capacity(total_frames: u64) {
    CAPACITY.store((total_frames / 512).clamp(8, MAX_FRAMES as u64) as u32, Relaxed);
}

/// Takes one frame.
#[inline]
pub(super) fn take(urgency: Urgency) -> Option<Pfn> {
    CACHES.with(|cache| {
        if cache.count == 0 && !refill(cache, urgency) {
            return None;
        }
        cache.count -= 1;
        COUNTS.get().store(cache.count as u32, Relaxed);
        Some(cache.frames[cache.count])
    })
}

/// Fills half of an empty cache; one frame only when memory is nearly out.
#[cold]
fn refill(cache: &mut Cache, urgency: Urgency) -> bool {
    let half = CAPACITY.load(Relaxed) as usize / 2;
    let mut free = 0;
    cache.count = ZONE.with(|zone| {
        free = zone.free_frames();
        let count = if ZONE.allows(free, half as u64, Urgency::Ordinary) {
            half
        } else {
            usize::from(ZONE.allows(free, 1, urgency))
        };
        zone.take_singles(&mut cache.frames[..count])
    });
    note_taken(free, urgency);
    // Runs come in rising order; they are popped from the end, so turn them round.
    cache.frames[..cache.count].reverse();
    cache.count > 0
}

/// Gives one frame back.
#[inline]
pub(crate) fn give(pfn: Pfn) {
    CACHES.with(|cache| {
        if cache.count >= CAPACITY.load(Relaxed) as usize {
            spill(cache);
        }
        cache.frames[cache.count] = pfn;
        cache.count += 1;
        COUNTS.get().store(cache.count as u32, Relaxed);
    });
}

/// Returns the older half to the zone.
#[cold]
fn spill(cache: &mut Cache) {
    let half = cache.count.div_ceil(2);
    ZONE.with(|zone| cache.frames[..half].iter().for_each(|&pfn| zone.give(pfn, 0)));
    cache.frames.copy_within(half..cache.count, 0);
    cache.count -= half;
}

/// Returns everything in this vCPU's cache to the zone, so that blocks can join.
pub(crate) fn drain() {
    machine::ensure_ready();
    CACHES.with(|cache| {
        ZONE.with(|zone| cache.frames[..cache.count].iter().for_each(|&pfn| zone.give(pfn, 0)));
        cache.count = 0;
        COUNTS.get().store(0, Relaxed);
    });
}

/// Frames in all caches.
pub(super) fn total() -> u64 {
    COUNTS.iter().map(|count| u64::from(count.load(Relaxed))).sum()
}
