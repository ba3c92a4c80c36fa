//! /proc/PID/stat, /proc/PID/task/TID/stat and /proc/PID/statm (proc(5), `do_task_stat` of Linux 6.1).

use alloc::{string::String, vec::Vec};
use core::{fmt::Write, ops::Range};

use hal::addr::PAGE_SIZE;

/// Nanoseconds of one clock tick (USER_HZ is 100).
pub const TICK_NS: u64 = 10_000_000;

/// What the line shows, in the kernel's own units.
#[derive(Clone, Debug, Default)]
pub struct Stat {
    /// Process or thread id.
    pub id: u32,
    /// The process's id.
    pub process: u32,
    /// At most 15 bytes.
    pub name: String,
    /// R, S, D, T, Z.
    pub state: char,
    /// Faults without input.
    pub minor_faults: u64,
    /// CPU time in the application.
    pub user_ns: u64,
    /// CPU time in the kernel.
    pub system_ns: u64,
    /// Nice value.
    pub nice: i32,
    /// Living threads.
    pub threads: usize,
    /// Start, since boot.
    pub start_ns: u64,
    /// Sum of all areas.
    pub virtual_bytes: u64,
    /// Present pages.
    pub resident_bytes: u64,
    /// Soft RLIMIT_RSS.
    pub resident_limit: u64,
    /// The program's text.
    pub code: Range<u64>,
    /// The program's data and bss.
    pub data: Range<u64>,
    /// Initial stack pointer.
    pub stack_start: u64,
    /// Begin of the heap.
    pub brk_start: u64,
    /// The argument strings on the initial stack.
    pub args: Range<u64>,
    /// The environment strings on the initial stack.
    pub env: Range<u64>,
    /// Signal sets; bit 0 is signal 1.
    pub pending: u64,
    /// Blocked signals.
    pub blocked: u64,
    /// Ignored signals.
    pub ignored: u64,
    /// Signals with a handler.
    pub caught: u64,
    /// vCPU that ran it last.
    pub last_cpu: usize,
}

/// The line.
pub fn render(s: &Stat) -> Vec<u8> {
    let mut out = String::with_capacity(320);
    // The old format holds the low 31 bits of a signal set.
    let set = |mask: u64| mask & 0x7fff_ffff;
    let _ = write!(out, "{} ({}) {} 0 {} {} 0 -1 4194304 ", s.id, s.name, s.state, s.process, s.process);
    let _ = write!(
        out,
        "{} 0 0 0 {} {} 0 0 {} {} {} 0 {} ",
        s.minor_faults,
        s.user_ns / TICK_NS,
        s.system_ns / TICK_NS,
        20 + s.nice,
        s.nice,
        s.threads,
        s.start_ns / TICK_NS,
    );
    let _ = write!(
        out,
        "{} {} {} {} {} {} 0 0 {} {} {} {} 0 0 0 17 {} 0 0 0 0 0 ",
        s.virtual_bytes,
        s.resident_bytes / PAGE_SIZE,
        s.resident_limit,
        s.code.start,
        s.code.end,
        s.stack_start,
        set(s.pending),
        set(s.blocked),
        set(s.ignored),
        set(s.caught),
        s.last_cpu,
    );
    let _ = writeln!(
        out,
        "{} {} {} {} {} {} {} 0",
        s.data.start, s.data.end, s.brk_start, s.args.start, s.args.end, s.env.start, s.env.end,
    );
    out.into_bytes()
}

/// /proc/PID/statm, in pages: size, resident, shared, text, 0, data and stack, 0.
pub fn statm(usage: &mm::Usage, text_bytes: u64) -> Vec<u8> {
    let pages = |bytes: u64| bytes / PAGE_SIZE;
    alloc::format!(
        "{} {} {} {} 0 {} 0\n",
        pages(usage.virtual_bytes),
        pages(usage.resident),
        pages(usage.resident_file),
        text_bytes.div_ceil(PAGE_SIZE),
        pages(usage.data + usage.stack),
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_fields_as_on_linux() {
        let stat = Stat {
            id: 7,
            process: 7,
            name: String::from("a b"),
            state: 'R',
            threads: 3,
            user_ns: 25_000_000,
            ..Stat::default()
        };
        let line = String::from_utf8(render(&stat)).unwrap();
        let host = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields = |line: &str| line.rsplit(") ").next().unwrap().split_whitespace().count();
        assert_eq!(fields(&line), fields(&host));
        let after: Vec<&str> = line.rsplit(") ").next().unwrap().split_whitespace().collect();
        assert_eq!((after[0], after[11], after[17]), ("R", "2", "3"));
        assert!(line.starts_with("7 (a b) R 0 7 7 "));
    }
}
