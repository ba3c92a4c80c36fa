//! What the processor offers, and the control registers that make every vCPU alike before it runs a thread.

use super::pio;
use crate::cpu::CpuFeatures;
use crate::sync::Once;
use core::arch::asm;
use raw_cpuid::{CpuId, CpuIdReaderNative, Hypervisor};

static FEATURES: Once<CpuFeatures> = Once::new();

/// What the processor offers.
pub fn features() -> &'static CpuFeatures {
    FEATURES.call_once(read)
}

/// State components that the kernel switches: x87, SSE, AVX and AVX-512 (SDM volume 1, 13.1).
const XCR0_WANTED: u64 = 0b1110_0111;

fn read() -> CpuFeatures {
    let cpuid = CpuId::with_cpuid_reader(CpuIdReaderNative);
    let basic = cpuid.get_feature_info();
    let extended = cpuid.get_extended_feature_info();
    let state = cpuid.get_extended_state_info();
    let offered =
        state.as_ref().map_or(3, |state| state.xcr0_supports_legacy_x87() as u64 | (raw_xcr0_low() & XCR0_WANTED));
    // AVX-512 comes as three components or not at all; so does AVX below it.
    let mut xcr0 = 3 | offered & 4;
    if offered & 0b1110_0100 == 0b1110_0100 {
        xcr0 |= 0b1110_0000;
    }
    let has = |test: fn(&raw_cpuid::FeatureInfo) -> bool| basic.as_ref().is_some_and(test);
    let host = cpuid.get_hypervisor_info().map(|info| info.identify());
    CpuFeatures {
        xcr0,
        xsave_size: xsave_size(xcr0),
        huge_1g: cpuid.get_extended_processor_and_feature_identifiers().is_some_and(|info| info.has_1gib_pages()),
        x2apic: has(|info| info.has_x2apic()),
        tsc_deadline: has(|info| info.has_tsc_deadline()),
        rdrand: has(|info| info.has_rdrand()),
        rdseed: extended.as_ref().is_some_and(|info| info.has_rdseed()),
        fsgsbase: extended.as_ref().is_some_and(|info| info.has_fsgsbase()),
        cpuid_1_edx: raw_cpuid::native_cpuid::cpuid_count(1, 0).edx,
        kvm: host == Some(Hypervisor::KVM),
        emulated: host == Some(Hypervisor::QEMU),
    }
}

fn raw_xcr0_low() -> u64 {
    raw_cpuid::native_cpuid::cpuid_count(0xd, 0).eax.into()
}

/// Bytes of a non-compacted XSAVE image with components `xcr0`: CPUID leaf 0xD gives each component's place.
fn xsave_size(xcr0: u64) -> usize {
    crate::context::xsave_image_size(xcr0, |component| {
        let leaf = raw_cpuid::native_cpuid::cpuid_count(0xd, component);
        (leaf.ebx, leaf.eax)
    })
}

const CR0_CLEAR: u64 = 1 << 2 | 1 << 3 | 1 << 18; // EM, TS, AM
const CR0_SET: u64 = 1 << 1 | 1 << 5 | 1 << 16; // MP, NE, WP
const CR4_PAE: u64 = 1 << 5;
const CR4_PGE: u64 = 1 << 7;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_FSGSBASE: u64 = 1 << 16;
const CR4_OSXSAVE: u64 = 1 << 18;
const MSR_EFER: u32 = 0xc000_0080;
/// SCE, LME, NXE. LMA is read-only.
const EFER: u64 = 1 << 0 | 1 << 8 | 1 << 11;

/// Sets this vCPU's control registers to the one state that all have: no SMEP, SMAP, CET, LA57 or protection keys,
/// write protection in ring 0, and the extended state that `features` names.
pub fn init_control_registers() {
    let features = features();
    let mut cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    if features.fsgsbase {
        cr4 |= CR4_FSGSBASE;
    }
    // SAFETY: long mode stays on (PAE, LME kept); nothing below depends on the bits that are cleared.
    unsafe {
        let mut cr0: u64;
        asm!("mov {}, cr0", out(reg) cr0, options(nostack, preserves_flags));
        cr0 = cr0 & !CR0_CLEAR | CR0_SET;
        asm!("mov cr0, {}", in(reg) cr0, options(nostack, preserves_flags));
        asm!("mov cr4, {}", in(reg) cr4, options(nostack, preserves_flags));
        asm!("xsetbv", in("ecx") 0, in("eax") features.xcr0 as u32, in("edx") (features.xcr0 >> 32) as u32,
             options(nostack, preserves_flags));
        write_msr(MSR_EFER, EFER);
    }
}

/// Reads a model-specific register.
///
/// # Safety
/// The register exists.
pub unsafe fn read_msr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller's duty.
    unsafe { asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The register exists, and the value is one that the rest of hal expects there.
pub unsafe fn write_msr(msr: u32, value: u64) {
    // SAFETY: the caller's duty.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nostack, preserves_flags))
    };
}

/// Masks the two legacy interrupt controllers for good, with their vectors out of the exceptions' way (8259A data
/// sheet): they may still raise spurious interrupts.
pub fn mask_legacy_pic() {
    let commands: [(u16, u8); 10] = [
        (0x20, 0x11),
        (0xa0, 0x11),
        (0x21, 0x20),
        (0xa1, 0x28),
        (0x21, 4),
        (0xa1, 2),
        (0x21, 1),
        (0xa1, 1),
        (0x21, 0xff),
        (0xa1, 0xff),
    ];
    for (port, value) in commands {
        // SAFETY: the legacy controllers are hal's own.
        unsafe { pio::outb(port, value) };
    }
}
