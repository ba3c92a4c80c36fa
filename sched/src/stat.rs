//! Statistics, for /proc and the deadlock rule.
use crate::ThreadRef;
use alloc::vec::Vec;

/// One vCPU's time, in nanoseconds, and counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStat {
    /// In application threads (their system calls too).
    pub user_ns: u64,
    /// In kernel threads.
    pub system_ns: u64,
    /// In the idle thread.
    pub idle_ns: u64,
    /// Context switches.
    pub switches: u64,
}
/// Living threads in order of their ids, idle threads left out.
pub fn threads() -> Vec<ThreadRef> { unimplemented!() }
/// The living thread `id`.
pub fn thread(_id: u32) -> Option<ThreadRef> { unimplemented!() }
/// One entry a running vCPU.
pub fn cpus() -> Vec<CpuStat> { unimplemented!() }
/// Context switches of all vCPUs.
pub fn context_switches() -> u64 { unimplemented!() }
/// Threads made since boot.
pub fn threads_created() -> u64 { unimplemented!() }
/// Threads that run or could run now.
pub fn runnable() -> usize { unimplemented!() }
/// Load averages over 1, 5 and 15 minutes, times 2048.
pub fn load_average() -> [u64; 3] { unimplemented!() }
/// `hook` is called each time a vCPU has nothing to run, interrupts on; it is preempted when there is.
pub fn idle_hook(_hook: fn()) { unimplemented!() }
/// Whether every application thread is in an untimed futex wait and no application timer is armed.
pub fn all_blocked_forever() -> bool { unimplemented!() }
