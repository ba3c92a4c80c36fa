//! madvise.

use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;

use super::area::Area;
use super::request::{Access, Advice, HugePolicy, Protection, Sharing};
use super::unmap::checked_range;
use super::{AddressSpace, FaultError, MapError, State};
use crate::backing::Backing;

/// A part of an object.
type Piece = (Arc<dyn Backing>, Range<u64>);

impl AddressSpace {
    /// Applies advice; `MapError::NotMapped` when there was a hole (the rest is done, as on Linux).
    pub fn advise(&self, start: u64, len: u64, advice: Advice) -> Result<(), MapError> {
        if len == 0 && start.is_multiple_of(4096) {
            return Ok(());
        }
        let range = checked_range(start, len)?;
        match advice {
            Advice::DontNeed | Advice::Free => self.discard(range, advice),
            Advice::HugePage => self.set_huge_policy(range, HugePolicy::Always),
            Advice::NoHugePage => self.set_huge_policy(range, HugePolicy::Never),
            Advice::Collapse => self.collapse(range),
            Advice::PopulateRead => self.populate_checked(range, Access::default(), Protection::READ),
            Advice::Lock => self.bring_in(range),
            Advice::PopulateWrite => {
                self.populate_checked(range, Access { write: true, fetch: false }, Protection::WRITE)
            }
            Advice::WillNeed => {
                let (pieces, result) = self.objects(&range, |_| true);
                pieces.into_iter().for_each(|(backing, pages)| backing.prefetch(pages));
                result
            }
            Advice::Remove => self.punch(range),
            Advice::Neutral => holes(&self.state.read(), &range),
        }
    }

    /// The pages go at once.
    fn discard(&self, range: Range<u64>, advice: Advice) -> Result<(), MapError> {
        let state = &*self.state.write();
        let mut gather = self.gather();
        if advice == Advice::Free && state.tree.overlapping(range.clone()).any(|(_, area)| !area.is_anonymous()) {
            return Err(MapError::Invalid);
        }
        self.tables.split_edges(range.start, range.end, &mut gather).map_err(|_| MapError::NoMemory)?;
        self.note_peak();
        self.tables.zap(range.clone(), range.clone(), &mut gather);
        holes(state, &range)
    }

    #[cold]
    fn set_huge_policy(&self, range: Range<u64>, huge: HugePolicy) -> Result<(), MapError> {
        let state = &mut *self.state.write();
        if state.tree.len() + 2 > state.limits.areas {
            return Err(MapError::NoMemory);
        }
        let result = holes(state, &range);
        let mut at = range.start;
        while let Some((start, mut area)) = state.tree.carve(at..range.end) {
            at = area.end;
            // Stacks stay as they are.
            area.huge = if area.stack { HugePolicy::Never } else { huge };
            state.tree.insert(start, area);
            if at >= range.end {
                break;
            }
        }
        result
    }

    /// As far as the first hole or the first area that allows nothing of `needed`.
    #[cold]
    fn populate_checked(&self, range: Range<u64>, access: Access, needed: Protection) -> Result<(), MapError> {
        let (until, refused) = self.first_refusal(&range, needed);
        self.populate(range.start..until, access).map_err(refusal)?;
        refused
    }

    /// What mlock(2) does at once, unless there is a hole: private pages that may be written get their copies, as by a write.
    #[cold]
    fn bring_in(&self, range: Range<u64>) -> Result<(), MapError> {
        holes(&self.state.read(), &range)?;
        let (until, refused) = self.first_refusal(&range, Protection::all());
        let mut at = range.start;
        while at < until {
            let state = self.state.read();
            let Some((_, area)) = state.tree.overlapping(at..until).next() else { break };
            let write = area.sharing == Sharing::Private && area.prot.contains(Protection::WRITE);
            let end = area.end.min(until);
            drop(state);
            self.populate(at..end, Access { write, fetch: false }).map_err(refusal)?;
            at = end;
        }
        refused
    }

    fn first_refusal(&self, range: &Range<u64>, needed: Protection) -> (u64, Result<(), MapError>) {
        let mut at = range.start;
        for (start, area) in self.state.read().tree.overlapping(range.clone()) {
            if start > at {
                break;
            }
            if !area.prot.intersects(needed) {
                return (at, Err(MapError::Invalid));
            }
            at = area.end;
        }
        if at < range.end { (at, Err(MapError::NotMapped)) } else { (range.end, Ok(())) }
    }

    #[cold]
    fn punch(&self, range: Range<u64>) -> Result<(), MapError> {
        // Memory without an object, or an object that may not be written through this area, ends it there.
        let refusal = {
            let state = self.state.read();
            let refuses = |(start, area): (u64, &Area)| match &area.object {
                None => Some((start, MapError::Invalid)),
                Some(_) if area.sharing == Sharing::Shared && area.max_prot.contains(Protection::WRITE) => None,
                Some(_) => Some((start, MapError::Access)),
            };
            state.tree.overlapping(range.clone()).find_map(refuses)
        };
        let until = refusal.map_or(range.end, |(start, _)| start.max(range.start));
        let (pieces, result) = self.objects(&(range.start..until), |_| true);
        for (backing, pages) in pieces {
            if !backing.punch_hole(pages) {
                return Err(MapError::NotSupported);
            }
        }
        refusal.map_or(result, |(_, error)| Err(error))
    }

    /// The objects in a range, to be used without the lock, and whether there were holes.
    fn objects(&self, range: &Range<u64>, wanted: impl Fn(Sharing) -> bool) -> (Vec<Piece>, Result<(), MapError>) {
        let state = self.state.read();
        let mut pieces = Vec::new();
        for (start, area) in state.tree.overlapping(range.clone()).filter(|(_, area)| wanted(area.sharing)) {
            let part = start.max(range.start)..area.end.min(range.end);
            if let Some((backing, pages)) = area.object_pages(start, part) {
                pieces.push((backing.clone(), pages));
            }
        }
        let result = holes(&state, range);
        (pieces, result)
    }
}

/// An error if a page of the range is in no area.
pub(super) fn holes(state: &State, range: &Range<u64>) -> Result<(), MapError> {
    let mut at = range.start;
    for (start, area) in state.tree.overlapping(range.clone()) {
        if start > at {
            return Err(MapError::NotMapped);
        }
        at = area.end;
    }
    if at < range.end { Err(MapError::NotMapped) } else { Ok(()) }
}

/// Why madvise(2) could not bring a page in.
fn refusal(error: FaultError) -> MapError {
    match error {
        FaultError::NotMapped => MapError::NotMapped,
        FaultError::Denied => MapError::Invalid,
        FaultError::BeyondEnd | FaultError::Io => MapError::Io,
        FaultError::NoMemory => MapError::NoMemory,
    }
}
