//! Statistics, for /proc, and the observation behind the deadlock rule.

mod load;

use crate::{ThreadRef, machine, registry, timer};
use alloc::vec::Vec;
use hal::sync::SpinLock;

pub use load::SCALE as LOAD_SCALE;

/// One vCPU's time, in nanoseconds, and counts, up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStat {
    /// In application threads, their system calls too.
    pub user_ns: u64,
    /// In kernel threads.
    pub system_ns: u64,
    /// In the idle thread, mostly halted.
    pub idle_ns: u64,
    /// Context switches.
    pub switches: u64,
}

/// Living threads in order of their ids, idle threads left out.
pub fn threads() -> Vec<ThreadRef> {
    registry::all()
}

/// How many threads live, idle threads left out.
pub fn thread_count() -> usize {
    registry::count()
}

/// The living thread `id`.
pub fn thread(id: u32) -> Option<ThreadRef> {
    registry::get(id)
}

/// One entry a running vCPU. All zero on the host.
pub fn cpus() -> Vec<CpuStat> {
    (0..hal::cpu::count()).map(machine::cpu_stat).collect()
}

/// Context switches of all vCPUs.
pub fn context_switches() -> u64 {
    (0..hal::cpu::count()).map(|cpu| machine::cpu_stat(cpu).switches).sum()
}

/// Threads made since boot.
pub fn threads_created() -> u64 {
    registry::created()
}

/// Threads that run or could run now.
pub fn runnable() -> usize {
    machine::runnable()
}

/// Load averages over 1, 5 and 15 minutes, in units of 1/[`LOAD_SCALE`]. Made when asked for, from the exact number of
/// runnable threads over time, since there is no periodic tick to sample it.
pub fn load_average() -> [u64; 3] {
    static STATE: SpinLock<load::LoadAverage> = SpinLock::new(load::LoadAverage::new());
    STATE.lock().update(hal::clock::now_ns(), machine::load_integral_ns())
}

/// `hook` is called each time a vCPU is about to halt, interrupts on, in its idle thread, maybe on another's stack: it must not
/// block, and is short, since work waits for its end.
pub fn idle_hook(hook: fn()) {
    machine::set_idle_hook(hook);
}

/// `work` is called by a vCPU that has nothing to run, as [`idle_hook`]'s, and again and again instead of a halt while it says
/// that there is more to do. A little at a time: work that waits on another vCPU is found only between two calls.
pub fn idle_work(work: fn() -> bool) {
    machine::set_idle_work(work);
}

/// `before` runs right before a vCPU halts, `after` right after, both with interrupts masked: `mm` spares halted vCPUs
/// the translation flushes. Interrupt handlers that end the halt run in between, but no thread does: `after` is also called
/// when such a handler ends in a switch to one, so it may come twice for one halt, or without one.
pub fn around_halt(before: fn(), after: fn()) {
    machine::set_around_halt(before, after);
}

/// Whether every application thread is in an untimed futex wait and no application timer is armed (false when there is no
/// application thread). With no descriptor or signal to come from outside, which the caller knows, nothing can wake them
/// any more. Never true by accident; may be false when threads move at this very moment: ask again later.
pub fn all_blocked_forever() -> bool {
    let none_can_wake = || {
        registry::every_application_thread(|thread| thread.park.is_forever()).is_some_and(|threads| threads > 0)
            && !timer::application_armed()
    };
    // One look is not enough: a thread seen waiting may be woken by one that is looked at later, when that waits too. A
    // thread that was woken after the first look either is seen awake by the second, or has passed through the
    // scheduler, which counts, before it waits again.
    let before = machine::passes();
    none_can_wake() && none_can_wake() && machine::passes() == before
}
