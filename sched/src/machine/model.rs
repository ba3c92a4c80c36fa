//! Threads on loom's, for the models of what is above this module: a parked thread is one that loom does not run. Deadlines
//! pass when the model says so ([`timer::expire`]), at any moment.

use crate::stat::CpuStat;
use crate::{CpuSet, Thread, ThreadRef};
use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};

/// loom's thread behind a thread.
pub(crate) struct Machine {
    thread: OnceLock<hal::model::Stop>,
}

impl Machine {
    /// Not started.
    pub fn new(_application: bool) -> Option<Self> {
        Some(Self::idle())
    }

    /// As [`Self::new`].
    pub fn idle() -> Self {
        Self { thread: OnceLock::new() }
    }

    /// loom's business.
    pub fn free_stack(&self) {}
}

loom::thread_local! {
    static CURRENT: OnceCell<ThreadRef> = OnceCell::new();
}

/// The running thread: what runs in a model becomes one when it asks.
pub(crate) fn current() -> *const Thread {
    CURRENT.with(|current| {
        let thread = current.get_or_init(|| {
            let thread = Arc::new(Thread::new(0, "model", None, CpuSet::ALL, None, Machine::idle()));
            thread.park.start();
            let _ = thread.machine.thread.set(hal::model::stop());
            thread
        });
        Arc::as_ptr(thread)
    })
}

pub(crate) fn block(thread: &Thread, deadline_ns: Option<u64>) -> bool {
    if let Some(deadline_ns) = deadline_ns {
        thread.sleep.arm(thread, deadline_ns);
        if hal::model::has_time_passed() {
            pass_time();
        }
    }
    while thread.park.is_parked() {
        // Other threads run on this vCPU, and so do interrupts.
        hal::model::while_blocked(|| !thread.park.is_parked());
    }
    let timed_out = deadline_ns.is_some() && thread.sleep.disarm();
    // The thread's end is that of a thread-local of loom's, too late for a lock.
    thread.sleep.forget();
    timed_out
}

/// All deadlines pass, in the interrupt of the vCPU that calls.
pub(crate) fn pass_time() {
    hal::model::pass_time();
    let _irq = hal::irq::IrqGuard::mask();
    crate::timer::expire(u64::MAX);
}

pub(crate) fn make_runnable(thread: &Thread) {
    if let Some(thread) = thread.machine.thread.get() {
        thread.notify();
    }
}

pub(crate) fn interrupt(_thread: &Thread) {}

pub(crate) fn yield_now() {
    loom::thread::yield_now();
}

pub(crate) fn passes() -> u64 {
    0
}

pub(crate) fn executor() -> usize {
    hal::cpu::id() + 1
}

pub(crate) fn program_timer(_deadline_ns: u64) {}

pub(crate) fn cpu_stat(_cpu: usize) -> CpuStat {
    CpuStat::default()
}

pub(crate) fn runnable() -> usize {
    0
}

pub(crate) fn load_integral_ns() -> u64 {
    0
}

pub(crate) fn launch(_thread: &ThreadRef) {
    unreachable!("models make loom's threads")
}

pub(crate) fn exit(_thread: ThreadRef) -> ! {
    unreachable!("models end loom's threads")
}

pub(crate) fn run_idle() -> ! {
    unreachable!("models have no idle threads")
}

pub(crate) fn set_idle_hook(_hook: fn()) {}
pub(crate) fn set_idle_work(_work: fn() -> bool) {}
pub(crate) fn set_around_halt(_before: fn(), _after: fn()) {}
pub(crate) fn timer_interrupt() {}
pub(crate) fn reschedule_interrupt() {}
pub(crate) fn preempt() {}
pub(crate) fn init_cpu() {}
