//! Mappings of the kernel's half: frame metadata, stacks, device registers. Each has top-level entries of its own and
//! is changed under its user's lock; tables are never freed.

use core::sync::atomic::Ordering::*;

use hal::paging::PteFlags;

use super::entry::{self, KERNEL_TABLE};
use super::walk::{Slot, Table, index};
use crate::machine::{Pfn, pfn_phys, pfn_ptr};

/// Ordinary kernel data.
pub(crate) const DATA: PteFlags = PteFlags::PRESENT
    .union(PteFlags::WRITABLE)
    .union(PteFlags::ACCESSED)
    .union(PteFlags::DIRTY)
    .union(PteFlags::NO_EXECUTE);
/// Device registers: strong uncacheable by the reset value of the PAT.
pub(crate) const DEVICE: PteFlags = DATA.union(PteFlags::NO_CACHE).union(PteFlags::WRITE_THROUGH);

/// The slot for `addr`, tables made from what `take` gives.
fn slot(addr: u64, take: &mut dyn FnMut() -> Option<Pfn>) -> Option<Slot> {
    let mut table = Table::at(hal::paging::root());
    for level in (2..=4).rev() {
        let entry = table.entry(index(addr, level));
        let mut value = entry.load(Acquire);
        if value == 0 {
            value = pfn_phys(take_zeroed(take)?).0 | KERNEL_TABLE;
            entry.store(value, Release);
        }
        debug_assert!(!entry::is_huge(value), "a large page where mm maps small ones");
        table = Table::below(value);
    }
    Some(Slot { entry: table.entry(index(addr, 1)), level: 1 })
}

fn take_zeroed(take: &mut dyn FnMut() -> Option<Pfn>) -> Option<Pfn> {
    let pfn = take()?;
    // SAFETY: the frame was given to us just now.
    unsafe { hal::mem::zero_page(pfn_ptr(pfn)) };
    Some(pfn)
}

/// Maps a page at `addr`. False: no memory for tables.
pub(crate) fn map(addr: u64, phys: u64, flags: PteFlags, take: &mut dyn FnMut() -> Option<Pfn>) -> bool {
    let Some(slot) = slot(addr, take) else { return false };
    slot.entry.store(phys | flags.bits(), Release);
    true
}

/// Maps a zeroed frame at `addr` unless one is there. False: no memory.
#[cfg(feature = "bare")]
pub(crate) fn map_zeroed(addr: u64, take: &mut dyn FnMut() -> Option<Pfn>) -> bool {
    let Some(slot) = slot(addr, take) else { return false };
    if slot.entry.load(Acquire) != 0 {
        return true;
    }
    let Some(pfn) = take_zeroed(take) else { return false };
    slot.entry.store(pfn_phys(pfn).0 | DATA.bits(), Release);
    true
}

/// Takes the page at `addr` away and returns its frame.
pub(crate) fn unmap(addr: u64) -> Option<Pfn> {
    let slot = slot(addr, &mut || None)?;
    let old = slot.entry.swap(0, AcqRel);
    (old != 0).then_some(entry::pfn(old))
}
