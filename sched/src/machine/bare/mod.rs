//! Threads on vCPUs.
//!
//! A thread that leaves its vCPU is `on_cpu` until its registers are saved, which the next thread does on its own stack
//! (`switch::finish`). Until then nobody else may dispatch it: a waker queues it on the vCPU that it is leaving, and
//! thieves pass it by. So no vCPU ever waits for another one's switch. It also stays `on_cpu` while its vCPU waits on its
//! stack for work (`idle::wait_here`).

mod counters;
mod cpu;
mod idle;
mod place;
mod switch;
mod tick;

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicU64};
use hal::context::Context;
use hal::stack::{self, KERNEL_STACK_PAGES, KernelStack};
use hal::sync::atomic::AtomicBool;

pub(crate) use counters::{cpu_stat, load_integral_ns, passes, runnable};
pub(crate) use idle::{init_cpu, run_idle, set_around_halt, set_idle_hook, set_idle_work};
pub(crate) use place::{interrupt, launch, make_runnable};
pub(crate) use switch::{block, current, exit, preempt, yield_now};
pub(crate) use tick::{executor, program_timer, reschedule_interrupt, timer_interrupt};
#[cfg(all(test, feature = "vcpus"))]
pub(crate) use {
    cpu::forget,
    idle::{become_idle, look_for_work, set_waits_here},
    place::queue_silently,
    switch::running,
};

/// What a thread needs to run on a vCPU.
pub(crate) struct Machine {
    context: UnsafeCell<Context>,
    /// As the provider gave it; an idle thread has the one that its vCPU started on.
    stack: KernelStack,
    /// Its context is (still) in a vCPU.
    on_cpu: AtomicBool,
    /// When it last woke another thread, 0 for "not since it last blocked"; see `place`.
    woke_at_ns: AtomicU64,
    /// How reliably it blocks right after it woke another: 0..=3.
    hands_over: AtomicU32,
    /// When it blocks and nobody else is runnable its vCPU waits on its stack; see `idle::wait_here`.
    waits_here: AtomicBool,
}

// SAFETY: the context is used by the vCPU that switches the thread only, which `on_cpu` makes one at a time.
unsafe impl Sync for Machine {}

impl Machine {
    /// A stack and a context that starts in `switch::thread_main`. `None` when memory is out.
    pub fn new(application: bool) -> Option<Self> {
        let provider = stack::provider()?;
        let stack = provider.allocate(KERNEL_STACK_PAGES)?;
        let Some(mut context) = Context::new(stack, switch::thread_main, 0, application) else {
            // SAFETY: it was just allocated and never used.
            unsafe { provider.release(stack) };
            return None;
        };
        if crate::try_current().is_some_and(|current| current.is_application()) {
            context.copy_fpu_from_current();
        }
        Some(Self::with(context, stack))
    }

    /// For the code that runs now, on the stack that hal started this vCPU on.
    pub fn idle() -> Self {
        Self::with(Context::default(), stack::boot_stack())
    }

    fn with(context: Context, stack: KernelStack) -> Self {
        Self {
            context: UnsafeCell::new(context),
            stack,
            on_cpu: AtomicBool::new(false),
            woke_at_ns: AtomicU64::new(0),
            hands_over: AtomicU32::new(0),
            waits_here: AtomicBool::new(false),
        }
    }

    /// Gives the stack back. The thread has left it for ever; called once, by `reap`.
    pub fn free_stack(&self) {
        if let Some(provider) = stack::provider() {
            // SAFETY: allocated in `new`; idle threads do not end, and others are reaped once, after their last switch.
            unsafe { provider.release(self.stack) };
        }
    }
}
