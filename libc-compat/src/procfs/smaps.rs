//! /proc/PID/smaps and smaps_rollup: how much of each area is resident (proc(5), `__show_smap` of Linux 6.1).
//!
//! There is one process, so every resident page is its own: Pss equals Rss, and "shared" means pages of files.

use alloc::{string::String, vec::Vec};
use core::{fmt::Write, ops::Range};

use fs::FsResult;
use mm::space::Residence;
use mm::{AreaInfo, HugePolicy, Protection, Sharing};

use super::maps;

/// The whole of smaps. `residence` asks mm about a range.
pub fn render(areas: &[AreaInfo], residence: impl Fn(Range<u64>) -> Residence) -> FsResult<Vec<u8>> {
    let mut out = maps::text_for(areas, 900)?;
    for area in areas {
        maps::line(&mut out, area);
        let size_kib = (area.end - area.start) >> 10;
        let _ =
            write!(out, "Size:           {size_kib:8} kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n");
        counters(&mut out, &Tally::of(area, &residence(area.start..area.end)), false);
        let _ = writeln!(out, "THPeligible:    {}", u8::from(huge_eligible(area)));
        out.push_str("VmFlags: ");
        flags(&mut out, area);
        out.push('\n');
    }
    Ok(out.into_bytes())
}

/// The whole of smaps_rollup.
pub fn rollup(areas: &[AreaInfo], residence: impl Fn(Range<u64>) -> Residence) -> Vec<u8> {
    let mut out = String::new();
    let mut sum = Tally::default();
    for area in areas {
        sum.add(&Tally::of(area, &residence(area.start..area.end)));
    }
    let (start, end) = (areas.first().map_or(0, |a| a.start), areas.last().map_or(0, |a| a.end));
    let range = alloc::format!("{start:08x}-{end:08x} ---p 00000000 00:00 0");
    let _ = writeln!(out, "{range:<width$}[rollup]", width = maps::NAME_COLUMN);
    counters(&mut out, &sum, true);
    out.into_bytes()
}

/// Sums in bytes.
#[derive(Clone, Copy, Default)]
struct Tally {
    resident: u64,
    dirty: u64,
    anonymous: u64,
    file: u64,
    shmem: u64,
    referenced: u64,
    huge: u64,
    huge_shmem: u64,
}

impl Tally {
    fn of(area: &AreaInfo, r: &Residence) -> Self {
        let other = r.resident - r.anonymous;
        let in_memory = area.backing.as_ref().is_some_and(|b| !b.tracks_dirty());
        Tally {
            resident: r.resident,
            dirty: r.dirty,
            anonymous: r.anonymous,
            file: if in_memory { 0 } else { other },
            shmem: if in_memory { other } else { 0 },
            referenced: r.referenced,
            huge: r.huge,
            huge_shmem: r.huge_object,
        }
    }
    fn add(&mut self, other: &Tally) {
        self.resident += other.resident;
        self.dirty += other.dirty;
        self.anonymous += other.anonymous;
        self.file += other.file;
        self.shmem += other.shmem;
        self.referenced += other.referenced;
        self.huge += other.huge;
        self.huge_shmem += other.huge_shmem;
    }
}

fn counters(out: &mut String, t: &Tally, rollup: bool) {
    let clean = t.resident - t.dirty.min(t.resident);
    let mut put = |name: &str, bytes: u64| {
        // The names are padded to 16 columns, the numbers to 8; one name is a column longer.
        let _ = writeln!(out, "{name:<16}{:>width$} kB", bytes >> 10, width = 24 - name.len().max(16));
    };
    put("Rss:", t.resident);
    put("Pss:", t.resident);
    put("Pss_Dirty:", t.dirty);
    if rollup {
        put("Pss_Anon:", t.anonymous);
        put("Pss_File:", t.file);
        put("Pss_Shmem:", t.shmem);
    }
    put("Shared_Clean:", 0);
    put("Shared_Dirty:", 0);
    put("Private_Clean:", clean);
    put("Private_Dirty:", t.dirty);
    put("Referenced:", t.referenced);
    put("Anonymous:", t.anonymous);
    put("LazyFree:", 0);
    put("AnonHugePages:", t.huge);
    put("ShmemPmdMapped:", t.huge_shmem);
    put("FilePmdMapped:", 0);
    put("Shared_Hugetlb:", 0);
    put("Private_Hugetlb:", 0);
    put("Swap:", 0);
    put("SwapPss:", 0);
    put("Locked:", 0);
}

fn huge_eligible(area: &AreaInfo) -> bool {
    const HUGE: u64 = hal::addr::HUGE_PAGE_SIZE;
    area.backing.is_none() && !area.stack && area.start.next_multiple_of(HUGE) + HUGE <= area.end
}

/// The two-letter flags, in the order of Linux's table. Every area may get every permission back except where the object forbids it,
/// which AreaInfo does not tell: shared areas show the write permission only when they have it.
fn flags(out: &mut String, area: &AreaInfo) {
    let shared = area.sharing == Sharing::Shared;
    let has = |p| area.prot.contains(p);
    for (set, name) in [
        (has(Protection::READ), "rd"),
        (has(Protection::WRITE), "wr"),
        (has(Protection::EXEC), "ex"),
        (shared, "sh"),
        (true, "mr"),
        (!shared || has(Protection::WRITE), "mw"),
        (true, "me"),
        (shared, "ms"),
        (area.name == Some("[stack]"), "gd"),
        (area.accounted, "ac"),
        (area.no_reserve, "nr"),
        (area.huge == HugePolicy::Always, "hg"),
        (area.huge == HugePolicy::Never && !area.stack, "nh"),
    ] {
        if set {
            out.push_str(name);
            out.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(line: &str) -> (String, usize) {
        let name = line.split(':').next().unwrap();
        (String::from(name), line.len())
    }

    #[test]
    fn names_and_widths_are_those_of_the_hosts_linux() {
        let areas = [AreaInfo {
            start: 0x1000,
            end: 0x3000,
            prot: Protection::READ,
            sharing: Sharing::Private,
            backing: None,
            offset: 0,
            name: None,
            accounted: true,
            stack: false,
            no_reserve: false,
            huge: HugePolicy::Always,
        }];
        let ours = String::from_utf8(rollup(&areas, |_| Residence::default())).unwrap();
        let host = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        // Newer kernels than 6.1 add KSM.
        let host: Vec<_> = host.lines().skip(1).filter(|l| !l.starts_with("KSM")).map(normal).collect();
        let mine: Vec<_> = ours.lines().skip(1).map(normal).collect();
        assert_eq!(mine, host);
        assert_eq!(ours.lines().next().unwrap().find("[rollup]"), Some(73));
        let smaps = String::from_utf8(render(&areas, |_| Residence::default()).unwrap()).unwrap();
        assert!(smaps.starts_with("00001000-00003000 r--p"));
        assert!(smaps.contains("\nSize:                  8 kB\nKernelPageSize:        4 kB\n"));
        assert!(smaps.ends_with("\nTHPeligible:    0\nVmFlags: rd mr mw me ac hg \n"));
    }
}
