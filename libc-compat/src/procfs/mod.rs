//! /proc/PID of the one process: what [`fs::proc`] asks for through its traits, answered from [`Process`] and `mm`.
//!
//! The formats are those of Linux 6.1, byte for byte where programs parse them; each has a file here. What Linux counts and nothing here
//! does (input and output per process, major faults) shows 0.

pub mod limits;
pub mod maps;
pub mod smaps;
pub mod stat;
pub mod status;
mod view;

pub use view::Processes;

use crate::process::Process;
use core::ops::Range;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// Major part of a device number as `fs` keeps it.
pub fn major(device: u64) -> u64 {
    device >> 8
}

/// Minor part of a device number as `fs` keeps it.
pub fn minor(device: u64) -> u64 {
    device & 0xff
}

/// Where the parts of the program lie, for stat and status.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// The program's text.
    pub code: Range<u64>,
    /// The program's data and bss.
    pub data: Range<u64>,
    /// Initial stack pointer.
    pub stack_start: u64,
    /// The argument strings on the initial stack.
    pub args: Range<u64>,
    /// The environment strings on the initial stack.
    pub env: Range<u64>,
}

/// What a process can set about itself by writing to its files in /proc; kept, without effect.
pub struct Settings {
    coredump_filter: AtomicU32,
    oom_score_adj: AtomicI32,
}

/// coredump_filter's default: private and shared anonymous memory, ELF headers, huge pages.
const COREDUMP_FILTER: u32 = 0x33;
/// Bits that coredump_filter has.
const COREDUMP_FILTER_MASK: u32 = 0x1ff;

impl Settings {
    /// What Linux starts with.
    pub const fn new() -> Self {
        Self { coredump_filter: AtomicU32::new(COREDUMP_FILTER), oom_score_adj: AtomicI32::new(0) }
    }
    fn set_coredump_filter(&self, value: u32) {
        self.coredump_filter.store(value & COREDUMP_FILTER_MASK, Ordering::Relaxed);
    }
    fn coredump_filter(&self) -> u32 {
        self.coredump_filter.load(Ordering::Relaxed)
    }
    fn set_oom_score_adj(&self, value: i32) {
        self.oom_score_adj.store(value, Ordering::Relaxed);
    }
    fn oom_score_adj(&self) -> i32 {
        self.oom_score_adj.load(Ordering::Relaxed)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

/// `proc(5)` comm of a thread: at most 15 bytes.
fn name_of(thread: &sched::Thread) -> alloc::string::String {
    thread.name()
}

/// Strings, each with its NUL: cmdline, environ.
fn joined(strings: &[alloc::vec::Vec<u8>]) -> alloc::vec::Vec<u8> {
    let mut out = alloc::vec::Vec::with_capacity(strings.iter().map(|s| s.len() + 1).sum());
    for string in strings {
        out.extend_from_slice(string);
        out.push(0);
    }
    out
}

/// Bytes of program text, and of all other executable file mappings.
fn text_bytes(process: &Process, usage: &mm::Usage) -> (u64, u64) {
    let code = &process.program.layout.code;
    let program = hal::addr::VirtAddr(code.end).align_up(hal::addr::PAGE_SIZE).0
        - hal::addr::VirtAddr(code.start).align_down(hal::addr::PAGE_SIZE).0;
    (program, usage.exec.saturating_sub(program))
}
