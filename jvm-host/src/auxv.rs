//! The auxiliary vector: what the kernel tells the C library about the machine and the program (getauxval(3)).

use alloc::vec::Vec;

/// Type and value.
pub type AuxEntry = (u64, u64);

pub const AT_NULL: u64 = 0;
pub const AT_PHDR: u64 = 3;
pub const AT_PHENT: u64 = 4;
pub const AT_PHNUM: u64 = 5;
pub const AT_PAGESZ: u64 = 6;
pub const AT_BASE: u64 = 7;
pub const AT_FLAGS: u64 = 8;
pub const AT_ENTRY: u64 = 9;
pub const AT_UID: u64 = 11;
pub const AT_EUID: u64 = 12;
pub const AT_GID: u64 = 13;
pub const AT_EGID: u64 = 14;
pub const AT_PLATFORM: u64 = 15;
pub const AT_HWCAP: u64 = 16;
pub const AT_CLKTCK: u64 = 17;
pub const AT_SECURE: u64 = 23;
pub const AT_RANDOM: u64 = 25;
pub const AT_HWCAP2: u64 = 26;
pub const AT_EXECFN: u64 = 31;
pub const AT_SYSINFO_EHDR: u64 = 33;
pub const AT_MINSIGSTKSZ: u64 = 51;

/// AT_HWCAP2: RDFSBASE and WRFSBASE may be used (CR4.FSGSBASE).
const HWCAP2_FSGSBASE: u64 = 1 << 1;
/// Clock ticks a second in times(2) and /proc (sysconf(_SC_CLK_TCK)); fixed in the ABI.
const CLOCK_TICKS: u64 = 100;

/// What differs from machine to machine and from program to program.
#[derive(Clone, Copy, Debug)]
pub struct AuxInput {
    /// Where the vDSO's ELF header is mapped; none: the C library uses system calls.
    pub vdso: Option<u64>,
    /// Bytes that a signal frame can take (AT_MINSIGSTKSZ).
    pub signal_frame_len: u64,
    /// CPUID.1:EDX.
    pub cpuid_1_edx: u32,
    /// CR4.FSGSBASE is set.
    pub fsgsbase: bool,
    /// Address of the program headers in memory, 0 if they are in no segment.
    pub headers: u64,
    pub header_count: u64,
    /// Load bias of the dynamic loader, 0 without one.
    pub interpreter_base: u64,
    /// Entry point of the program itself.
    pub entry: u64,
}

/// Everything except AT_RANDOM, AT_EXECFN and AT_PLATFORM, whose values are addresses that `stack` knows. The order is that of
/// Linux 6.1. The AT_RSEQ entries stay out as long as rseq(2) is refused.
pub fn entries(input: &AuxInput) -> Vec<AuxEntry> {
    let mut out = Vec::with_capacity(20);
    out.extend(input.vdso.map(|address| (AT_SYSINFO_EHDR, address)));
    out.extend([
        (AT_MINSIGSTKSZ, input.signal_frame_len),
        (AT_HWCAP, u64::from(input.cpuid_1_edx)),
        (AT_PAGESZ, hal::addr::PAGE_SIZE),
        (AT_CLKTCK, CLOCK_TICKS),
        (AT_PHDR, input.headers),
        (AT_PHENT, crate::elf::PROGRAM_HEADER_LEN as u64),
        (AT_PHNUM, input.header_count),
        (AT_BASE, input.interpreter_base),
        (AT_FLAGS, 0),
        (AT_ENTRY, input.entry),
        (AT_UID, 0),
        (AT_EUID, 0),
        (AT_GID, 0),
        (AT_EGID, 0),
        (AT_SECURE, 0),
        (AT_HWCAP2, if input.fsgsbase { HWCAP2_FSGSBASE } else { 0 }),
    ]);
    out
}
