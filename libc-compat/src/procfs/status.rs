//! /proc/PID/status and /proc/PID/task/TID/status (proc(5), `proc_pid_status` of Linux 6.1).

use alloc::{string::String, vec::Vec};
use core::fmt::Write;

/// Every capability that Linux 6.1 knows: the application is root.
pub const ALL_CAPABILITIES: u64 = 0x1ff_ffff_ffff;

/// What the file shows.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// At most 15 bytes.
    pub name: String,
    /// umask(2).
    pub umask: u32,
    /// R, S, D, T, Z.
    pub state: char,
    /// The process's id.
    pub process: u32,
    /// The thread's id.
    pub thread: u32,
    /// Room in the descriptor table.
    pub fd_table_len: usize,
    /// Totals of the address space.
    pub usage: mm::Usage,
    /// Text of the program, in bytes.
    pub program_text: u64,
    /// Text of its libraries, in bytes.
    pub library_text: u64,
    /// Living threads.
    pub threads: usize,
    /// Soft RLIMIT_SIGPENDING.
    pub queued_signals_max: u64,
    /// Signal sets; bit 0 is signal 1.
    pub thread_pending: u64,
    /// Pending for the whole process.
    pub process_pending: u64,
    /// Blocked signals.
    pub blocked: u64,
    /// Ignored signals.
    pub ignored: u64,
    /// Signals with a handler.
    pub caught: u64,
    /// vCPUs it may run on.
    pub allowed_cpus: u64,
    /// vCPUs of the machine.
    pub cpu_count: usize,
    /// Switches because it waited.
    pub voluntary_switches: u64,
    /// Switches because its time was up.
    pub involuntary_switches: u64,
}

fn state_name(state: char) -> &'static str {
    match state {
        'R' => "running",
        'D' => "disk sleep",
        'T' => "stopped",
        'Z' => "zombie",
        _ => "sleeping",
    }
}

/// The whole file.
pub fn render(s: &Status) -> Vec<u8> {
    let mut out = String::with_capacity(1600);
    identity(&mut out, s);
    memory(&mut out, s);
    signals(&mut out, s);
    let _ = write!(
        out,
        "NoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\nSpeculation_Store_Bypass:\tvulnerable\n\
         SpeculationIndirectBranch:\talways enabled\nCpus_allowed:\t{}\nCpus_allowed_list:\t{}\nMems_allowed:\t1\n\
         Mems_allowed_list:\t0\nvoluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n",
        cpu_mask(s.allowed_cpus, s.cpu_count),
        cpu_list(s.allowed_cpus),
        s.voluntary_switches,
        s.involuntary_switches,
    );
    out.into_bytes()
}

fn identity(out: &mut String, s: &Status) {
    let (process, thread) = (s.process, s.thread);
    let _ = write!(
        out,
        "Name:\t{}\nUmask:\t{:04o}\nState:\t{} ({})\nTgid:\t{process}\nNgid:\t0\nPid:\t{thread}\nPPid:\t0\nTracerPid:\t0\n\
         Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t{}\nGroups:\t \n\
         NStgid:\t{process}\nNSpid:\t{thread}\nNSpgid:\t{process}\nNSsid:\t{process}\n",
        escaped(&s.name),
        s.umask,
        s.state,
        state_name(s.state),
        s.fd_table_len,
    );
}

fn memory(out: &mut String, s: &Status) {
    let u = &s.usage;
    for (name, bytes) in [
        ("VmPeak", u.virtual_peak),
        ("VmSize", u.virtual_bytes),
        ("VmLck", 0),
        ("VmPin", 0),
        ("VmHWM", u.resident_peak),
        ("VmRSS", u.resident),
        ("RssAnon", u.resident.saturating_sub(u.resident_file)),
        ("RssFile", u.resident_file),
        ("RssShmem", 0),
        ("VmData", u.data),
        ("VmStk", u.stack),
        ("VmExe", s.program_text),
        ("VmLib", s.library_text),
        ("VmPTE", u.page_tables),
        ("VmSwap", 0),
        ("HugetlbPages", 0),
    ] {
        let _ = writeln!(out, "{name}:\t{:8} kB", bytes >> 10);
    }
}

fn signals(out: &mut String, s: &Status) {
    let _ =
        write!(out, "CoreDumping:\t0\nTHP_enabled:\t1\nThreads:\t{}\nSigQ:\t0/{}\n", s.threads, s.queued_signals_max);
    for (name, set) in [
        ("SigPnd", s.thread_pending),
        ("ShdPnd", s.process_pending),
        ("SigBlk", s.blocked),
        ("SigIgn", s.ignored),
        ("SigCgt", s.caught),
        ("CapInh", 0),
        ("CapPrm", ALL_CAPABILITIES),
        ("CapEff", ALL_CAPABILITIES),
        ("CapBnd", ALL_CAPABILITIES),
        ("CapAmb", 0),
    ] {
        let _ = writeln!(out, "{name}:\t{set:016x}");
    }
}

/// A newline or backslash in a thread's name is escaped, so that it cannot look like another line.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('\n', "\\n")
}

/// The mask in hexadecimal, in groups of 32 bits, the first only as wide as needed.
fn cpu_mask(mask: u64, cpu_count: usize) -> String {
    if cpu_count > 32 {
        let width = (cpu_count - 32).div_ceil(4);
        alloc::format!("{:0width$x},{:08x}", mask >> 32, mask & 0xffff_ffff)
    } else {
        alloc::format!("{mask:0width$x}", width = cpu_count.div_ceil(4))
    }
}

/// The mask as ranges: `0-1,4`.
pub fn cpu_list(mask: u64) -> String {
    let mut out = String::new();
    let mut cpu = 0;
    while cpu < 64 {
        let run = (mask >> cpu).trailing_ones();
        let comma = if out.is_empty() { "" } else { "," };
        let _ = match run {
            0 => Ok(()),
            1 => write!(out, "{comma}{cpu}"),
            _ => write!(out, "{comma}{cpu}-{}", cpu + run - 1),
        };
        cpu += run.max(1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_and_their_order_are_those_of_linux_6_1() {
        let host = std::fs::read_to_string("/proc/self/status").unwrap();
        let names = |text: &str| text.lines().map(|l| String::from(l.split(':').next().unwrap())).collect::<Vec<_>>();
        // Added after 6.1.
        let newer = ["Kthread", "untag_mask", "x86_Thread_features", "x86_Thread_features_locked"];
        let host: Vec<_> = names(&host).into_iter().filter(|n| !newer.contains(&n.as_str())).collect();
        let status = Status { state: 'S', cpu_count: 2, allowed_cpus: 3, ..Status::default() };
        let ours = String::from_utf8(render(&status)).unwrap();
        assert_eq!(names(&ours), host);
        assert!(ours.contains("\nVmRSS:\t       0 kB\n") && ours.contains("\nCpus_allowed:\t3\n"));
    }

    #[test]
    fn cpus_as_mask_and_list() {
        assert_eq!(cpu_list(0b1_0011), "0-1,4");
        assert_eq!(cpu_list(u64::MAX), "0-63");
        assert_eq!(cpu_list(0), "");
        assert_eq!(cpu_mask(u64::MAX, 64), "ffffffff,ffffffff");
        assert_eq!(cpu_mask(1, 5), "01");
    }
}
