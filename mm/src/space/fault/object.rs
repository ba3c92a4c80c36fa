//! Pages of files and other objects: mapped in groups when they are in memory, copied when a private mapping writes.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::*;

use hal::addr::{HUGE_PAGE_SIZE, PAGE_SIZE};

use super::{AddressSpace, Fetched, Site, Step};
use crate::backing::{Backing, Hole};
use crate::frame::{self, FrameRef};
use crate::page_table::entry::{self, ACCESSED, DIRTY, HUGE, OWNED, WRITABLE};
use crate::page_table::walk::Slot;
use crate::space::collapse::{can_be_copied, is_worth_copying};
use crate::space::policy::MAX_FAULT_AROUND;
use crate::space::{HugePolicy, Protection, Sharing};

impl AddressSpace {
    /// Fills an empty slot of an area with an object.
    pub(super) fn fault_object(&self, site: &Site, slot: Slot, fetched: Option<Fetched>) -> Step {
        let Some((backing, pages)) = site.area.object_pages(site.start, site.page..site.page + PAGE_SIZE) else {
            return Step::Again;
        };
        let index = pages.start;
        let fetched = fetched.filter(|page| page.backing_id == backing.id() && page.index == index);
        let writable = site.area.prot.contains(Protection::WRITE);
        match site.area.sharing {
            Sharing::Private if site.access.write => self.fill_copy(site, slot, backing, index, fetched),
            Sharing::Shared if backing.tracks_dirty() => {
                if site.access.write {
                    self.fill_written(site, slot, backing, index, fetched)
                } else {
                    self.fill_around(site, slot, backing, index, fetched, 0)
                }
            }
            Sharing::Shared if writable => self.fill_around(site, slot, backing, index, fetched, WRITABLE),
            _ => self.fill_around(site, slot, backing, index, fetched, 0),
        }
    }

    /// A private copy at once: the first access is a write.
    fn fill_copy(
        &self,
        site: &Site,
        slot: Slot,
        backing: &Arc<dyn Backing>,
        index: u64,
        fetched: Option<Fetched>,
    ) -> Step {
        let Some(page) = current_page(backing, index, fetched) else {
            return Step::Fetch { backing: backing.clone(), index, write: false };
        };
        let Some(frame) = frame::alloc() else { return Step::NoMemory };
        // SAFETY: the new frame is ours, the other one is counted.
        unsafe { hal::mem::copy_page(frame.as_ptr(), page.as_ptr()) };
        let pfn = frame.into_pfn();
        let value = entry::leaf(pfn, site.area.prot, OWNED | WRITABLE | ACCESSED | DIRTY);
        match slot.entry.compare_exchange(0, value, AcqRel, Acquire) {
            Ok(_) => {
                self.resident.anonymous.fetch_add(1, Relaxed);
                Step::Done
            }
            Err(_) => {
                frame::cache::give(pfn);
                Step::Again
            }
        }
    }

    /// A shared page that is written first: the object must know before.
    fn fill_written(
        &self,
        site: &Site,
        slot: Slot,
        backing: &Arc<dyn Backing>,
        index: u64,
        fetched: Option<Fetched>,
    ) -> Step {
        let page = match fetched.filter(|page| page.written) {
            Some(fetched) => current_page(backing, index, Some(fetched)),
            None => None,
        };
        let Some(page) = page else {
            return Step::Fetch { backing: backing.clone(), index, write: true };
        };
        match self.install(slot, page, site.area.prot, WRITABLE | ACCESSED | DIRTY) {
            true => {
                backing.mark_dirty(index);
                Step::Done
            }
            false => Step::Again,
        }
    }

    /// Maps the page, and those around it that are in memory.
    fn fill_around(
        &self,
        site: &Site,
        slot: Slot,
        backing: &Arc<dyn Backing>,
        index: u64,
        fetched: Option<Fetched>,
        rights: u64,
    ) -> Step {
        let window = self.window(site, backing, index);
        let mut pages = [const { None }; MAX_FAULT_AROUND];
        let pages = &mut pages[..window.count];
        backing.peek_pages(index - window.before, pages);
        let wanted = pages[window.before as usize].take();
        let trusted = || fetched.filter(|page| page.trusted).map(|page| page.page);
        let Some(page) = wanted.or_else(trusted) else {
            return Step::Fetch { backing: backing.clone(), index, write: false };
        };
        if !self.install(slot, page, site.area.prot, rights | ACCESSED) {
            return Step::Again;
        }
        let first = site.page - window.before * PAGE_SIZE;
        for (i, page) in pages.iter_mut().enumerate() {
            let Some(page) = page.take() else { continue };
            // The window lies within one table, which is there.
            if let Some(slot) = self.tables.find_small(first + i as u64 * PAGE_SIZE) {
                // Not accessed: the bit tells reclaim which of the neighbours were of use.
                self.install(slot, page, site.area.prot, rights);
            }
        }
        Step::Done
    }

    /// Gives a page to an empty slot.
    fn install(&self, slot: Slot, page: FrameRef, prot: Protection, extra: u64) -> bool {
        if slot.entry.load(Acquire) != 0 {
            return false;
        }
        let pfn = page.into_pfn();
        if slot.entry.compare_exchange(0, entry::leaf(pfn, prot, extra), AcqRel, Acquire).is_ok() {
            self.resident.object.fetch_add(1, Relaxed);
            return true;
        }
        // SAFETY: the reference was given up just above, and no entry took it.
        drop(unsafe { FrameRef::from_pfn(pfn) });
        false
    }

    /// The pages around a fault that one look-up covers: aligned, within the area, the object and one table.
    fn window(&self, site: &Site, backing: &Arc<dyn Backing>, index: u64) -> Window {
        let size = self.policy.fault_around() * PAGE_SIZE;
        let base = site.page & !(size - 1);
        let from = base.max(site.start).max(site.page.saturating_sub(index * PAGE_SIZE));
        let object_end = backing.size().div_ceil(PAGE_SIZE).saturating_sub(index).saturating_mul(PAGE_SIZE);
        let upto =
            (base + size).min(site.area.end).min(site.page.saturating_add(object_end)).max(site.page + PAGE_SIZE);
        Window { before: (site.page - from) / PAGE_SIZE, count: ((upto - from) / PAGE_SIZE) as usize }
    }

    /// Whether the page that was just mapped lies in 2 MiB of a private area that could be one page and are mostly in use.
    /// Looked at for one window of 64 KiB in four.
    #[inline]
    pub(super) fn is_crowded_object(&self, site: &Site) -> bool {
        const LOOK_MASK: u64 = 3 << 16;
        site.page & LOOK_MASK == LOOK_MASK && self.could_be_copied(site)
    }

    #[cold]
    fn could_be_copied(&self, site: &Site) -> bool {
        let base = site.page & !(HUGE_PAGE_SIZE - 1);
        can_be_copied(site.start, site.area, base)
            && self.policy.wants_huge(site.area)
            && is_worth_copying(self.tables.in_use_below(base))
    }

    /// Maps 2 MiB of a shared object that has them in one frame. None: small pages.
    pub(super) fn try_huge_object(&self, site: &Site) -> Option<Step> {
        let base = site.page & !(HUGE_PAGE_SIZE - 1);
        if site.area.sharing != Sharing::Shared || base < site.start || base + HUGE_PAGE_SIZE > site.area.end {
            return None;
        }
        let (backing, pages) = site.area.object_pages(site.start, base..base + HUGE_PAGE_SIZE)?;
        if !pages.start.is_multiple_of(512) || backing.tracks_dirty() {
            return None;
        }
        let Some(slot) = self.tables.slot(site.page, 2) else { return Some(Step::NoMemory) };
        if slot.entry.load(Acquire) != 0 {
            return None;
        }
        // As Linux with shmem_enabled=advise: a touch takes 2 MiB only where the program has asked for it.
        let hole = if site.area.huge == HugePolicy::Always { Hole::MayBeFilled } else { Hole::Stays };
        let frame = backing.fault_huge(pages.start, hole)?;
        let write = if site.area.prot.contains(Protection::WRITE) { WRITABLE } else { 0 };
        let pfn = frame.into_pfn();
        let dirty = if site.access.write { DIRTY } else { 0 };
        let value = entry::leaf(pfn, site.area.prot, HUGE | ACCESSED | write | dirty);
        if slot.entry.compare_exchange(0, value, AcqRel, Acquire).is_ok() {
            self.resident.add_huge_object();
            return Some(Step::Done);
        }
        // SAFETY: the reference was given up just above, and no entry took it.
        drop(unsafe { frame::HugeRef::from_pfn(pfn) });
        Some(Step::Again)
    }
}

/// Pages before the faulting one, and in all.
struct Window {
    before: u64,
    count: usize,
}

/// The page as the object shows it now. A fetched page counts only if it is the same: in between the object may have
/// been truncated.
fn current_page(backing: &Arc<dyn Backing>, index: u64, fetched: Option<Fetched>) -> Option<FrameRef> {
    let page = backing.peek_page(index);
    match (&page, fetched) {
        (Some(now), Some(fetched)) if fetched.written && *now != fetched.page => None,
        (None, Some(fetched)) if fetched.trusted => Some(fetched.page),
        _ => page,
    }
}
