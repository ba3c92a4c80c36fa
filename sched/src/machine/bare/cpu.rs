//! What each vCPU has.

use super::counters::Times;
use crate::Thread;
use crate::policy::RunQueue;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32};
use hal::cpu::{MAX_CPUS, Padded, PerCpu};
use hal::irq::{Ipi, send_ipi};
use hal::sync::SpinLock;
use hal::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// "No time" of the times below.
pub(super) const NEVER: u64 = u64::MAX;

/// One vCPU's scheduling state. Atomics outside `shared` are written by the vCPU itself, except where noted, and read
/// by others as hints.
pub(super) struct Cpu {
    /// Locked by wakers and thieves too.
    pub shared: SpinLock<Shared>,
    /// Copies of the queue's length and least virtual run time, for those who do not hold the lock.
    pub queued: AtomicUsize,
    pub min_vruntime_ns: AtomicU64,
    /// Runs when nothing else does.
    pub idle: AtomicPtr<Thread>,
    /// What the hardware timer is set to; it may fire early, for a deadline that is gone.
    pub programmed_ns: AtomicU64,
    /// Until then the queued thread is a hand-over, which no thief takes; see `place`.
    pub handover_end_ns: AtomicU64,
    /// Slices that ended while others waited; see `place::balance`.
    pub slices: AtomicU32,
    /// A reschedule interrupt is on its way. Set by senders.
    pub ipi_sent: AtomicBool,
    /// The thread that a switch leaves, and what becomes of it, from before the switch to `finish`.
    pub leaving: AtomicPtr<Thread>,
    pub leave: AtomicU8,
}

/// Under the vCPU's lock.
pub(super) struct Shared {
    pub queue: RunQueue,
    pub times: Times,
}

impl Shared {
    /// A pass through the scheduler at `now_ns`: what has run until then is charged.
    pub fn pass(&mut self, now_ns: u64) {
        self.queue.charge(now_ns);
        self.times.pass(now_ns);
    }
}

pub(super) static CPUS: PerCpu<Cpu> = PerCpu::new([const { Padded::new(Cpu::new()) }; MAX_CPUS]);

/// vCPUs that found nothing to run, a bit each. A vCPU sets its own bit before it looks for work the last time; it clears
/// it when it finds some, and a waker clears it to claim the vCPU.
pub(super) static IDLE: AtomicU64 = AtomicU64::new(0);

impl Cpu {
    /// All zeros: the 64 of them are no part of the kernel's file. `idle::init_cpu` does the rest.
    const fn new() -> Self {
        Self {
            shared: SpinLock::new(Shared { queue: RunQueue::new(), times: Times::new() }),
            queued: AtomicUsize::new(0),
            min_vruntime_ns: AtomicU64::new(0),
            idle: AtomicPtr::new(core::ptr::null_mut()),
            programmed_ns: AtomicU64::new(0),
            handover_end_ns: AtomicU64::new(0),
            slices: AtomicU32::new(0),
            ipi_sent: AtomicBool::new(false),
            leaving: AtomicPtr::new(core::ptr::null_mut()),
            leave: AtomicU8::new(0),
        }
    }

    /// After each change of the queue, under the lock.
    pub fn publish(&self, queue: &RunQueue) {
        self.queued.store(queue.len(), Ordering::Relaxed);
        self.min_vruntime_ns.store(queue.min_vruntime_ns(), Ordering::Relaxed);
    }

    /// The idle thread.
    pub fn idle_thread(&self) -> &Thread {
        // SAFETY: it is set before the vCPU's first pass through the scheduler and stays for ever.
        unsafe { &*self.idle.load(Ordering::Relaxed) }
    }

    /// Whether `thread` is this vCPU's idle thread.
    pub fn is_idle_thread(&self, thread: &Thread) -> bool {
        core::ptr::eq(self.idle.load(Ordering::Relaxed), thread)
    }
}

/// Makes vCPU `cpu`, not this one, look at its queue and its thread's work flags.
pub(super) fn poke(cpu: usize) {
    // One on its way is enough: its handler looks after it has cleared the mark.
    if !CPUS.of(cpu).ipi_sent.swap(true, Ordering::SeqCst) {
        send_ipi(cpu, Ipi::Reschedule);
    }
}

/// Claims `cpu` if it is idle: the caller gives it work or at least an interrupt.
pub(super) fn claim(cpu: usize) -> bool {
    let bit = 1 << cpu;
    IDLE.load(Ordering::Relaxed) & bit != 0 && IDLE.fetch_and(!bit, Ordering::SeqCst) & bit != 0
}

/// What one execution of a model left in the statics goes, so that the next begins like the first.
#[cfg(all(test, feature = "vcpus"))]
pub(crate) fn forget(cpu: usize) {
    use core::sync::atomic::Ordering::Relaxed;
    let cpu = CPUS.of(cpu);
    *cpu.shared.lock() = Shared { queue: RunQueue::new(), times: Times::new() };
    cpu.idle.store(core::ptr::null_mut(), Relaxed);
    cpu.slices.store(0, Relaxed);
}
