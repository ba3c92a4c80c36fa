//! Turning 512 small mappings of private memory into one of 2 MiB: the opposite of [`super::split`].

use core::sync::atomic::Ordering::*;

use super::entry::{self, ACCESSED, DIRTY, HUGE, OWNED, WRITABLE, ZERO};
use super::gather::{Gather, Resident};
use super::walk::{Table, Tables};
use crate::frame::{self, FrameRef};
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

/// What an area shows where it has no page of its own.
#[derive(Clone, Copy)]
pub(crate) enum Under<'a> {
    /// Anonymous memory.
    Zeros,
    /// The 512 pages of an object whose bytes never change.
    Pages(&'a [FrameRef]),
}

/// How many of 512 small pages are mapped.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct InUse {
    /// Private memory: anonymous, or a copy that was written.
    pub owned: usize,
    /// Pages of an object.
    pub shared: usize,
}

impl Table {
    fn in_use(self) -> InUse {
        let mut found = InUse::default();
        for entry in (0..512).map(|i| self.entry(i).load(Acquire)).filter(|entry| entry & ZERO == 0) {
            found.owned += usize::from(entry & OWNED != 0);
            found.shared += usize::from(entry != 0 && entry & OWNED == 0);
        }
        found
    }
}

impl Tables {
    /// The small pages in the 2 MiB at `base`; none if these are large.
    pub(crate) fn in_use_below(&self, base: u64) -> InUse {
        match self.find_level_2(base).map(|slot| slot.load(Acquire)) {
            Some(value) if value != 0 && !entry::is_huge(value) => Table::below(value).in_use(),
            _ => InUse::default(),
        }
    }

    /// Puts one frame of 2 MiB in the place of the small ones at `base`, of a private area with rights `prot`, if `is_worth_it`.
    /// Already large is well. The lock is held exclusively.
    pub(crate) fn join(
        &self,
        base: u64,
        prot: Protection,
        under: Under<'_>,
        is_worth_it: fn(InUse) -> bool,
        resident: &Resident,
        gather: &mut Gather,
    ) -> Result<(), NotJoined> {
        let slot = self.find_level_2(base).ok_or(NotJoined::Unfit)?;
        let value = slot.load(Acquire);
        if entry::is_huge(value) {
            return Ok(());
        }
        let table = Table::below(value);
        let in_use = table.in_use();
        let is_fit = match under {
            Under::Zeros => in_use.shared == 0,
            Under::Pages(pages) => pages.len() == 512,
        };
        if !is_fit || !is_worth_it(in_use) {
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
            let from = match under {
                _ if old & OWNED != 0 => Some(pfn_ptr(entry::pfn(old))),
                Under::Zeros => None,
                Under::Pages(pages) => Some(pages[i].as_ptr()),
            };
            match from {
                // SAFETY: the new frame is ours; the old one is still this mapping's, to which nobody translates, or counted.
                Some(from) => unsafe { hal::mem::copy_page(to, from) },
                // SAFETY: the new frame is ours.
                None => unsafe { hal::mem::zero_pages(to, 1) },
            }
            if old != 0 {
                gather.add(old, base + i as u64 * PAGE_SIZE, 1);
            }
        }
        gather.add_table(value);
        let write = if prot.contains(Protection::WRITE) { WRITABLE | DIRTY } else { 0 };
        // Clean: nothing is in it that the object does not have.
        let dirty = if in_use.owned > 0 { DIRTY } else { 0 };
        slot.store(entry::leaf(huge, prot, OWNED | HUGE | ACCESSED | write | dirty), Release);
        resident.add_huge_anonymous();
        Ok(())
    }
}
