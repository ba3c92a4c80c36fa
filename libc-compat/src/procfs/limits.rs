//! /proc/PID/limits (getrlimit(2); `proc_pid_limits` of Linux 6.1).

use alloc::{string::String, vec::Vec};
use core::fmt::Write;

/// Name and unit in the order of the RLIMIT_ constants, which is that of the file.
const ROWS: [(&str, &str); 16] = [
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

/// The whole file from soft and hard limits; `u64::MAX` is none.
pub fn render(limits: impl Iterator<Item = (u64, u64)>) -> Vec<u8> {
    let mut out = String::with_capacity(17 * 80);
    let _ = writeln!(out, "{:<25} {:<20} {:<20} {:<10}", "Limit", "Soft Limit", "Hard Limit", "Units");
    for ((name, unit), (soft, hard)) in ROWS.iter().zip(limits) {
        let _ = write!(out, "{name:<25} {:<20} {:<20} ", value(soft), value(hard));
        if !unit.is_empty() {
            let _ = write!(out, "{unit:<10}");
        }
        out.push('\n');
    }
    out.into_bytes()
}

fn value(limit: u64) -> String {
    if limit == u64::MAX { String::from("unlimited") } else { alloc::format!("{limit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_hosts_linux() {
        let host = std::fs::read_to_string("/proc/self/limits").unwrap();
        let number = |s: &str| s.trim().parse().unwrap_or(u64::MAX);
        let limits = host.lines().skip(1).map(|line| (number(&line[26..46]), number(&line[47..67])));
        assert_eq!(String::from_utf8(render(limits)).unwrap(), host);
    }
}
