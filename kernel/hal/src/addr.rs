//! Addresses as types, and the fixed layout of the kernel's half of the address space.

use core::fmt;

/// Bytes in a small page.
pub const PAGE_SIZE: u64 = 4096;
/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a page that one page-directory entry maps.
pub const HUGE_PAGE_SIZE: u64 = 2 << 20;
/// End of the application's half (exclusive): Linux's `TASK_SIZE` with 4-level paging.
pub const USER_END: u64 = 0x7fff_ffff_f000;
/// Where the direct map of all physical memory starts (`bare` only; see [`phys_to_virt`]).
pub const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
/// Virtual range for `mm`'s frame metadata.
pub const FRAME_METADATA: u64 = 0xffff_ea00_0000_0000;
/// Virtual range for kernel stacks.
pub const KERNEL_STACKS: u64 = 0xffff_c900_0000_0000;
/// Virtual range for device registers.
pub const DEVICE_MMIO: u64 = 0xffff_d000_0000_0000;
/// Where the kernel image is linked, minus its physical address.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The greatest multiple of `align` (a power of two) that is not above this address.
            pub const fn align_down(self, align: u64) -> Self {
                Self(self.0 & !(align - 1))
            }
            /// The least multiple of `align` (a power of two) that is not below this address; wraps at 2^64.
            pub const fn align_up(self, align: u64) -> Self {
                Self(self.0.wrapping_add(align - 1) & !(align - 1))
            }
            /// Whether the address is a multiple of `align`, a power of two.
            pub const fn is_aligned(self, align: u64) -> bool {
                self.0 & (align - 1) == 0
            }
            /// This address plus `bytes`.
            pub const fn offset(self, bytes: u64) -> Self {
                Self(self.0.wrapping_add(bytes))
            }
            /// Number of the page that holds the address.
            pub const fn page_index(self) -> u64 {
                self.0 >> PAGE_SHIFT
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address!(
    /// An address on the memory bus.
    PhysAddr
);
address!(
    /// An address before translation.
    VirtAddr
);

/// Where the direct map shows physical address `phys`.
///
/// On the host backend physical memory is an arena and this points into it.
pub fn phys_to_virt(phys: PhysAddr) -> *mut u8 {
    crate::arch::current::phys_to_virt(phys)
}
