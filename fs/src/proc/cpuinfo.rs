//! `/proc/cpuinfo`, from CPUID.

use alloc::{format, string::String, vec::Vec};

/// A register of a CPUID leaf.
#[derive(Clone, Copy)]
enum Register {
    Ebx,
    Ecx,
    Edx,
}

use Register::{Ebx, Ecx, Edx};

/// Linux's name, leaf, register, bit.
const FLAGS: &[(&str, u32, Register, u32)] = &[
    ("fpu", 1, Edx, 0),
    ("vme", 1, Edx, 1),
    ("de", 1, Edx, 2),
    ("pse", 1, Edx, 3),
    ("tsc", 1, Edx, 4),
    ("msr", 1, Edx, 5),
    ("pae", 1, Edx, 6),
    ("mce", 1, Edx, 7),
    ("cx8", 1, Edx, 8),
    ("apic", 1, Edx, 9),
    ("sep", 1, Edx, 11),
    ("mtrr", 1, Edx, 12),
    ("pge", 1, Edx, 13),
    ("mca", 1, Edx, 14),
    ("cmov", 1, Edx, 15),
    ("pat", 1, Edx, 16),
    ("pse36", 1, Edx, 17),
    ("clflush", 1, Edx, 19),
    ("mmx", 1, Edx, 23),
    ("fxsr", 1, Edx, 24),
    ("sse", 1, Edx, 25),
    ("sse2", 1, Edx, 26),
    ("ht", 1, Edx, 28),
    ("syscall", 0x8000_0001, Edx, 11),
    ("nx", 0x8000_0001, Edx, 20),
    ("mmxext", 0x8000_0001, Edx, 22),
    ("fxsr_opt", 0x8000_0001, Edx, 25),
    ("pdpe1gb", 0x8000_0001, Edx, 26),
    ("rdtscp", 0x8000_0001, Edx, 27),
    ("lm", 0x8000_0001, Edx, 29),
    ("pni", 1, Ecx, 0),
    ("pclmulqdq", 1, Ecx, 1),
    ("ssse3", 1, Ecx, 9),
    ("fma", 1, Ecx, 12),
    ("cx16", 1, Ecx, 13),
    ("pcid", 1, Ecx, 17),
    ("sse4_1", 1, Ecx, 19),
    ("sse4_2", 1, Ecx, 20),
    ("x2apic", 1, Ecx, 21),
    ("movbe", 1, Ecx, 22),
    ("popcnt", 1, Ecx, 23),
    ("tsc_deadline_timer", 1, Ecx, 24),
    ("aes", 1, Ecx, 25),
    ("xsave", 1, Ecx, 26),
    ("avx", 1, Ecx, 28),
    ("f16c", 1, Ecx, 29),
    ("rdrand", 1, Ecx, 30),
    ("hypervisor", 1, Ecx, 31),
    ("lahf_lm", 0x8000_0001, Ecx, 0),
    ("svm", 0x8000_0001, Ecx, 2),
    ("cr8_legacy", 0x8000_0001, Ecx, 4),
    ("abm", 0x8000_0001, Ecx, 5),
    ("sse4a", 0x8000_0001, Ecx, 6),
    ("misalignsse", 0x8000_0001, Ecx, 7),
    ("3dnowprefetch", 0x8000_0001, Ecx, 8),
    ("fsgsbase", 7, Ebx, 0),
    ("bmi1", 7, Ebx, 3),
    ("avx2", 7, Ebx, 5),
    ("smep", 7, Ebx, 7),
    ("bmi2", 7, Ebx, 8),
    ("erms", 7, Ebx, 9),
    ("invpcid", 7, Ebx, 10),
    ("mpx", 7, Ebx, 14),
    ("avx512f", 7, Ebx, 16),
    ("avx512dq", 7, Ebx, 17),
    ("rdseed", 7, Ebx, 18),
    ("adx", 7, Ebx, 19),
    ("smap", 7, Ebx, 20),
    ("avx512ifma", 7, Ebx, 21),
    ("clflushopt", 7, Ebx, 23),
    ("clwb", 7, Ebx, 24),
    ("avx512cd", 7, Ebx, 28),
    ("sha_ni", 7, Ebx, 29),
    ("avx512bw", 7, Ebx, 30),
    ("avx512vl", 7, Ebx, 31),
    ("avx512vbmi", 7, Ecx, 1),
    ("umip", 7, Ecx, 2),
    ("pku", 7, Ecx, 3),
    ("avx512_vbmi2", 7, Ecx, 6),
    ("gfni", 7, Ecx, 8),
    ("vaes", 7, Ecx, 9),
    ("vpclmulqdq", 7, Ecx, 10),
    ("avx512_vnni", 7, Ecx, 11),
    ("avx512_bitalg", 7, Ecx, 12),
    ("avx512_vpopcntdq", 7, Ecx, 14),
    ("rdpid", 7, Ecx, 22),
    ("fsrm", 7, Edx, 4),
    ("serialize", 7, Edx, 14),
    ("constant_tsc", 0x8000_0007, Edx, 8),
    ("nonstop_tsc", 0x8000_0007, Edx, 8),
    ("clzero", 0x8000_0008, Ebx, 0),
];

fn leaf(number: u32) -> raw_cpuid::CpuIdResult {
    raw_cpuid::native_cpuid::cpuid_count(number, 0)
}

/// The leaf, or zeros when the processor has none of this number.
fn leaf_if_any(number: u32) -> raw_cpuid::CpuIdResult {
    if number <= leaf(number & 0x8000_0000).eax {
        leaf(number)
    } else {
        raw_cpuid::CpuIdResult { eax: 0, ebx: 0, ecx: 0, edx: 0 }
    }
}

fn flags() -> String {
    let mut text = String::new();
    let mut at = (u32::MAX, raw_cpuid::CpuIdResult { eax: 0, ebx: 0, ecx: 0, edx: 0 });
    for &(name, number, register, bit) in FLAGS {
        if at.0 != number {
            at = (number, leaf_if_any(number));
        }
        let value = match register {
            Ebx => at.1.ebx,
            Ecx => at.1.ecx,
            Edx => at.1.edx,
        };
        if value >> bit & 1 == 1 {
            text += name;
            text.push(' ');
        }
    }
    text
}

fn letters(registers: &[u32]) -> String {
    let bytes: Vec<u8> = registers.iter().flat_map(|register| register.to_le_bytes()).collect();
    String::from(String::from_utf8_lossy(&bytes).trim_matches(['\0', ' ']))
}

fn brand() -> String {
    let parts = [0x8000_0002, 0x8000_0003, 0x8000_0004].map(leaf_if_any);
    letters(&parts.iter().flat_map(|part| [part.eax, part.ebx, part.ecx, part.edx]).collect::<Vec<_>>())
}

/// The time-stamp counter's rate in kHz.
fn tsc_khz() -> u64 {
    let clock = hal::clock::tsc_params();
    if clock.mult == 0 {
        return 0;
    }
    ((1_000_000u128 << clock.shift) / u128::from(clock.mult)) as u64
}

pub(super) fn cpuinfo() -> Vec<u8> {
    let vendor = leaf(0);
    let signature = leaf(1).eax;
    let base_family = signature >> 8 & 0xf;
    let family = if base_family == 0xf { base_family + (signature >> 20 & 0xff) } else { base_family };
    let model =
        (signature >> 4 & 0xf) + if base_family == 6 || base_family == 0xf { (signature >> 16 & 0xf) << 4 } else { 0 };
    let sizes = leaf_if_any(0x8000_0008).eax;
    let clflush = (leaf(1).ebx >> 8 & 0xff) * 8;
    let khz = tsc_khz();
    let flags = flags();
    let count = hal::cpu::count();
    let mut text = String::with_capacity(count * (flags.len() + 512));
    for cpu in 0..count {
        text += &format!("processor\t: {cpu}\nvendor_id\t: {}\n", letters(&[vendor.ebx, vendor.edx, vendor.ecx]));
        text += &format!("cpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: {}\n", brand());
        text += &format!("stepping\t: {}\nmicrocode\t: 0x1\n", signature & 0xf);
        text += &format!("cpu MHz\t\t: {}.{:03}\ncache size\t: 512 KB\n", khz / 1000, khz % 1000);
        text += &format!("physical id\t: 0\nsiblings\t: {count}\ncore id\t\t: {cpu}\ncpu cores\t: {count}\n");
        text += &format!("apicid\t\t: {cpu}\ninitial apicid\t: {cpu}\nfpu\t\t: yes\nfpu_exception\t: yes\n");
        text += &format!("cpuid level\t: {}\nwp\t\t: yes\nflags\t\t: {}\nbugs\t\t:\n", vendor.eax, flags.trim_end());
        text += &format!("bogomips\t: {}.{:02}\nclflush size\t: {clflush}\n", khz / 500, khz / 5 % 100);
        text += &format!(
            "cache_alignment\t: {clflush}\naddress sizes\t: {} bits physical, {} bits virtual\n",
            sizes & 0xff,
            sizes >> 8 & 0xff
        );
        text += "power management:\n\n";
    }
    text.into_bytes()
}
