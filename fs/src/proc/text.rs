//! The system's small files: memory, version, file systems.

use crate::{page_cache, tmpfs};
use alloc::{format, string::String, vec::Vec};

const PAGE_KIB: u64 = 4;

/// `/proc/meminfo`. What does not exist here is 0; free memory is honest, so `MemAvailable` is what a new program gets.
pub(super) fn memory() -> Vec<u8> {
    let frames = mm::frame::stats();
    let usage = mm::space().usage();
    let cached = page_cache::cached_pages();
    let shared = tmpfs::used_pages();
    let usable = frames.free.saturating_sub(frames.reserve);
    let anonymous_kib = usage.resident.saturating_sub(usage.resident_file) / 1024;
    let rows: [(&str, u64); 30] = [
        ("MemTotal", frames.total * PAGE_KIB),
        ("MemFree", frames.free * PAGE_KIB),
        ("MemAvailable", (usable + cached) * PAGE_KIB),
        ("Buffers", 0),
        ("Cached", (cached + shared) * PAGE_KIB),
        ("SwapCached", 0),
        ("Active", anonymous_kib),
        ("Inactive", cached * PAGE_KIB),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", anonymous_kib),
        ("Mapped", usage.resident_file / 1024),
        ("Shmem", shared * PAGE_KIB),
        ("KReclaimable", 0),
        ("Slab", 0),
        ("PageTables", usage.page_tables / 1024),
        ("CommitLimit", usage.commit_limit / 1024),
        ("Committed_AS", usage.committed / 1024),
        ("VmallocTotal", 34_359_738_367),
        ("VmallocUsed", 0),
        ("AnonHugePages", usage.huge_anonymous / 1024),
        ("ShmemHugePages", tmpfs::huge_pages() * PAGE_KIB),
        ("ShmemPmdMapped", usage.huge_object / 1024),
        ("FileHugePages", 0),
        ("FilePmdMapped", 0),
        ("Hugetlb", 0),
    ];
    let mut text = String::with_capacity(1024);
    for (name, kib) in rows {
        text += &format!("{:<16}{kib:>8} kB\n", format!("{name}:"));
    }
    text += "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\n";
    text += "Hugepagesize:       2048 kB\n";
    text.into_bytes()
}

pub(super) fn version() -> Vec<u8> {
    format!("Linux version {} (demitasse {}) (rustc) #1 SMP\n", crate::proc::RELEASE, env!("CARGO_PKG_VERSION"))
        .into_bytes()
}

pub(super) fn filesystems() -> Vec<u8> {
    b"nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\n\terofs\n".to_vec()
}

/// No controller is enabled: container-aware programs see the whole machine.
pub(super) fn cgroups() -> Vec<u8> {
    b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n".to_vec()
}

pub(super) fn kernel_command_line() -> Vec<u8> {
    let mut text = Vec::from(hal::boot_info::get().cmdline);
    text.push(b'\n');
    text
}

pub(super) fn devices() -> Vec<u8> {
    b"Character devices:\n  1 mem\n  4 tty\n  5 /dev/tty\n  5 /dev/console\n\nBlock devices:\n254 virtblk\n".to_vec()
}

pub(super) fn vmstat() -> Vec<u8> {
    let frames = mm::frame::stats();
    let usage = mm::space().usage();
    format!(
        "nr_free_pages {}\nnr_file_pages {}\nnr_shmem {}\nnr_mapped {}\npgpgin {}\npgpgout 0\npswpin 0\npswpout 0\n",
        frames.free,
        page_cache::cached_pages() + tmpfs::used_pages(),
        tmpfs::used_pages(),
        usage.resident_file / 4096,
        page_cache::pages_read() * PAGE_KIB,
    )
    .into_bytes()
}
