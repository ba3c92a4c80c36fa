//! Anonymous memory: zeros on the first touch.

use core::sync::atomic::Ordering::*;

use hal::addr::{HUGE_PAGE_SIZE, PAGE_SIZE};
use hal::sync::Once;

use super::{AddressSpace, Site, Step};
use crate::frame::{self, MAX_ORDER};
use crate::machine::Pfn;
use crate::page_table::entry::{self, ACCESSED, DIRTY, HUGE, OWNED, WRITABLE, ZERO};
use crate::page_table::walk::Slot;
use crate::space::Protection;
use crate::space::collapse::is_worth_joining;

static ZEROS: Once<Option<Pfn>> = Once::new();

/// The frame of zeros that untouched memory shows when it is only read.
fn zeros() -> Option<Pfn> {
    *ZEROS.call_once(|| frame::alloc_table().map(frame::Frame::into_pfn))
}

impl AddressSpace {
    /// Fills an empty slot of anonymous memory.
    #[inline]
    pub(super) fn fault_anonymous(&self, site: &Site, slot: Slot) -> Step {
        let prot = site.area.prot;
        if !site.access.write
            && let Some(zeros) = zeros()
        {
            let value = entry::leaf(zeros, prot, ZERO | ACCESSED);
            return match slot.entry.compare_exchange(0, value, AcqRel, Acquire) {
                Ok(_) => Step::Done,
                Err(_) => Step::Again,
            };
        }
        let Some(frame) = frame::alloc_zeroed() else { return Step::NoMemory };
        let write = if prot.contains(Protection::WRITE) { WRITABLE | DIRTY } else { 0 };
        let pfn = frame.into_pfn();
        let value = entry::leaf(pfn, prot, OWNED | ACCESSED | write);
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

    /// Maps 2 MiB at once where the area covers them, nothing is mapped there yet and the policy is for it. None:
    /// small pages.
    #[inline]
    pub(super) fn try_huge_anonymous(&self, site: &Site) -> Option<Step> {
        let base = site.page & !(HUGE_PAGE_SIZE - 1);
        if base < site.start || base + HUGE_PAGE_SIZE > site.area.end || !self.policy.wants_huge(site.area) {
            return None;
        }
        let Some(slot) = self.tables.slot(site.page, 2) else { return Some(Step::NoMemory) };
        if slot.entry.load(Acquire) != 0 {
            return None;
        }
        // No reclaim for this: small pages will do.
        let pfn = frame::alloc_huge()?.into_pfn();
        let prot = site.area.prot;
        let write = if prot.contains(Protection::WRITE) { WRITABLE | DIRTY } else { 0 };
        let value = entry::leaf(pfn, prot, OWNED | HUGE | ACCESSED | write);
        match slot.entry.compare_exchange(0, value, AcqRel, Acquire) {
            Ok(_) => {
                self.resident.add_huge_anonymous();
                Some(Step::Done)
            }
            Err(_) => {
                frame::give_order(pfn, MAX_ORDER);
                Some(Step::Again)
            }
        }
    }

    /// Whether the small page that was just filled lies in 2 MiB that could be one page and are half in use. Looked at for
    /// one page in 128: the others are not worth the time.
    #[inline]
    pub(super) fn is_crowded(&self, site: &Site) -> bool {
        const LOOK_MASK: u64 = 127 * PAGE_SIZE;
        site.page & LOOK_MASK == LOOK_MASK && site.access.write && self.could_be_joined(site)
    }

    #[cold]
    fn could_be_joined(&self, site: &Site) -> bool {
        let base = site.page & !(HUGE_PAGE_SIZE - 1);
        let is_whole = site.start <= base && base + HUGE_PAGE_SIZE <= site.area.end;
        is_whole && self.policy.wants_huge(site.area) && is_worth_joining(self.tables.in_use_below(base))
    }
}
