//! mmap: making an area.

use alloc::sync::Arc;
use core::ops::Range;

use hal::addr::{HUGE_PAGE_SIZE, PAGE_SIZE, USER_END};

use super::anonymous_object::AnonymousObject;
use super::area::{Area, Object};
use super::placement::{Alignment, LOWEST};
use super::request::{Access, MapRequest, Placement, Protection, Sharing};
use super::unmap::Afterwards;
use super::{AddressSpace, MapError, State};
use crate::frame;
use crate::page_table::gather::Gather;

impl AddressSpace {
    /// Makes a mapping and returns its address.
    pub fn map(&self, request: &MapRequest) -> Result<u64, MapError> {
        let len = page_aligned_len(request.len)?;
        let area = new_area(request, len)?;
        let addr = {
            let state = &mut *self.state.write();
            let mut gather = self.gather();
            let addr = self.place(state, request, len, &mut gather)?;
            let area = Area { end: addr + len, ..area };
            if let Some((backing, pages)) = area.object_pages(addr, addr..addr + len) {
                backing.note_mapped(pages);
            }
            state.tree.insert(addr, area);
            if request.backing.is_none() {
                self.promote(state, addr..addr + len, &mut gather);
            }
            addr
        };
        if request.populate {
            let access = Access { write: request.prot.contains(Protection::WRITE), fetch: false };
            // MAP_POPULATE: failing to populate is no error.
            let _ = self.populate(addr..addr + len, access);
        }
        Ok(addr)
    }

    /// Checks the limits, chooses the address and empties it.
    fn place(&self, state: &mut State, request: &MapRequest, len: u64, gather: &mut Gather) -> Result<u64, MapError> {
        let replaces = matches!(request.addr, Placement::Fixed(_));
        // A replacing map may split an area in two, and adds one.
        if state.tree.len() + 1 + usize::from(replaces) > state.limits.areas {
            return Err(MapError::NoMemory);
        }
        let shared_memory = request.sharing == Sharing::Shared && request.backing.is_none() && !request.no_reserve;
        if shared_memory || wants_account(request) {
            check_commit(len)?;
        }
        let wanted = state.tree.totals.virtual_bytes.saturating_add(len);
        if wanted > state.limits.address_space_bytes {
            let kept = match request.addr {
                Placement::Fixed(addr) => wanted - mapped_bytes(state, addr..addr.saturating_add(len)),
                _ => wanted,
            };
            if kept > state.limits.address_space_bytes {
                return Err(MapError::NoMemory);
            }
        }
        match request.addr {
            Placement::Any => self.search(state, request, len),
            Placement::Hint(hint) => {
                let addr = hint.max(LOWEST).checked_next_multiple_of(PAGE_SIZE);
                match addr {
                    Some(addr) if fits(addr, len) && state.tree.is_free(addr..addr + len) => Ok(addr),
                    _ => self.search(state, request, len),
                }
            }
            Placement::FixedNoReplace(addr) => {
                check_fixed(addr, len)?;
                if state.tree.is_free(addr..addr + len) { Ok(addr) } else { Err(MapError::Exists) }
            }
            Placement::Fixed(addr) => {
                check_fixed(addr, len)?;
                self.remove(state, addr..addr + len, Afterwards::Refilled, gather)?;
                Ok(addr)
            }
        }
    }

    fn search(&self, state: &mut State, request: &MapRequest, len: u64) -> Result<u64, MapError> {
        let huge = len >= HUGE_PAGE_SIZE && !request.stack && request.backing.is_none();
        let alignment = if huge { Alignment::Huge } else { Alignment::Page };
        state.placer.search(&state.tree, len, alignment).ok_or(MapError::NoMemory)
    }
}

/// Rounds a length up to whole pages.
pub(super) fn page_aligned_len(len: u64) -> Result<u64, MapError> {
    match len.checked_next_multiple_of(PAGE_SIZE) {
        Some(0) => Err(MapError::Invalid),
        Some(len) if len <= USER_END => Ok(len),
        _ => Err(MapError::NoMemory),
    }
}

/// Whether a range lies in the application's half.
pub(super) fn fits(addr: u64, len: u64) -> bool {
    addr >= LOWEST && len <= USER_END && addr <= USER_END - len
}

fn check_fixed(addr: u64, len: u64) -> Result<(), MapError> {
    if !addr.is_multiple_of(PAGE_SIZE) {
        return Err(MapError::Invalid);
    }
    if addr < LOWEST {
        return Err(MapError::Permission);
    }
    if fits(addr, len) { Ok(()) } else { Err(MapError::NoMemory) }
}

/// Overcommit as Linux's mode 0 in effect: refused is only a single request for more than the machine has.
pub(super) fn check_commit(len: u64) -> Result<(), MapError> {
    if len / PAGE_SIZE > frame::total_frames() { Err(MapError::NoMemory) } else { Ok(()) }
}

fn wants_account(request: &MapRequest) -> bool {
    request.sharing == Sharing::Private && request.prot.contains(Protection::WRITE) && !request.no_reserve
}

/// Bytes in areas within the range.
fn mapped_bytes(state: &State, range: Range<u64>) -> u64 {
    let overlap = |(start, area): (u64, &Area)| area.end.min(range.end) - start.max(range.start);
    state.tree.overlapping(range.clone()).filter(|(_, area)| area.end > range.start).map(overlap).sum()
}

/// The area that a request asks for; its end is not known yet.
fn new_area(request: &MapRequest, len: u64) -> Result<Area, MapError> {
    if !request.max_prot.contains(request.prot) {
        return Err(MapError::Access);
    }
    let object = match &request.backing {
        Some((backing, offset)) => {
            if !offset.is_multiple_of(PAGE_SIZE) {
                return Err(MapError::Invalid);
            }
            if offset.checked_add(len).is_none_or(|end| end > i64::MAX as u64) {
                return Err(MapError::Overflow);
            }
            let writes_through = request.sharing == Sharing::Shared && request.prot.contains(Protection::WRITE);
            if writes_through && !backing.writable_shared() {
                return Err(MapError::Access);
            }
            Some(Object { backing: backing.clone(), offset: *offset })
        }
        None if request.sharing == Sharing::Shared => {
            Some(Object { backing: Arc::new(AnonymousObject::new(len)), offset: 0 })
        }
        None => None,
    };
    let mut max_prot = request.max_prot;
    if request.sharing == Sharing::Shared && object.as_ref().is_some_and(|object| !object.backing.writable_shared()) {
        max_prot.remove(Protection::WRITE);
    }
    Ok(Area {
        end: 0,
        prot: request.prot,
        max_prot,
        sharing: request.sharing,
        huge: request.huge_policy(),
        stack: request.stack,
        no_reserve: request.no_reserve,
        accounted: wants_account(request),
        name: request.name,
        object,
    })
}
