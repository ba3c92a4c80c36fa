//! Physically contiguous memory for devices.

use crate::frame::{self, Frame, MAX_ORDER, Urgency};
use crate::machine::{Pfn, pfn_phys, pfn_ptr};
use hal::addr::PhysAddr;

/// Zeroed, physically contiguous, page-aligned; freed on drop.
#[derive(Debug)]
pub struct DmaBuffer {
    pfn: Pfn,
    memory: Memory,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    /// Up to 2 MiB; freed by its own drop.
    Block(#[allow(dead_code, reason = "held for its drop")] Frame),
    /// More: that many adjacent 2 MiB regions.
    Regions(u32),
}

impl DmaBuffer {
    /// At least `len` bytes; None when there is no such run.
    pub fn new(len: usize) -> Option<Self> {
        let len = len.max(1).checked_next_multiple_of(4096)?;
        let order = (len / 4096).next_power_of_two().ilog2() as u8;
        if order <= MAX_ORDER {
            let mut block = frame::alloc_order(order)?;
            block.zero();
            let pfn = crate::machine::phys_pfn(block.phys());
            return Some(DmaBuffer { pfn, len: block.len(), memory: Memory::Block(block) });
        }
        let regions = u32::try_from(len.div_ceil(2 << 20)).ok()?;
        let pfn = frame::take_contiguous(regions, Urgency::Ordinary)?;
        let len = (regions as usize) << 21;
        // SAFETY: the regions were given to us just now.
        unsafe { hal::mem::zero_pages(pfn_ptr(pfn), len / 4096) };
        Some(DmaBuffer { pfn, len, memory: Memory::Regions(regions) })
    }

    /// Physical address of the first byte.
    pub fn phys(&self) -> PhysAddr {
        pfn_phys(self.pfn)
    }

    /// Bytes usable: the length asked for, rounded up.
    #[allow(clippy::len_without_is_empty, reason = "a buffer has at least a page")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        pfn_ptr(self.pfn)
    }

    /// The bytes. The device must not write them meanwhile.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the memory is ours and initialised; that the device keeps off is the documented duty of who drives it.
        unsafe { core::slice::from_raw_parts(self.as_ptr(), self.len) }
    }

    /// The bytes, to be written. The device must not use them meanwhile.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.as_ptr(), self.len) }
    }
}

impl Drop for DmaBuffer {
    fn drop(&mut self) {
        if let Memory::Regions(regions) = self.memory {
            (0..regions).for_each(|i| frame::give_order(self.pfn + (i << MAX_ORDER), MAX_ORDER));
        }
    }
}
