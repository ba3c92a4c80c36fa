//! Where mm meets the machine: the one switch between the real one and hal's host backend.

#[cfg(feature = "bare")]
mod bare;
#[cfg(not(feature = "bare"))]
mod host;

#[cfg(feature = "bare")]
pub(crate) use bare::*;
#[cfg(not(feature = "bare"))]
pub(crate) use host::*;

use hal::addr::PhysAddr;

/// Number of a 4 KiB frame; 32 bits reach 16 TiB.
pub(crate) type Pfn = u32;

/// The address of a frame.
pub(crate) const fn pfn_phys(pfn: Pfn) -> PhysAddr {
    PhysAddr((pfn as u64) << 12)
}

/// The frame's first byte in the direct map.
pub(crate) fn pfn_ptr(pfn: Pfn) -> *mut u8 {
    hal::phys_to_virt(pfn_phys(pfn))
}

/// The frame that holds a physical address.
pub(crate) const fn phys_pfn(phys: PhysAddr) -> Pfn {
    (phys.0 >> 12) as Pfn
}

/// The frame behind an address of the direct map.
pub(crate) fn ptr_pfn(ptr: *const u8) -> Pfn {
    ((ptr as u64).wrapping_sub(hal::phys_to_virt(PhysAddr(0)) as u64) >> 12) as Pfn
}
