//! Taking pages of an object out of all mappings: truncation, hole punching, eviction under pressure.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::*};

use super::area::Area;
use super::request::Sharing;
use super::{AddressSpace, HALF_END, State};
use crate::page_table::entry::{ACCESSED, CACHED, DIRTY, OWNED};
use crate::page_table::gather::Gather;
use crate::page_table::walk::{Slot, Table, Visitor, span};
use hal::addr::{HUGE_PAGE_SIZE, PAGE_SIZE};

/// What happens to copies that private mappings made of a backing's pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrivateCopies {
    /// They stay (hole punching, eviction).
    Keep,
    /// They go (truncation: SIGBUS on the next access).
    Drop,
}

impl State {
    /// The parts of areas that show these pages of an object.
    pub(super) fn views(&self, backing_id: u64, pages: Range<u64>) -> impl Iterator<Item = (Range<u64>, &Area)> {
        self.tree.iter().filter_map(move |(start, area)| {
            let object = area.object.as_ref().filter(|object| object.backing.id() == backing_id)?;
            let first = object.offset / PAGE_SIZE;
            let behind = first + (area.end - start) / PAGE_SIZE;
            let (from, upto) = (pages.start.max(first), pages.end.min(behind));
            let address = |page: u64| start + (page - first) * PAGE_SIZE;
            (from < upto).then(|| (address(from)..address(upto), area))
        })
    }
}

impl AddressSpace {
    /// Takes the pages of a backing out of every mapping (truncation, hole punching, eviction). With
    /// `PrivateCopies::Drop` (truncation) copies made by writes to private mappings go too. May sleep.
    pub fn invalidate(&self, backing_id: u64, pages: Range<u64>, copies: PrivateCopies) {
        let state = &*self.state.write();
        let mut gather = self.gather();
        for (part, _) in state.views(backing_id, pages) {
            // Edges of 2 MiB mappings of objects are taken out whole, which needs no table; private copies are small.
            let _ = self.tables.split_edges(part.start, part.end, &mut gather);
            self.tables.visit(part.clone(), &mut DropPages { gather: &mut gather, copies, part });
        }
    }

    /// Unmaps pages of objects that were not accessed lately, until about `wanted` are unmapped. Does nothing when the
    /// lock is not to be had at once. Returns how many it unmapped.
    pub(crate) fn unmap_clean_pages(&self, wanted: usize) -> usize {
        let Some(state) = self.state.try_read() else { return 0 };
        let mut gather = self.gather();
        // From where the last search ended, round and round: the second round takes what the first has found accessed.
        let hand = self.clean_hand.load(Relaxed);
        let mut clock = Clock { gather: &mut gather, unmapped: 0, wanted, next: hand };
        for part in [hand..HALF_END, 0..HALF_END, 0..HALF_END] {
            for (start, area) in state.tree.overlapping(part.clone()).filter(|(_, area)| is_reclaimable(area)) {
                self.tables.visit(start.max(part.start)..area.end, &mut clock);
                if clock.unmapped >= wanted {
                    self.clean_hand.store(clock.next, Relaxed);
                    return clock.unmapped;
                }
            }
        }
        clock.unmapped
    }
}

/// Whether unmapping pages of the area lets somebody free them: not memory without a disk behind it.
fn is_reclaimable(area: &Area) -> bool {
    area.object.as_ref().is_some_and(|object| area.sharing == Sharing::Private || object.backing.tracks_dirty())
}

/// Empties slots that show the object itself, or all.
struct DropPages<'g, 'a> {
    gather: &'g mut Gather<'a>,
    copies: PrivateCopies,
    part: Range<u64>,
}

impl Visitor for DropPages<'_, '_> {
    fn leaf(&mut self, slot: Slot, addr: u64) {
        // The lock is held exclusively, so nobody else changes more than accessed and dirty.
        if self.copies == PrivateCopies::Keep && slot.entry.load(Acquire) & OWNED != 0 {
            return;
        }
        let old = slot.entry.swap(0, AcqRel);
        self.gather.add(old, addr, slot.level);
    }

    /// A table that is empty now would keep 2 MiB mappings away.
    fn table_done(&mut self, entry: &'static AtomicU64, addr: u64, span: u64) {
        if span == HUGE_PAGE_SIZE && self.part.start <= addr && addr + span <= self.part.end {
            let table = Table::below(entry.load(Acquire));
            if (0..512).all(|i| table.entry(i).load(Acquire) == 0) {
                self.gather.add_table(entry.swap(0, AcqRel));
            }
        }
    }
}

/// Second-chance replacement on the accessed bit. The lock is held shared: faults run at the same time.
struct Clock<'g, 'a> {
    gather: &'g mut Gather<'a>,
    unmapped: usize,
    wanted: usize,
    /// Behind the last page that was unmapped.
    next: u64,
}

impl Visitor for Clock<'_, '_> {
    fn leaf(&mut self, slot: Slot, addr: u64) {
        let old = slot.entry.load(Acquire);
        // Clean copies of an object that never changes are large; other owned pages hold what is nowhere else.
        let is_copy = slot.level == 2 && old & (OWNED | DIRTY) == OWNED;
        let is_page = slot.level == 1 && old & OWNED == 0;
        if old == 0 || !(is_copy || is_page) || self.unmapped >= self.wanted {
            return;
        }
        if old & ACCESSED != 0 {
            // Translations stay, which the mark remembers; the CPU sets the bit again once they have gone by themselves.
            let _ = slot.entry.compare_exchange(old, old & !ACCESSED | CACHED, AcqRel, Acquire);
        } else if slot.entry.compare_exchange(old, 0, AcqRel, Acquire).is_ok() {
            self.gather.add(old, addr, slot.level);
            let bytes = span(slot.level);
            self.unmapped += (bytes / PAGE_SIZE) as usize;
            self.next = addr + bytes;
        }
    }
}
