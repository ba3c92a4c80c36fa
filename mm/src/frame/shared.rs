//! Frames that several hold: the page cache and the mappings of a page.
//!
//! A 2 MiB frame is counted as one. A page of it may be handed out by itself ([`HugeRef::part`]): that is one more
//! reference to the whole, so 2 MiB mappings and 4 KiB mappings of the same memory live side by side.

use core::mem::ManuallyDrop;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::cache;
use super::global::{give_order, split_used, table};
use super::meta::Kind;
use super::zone::{MAX_ORDER, REGION};
use crate::machine::{Pfn, pfn_phys, pfn_ptr};
use hal::addr::PhysAddr;

/// Pages of a 2 MiB frame.
pub const HUGE_PAGES: u64 = REGION as u64;

macro_rules! counted {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, PartialEq, Eq)]
        pub struct $name {
            pfn: Pfn,
        }

        impl $name {
            /// The first reference to a frame that the caller owned.
            pub(super) fn from_owned(pfn: Pfn) -> Self {
                table().get(pfn).count.store(1, Release);
                Self { pfn }
            }

            /// Physical address of the first byte.
            pub fn phys(&self) -> PhysAddr {
                pfn_phys(self.pfn)
            }

            /// The first byte in the direct map.
            pub fn as_ptr(&self) -> *mut u8 {
                pfn_ptr(self.pfn)
            }

            /// References that exist right now; 1 means this one only.
            pub fn count(&self) -> u32 {
                self.counter().load(Acquire)
            }

            /// Gives the reference to a page-table entry.
            pub(crate) fn into_pfn(self) -> Pfn {
                ManuallyDrop::new(self).pfn
            }

            /// Takes the reference back from [`Self::into_pfn`].
            ///
            /// # Safety
            /// The number came from `into_pfn`, and its entry is gone.
            pub(crate) unsafe fn from_pfn(pfn: Pfn) -> Self {
                Self { pfn }
            }
        }

        impl Clone for $name {
            fn clone(&self) -> Self {
                self.counter().fetch_add(1, Relaxed);
                Self { pfn: self.pfn }
            }
        }
    };
}

counted!(
    /// A counted 4 KiB frame, or a page of a counted 2 MiB frame: the page cache holds one reference, each mapping
    /// another.
    FrameRef
);
counted!(
    /// A counted 2 MiB frame.
    HugeRef
);

impl FrameRef {
    #[inline]
    fn counter(&self) -> &'static AtomicU32 {
        let meta = table().get(self.pfn);
        if meta.is_part() { &table().get(self.pfn & !(REGION - 1)).count } else { &meta.count }
    }
}

impl Drop for FrameRef {
    #[inline]
    fn drop(&mut self) {
        let is_part = table().get(self.pfn).is_part();
        if self.counter().fetch_sub(1, AcqRel) == 1 {
            if is_part { free_huge(self.pfn & !(REGION - 1)) } else { cache::give(self.pfn) }
        }
    }
}

impl HugeRef {
    #[inline]
    fn counter(&self) -> &'static AtomicU32 {
        &table().get(self.pfn).count
    }

    /// Page `index` (below [`HUGE_PAGES`]), as one more reference to the whole.
    pub fn part(&self, index: u64) -> FrameRef {
        let pfn = self.pfn + (index as Pfn & (REGION - 1));
        self.counter().fetch_add(1, Relaxed);
        // The first page as well: its own kind says how the reference is to be dropped.
        table().get(pfn).set(Kind::Part, 0);
        FrameRef { pfn }
    }

    /// Takes the frame to pieces: [`HUGE_PAGES`] pages, which `page` gets in order. Pages that can be freed one by one when
    /// this was the only reference; otherwise parts, which are freed together.
    pub fn split(self, page: &mut dyn FnMut(FrameRef)) {
        let is_alone = self.count() == 1;
        let first = self.into_pfn();
        let first_meta = table().get(first);
        if is_alone {
            split_used(first);
        } else {
            first_meta.count.fetch_add(REGION - 1, Relaxed);
        }
        for pfn in first..first + REGION {
            if is_alone {
                page(FrameRef::from_owned(pfn));
            } else {
                table().get(pfn).set(Kind::Part, 0);
                page(FrameRef { pfn });
            }
        }
    }
}

impl Drop for HugeRef {
    fn drop(&mut self) {
        if self.counter().fetch_sub(1, AcqRel) == 1 {
            free_huge(self.pfn);
        }
    }
}

#[cold]
fn free_huge(first: Pfn) {
    // Its own kind may say that it was handed out as a part.
    table().get(first).set(Kind::Used, MAX_ORDER);
    give_order(first, MAX_ORDER);
}
