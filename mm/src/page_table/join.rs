//! Turning 512 small mappings of anonymous memory into one of 2 MiB: the opposite of [`super::split`].

use core::sync::atomic::Ordering::*;

use super::entry::{self, ACCESSED, DIRTY, HUGE, OWNED, WRITABLE, ZERO};
use super::gather::{Gather, Resident};
use super::walk::{Table, Tables};
use crate::frame;
use crate::machine::{Pfn, pfn_ptr};
use crate::space::Protection;
use crate::space::shootdown::{self, Flush};
use hal::addr::PAGE_SIZE;

/// Why 2 MiB stay in small pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotJoined {
    /// Too few pages are there, or one belongs to an object.
    Unfit,
    /// There is no free frame of 2 MiB.
    NoFrame,
}

impl Tables {
    /// How many small pages of anonymous memory are mapped in the 2 MiB at `base`.
    pub(crate) fn owned_below(&self, base: u64) -> usize {
        match self.find_level_2(base).map(|slot| slot.load(Acquire)) {
            Some(value) if value != 0 && !entry::is_huge(value) => {
                let table = Table::below(value);
                (0..512).filter(|i| table.entry(*i).load(Acquire) & OWNED != 0).count()
            }
            _ => 0,
        }
    }

    /// Puts one frame of 2 MiB in the place of the small ones at `base`, if at least `least` (1 to 512) are there; all must be
    /// anonymous, of an area with rights `prot`. What was not there is zeros. Already large is well. The lock is held exclusively.
    pub(crate) fn join(
        &self,
        base: u64,
        prot: Protection,
        least: usize,
        resident: &Resident,
        gather: &mut Gather,
    ) -> Result<(), NotJoined> {
        let slot = self.find_level_2(base).ok_or(NotJoined::Unfit)?;
        let value = slot.load(Acquire);
        if entry::is_huge(value) {
            return Ok(());
        }
        let table = Table::below(value);
        let entries = (0..512).map(|i| table.entry(i).load(Acquire)).filter(|entry| *entry != 0);
        let (mut owned, mut foreign) = (0, false);
        for entry in entries {
            owned += usize::from(entry & OWNED != 0);
            foreign |= entry & (OWNED | ZERO) == 0;
        }
        if foreign || owned < least {
            return Err(NotJoined::Unfit);
        }
        // No reclaim for this, as for the first touch.
        let huge = frame::take_huge().ok_or(NotJoined::NoFrame)?;
        // Whoever uses these pages now faults from here on, and waits for the lock.
        slot.store(0, Release);
        shootdown::flush(Flush::EVERYTHING);
        for i in 0..512 {
            let old = table.entry(i).swap(0, AcqRel);
            let to = pfn_ptr(huge + i as Pfn);
            if old & OWNED != 0 {
                // SAFETY: the new frame is ours, the old one is still this mapping's; nobody translates to either.
                unsafe { hal::mem::copy_page(to, pfn_ptr(entry::pfn(old))) };
            } else {
                // SAFETY: the new frame is ours.
                unsafe { hal::mem::zero_pages(to, 1) };
            }
            if old != 0 {
                gather.add(old, base + i as u64 * PAGE_SIZE, 1);
            }
        }
        gather.add_table(value);
        let write = if prot.contains(Protection::WRITE) { WRITABLE | DIRTY } else { 0 };
        slot.store(entry::leaf(huge, prot, OWNED | HUGE | ACCESSED | write), Release);
        resident.add_huge_anonymous();
        Ok(())
    }
}
