//! Device registers in the kernel's half.

use hal::addr::{DEVICE_MMIO, PAGE_SIZE, PhysAddr};
use hal::sync::SpinLock;

use crate::frame;
use crate::page_table::kernel;

/// Next free address; device mappings are for ever.
static NEXT: SpinLock<u64> = SpinLock::new(DEVICE_MMIO);

/// Maps `len` bytes of device registers, uncached, for ever.
///
/// # Panics
/// When the machine has no memory for the page tables: no device would work.
pub fn mmio_map(phys: PhysAddr, len: usize) -> *mut u8 {
    let first = phys.align_down(PAGE_SIZE);
    let pages = (phys.0 - first.0 + len as u64).div_ceil(PAGE_SIZE);
    let mut next = NEXT.lock();
    let base = *next;
    // A page between two devices stays free, so that an overrun faults.
    *next += (pages + 1) * PAGE_SIZE;
    let mut take = || frame::alloc_urgent().map(frame::Frame::into_pfn);
    for i in 0..pages {
        let mapped = kernel::map(base + i * PAGE_SIZE, first.0 + i * PAGE_SIZE, kernel::DEVICE, &mut take);
        assert!(mapped, "no memory for the page tables of device registers");
    }
    (base + (phys.0 - first.0)) as *mut u8
}
