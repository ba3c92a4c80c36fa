//! mremap: growing, shrinking and moving. Pages move by their entries; nothing is copied.

use core::ops::Range;
use core::sync::atomic::Ordering::*;

use hal::addr::{HUGE_PAGE_SIZE, PAGE_SIZE, USER_END};

use super::area::Area;
use super::map::{check_commit, fits, page_aligned_len};
use super::placement::Alignment;
use super::request::{MapRequest, Placement, Remap, Sharing};
use super::unmap::Afterwards;
use super::{AddressSpace, MapError, State};
use crate::page_table::gather::Gather;
use crate::page_table::walk::{Slot, Tables, Visitor};

impl AddressSpace {
    /// Grows, shrinks or moves a mapping; returns its new address. What is wrong with the numbers is told before what is
    /// mapped is looked at; a shrinking range may span areas and holes, as on Linux.
    pub fn remap(&self, old: u64, old_len: u64, new_len: u64, how: Remap) -> Result<u64, MapError> {
        if !old.is_multiple_of(PAGE_SIZE) {
            return Err(MapError::Invalid);
        }
        let new_len = page_aligned_len(new_len)?;
        let old_end = old.wrapping_add(old_len);
        if matches!(how, Remap::KeepOld(_)) && old_len != new_len {
            return Err(MapError::Invalid);
        }
        if let Remap::Fixed(to) | Remap::KeepOld(Placement::Fixed(to) | Placement::Hint(to)) = how {
            let is_hint = matches!(how, Remap::KeepOld(Placement::Hint(_)));
            let misplaced = !(fits(to, new_len) || is_hint && to < USER_END - new_len);
            if !to.is_multiple_of(PAGE_SIZE) || misplaced || (to < old_end && old < to + new_len) {
                return Err(MapError::Invalid);
            }
        }
        if old_len == 0 {
            return self.duplicate(old, new_len, how);
        }
        let state = &mut *self.state.write();
        let mut gather = self.gather();
        let (_, area) = state.tree.find(old).ok_or(MapError::NotMapped)?;
        let moves = !matches!(how, Remap::InPlace | Remap::MayMove);
        // What stays or moves lies in one area; what is cut off need not.
        let kept_len = old_len.min(new_len);
        if (moves || new_len > old_len) && area.end - old < kept_len {
            return Err(MapError::NotMapped);
        }
        let (at_area_end, accounted, stack) = (area.end == old_end, area.accounted, area.stack);
        if new_len < old_len {
            let (cut, end) = (old + new_len, old_end);
            if cut > end || !fits(cut, end - cut) {
                return Err(MapError::Invalid);
            }
            self.unmap_locked(state, cut..end, &mut gather)?;
        }
        if !moves && new_len <= old_len {
            return Ok(old);
        }
        let old_end = old + kept_len;
        if new_len > old_len {
            let more = new_len - old_len;
            if state.tree.totals.virtual_bytes.saturating_add(more) > state.limits.address_space_bytes {
                return Err(MapError::NoMemory);
            }
            if accounted {
                check_commit(more)?;
            }
        }
        match how {
            Remap::InPlace | Remap::MayMove => {
                let grown = old_end..old + new_len;
                if at_area_end && fits(old, new_len) && state.tree.is_free(grown.clone()) {
                    grow(state, grown);
                    return Ok(old);
                }
                if how == Remap::InPlace {
                    return Err(MapError::NoMemory);
                }
                let to = search(state, new_len, stack)?;
                self.relocate(state, old..old_end, to, new_len, OldRange::Unmap, &mut gather)
            }
            Remap::Fixed(to) => {
                self.remove(state, to..to + new_len, Afterwards::Free, &mut gather)?;
                self.relocate(state, old..old_end, to, new_len, OldRange::Unmap, &mut gather)
            }
            Remap::KeepOld(placement) => {
                let to = match placement {
                    Placement::Fixed(to) => {
                        self.remove(state, to..to + new_len, Afterwards::Free, &mut gather)?;
                        to
                    }
                    Placement::Hint(to) | Placement::FixedNoReplace(to)
                        if to.is_multiple_of(PAGE_SIZE)
                            && fits(to, new_len)
                            && state.tree.is_free(to..to + new_len) =>
                    {
                        to
                    }
                    Placement::FixedNoReplace(_) => return Err(MapError::Exists),
                    _ => search(state, new_len, stack)?,
                };
                self.relocate(state, old..old_end, to, new_len, OldRange::Keep, &mut gather)
            }
        }
    }

    /// An old length of 0 makes a second mapping of the same shared object (man page mremap(2)).
    fn duplicate(&self, old: u64, new_len: u64, how: Remap) -> Result<u64, MapError> {
        let area = self.area_at(old).ok_or(MapError::NotMapped)?;
        let (Sharing::Shared, Some(backing)) = (area.sharing, area.backing) else { return Err(MapError::Invalid) };
        let addr = match how {
            Remap::InPlace => return Err(MapError::NoMemory),
            Remap::Fixed(addr) => Placement::Fixed(addr),
            Remap::MayMove => Placement::Any,
            Remap::KeepOld(_) => return Err(MapError::Invalid),
        };
        let offset = area.offset + (old - area.start);
        self.map(&MapRequest::object(backing, offset, new_len, area.prot, Sharing::Shared).at(addr))
    }

    /// Moves `old` to the free place `to`, where it has `new_len` bytes.
    fn relocate(
        &self,
        state: &mut State,
        old: Range<u64>,
        to: u64,
        new_len: u64,
        afterwards: OldRange,
        gather: &mut Gather,
    ) -> Result<u64, MapError> {
        if state.tree.len() + 3 > state.limits.areas {
            return Err(MapError::NoMemory);
        }
        self.make_room(&old, to, gather)?;
        let (_, area) = state.tree.carve(old.clone()).ok_or(MapError::NotMapped)?;
        let moved = Area { end: to + new_len, ..area.clone() };
        if let Some((backing, pages)) = moved.object_pages(to, to..moved.end) {
            backing.note_mapped(pages);
        }
        if afterwards == OldRange::Unmap
            && let Some((backing, pages)) = area.object_pages(old.start, old.clone())
        {
            backing.note_unmapped(pages);
        }
        state.tree.insert(to, moved);
        self.tables.visit(old.clone(), &mut Move { tables: &self.tables, from: old.start, to, gather });
        match afterwards {
            OldRange::Keep => state.tree.insert(old.start, area),
            OldRange::Unmap => {
                let gap = state.tree.gap_around(old.clone(), 0..super::HALF_END);
                state.placer.freed(&gap);
                // Nothing is left in it but empty tables.
                self.tables.zap(old, gap, gather);
            }
        }
        Ok(to)
    }

    /// Makes the tables that the move will fill, so that it cannot fail half-way. 2 MiB mappings are split.
    fn make_room(&self, old: &Range<u64>, to: u64, gather: &mut Gather) -> Result<(), MapError> {
        let mut at = old.start;
        while at < old.end {
            let chunk_end = ((at & !(HUGE_PAGE_SIZE - 1)) + HUGE_PAGE_SIZE).min(old.end);
            self.tables.split_at(at, gather).map_err(|_| MapError::NoMemory)?;
            if self.tables.find_small(at).is_some() {
                for source in [at, chunk_end - PAGE_SIZE] {
                    self.tables.slot(source - old.start + to, 1).ok_or(MapError::NoMemory)?;
                }
            }
            at = chunk_end;
        }
        Ok(())
    }
}

/// What becomes of the range that is moved away from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OldRange {
    /// It becomes free.
    Unmap,
    /// It stays mapped, and empty.
    Keep,
}

fn search(state: &mut State, len: u64, stack: bool) -> Result<u64, MapError> {
    let alignment = if len >= HUGE_PAGE_SIZE && !stack { Alignment::Huge } else { Alignment::Page };
    state.placer.search(&state.tree, len, alignment).ok_or(MapError::NoMemory)
}

/// Lengthens the area that ends where `grown` starts.
fn grow(state: &mut State, grown: Range<u64>) {
    let Some((start, area)) = state.tree.find(grown.start - PAGE_SIZE) else { return };
    let mut more = area.tail(start, grown.start);
    more.end = grown.end;
    if let Some((backing, pages)) = more.object_pages(grown.start, grown.clone()) {
        backing.note_mapped(pages);
    }
    state.tree.insert(grown.start, more);
}

/// Moves entries to slots whose tables `make_room` has made.
struct Move<'g, 'a> {
    tables: &'g Tables,
    from: u64,
    to: u64,
    gather: &'g mut Gather<'a>,
}

impl Visitor for Move<'_, '_> {
    fn leaf(&mut self, slot: Slot, addr: u64) {
        let old = slot.entry.swap(0, AcqRel);
        self.gather.note_change(old, addr, slot.level);
        match self.tables.find_small(addr - self.from + self.to) {
            Some(place) => place.entry.store(old, Release),
            // Cannot be: but then the page is lost, not leaked.
            None => self.gather.add(old, addr, slot.level),
        }
    }
}
