//! Page faults, from the address to the installed entry.
//!
//! With the lock held shared: find the area, check the access, then fill an empty slot ([`anonymous`], [`object`]) or
//! change the one that is there ([`existing`]). What must sleep for a file does so without the lock, and then looks
//! again: the page is used only if the object still returns it.

mod anonymous;
mod existing;
mod object;

use alloc::sync::Arc;
use core::ops::Range;

use hal::addr::{PAGE_SIZE, USER_END};

use super::area::Area;
use super::request::{Access, Protection};
use super::{AddressSpace, FaultError};
use crate::backing::{Backing, BackingError};
use crate::frame::{self, FrameRef};
use crate::page_table::entry;

/// How often a page may be lost between being read and being mapped before the fault gives up.
const ATTEMPTS: u32 = 16;
/// After so many the page is taken although the object does not return it any more: it does not cache.
const TRUSTING: u32 = 3;
/// A page that was fetched without the lock.
struct Fetched {
    backing_id: u64,
    index: u64,
    page: FrameRef,
    /// The object knows that it will be written.
    written: bool,
    /// Use it even if the object does not return it any more.
    trusted: bool,
}

/// What one attempt came to.
enum Step {
    Done,
    /// Done, and so many small pages are in use around it that one of 2 MiB is better.
    Crowded,
    /// Another vCPU was faster; look again.
    Again,
    /// The object must be asked without the lock.
    Fetch {
        backing: Arc<dyn Backing>,
        index: u64,
        write: bool,
    },
    NoMemory,
}

/// The place of a fault.
struct Site<'a> {
    area: &'a Area,
    /// First byte of the area.
    start: u64,
    /// First byte of the page.
    page: u64,
    access: Access,
}

impl AddressSpace {
    /// Resolves a page fault at `addr`. May sleep; interrupts on, no lock held.
    pub fn fault(&self, addr: u64, access: Access) -> Result<(), FaultError> {
        if addr >= USER_END {
            return Err(FaultError::NotMapped);
        }
        let page = addr & !(PAGE_SIZE - 1);
        let mut fetched: Option<Fetched> = None;
        let mut patience = frame::Patience::default();
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            let step = {
                let state = self.state.read();
                let (start, area) = state.tree.find(addr).ok_or(FaultError::NotMapped)?;
                if !permits(area.prot, access) {
                    return Err(FaultError::Denied);
                }
                self.resolve(&Site { area, start, page, access }, fetched.take())
            };
            match step {
                Step::Done => return Ok(()),
                Step::Crowded => {
                    self.join_around(page);
                    return Ok(());
                }
                Step::Again => {}
                Step::Fetch { backing, index, write } => {
                    attempt += 1;
                    match backing.fault_page(index, write) {
                        Ok(page) => {
                            let trusted = attempt >= TRUSTING;
                            fetched = Some(Fetched { backing_id: backing.id(), index, page, written: write, trusted });
                        }
                        Err(BackingError::NoMemory) => free_some(&mut patience)?,
                        Err(error) => return Err(error.into()),
                    }
                }
                Step::NoMemory => free_some(&mut patience)?,
            }
        }
        // The page was lost again and again: memory is so short that it is evicted before it is mapped.
        Err(FaultError::NoMemory)
    }

    fn resolve(&self, site: &Site, fetched: Option<Fetched>) -> Step {
        if site.area.is_anonymous() {
            if let Some(step) = self.try_huge_anonymous(site) {
                return step;
            }
        } else if let Some(step) = self.try_huge_object(site) {
            return step;
        }
        let Some(slot) = self.tables.slot(site.page, 1) else { return Step::NoMemory };
        let value = slot.entry.load(core::sync::atomic::Ordering::Acquire);
        if value != 0 {
            self.fault_existing(site, slot, value, fetched)
        } else if site.area.is_anonymous() {
            match self.fault_anonymous(site, slot) {
                Step::Done if self.is_crowded(site) => Step::Crowded,
                step => step,
            }
        } else {
            match self.fault_object(site, slot, fetched) {
                Step::Done if self.is_crowded_object(site) => Step::Crowded,
                step => step,
            }
        }
    }

    /// Faults every page of a range in.
    #[inline(never)]
    pub(super) fn populate(&self, range: Range<u64>, access: Access) -> Result<(), FaultError> {
        let mut addr = range.start;
        while addr < range.end {
            addr = match self.mapped_until(addr, access) {
                Some(next) => next,
                None => {
                    self.fault(addr, access)?;
                    addr + PAGE_SIZE
                }
            };
        }
        Ok(())
    }

    /// If `addr` is mapped well enough for the access: where the mapping ends.
    fn mapped_until(&self, addr: u64, access: Access) -> Option<u64> {
        let _state = self.state.read();
        let slot = self.tables.find(addr)?;
        let value = slot.entry.load(core::sync::atomic::Ordering::Acquire);
        let span = crate::page_table::walk::span(slot.level);
        entry::allows(value, access.write, access.fetch).then_some((addr & !(span - 1)) + span)
    }
}

/// Frees frames for another attempt, with no lock held. Error: nothing was freed for a while.
#[cold]
fn free_some(patience: &mut frame::Patience) -> Result<(), FaultError> {
    if patience.makes_room() { Ok(()) } else { Err(FaultError::NoMemory) }
}

/// Whether an area lets the access through. On x86 every kind of access right includes reading.
fn permits(prot: Protection, access: Access) -> bool {
    if access.write {
        prot.contains(Protection::WRITE)
    } else if access.fetch {
        prot.contains(Protection::EXEC)
    } else {
        !prot.is_empty()
    }
}

impl From<BackingError> for FaultError {
    fn from(error: BackingError) -> Self {
        match error {
            BackingError::BeyondEnd => FaultError::BeyondEnd,
            BackingError::Io => FaultError::Io,
            BackingError::NoMemory => FaultError::NoMemory,
        }
    }
}
