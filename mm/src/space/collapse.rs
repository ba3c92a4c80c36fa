//! Small pages that become large ones: when asked (MADV_COLLAPSE), and by themselves where memory that grows by small steps
//! (metaspace, code cache, malloc arenas, a heap that is committed piece by piece) has filled half of 2 MiB.

use core::ops::Range;

use super::advise::holes;
use super::area::Area;
use super::request::{HugePolicy, Protection, Sharing};
use super::{AddressSpace, MapError, State};
use crate::page_table::gather::Gather;
use crate::page_table::join::NotJoined;
use hal::addr::HUGE_PAGE_SIZE;

/// 2 MiB are joined when so many of its 512 pages are in use.
pub(super) const PAGES_WORTH_IT: usize = 256;

impl AddressSpace {
    /// Makes the aligned 2 MiB in the range large (MADV_COLLAPSE in madvise(2)). Errors: `Invalid` (an area that cannot have
    /// large pages, or a place where nothing is), `NoMemory` (no frame of 2 MiB), `NotMapped` (a hole).
    pub(super) fn collapse(&self, range: Range<u64>) -> Result<(), MapError> {
        let state = &*self.state.write();
        let mut gather = self.gather();
        let mut result = Ok(());
        for (start, area) in state.tree.overlapping(range.clone()) {
            let (first, behind) = (start.next_multiple_of(HUGE_PAGE_SIZE), area.end & !(HUGE_PAGE_SIZE - 1));
            // As Linux: 2 MiB must fit into the area, not only into what is asked for.
            if first >= behind || area.huge == HugePolicy::Never || !can_be_large(area) {
                return Err(MapError::Invalid);
            }
            let mut base = first.max(range.start.next_multiple_of(HUGE_PAGE_SIZE));
            while base + HUGE_PAGE_SIZE <= behind.min(range.end) {
                match self.tables.join(base, area.prot, 1, &self.resident, &mut gather) {
                    Ok(()) => {}
                    // The rest is done all the same.
                    Err(NotJoined::Unfit) => result = Err(MapError::Invalid),
                    Err(NotJoined::NoFrame) => return Err(MapError::NoMemory),
                }
                base += HUGE_PAGE_SIZE;
            }
        }
        holes(state, &range)?;
        result
    }

    /// `range` has just become usable. Where that completes 2 MiB of one area which are mostly in use, they become large.
    pub(super) fn promote(&self, state: &State, range: Range<u64>, gather: &mut Gather) {
        let last = (range.end - 1) & !(HUGE_PAGE_SIZE - 1);
        let first = range.start & !(HUGE_PAGE_SIZE - 1);
        // What lies between was not there before: a touch makes it large at once.
        for base in [Some(first), (last != first).then_some(last)].into_iter().flatten() {
            let Some((start, area)) = state.tree.find(base) else { continue };
            let is_whole = start <= base && base + HUGE_PAGE_SIZE <= area.end;
            if is_whole && area.prot.contains(Protection::WRITE) && can_be_large(area) && self.policy.wants_huge(area) {
                // Small pages do as well.
                let _ = self.tables.join(base, area.prot, PAGES_WORTH_IT, &self.resident, gather);
            }
        }
    }
}

impl AddressSpace {
    /// A first touch that found 2 MiB partly in use has filled a small page: makes them large, if that still fits.
    #[cold]
    pub(super) fn join_around(&self, page: u64) {
        let state = &*self.state.write();
        let base = page & !(HUGE_PAGE_SIZE - 1);
        self.promote(state, base..base + HUGE_PAGE_SIZE, &mut self.gather());
    }
}

fn can_be_large(area: &Area) -> bool {
    area.is_anonymous() && area.sharing == Sharing::Private && !area.stack && !area.prot.is_empty()
}
