//! Frames with one owner.

use core::mem::ManuallyDrop;

use super::global::{Urgency, give_order, take_order};
use super::shared::{FrameRef, HugeRef};
use super::zone::MAX_ORDER;
use super::{cache, reclaim, zeroed};
use crate::machine::{self, Pfn, pfn_phys, pfn_ptr};
use hal::addr::PhysAddr;

/// An owned run of `1 << order` frames; dropped, it goes back.
#[derive(Debug)]
pub struct Frame {
    pfn: Pfn,
    order: u8,
}

impl Frame {
    /// Physical address of the first byte.
    pub fn phys(&self) -> PhysAddr {
        pfn_phys(self.pfn)
    }

    /// The first byte in the direct map.
    pub fn as_ptr(&self) -> *mut u8 {
        pfn_ptr(self.pfn)
    }

    /// Log2 of the number of frames.
    pub fn order(&self) -> u8 {
        self.order
    }

    /// Bytes.
    #[allow(clippy::len_without_is_empty, reason = "a run of frames is never empty")]
    pub fn len(&self) -> usize {
        4096 << self.order
    }

    /// Turns a single owned frame into a counted one (count 1).
    ///
    /// # Panics
    /// If the run is longer than one frame.
    pub fn into_shared(self) -> FrameRef {
        assert_eq!(self.order, 0, "only single frames are counted one by one");
        FrameRef::from_owned(self.into_pfn())
    }

    /// Turns an owned 2 MiB run into a counted one.
    ///
    /// # Panics
    /// If it is of another size.
    pub fn into_huge(self) -> HugeRef {
        assert_eq!(self.order, MAX_ORDER, "a huge frame is 2 MiB");
        HugeRef::from_owned(self.into_pfn())
    }

    /// Gives the ownership away: to a page-table entry, a slab, ...
    #[inline]
    pub(crate) fn into_pfn(self) -> Pfn {
        ManuallyDrop::new(self).pfn
    }

    /// Clears the whole run.
    pub fn zero(&mut self) {
        // SAFETY: the run is ours alone.
        unsafe { hal::mem::zero_pages(self.as_ptr(), 1 << self.order) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if self.order == 0 {
            cache::give(self.pfn);
        } else {
            give_order(self.pfn, self.order);
        }
    }
}

/// One frame, contents undefined. When memory is short the registered reclaimers run first, if interrupts are on.
#[inline]
pub fn alloc() -> Option<Frame> {
    machine::ensure_ready();
    let pfn = match cache::take(Urgency::Ordinary) {
        Some(pfn) => pfn,
        None => reclaim::then(1, || cache::take(Urgency::Ordinary))?,
    };
    Some(Frame { pfn, order: 0 })
}

/// One frame full of zeros.
#[inline]
pub fn alloc_zeroed() -> Option<Frame> {
    let mut frame = alloc()?;
    frame.zero();
    Some(frame)
}

/// `1 << order` frames, aligned to their size; `order` up to 9 (2 MiB). Contents undefined.
pub fn alloc_order(order: u8) -> Option<Frame> {
    if order > MAX_ORDER {
        return None;
    }
    if order == 0 {
        return alloc();
    }
    let pfn = match take_order(order, Urgency::Ordinary) {
        Some(pfn) => pfn,
        None => reclaim::then(1 << order, || take_order(order, Urgency::Ordinary))?,
    };
    Some(Frame { pfn, order })
}

/// 2 MiB of zeros for the application, if they are at hand: nothing is reclaimed for it, since small frames will do.
pub fn alloc_huge() -> Option<Frame> {
    if let Some(pfn) = zeroed::take() {
        return Some(Frame { pfn, order: MAX_ORDER });
    }
    let mut frame = Frame { pfn: take_huge()?, order: MAX_ORDER };
    frame.zero();
    Some(frame)
}

/// 2 MiB as [`alloc_huge`] takes them, contents undefined.
pub(crate) fn take_huge() -> Option<Pfn> {
    take_order(MAX_ORDER, Urgency::Ordinary)
}

/// One frame for the kernel's own use, contents undefined; may come from the reserve. Never reclaims, so it may be
/// called under any lock.
pub(crate) fn alloc_urgent() -> Option<Frame> {
    machine::ensure_ready();
    Some(Frame { pfn: cache::take(Urgency::Kernel)?, order: 0 })
}

/// A zeroed frame for a page table.
pub(crate) fn alloc_table() -> Option<Frame> {
    let mut frame = alloc_urgent()?;
    frame.zero();
    Some(frame)
}
