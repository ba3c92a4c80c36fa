//! vCPUs: which one runs this code, and data of each.

use crate::arch::current as arch;
use crossbeam_utils::CachePadded;

/// More vCPUs than this are left stopped, with a warning.
pub const MAX_CPUS: usize = 64;

/// Index of the vCPU that runs this code, from 0. Meaningful only while interrupts are masked or the thread is bound.
pub fn id() -> usize {
    arch::cpu_id()
}

/// vCPUs that run.
pub fn count() -> usize {
    arch::cpu_count()
}

/// Tells the CPU that this is a spin loop.
pub fn relax() {
    #[cfg(feature = "loom")]
    crate::model::relax();
    #[cfg(not(feature = "loom"))]
    core::hint::spin_loop();
}

/// Orders all memory accesses before it against all after it, as a device sees them that runs beside this vCPU
/// (virtio 1.2, 2.7.13.4.1). Where QEMU emulates all vCPUs in one thread, its version 7.2 translates locked instructions into
/// plain ones and MFENCE into nothing (`-d in_asm,out_asm`), though devices have a thread of their own. To read the time-stamp
/// counter it takes a spin lock, by an atomic exchange (`cpu_get_ticks` in its cpu-timers.c).
pub fn device_fence() {
    use core::sync::atomic::{Ordering, compiler_fence, fence};
    fence(Ordering::SeqCst);
    if features().emulated {
        arch::read_tsc();
        // The read says that it touches no memory.
        compiler_fence(Ordering::SeqCst);
    }
}

/// What the processor offers, read once at boot.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuFeatures {
    /// State components the kernel switches (XCR0).
    pub xcr0: u64,
    /// Bytes of a non-compacted XSAVE image with `xcr0`.
    pub xsave_size: usize,
    /// 1 GiB pages.
    pub huge_1g: bool,
    /// The local APIC's MSR interface.
    pub x2apic: bool,
    /// The local APIC fires at a TSC value.
    pub tsc_deadline: bool,
    /// RDRAND and RDSEED.
    pub rdrand: bool,
    /// See `rdrand`.
    pub rdseed: bool,
    /// WRFSBASE and RDFSBASE.
    pub fsgsbase: bool,
    /// CPUID.1:EDX, for AT_HWCAP.
    pub cpuid_1_edx: u32,
    /// Runs under KVM.
    pub kvm: bool,
    /// Runs in QEMU's own emulation, whose vCPUs may take turns in one thread.
    pub emulated: bool,
}

/// What this machine's processor offers.
pub fn features() -> &'static CpuFeatures {
    arch::features()
}

/// One value for each vCPU, each in a cache line of its own.
pub struct PerCpu<T>([CachePadded<T>; MAX_CPUS]);

impl<T> PerCpu<T> {
    /// From one value for each vCPU. In a static: `PerCpu::new([const { CachePadded::new(V) }; MAX_CPUS])`.
    pub const fn new(values: [CachePadded<T>; MAX_CPUS]) -> Self {
        Self(values)
    }

    /// This vCPU's value. Call with interrupts masked: otherwise the thread may move to another vCPU.
    pub fn get(&self) -> &T {
        &self.0[id()]
    }

    /// The value of vCPU `cpu`.
    ///
    /// # Panics
    /// If `cpu` is [`MAX_CPUS`] or more.
    pub fn of(&self, cpu: usize) -> &T {
        &self.0[cpu]
    }

    /// The values of the vCPUs that run.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0[..count()].iter().map(|value| &**value)
    }
}

pub use crossbeam_utils::CachePadded as Padded;
