//! Questions about areas and pages.

use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;
use core::sync::atomic::Ordering::*;

use hal::addr::{HUGE_PAGE_SIZE, PAGE_SIZE};

use super::area::Area;
use super::info::{AreaInfo, Residence, Usage};
use super::request::{Protection, Sharing};
use super::unmap::checked_range;
use super::{AddressSpace, MapError};
use crate::backing::Backing;
use crate::frame;
use crate::page_table::entry::{ACCESSED, DIRTY, OWNED, ZERO};
use crate::page_table::walk::{Slot, Visitor};

impl AddressSpace {
    /// All areas in order of address; `MapError::NoMemory` when the list has no room: there may be 65,530.
    pub fn areas(&self) -> Result<Vec<AreaInfo>, MapError> {
        let state = self.state.read();
        let mut areas = Vec::new();
        areas.try_reserve_exact(state.tree.len()).map_err(|_| MapError::NoMemory)?;
        areas.extend(state.tree.iter().map(|(start, area)| info(start, area)));
        Ok(areas)
    }

    /// Whether nothing is mapped in `len` bytes at `addr`, pages both.
    pub fn is_free(&self, addr: u64, len: u64) -> bool {
        addr.checked_add(len).is_none_or(|end| self.state.read().tree.is_free(addr..end))
    }

    /// The area that holds `addr`.
    pub fn area_at(&self, addr: u64) -> Option<AreaInfo> {
        let state = self.state.read();
        let (start, area) = state.tree.find(addr)?;
        Some(info(start, area))
    }

    /// Identity and byte offset of the shared object behind `addr`: the key of a shared futex. None: private memory.
    pub fn backing_at(&self, addr: u64) -> Option<(u64, u64)> {
        let state = self.state.read();
        let (start, area) = state.tree.find(addr)?;
        let object = area.object.as_ref().filter(|_| area.sharing == Sharing::Shared)?;
        Some((object.backing.id(), object.offset + (addr - start)))
    }

    /// Whether the object `id` can be written through a shared mapping, now or after an mprotect.
    pub fn is_mapped_for_writing(&self, id: u64) -> bool {
        let state = self.state.read();
        let mut areas = state.tree.iter();
        areas.any(|(_, area)| {
            area.sharing == Sharing::Shared
                && area.max_prot.contains(Protection::WRITE)
                && area.object.as_ref().is_some_and(|object| object.backing.id() == id)
        })
    }

    /// The object behind `addr` and the byte offset in it, private mappings included.
    pub fn object_at(&self, addr: u64) -> Option<(Arc<dyn Backing>, u64)> {
        let state = self.state.read();
        let (start, area) = state.tree.find(addr)?;
        let object = area.object.as_ref()?;
        Some((object.backing.clone(), object.offset + (addr - start)))
    }

    /// Totals; cheap.
    pub fn usage(&self) -> Usage {
        self.note_peak();
        let state = self.state.read();
        let totals = &state.tree.totals;
        Usage {
            virtual_bytes: totals.virtual_bytes,
            virtual_peak: totals.virtual_peak,
            resident: self.resident_pages() * PAGE_SIZE,
            resident_peak: self.resident_peak.load(Relaxed) * PAGE_SIZE,
            resident_file: self.resident.object.load(Relaxed) * PAGE_SIZE,
            huge_anonymous: self.resident.huge_anonymous.load(Relaxed) * PAGE_SIZE,
            huge_object: self.resident.huge_object.load(Relaxed) * PAGE_SIZE,
            page_tables: self.tables.count() * PAGE_SIZE,
            committed: totals.committed,
            commit_limit: frame::total_frames() * PAGE_SIZE,
            data: totals.data,
            stack: totals.stack,
            exec: totals.exec,
            areas: state.tree.len() as u64,
        }
    }

    /// What of the range is resident (smaps); walks page tables.
    pub fn residence(&self, range: Range<u64>) -> Residence {
        let _state = self.state.read();
        let mut sum = Sum { range: range.clone(), found: Residence::default() };
        self.tables.visit(range, &mut sum);
        sum.found
    }

    /// One flag a page: would an access need no input or output? (mincore)
    pub fn resident(&self, start: u64, len: u64) -> Result<Vec<bool>, MapError> {
        if len == 0 && start.is_multiple_of(PAGE_SIZE) {
            return Ok(Vec::new());
        }
        let range = checked_range(start, len)
            .map_err(|e| if start.is_multiple_of(PAGE_SIZE) { MapError::NotMapped } else { e })?;
        let mut flags = Vec::with_capacity(((range.end - range.start) / PAGE_SIZE) as usize);
        let state = self.state.read();
        let mut at = range.start;
        while at < range.end {
            let (area_start, area) = state.tree.find(at).ok_or(MapError::NotMapped)?;
            let part = at..area.end.min(range.end);
            let first = flags.len();
            flags.resize(first + ((part.end - part.start) / PAGE_SIZE) as usize, false);
            self.tables.visit(part.clone(), &mut Mark { range: part.clone(), flags: &mut flags[first..] });
            if let Some((backing, pages)) = area.object_pages(area_start, part.clone()) {
                for (flag, page) in flags[first..].iter_mut().zip(pages).filter(|(flag, _)| !**flag) {
                    *flag = backing.peek_page(page).is_some();
                }
            }
            at = part.end;
        }
        Ok(flags)
    }
}

fn info(start: u64, area: &Area) -> AreaInfo {
    AreaInfo {
        start,
        end: area.end,
        prot: area.prot,
        sharing: area.sharing,
        backing: area.object.as_ref().map(|object| object.backing.clone()),
        offset: area.object.as_ref().map_or(0, |object| object.offset),
        name: area.name,
        accounted: area.accounted,
        stack: area.stack,
        no_reserve: area.no_reserve,
        huge: area.huge,
    }
}

/// The part of a slot's bytes that lies in the range.
fn clip(range: &Range<u64>, addr: u64, level: u8) -> Range<u64> {
    let len = if level == 2 { HUGE_PAGE_SIZE } else { PAGE_SIZE };
    addr.max(range.start)..(addr + len).min(range.end)
}

/// Adds up bytes.
struct Sum {
    range: Range<u64>,
    found: Residence,
}

impl Visitor for Sum {
    fn leaf(&mut self, slot: Slot, addr: u64) {
        let entry = slot.entry.load(Relaxed);
        if entry & ZERO != 0 {
            return;
        }
        let part = clip(&self.range, addr, slot.level);
        let bytes = part.end - part.start;
        self.found.resident += bytes;
        if entry & OWNED != 0 {
            self.found.anonymous += bytes;
            if slot.level == 2 {
                self.found.huge += bytes;
            }
        } else if slot.level == 2 {
            self.found.huge_object += bytes;
        }
        if entry & DIRTY != 0 {
            self.found.dirty += bytes;
        }
        if entry & ACCESSED != 0 {
            self.found.referenced += bytes;
        }
    }
}

/// Sets flags of occupied pages.
struct Mark<'a> {
    range: Range<u64>,
    flags: &'a mut [bool],
}

impl Visitor for Mark<'_> {
    fn leaf(&mut self, slot: Slot, addr: u64) {
        let part = clip(&self.range, addr, slot.level);
        let index = |at: u64| ((at - self.range.start) / PAGE_SIZE) as usize;
        let pages = index(part.start)..index(part.end);
        self.flags[pages].fill(true);
    }
}
