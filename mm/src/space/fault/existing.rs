//! A slot that holds something which the access may not use as it is: copy on write, and the first write to a shared
//! page.

use core::sync::atomic::Ordering::*;

use hal::addr::VirtAddr;

use super::{AddressSpace, Fetched, Site, Step};
use crate::frame;
use crate::machine::pfn_ptr;
use crate::page_table::entry::{self, ACCESSED, DIRTY, OWNED, WRITABLE, ZERO};
use crate::page_table::walk::Slot;
use crate::space::Sharing;
use crate::space::shootdown::{self, Flush};

impl AddressSpace {
    /// Changes an occupied slot so that the access, which the area permits, goes through.
    pub(super) fn fault_existing(&self, site: &Site, slot: Slot, value: u64, fetched: Option<Fetched>) -> Step {
        if entry::allows(value, site.access.write, site.access.fetch) {
            // Another vCPU resolved it, or this one used an old translation.
            hal::paging::flush_page(VirtAddr(site.page));
            return Step::Done;
        }
        if value & ZERO != 0 {
            return self.replace_zeros(site, slot, value);
        }
        if value & OWNED == 0 {
            match site.area.sharing {
                Sharing::Private if site.access.write => return self.copy(site, slot, value),
                Sharing::Shared if site.access.write => return self.first_write(site, slot, value, fetched),
                _ => {}
            }
        }
        self.grant(site, slot, value)
    }

    /// Gives the slot the area's rights (writing only if asked for).
    fn grant(&self, site: &Site, slot: Slot, value: u64) -> Step {
        let mut rights = entry::permissions(site.area.prot);
        if !site.access.write {
            rights &= !WRITABLE | value & WRITABLE;
        }
        let written = if site.access.write { DIRTY } else { 0 };
        let new = value & !entry::NO_EXECUTE | rights | ACCESSED | written;
        match slot.entry.compare_exchange(value, new, AcqRel, Acquire) {
            // The fault has dropped this vCPU's translation; others fault for themselves.
            Ok(_) => Step::Done,
            Err(_) => Step::Again,
        }
    }

    /// The first write to anonymous memory that was read before.
    fn replace_zeros(&self, site: &Site, slot: Slot, value: u64) -> Step {
        let Some(frame) = frame::alloc_zeroed() else { return Step::NoMemory };
        self.install_copy(site, slot, value, frame)
    }

    /// The first write to a page of an object through a private mapping.
    fn copy(&self, site: &Site, slot: Slot, value: u64) -> Step {
        let Some(frame) = frame::alloc() else { return Step::NoMemory };
        // SAFETY: the new frame is ours. The old one may be freed by another vCPU that copies at the same time; then what
        // is read is of no use, and the exchange below fails.
        unsafe { hal::mem::copy_page(frame.as_ptr(), pfn_ptr(entry::pfn(value))) };
        self.install_copy(site, slot, value, frame)
    }

    /// Puts a frame of our own in the place of what everybody shares. Other vCPUs must not go on reading the old one.
    fn install_copy(&self, site: &Site, slot: Slot, value: u64, frame: frame::Frame) -> Step {
        let pfn = frame.into_pfn();
        let new = entry::leaf(pfn, site.area.prot, OWNED | WRITABLE | ACCESSED | DIRTY);
        match slot.entry.compare_exchange(value, new, AcqRel, Acquire) {
            Ok(_) => {
                self.resident.anonymous.fetch_add(1, Relaxed);
                let mut gather = self.gather();
                gather.add(value, site.page, 1);
                gather.finish();
                Step::Done
            }
            Err(_) => {
                frame::cache::give(pfn);
                Step::Again
            }
        }
    }

    /// The first write to a page of an object through a shared mapping: the object must know before it happens.
    fn first_write(&self, site: &Site, slot: Slot, value: u64, fetched: Option<Fetched>) -> Step {
        let Some((backing, pages)) = site.area.object_pages(site.start, site.page..site.page + 4096) else {
            return self.grant(site, slot, value);
        };
        if !backing.tracks_dirty() {
            return self.grant(site, slot, value);
        }
        let index = pages.start;
        match fetched {
            Some(fetched) if fetched.written && fetched.backing_id == backing.id() && fetched.index == index => {
                if crate::machine::phys_pfn(fetched.page.phys()) != entry::pfn(value) {
                    return self.forget(site, slot, value);
                }
                match self.grant(site, slot, value) {
                    Step::Done => {
                        backing.mark_dirty(index);
                        Step::Done
                    }
                    other => other,
                }
            }
            _ => Step::Fetch { backing: backing.clone(), index, write: true },
        }
    }

    /// The object shows another frame now: the mapping of the old one goes, and the fault begins again.
    fn forget(&self, site: &Site, slot: Slot, value: u64) -> Step {
        if slot.entry.compare_exchange(value, 0, AcqRel, Acquire).is_ok() {
            let mut gather = self.gather();
            gather.add(value, site.page, 1);
        } else {
            shootdown::flush(Flush::page(site.page));
        }
        Step::Again
    }
}
