//! Small pages that become large ones: when asked (MADV_COLLAPSE), and by themselves where memory that grows by small steps
//! (metaspace, code cache, malloc arenas, a heap that is committed piece by piece) has filled half of 2 MiB, and where much of 2 MiB
//! is in use of a private mapping of a file that never changes (a class data archive, on whatever alignment).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use super::advise::holes;
use super::area::Area;
use super::request::{HugePolicy, Protection, Sharing};
use super::{AddressSpace, MapError, State};
use crate::backing::Backing;
use crate::frame::FrameRef;
use crate::page_table::gather::Gather;
use crate::page_table::join::{InUse, NotJoined, Under};
use hal::addr::{HUGE_PAGE_SIZE, PAGE_SIZE};

/// Whether anonymous memory of which so much is in use is better off in one page of 2 MiB.
pub(super) fn is_worth_joining(in_use: InUse) -> bool {
    in_use.owned >= 256
}

/// The same for a private mapping of an object. Pages that were only read are copied when three quarters are in use: the object's
/// stay in memory beside them. Who writes has a copy of each page anyway, and when one in sixteen is written more are soon (an
/// archive that is relocated: all of them).
pub(super) fn is_worth_copying(in_use: InUse) -> bool {
    in_use.owned >= 32 || in_use.owned + in_use.shared >= 384
}

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
                let is_worth_it = |in_use: InUse| in_use.owned > 0;
                match self.tables.join(base, area.prot, Under::Zeros, is_worth_it, &self.resident, &mut gather) {
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
                let _ = self.tables.join(base, area.prot, Under::Zeros, is_worth_joining, &self.resident, gather);
            }
        }
    }
}

impl AddressSpace {
    /// A touch that found 2 MiB mostly in use has filled a small page: makes them large, if that still fits. May sleep.
    #[cold]
    pub(super) fn join_around(&self, page: u64) {
        let base = page & !(HUGE_PAGE_SIZE - 1);
        let Some((backing, first)) = self.constant_object(base) else {
            let state = &*self.state.write();
            return self.promote(state, base..base + HUGE_PAGE_SIZE, &mut self.gather());
        };
        // Read in with no lock held, those that nobody has touched as well.
        let Some(pages) = read_in(&*backing, first) else { return };
        let state = &*self.state.write();
        let Some((start, area)) = state.tree.find(base) else { return };
        let is_same = |(now, pages): (&Arc<dyn Backing>, Range<u64>)| now.id() == backing.id() && pages.start == first;
        if can_be_copied(start, area, base)
            && area.object_pages(start, base..base + HUGE_PAGE_SIZE).is_some_and(is_same)
        {
            let under = Under::Pages(&pages);
            // Small pages do as well.
            let _ = self.tables.join(base, area.prot, under, is_worth_copying, &self.resident, &mut self.gather());
        }
    }

    /// The object behind the 2 MiB at `base`, if a private area may show copies of it there, and its first page.
    fn constant_object(&self, base: u64) -> Option<(Arc<dyn Backing>, u64)> {
        let state = self.state.read();
        let (start, area) = state.tree.find(base)?;
        let (backing, pages) = area.object_pages(start, base..base + HUGE_PAGE_SIZE)?;
        can_be_copied(start, area, base).then(|| (backing.clone(), pages.start))
    }
}

/// The 512 pages of an object from `first` on. `None` if one cannot be had.
fn read_in(backing: &dyn Backing, first: u64) -> Option<Vec<FrameRef>> {
    let count = HUGE_PAGE_SIZE / PAGE_SIZE;
    let mut pages = Vec::new();
    pages.try_reserve_exact(count as usize).ok()?;
    for index in first..first + count {
        pages.push(backing.fault_page(index, false).ok()?);
    }
    Some(pages)
}

/// Whether the 2 MiB at `base` may show one copy of what `area`, which begins at `start`, has behind it, all of it within the
/// object. Not code: an emulator would translate all of it once more.
pub(super) fn can_be_copied(start: u64, area: &Area, base: u64) -> bool {
    start <= base
        && base + HUGE_PAGE_SIZE <= area.end
        && area.sharing == Sharing::Private
        && !area.prot.is_empty()
        && !area.prot.contains(Protection::EXEC)
        && area.object.as_ref().is_some_and(|object| {
            let end = object.offset + (base - start) + HUGE_PAGE_SIZE;
            object.backing.is_constant() && end <= object.backing.size()
        })
}

fn can_be_large(area: &Area) -> bool {
    area.is_anonymous() && area.sharing == Sharing::Private && !area.stack && !area.prot.is_empty()
}
