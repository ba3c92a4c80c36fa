//! The real machine.

use core::cell::UnsafeCell;
use hal::addr::FRAME_METADATA;
use hal::cpu::{MAX_CPUS, Padded, PerCpu};
use hal::irq::IrqGuard;

use super::Pfn;
use crate::page_table::kernel;

/// Nothing to do: `mm::init` has run before anything else.
#[inline(always)]
pub(crate) fn ensure_ready() {}

/// The metadata array, of which [`map_metadata`] makes pieces present.
pub(crate) fn metadata_base() -> *mut u8 {
    FRAME_METADATA as *mut u8
}

/// Makes one page of the metadata array present, zeroed. `take` gives frames.
pub(crate) fn map_metadata(page: *mut u8, take: &mut dyn FnMut() -> Option<Pfn>) -> bool {
    kernel::map_zeroed(page as u64, take)
}

/// Data of each vCPU, with interrupts masked while it is used.
pub(crate) struct CpuLocal<T>(PerCpu<UnsafeCell<T>>);

// SAFETY: each vCPU reaches its own value only, with interrupts masked (`with`).
unsafe impl<T: Send> Sync for CpuLocal<T> {}

impl<T> CpuLocal<T> {
    /// One value, for the array that `new` takes.
    pub(crate) const fn slot(value: T) -> Padded<UnsafeCell<T>> {
        Padded::new(UnsafeCell::new(value))
    }

    /// From one value for each vCPU.
    pub(crate) const fn new(values: [Padded<UnsafeCell<T>>; MAX_CPUS]) -> Self {
        Self(PerCpu::new(values))
    }

    /// Uses this vCPU's value. `f` must not use the same `CpuLocal` again.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let _irq = IrqGuard::mask();
        let cell = self.0.get().get();
        // SAFETY: interrupts are masked, so nothing else runs on this vCPU, and no other vCPU uses this value; `f` does
        // not come back here, so there is no second borrow.
        f(unsafe { &mut *cell })
    }
}
