//! Frames that several hold: the page cache and the mappings of a page.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::cache;
use super::global::{give_order, table};
use super::zone::MAX_ORDER;
use crate::machine::{Pfn, pfn_phys, pfn_ptr};
use hal::addr::PhysAddr;

macro_rules! counted {
    ($(#[$doc:meta])* $name:ident, $free:expr) => {
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
                table().get(self.pfn).count.load(Acquire)
            }

            /// Gives the reference to a page-table entry.
            pub(crate) fn into_pfn(self) -> Pfn {
                core::mem::ManuallyDrop::new(self).pfn
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
                table().get(self.pfn).count.fetch_add(1, Relaxed);
                Self { pfn: self.pfn }
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                if table().get(self.pfn).count.fetch_sub(1, AcqRel) == 1 {
                    ($free)(self.pfn);
                }
            }
        }
    };
}

counted!(
    /// A counted 4 KiB frame: the page cache holds one reference, each mapping another.
    FrameRef,
    cache::give
);
counted!(
    /// A counted 2 MiB frame.
    HugeRef,
    |pfn| give_order(pfn, MAX_ORDER)
);
