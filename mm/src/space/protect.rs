//! mprotect: new rights for a range.

use core::sync::atomic::Ordering::*;

use super::area::Area;
use super::map::check_commit;
use super::request::{Protection, Sharing};
use super::unmap::checked_range;
use super::{AddressSpace, MapError, State};
use crate::page_table::entry::{self, NO_EXECUTE, OWNED, PRESENT, WRITABLE};
use crate::page_table::gather::Gather;
use crate::page_table::walk::{Slot, Visitor};
use core::ops::Range;

impl AddressSpace {
    /// Changes the protection; `MapError::NotMapped` when there is a hole (what lies before it is changed, as on
    /// Linux).
    pub fn protect(&self, start: u64, len: u64, prot: Protection) -> Result<(), MapError> {
        if len == 0 && start.is_multiple_of(4096) {
            return Ok(());
        }
        let range = checked_range(start, len)?;
        let state = &mut *self.state.write();
        let mut gather = self.gather();
        let mut at = range.start;
        while at < range.end {
            let (area_start, area) = state.tree.find(at).ok_or(MapError::NotMapped)?;
            let part = at..area.end.min(range.end);
            at = part.end;
            if area.prot != prot {
                let accounted = check(area, area_start, &part, prot, state)?;
                self.protect_part(state, part, prot, accounted, &mut gather)?;
            }
        }
        Ok(())
    }

    /// `part` lies in one area, and the change is allowed.
    fn protect_part(
        &self,
        state: &mut State,
        part: Range<u64>,
        prot: Protection,
        accounted: bool,
        gather: &mut Gather,
    ) -> Result<(), MapError> {
        self.tables.split_edges(part.start, part.end, gather).map_err(|_| MapError::NoMemory)?;
        let (start, mut area) = state.tree.carve(part.clone()).ok_or(MapError::NotMapped)?;
        let grows = area.prot.is_empty() && area.is_anonymous();
        area.prot = prot;
        area.accounted = accounted;
        let mut change = Change { rights: entry::permissions(prot), write: WriteRule::of(&area), gather };
        state.tree.insert(start, area);
        self.tables.visit(part.clone(), &mut change);
        if grows {
            self.promote(state, part, gather);
        }
        Ok(())
    }

    /// Makes the shared mappings of these pages read-only, so that the next write faults and marks the page dirty
    /// again. For writeback, before it clears a page's dirty state. May sleep.
    pub fn write_protect(&self, backing_id: u64, pages: Range<u64>) {
        let state = &*self.state.write();
        let mut gather = self.gather();
        for (part, area) in state.views(backing_id, pages) {
            if area.sharing == Sharing::Shared && area.prot.contains(Protection::WRITE) {
                let rights = entry::permissions(area.prot) & !WRITABLE;
                self.tables.visit(part, &mut Change { rights, write: WriteRule::Never, gather: &mut gather });
            }
        }
    }
}

/// Whether a part of an area may get a protection; returns whether the part counts as committed from then on.
fn check(area: &Area, start: u64, part: &Range<u64>, prot: Protection, state: &State) -> Result<bool, MapError> {
    if !area.max_prot.contains(prot) {
        return Err(MapError::Access);
    }
    let is_part = part.start != start || part.end != area.end;
    if is_part && state.tree.len() + 2 > state.limits.areas {
        return Err(MapError::NoMemory);
    }
    if area.accounted || !area.wants_account(prot) {
        return Ok(area.accounted);
    }
    check_commit(part.end - part.start)?;
    Ok(true)
}

/// Which pages of a writable area may be written without a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WriteRule {
    /// Those that belong to the mapping alone.
    Owned,
    /// All.
    All,
    /// None: the next write must be seen.
    Never,
}

impl WriteRule {
    pub(super) fn of(area: &Area) -> Self {
        match (&area.object, area.sharing) {
            (Some(object), Sharing::Shared) if object.backing.tracks_dirty() => WriteRule::Never,
            (_, Sharing::Shared) => WriteRule::All,
            (_, Sharing::Private) => WriteRule::Owned,
        }
    }
}

/// Gives slots new rights.
struct Change<'g, 'a> {
    rights: u64,
    write: WriteRule,
    gather: &'g mut Gather<'a>,
}

impl Visitor for Change<'_, '_> {
    fn leaf(&mut self, slot: Slot, addr: u64) {
        let mut old = slot.entry.load(Acquire);
        loop {
            let writable = match self.write {
                WriteRule::All => true,
                WriteRule::Owned => old & OWNED != 0,
                WriteRule::Never => false,
            };
            let mut rights = self.rights;
            if !writable {
                rights &= !WRITABLE;
            }
            let new = old & !(PRESENT | WRITABLE | NO_EXECUTE) | rights;
            // The CPU sets accessed and dirty meanwhile.
            match slot.entry.compare_exchange(old, new, AcqRel, Acquire) {
                Ok(_) => {
                    let lost = old & !new & (PRESENT | WRITABLE) | new & !old & NO_EXECUTE;
                    if lost != 0 {
                        self.gather.note_change(old, addr, slot.level);
                    }
                    return;
                }
                Err(now) => old = now,
            }
        }
    }
}
