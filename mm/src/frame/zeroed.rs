//! 2 MiB blocks full of zeros, made while a vCPU has nothing else to do, so that a fault on a large page does not have to.
//!
//! Pieces are small: between two of them the idle vCPU looks for work. The blocks count as free, and go back to the zone when
//! memory is short.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use hal::sync::SpinLock;

use super::global::{Urgency, free_hint, give_order, take_order, total_frames};
use super::zone::{MAX_ORDER, REGION};
use crate::machine::{self, Pfn, pfn_ptr};

/// Most blocks that wait: 16 MiB, which one vCPU clears again in a few milliseconds. The host's memory is behind them, used or not.
const MAX_BLOCKS: usize = 8;
/// One block for so many of the machine's: 1/128 of memory.
const SHARE: u64 = 128;
/// Frames that are cleared before the vCPU looks for work: 64 KiB, some ten microseconds.
const PIECE: Pfn = 16;

struct Blocks {
    ready: [Pfn; MAX_BLOCKS],
    count: usize,
    /// The block that is being cleared, and its frames that are done.
    begun: Option<(Pfn, Pfn)>,
    /// A vCPU is at it: one is enough.
    is_working: bool,
}

static BLOCKS: SpinLock<Blocks> =
    SpinLock::new(Blocks { ready: [0; MAX_BLOCKS], count: 0, begun: None, is_working: false });
/// Blocks that were taken from the zone and not given on.
static HELD: AtomicU64 = AtomicU64::new(0);

/// Nothing is to be done until a block is taken: what an idle vCPU looks at before it takes the lock.
static IS_FULL: AtomicBool = AtomicBool::new(false);

fn capacity() -> u64 {
    (total_frames() / u64::from(REGION) / SHARE).min(MAX_BLOCKS as u64)
}

/// Frames held here, free ones.
pub(super) fn frames() -> u64 {
    HELD.load(Relaxed) * u64::from(REGION)
}

/// A block full of zeros, if one is ready.
pub(super) fn take() -> Option<Pfn> {
    machine::ensure_ready();
    let mut blocks = BLOCKS.lock();
    blocks.count = blocks.count.checked_sub(1)?;
    HELD.fetch_sub(1, Relaxed);
    IS_FULL.store(false, Relaxed);
    Some(blocks.ready[blocks.count])
}

/// Gives everything back to the zone.
pub(super) fn drain() {
    let mut blocks = BLOCKS.lock();
    let begun = blocks.begun.take().map(|(pfn, _)| pfn);
    let (ready, count) = (blocks.ready, core::mem::take(&mut blocks.count));
    IS_FULL.store(false, Relaxed);
    drop(blocks);
    for &pfn in ready[..count].iter().chain(&begun) {
        HELD.fetch_sub(1, Relaxed);
        give_order(pfn, MAX_ORDER);
    }
}

/// The block to go on with, or a fresh one if there should be more and a quarter of memory is free. The caller works on it.
fn begin() -> Option<(Pfn, Pfn)> {
    if IS_FULL.load(Relaxed) {
        return None;
    }
    let mut blocks = BLOCKS.lock();
    if blocks.is_working {
        return None;
    }
    let piece = blocks.begun.take().or_else(|| {
        let has_all = HELD.load(Relaxed) >= capacity();
        IS_FULL.store(has_all, Relaxed);
        let wanted = !has_all && free_hint() >= total_frames() / 4;
        let fresh = wanted.then(|| take_order(MAX_ORDER, Urgency::Ordinary)).flatten()?;
        HELD.fetch_add(1, Relaxed);
        Some((fresh, 0))
    })?;
    blocks.is_working = true;
    Some(piece)
}

/// Clears the next piece of memory ahead of its use; false: there is nothing to do. For idle vCPUs.
pub fn zero_ahead() -> bool {
    let Some((pfn, done)) = begin() else { return false };
    // SAFETY: the block belongs to whoever works.
    unsafe { hal::mem::zero_pages(pfn_ptr(pfn + done), PIECE as usize) };
    let done = done + PIECE;
    let mut blocks = BLOCKS.lock();
    blocks.is_working = false;
    if done < REGION {
        blocks.begun = Some((pfn, done));
    } else {
        // `HELD`, and so this, is below the capacity.
        let place = blocks.count;
        blocks.ready[place] = pfn;
        blocks.count += 1;
    }
    true
}
