//! munmap, and emptying a range before something else takes its place.

use core::ops::Range;

use hal::addr::{PAGE_SIZE, USER_END};

use super::map::page_aligned_len;
use super::{AddressSpace, HALF_END, MapError, State};
use crate::page_table::gather::Gather;

impl AddressSpace {
    /// Takes everything in `start .. start + len` away; holes are no error.
    pub fn unmap(&self, start: u64, len: u64) -> Result<(), MapError> {
        let range = checked_range(start, len)?;
        let state = &mut *self.state.write();
        let mut gather = self.gather();
        self.unmap_locked(state, range, &mut gather)
    }

    /// The same with the lock held.
    pub(super) fn unmap_locked(
        &self,
        state: &mut State,
        range: Range<u64>,
        gather: &mut Gather,
    ) -> Result<(), MapError> {
        if state.tree.is_free(range.clone()) {
            return Ok(());
        }
        // Taking out the middle of an area makes one more.
        if state.tree.len() >= state.limits.areas && cuts_in_two(state, &range) {
            return Err(MapError::NoMemory);
        }
        self.remove(state, range, Afterwards::Free, gather)
    }

    /// Removes the areas (and parts of areas) in `range` and empties its page tables. Fails before it changes
    /// anything.
    pub(super) fn remove(
        &self,
        state: &mut State,
        range: Range<u64>,
        afterwards: Afterwards,
        gather: &mut Gather,
    ) -> Result<(), MapError> {
        if state.tree.is_free(range.clone()) {
            return Ok(());
        }
        self.tables.split_edges(range.start, range.end, gather).map_err(|_| MapError::NoMemory)?;
        self.note_peak();
        while let Some((start, part)) = state.tree.carve(range.clone()) {
            if let Some((backing, pages)) = part.object_pages(start, start..part.end) {
                backing.note_unmapped(pages);
            }
        }
        let gap = match afterwards {
            Afterwards::Refilled => range.clone(),
            Afterwards::Free => {
                let gap = state.tree.gap_around(range.clone(), 0..HALF_END);
                state.placer.freed(&gap);
                gap
            }
        };
        self.tables.zap(range, gap, gather);
        Ok(())
    }
}

/// What becomes of a range that is emptied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Afterwards {
    /// It joins the free space around it; page tables that serve only free space go.
    Free,
    /// Something else takes the place at once.
    Refilled,
}

/// Whether the range lies strictly inside one area.
fn cuts_in_two(state: &State, range: &Range<u64>) -> bool {
    state.tree.find(range.start).is_some_and(|(start, area)| start < range.start && area.end > range.end)
}

/// The range of whole pages that a verb names.
pub(super) fn checked_range(start: u64, len: u64) -> Result<Range<u64>, MapError> {
    if !start.is_multiple_of(PAGE_SIZE) {
        return Err(MapError::Invalid);
    }
    let len = page_aligned_len(len).map_err(|_| MapError::Invalid)?;
    if start > USER_END - len {
        return Err(MapError::Invalid);
    }
    Ok(start..start + len)
}
