//! The one zone, its reserve, and statistics.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hal::boot_info::{BootInfo, MemoryKind};
use hal::sync::{Once, SpinLock};

use super::meta::{Kind, MetaTable};
use super::zone::{MAX_ORDER, REGION, Zone};
use super::{cache, zeroed};
use crate::machine::{self, Pfn};

/// The zone, and what is read without its lock. Counts are in frames.
pub(super) struct Global {
    zone: Once<SpinLock<Zone>>,
    /// Free frames that ordinary allocations must leave.
    reserve: AtomicU64,
    /// The same, as it was before `open_reserve`.
    full_reserve: AtomicU64,
    /// Free frames after the last operation on the zone, for decisions only.
    free_hint: AtomicU64,
    /// Frames given to the zone.
    total: AtomicU64,
}

pub(super) static ZONE: Global = Global {
    zone: Once::new(),
    reserve: AtomicU64::new(0),
    full_reserve: AtomicU64::new(0),
    free_hint: AtomicU64::new(0),
    total: AtomicU64::new(0),
};

/// Who asks for a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Urgency {
    /// The application and its files: leaves the reserve alone.
    Ordinary,
    /// The kernel's own structures: may use the reserve.
    Kernel,
}

impl Global {
    fn lock(&self) -> hal::sync::SpinLockGuard<'_, Zone> {
        machine::ensure_ready();
        self.zone.get().expect("mm::init comes first").lock()
    }

    /// Runs `f` on the zone and remembers how much is free afterwards.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Zone) -> R) -> R {
        let mut zone = self.lock();
        let result = f(&mut zone);
        self.free_hint.store(zone.free_frames(), Relaxed);
        result
    }

    /// Whether `frames` may be taken from a zone with `free` frames.
    pub(super) fn allows(&self, free: u64, frames: u64, urgency: Urgency) -> bool {
        urgency == Urgency::Kernel || free >= frames + self.reserve.load(Relaxed)
    }
}

/// Called after the kernel's own structures have taken from the reserve, under any lock and with interrupts in any state: it
/// only notes it. Once.
pub fn on_reserve_used(hook: fn()) {
    RESERVE_HOOK.call_once(|| hook);
}

static RESERVE_HOOK: Once<fn()> = Once::new();

/// Says that a zone which had `free` frames has given some, if that took from the reserve. Without the zone's lock.
#[inline]
pub(super) fn note_taken(free: u64, urgency: Urgency) {
    if urgency == Urgency::Kernel
        && free < ZONE.reserve.load(Relaxed)
        && let Some(hook) = RESERVE_HOOK.get()
    {
        hook();
    }
}

/// Whether the kernel has eaten into its reserve.
pub fn is_reserve_used() -> bool {
    let stats = stats();
    stats.free < stats.reserve
}

/// The metadata array.
#[inline]
pub(crate) fn table() -> MetaTable {
    MetaTable::new(machine::metadata_base())
}

/// Physical memory below this is left to hal (start-up code of vCPUs) and the firmware.
const LOWEST: u64 = 1 << 20;

/// Gives all usable memory except the kernel's to the zone.
pub(crate) fn init(info: &BootInfo) {
    let mut zone = Zone::new(table(), machine::map_metadata);
    add_all(&mut zone, info);
    let total = zone.total_frames();
    // 1/64 of memory, from 1 MiB to 4 MiB.
    let reserve = (total / 64).clamp(256, 1024);
    ZONE.reserve.store(reserve, Relaxed);
    ZONE.full_reserve.store(reserve, Relaxed);
    ZONE.free_hint.store(zone.free_frames(), Relaxed);
    ZONE.total.store(total, Relaxed);
    cache::set_capacity(total);
    ZONE.zone.call_once(|| SpinLock::new(zone));
}

/// Gives the usable memory that `info` describes to a zone.
pub(super) fn add_all(zone: &mut Zone, info: &BootInfo) {
    for region in info.memory().iter().filter(|region| region.kind == MemoryKind::Usable) {
        // 32-bit frame numbers end at 16 TiB.
        let range = region.start.0.max(LOWEST)..region.start.0.saturating_add(region.len).min(1 << 44);
        for piece in subtract(range, &(info.kernel.start.0..info.kernel.end.0)) {
            let start = piece.start.next_multiple_of(4096);
            if start < piece.end {
                zone.add((start >> 12) as Pfn, (piece.end >> 12) as Pfn);
            }
        }
    }
}

/// What is left of `range` without `hole`: up to two pieces.
fn subtract(range: Range<u64>, hole: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let before = range.start..range.end.min(hole.start);
    let after = range.start.max(hole.end)..range.end;
    let disjoint = hole.start >= range.end || hole.end <= range.start;
    let pieces = if disjoint { [range, 0..0] } else { [before, after] };
    pieces.into_iter().filter(|piece| piece.start < piece.end)
}

fn take_with(frames: u64, urgency: Urgency, take: impl FnOnce(&mut Zone) -> Option<Pfn>) -> Option<Pfn> {
    let (free, taken) = ZONE.with(|zone| {
        let free = zone.free_frames();
        (free, if ZONE.allows(free, frames, urgency) { take(zone) } else { None })
    });
    note_taken(free.saturating_sub(frames), urgency);
    taken
}

/// Takes a block, past the caches.
pub(crate) fn take_order(order: u8, urgency: Urgency) -> Option<Pfn> {
    take_with(1 << order, urgency, |zone| zone.take(order))
}

/// Gives a block back, past the caches.
pub(crate) fn give_order(pfn: Pfn, order: u8) {
    ZONE.with(|zone| zone.give(pfn, order));
}

/// Takes adjacent 2 MiB regions; each goes back by `give_order` of its own.
pub(crate) fn take_contiguous(regions: u32, urgency: Urgency) -> Option<Pfn> {
    let frames = u64::from(regions) * u64::from(REGION);
    take_with(frames, urgency, |zone| zone.take_contiguous(regions))
}

/// Turns a used 2 MiB block into 512 used single frames.
pub(crate) fn split_used(pfn: Pfn) {
    let table = table();
    for i in 0..1 << MAX_ORDER {
        table.get(pfn + i).set(Kind::Used, 0);
    }
}

/// Free frames, roughly: without the per-CPU caches, as of the last operation on the zone.
#[inline]
pub(super) fn free_hint() -> u64 {
    ZONE.free_hint.load(Relaxed)
}

/// Whether at least 1 GiB is free, so that 2 MiB pages are worth their waste.
#[inline]
pub(crate) fn is_plentiful() -> bool {
    free_hint() >= (1 << 30) / 4096
}

/// Whether memory is so short that nothing should be read ahead: it would take the place of what is in use.
#[inline]
pub fn is_scarce() -> bool {
    free_hint() < ZONE.reserve.load(Relaxed) + (ZONE.total.load(Relaxed) / 32).min(SCARCE_MAX)
}

/// At most this many free frames beyond the reserve are scarce: 16 MiB.
const SCARCE_MAX: u64 = 4096;

/// Frames of the machine.
pub(crate) fn total_frames() -> u64 {
    machine::ensure_ready();
    ZONE.total.load(Relaxed)
}

/// All in frames of 4 KiB.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stats {
    /// Frames that mm was given at boot.
    pub total: u64,
    /// Free frames: untouched, per-CPU and cleared ones included.
    pub free: u64,
    /// Of `free`: in per-CPU caches.
    pub cached: u64,
    /// Of `free`: never used since boot.
    pub untouched: u64,
    /// Of `free`: in whole 2 MiB blocks, untouched ones included.
    pub free_huge: u64,
    /// Kept for the kernel and for a clear end when memory is out.
    pub reserve: u64,
    /// Free blocks of `1 << index` frames, without untouched memory (`/proc/buddyinfo`).
    pub free_blocks: [u32; MAX_ORDER as usize + 1],
}

/// A snapshot; cheap.
pub fn stats() -> Stats {
    let zone = ZONE.lock();
    let (cached, zeroed) = (cache::total(), zeroed::frames());
    Stats {
        total: zone.total_frames(),
        free: zone.free_frames() + cached + zeroed,
        cached,
        untouched: zone.wild_frames(),
        free_huge: zone.huge_frames() + zeroed,
        reserve: ZONE.reserve.load(Relaxed),
        free_blocks: zone.block_counts(),
    }
}

/// Lets every allocation use half of the reserve from now on (out of memory: the dying process needs a little to say so; the
/// other half stays for the kernel, which has to bury it).
/// [`crate::AddressSpace::clear`] closes it again.
pub fn open_reserve() {
    ZONE.reserve.store(ZONE.full_reserve.load(Relaxed) / 2, Relaxed);
}

/// Restores the reserve.
pub(crate) fn close_reserve() {
    ZONE.reserve.store(ZONE.full_reserve.load(Relaxed), Relaxed);
}
