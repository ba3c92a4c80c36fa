//! hal's host backend: physical memory is an arena, any number of std threads share one vCPU.

use hal::addr::PhysAddr;
use hal::boot_info::{BootInfo, MemoryKind, MemoryRegion};
use hal::cpu::{MAX_CPUS, Padded, PerCpu};
use hal::sync::{Once, SpinLock};

use super::Pfn;

/// Physical memory that mm uses on the host, from 2 MiB up; the arena is 1 GiB.
const HOST_MEMORY_END: u64 = 1 << 30;
/// Bytes of metadata for the whole arena.
const METADATA_BYTES: usize = ((HOST_MEMORY_END >> 12) * 16) as usize;

static READY: Once<()> = Once::new();
static METADATA: Once<usize> = Once::new();

/// Tests of every crate above use frames without saying so: the first use makes mm ready.
pub(crate) fn ensure_ready() {
    READY.call_once(|| {
        let mut info = BootInfo::new("", None, PhysAddr(0)..PhysAddr(2 << 20));
        info.push(MemoryRegion { start: PhysAddr(0), len: HOST_MEMORY_END, kind: MemoryKind::Usable });
        crate::frame::init(&info);
    });
}

/// The metadata array: zeroed by the host on first touch.
pub(crate) fn metadata_base() -> *mut u8 {
    *METADATA.call_once(|| {
        // 16 is what the entries need; with more std would touch everything to clear it.
        let layout = core::alloc::Layout::from_size_align(METADATA_BYTES, 16).expect("a power of two");
        // SAFETY: the layout has a size; the block is never freed.
        let base = unsafe { alloc::alloc::alloc_zeroed(layout) };
        assert!(!base.is_null(), "no host memory for the metadata");
        base as usize
    }) as *mut u8
}

/// The whole array is there already.
pub(crate) fn map_metadata(_page: *mut u8, _take: &mut dyn FnMut() -> Option<Pfn>) -> bool {
    true
}

/// Data of each vCPU; a lock, since host threads share the vCPU.
pub(crate) struct CpuLocal<T>(PerCpu<SpinLock<T>>);

impl<T> CpuLocal<T> {
    /// One value, for the array that `new` takes.
    pub(crate) const fn slot(value: T) -> Padded<SpinLock<T>> {
        Padded::new(SpinLock::new(value))
    }

    /// From one value for each vCPU.
    pub(crate) const fn new(values: [Padded<SpinLock<T>>; MAX_CPUS]) -> Self {
        Self(PerCpu::new(values))
    }

    /// Uses this vCPU's value. `f` must not use the same `CpuLocal` again.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.get().lock())
    }
}
