//! Making every vCPU drop translations.
//!
//! There is one root, so every vCPU that runs may hold any translation of the application's half. Each vCPU has a queue of
//! ranges; who changes the tables posts to all other vCPUs, interrupts those that had nothing queued, and waits with
//! interrupts on, so that it serves requests itself meanwhile. It spins for as long as an answer takes when the other vCPU
//! runs, then sleeps: where a host has fewer cores than the machine has vCPUs, who spins takes the time that the other
//! needs to answer. An idle vCPU is not disturbed: it finds a mark when it wakes and drops everything before it runs a
//! thread. A vCPU that never answers ends the run (`hal::watchdog`).

#[cfg(all(test, feature = "loom"))]
#[path = "shootdown_models.rs"]
mod models;

use hal::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

use hal::addr::{HUGE_PAGE_SIZE, PAGE_SIZE, VirtAddr};
use hal::cpu::{MAX_CPUS, Padded, PerCpu};
use hal::irq::{Ipi, IrqGuard};
use hal::sync::SpinLock;
use sched::{Interruptible, WaitQueue};

/// Looks at a target's answer before the waiter sleeps.
const SPINS: u32 = if cfg!(feature = "loom") { 1 } else { 256 };
/// More pages than this are cheaper to drop all at once.
const MAX_PAGES: u64 = 32;
/// Ranges that a queue holds before it turns into "everything".
const QUEUE: usize = 8;

/// What has to be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flush {
    start: u64,
    end: u64,
}

impl Flush {
    pub(crate) const NOTHING: Flush = Flush { start: u64::MAX, end: 0 };
    pub(crate) const EVERYTHING: Flush = Flush { start: 0, end: u64::MAX };

    /// One 4 KiB page.
    pub(crate) fn page(addr: u64) -> Self {
        Flush { start: addr & !(PAGE_SIZE - 1), end: (addr & !(PAGE_SIZE - 1)) + PAGE_SIZE }
    }

    /// Adds the translation that an entry of `level` at `addr` made.
    #[inline]
    pub(crate) fn add(&mut self, addr: u64, level: u8) {
        let len = if level == 2 { HUGE_PAGE_SIZE } else { PAGE_SIZE };
        self.start = self.start.min(addr);
        self.end = self.end.max(addr + len);
    }

    /// Adds everything, the caches of upper levels included.
    pub(crate) fn everything(&mut self) {
        *self = Flush::EVERYTHING;
    }

    fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Drops it on this vCPU.
    fn here(self) {
        if self.end - self.start > MAX_PAGES * PAGE_SIZE {
            hal::paging::flush_all();
            return;
        }
        let mut addr = self.start;
        while addr < self.end {
            hal::paging::flush_page(VirtAddr(addr));
            addr += PAGE_SIZE;
        }
    }
}

/// Ranges to drop.
struct Queue {
    ranges: [Flush; QUEUE],
    count: usize,
}

/// One vCPU's part.
struct Target {
    queue: SpinLock<Queue>,
    /// Requests ever queued; changed under the queue's lock.
    posted: AtomicU64,
    /// Requests ever done.
    served: AtomicU64,
    /// Threads that wait for `served`.
    waiters: WaitQueue,
    /// ACTIVE, IDLE or STALE.
    state: AtomicU32,
}

/// Runs threads: must be interrupted.
const ACTIVE: u32 = 0;
/// Halted in the kernel: a mark is enough.
const IDLE: u32 = 1;
/// Halted, and marked.
const STALE: u32 = 2;

impl Target {
    const fn new() -> Self {
        Target {
            // Zeros, so that 64 of these take no place in the kernel file.
            queue: SpinLock::new(Queue { ranges: [Flush { start: 0, end: 0 }; QUEUE], count: 0 }),
            posted: AtomicU64::new(0),
            served: AtomicU64::new(0),
            waiters: WaitQueue::new(),
            state: AtomicU32::new(ACTIVE),
        }
    }

    /// Marks an idle vCPU. False: it is active.
    fn mark_idle(&self) -> bool {
        match self.state.compare_exchange(IDLE, STALE, SeqCst, SeqCst) {
            Ok(_) => true,
            Err(state) => state == STALE,
        }
    }

    /// Queues a request: its number, and whether the vCPU must be interrupted.
    fn post(&self, flush: Flush) -> (u64, bool) {
        let mut queue = self.queue.lock();
        let first = queue.count == 0;
        if queue.count < QUEUE {
            let place = queue.count;
            queue.ranges[place] = flush;
            queue.count += 1;
        } else {
            queue.ranges[0] = Flush::EVERYTHING;
        }
        (self.posted.fetch_add(1, SeqCst) + 1, first)
    }

    /// Does what is queued, on the vCPU that it belongs to, with interrupts masked.
    fn serve(&self) {
        let (ranges, count, upto) = {
            let mut queue = self.queue.lock();
            let count = core::mem::take(&mut queue.count);
            (queue.ranges, count, self.posted.load(SeqCst))
        };
        let ranges = &ranges[..count];
        if ranges.contains(&Flush::EVERYTHING) {
            hal::paging::flush_all();
        } else {
            ranges.iter().for_each(|range| range.here());
        }
        // Requests finish in order: only this vCPU serves, and it is not interrupted meanwhile.
        self.served.store(upto, SeqCst);
        self.waiters.wake_all();
    }

    /// Returns when request `ticket` of vCPU `cpu`, whose target this is, is done. Interrupts are on.
    fn wait(&self, cpu: usize, ticket: u64) {
        let is_done = || self.served.load(SeqCst) >= ticket;
        for _ in 0..SPINS {
            if is_done() {
                return;
            }
            hal::cpu::relax();
        }
        let deadline = hal::clock::now_ns().saturating_add(hal::watchdog::PATIENCE_NS);
        if self.waiters.wait_until(Some(deadline), Interruptible::No, || is_done().then_some(())).is_err() {
            hal::watchdog::report_stuck(cpu);
        }
    }
}

static TARGETS: PerCpu<Target> = PerCpu::new([const { Padded::new(Target::new()) }; MAX_CPUS]);

/// Makes every vCPU drop the translations, and returns when all have. Interrupts are on and no spin lock is held
/// (unless only one vCPU runs).
pub(crate) fn flush(flush: Flush) {
    if flush.is_empty() {
        return;
    }
    let count = hal::cpu::count();
    let mut waiting = [0u64; MAX_CPUS];
    {
        // This vCPU and the posts to the others in one go: the thread must not move in between.
        let _irq = IrqGuard::mask();
        flush.here();
        let me = hal::cpu::id();
        for cpu in (0..count).filter(|&cpu| cpu != me) {
            let target = TARGETS.of(cpu);
            if target.mark_idle() {
                continue;
            }
            let (ticket, interrupt) = target.post(flush);
            waiting[cpu] = ticket;
            if interrupt {
                hal::irq::send_ipi(cpu, Ipi::TlbFlush);
            }
        }
    }
    if count == 1 {
        return;
    }
    debug_assert!(hal::irq::enabled(), "waiting for a vCPU with interrupts masked");
    for (cpu, &ticket) in waiting[..count].iter().enumerate() {
        TARGETS.of(cpu).wait(cpu, ticket);
    }
}

/// Handler of `Ipi::TlbFlush`, for `hal::trap::Hooks::tlb_flush`.
pub fn serve() {
    let _irq = IrqGuard::mask();
    TARGETS.get().serve();
}

/// Before an interrupt's handler, for `hal::trap::Hooks::interrupt`: one that ended an idle vCPU's halt wakes threads, whose
/// records lie on their kernel stacks, and those may have been mapped anew since.
pub fn interrupted() {
    if TARGETS.get().state.load(Relaxed) != ACTIVE {
        leave_idle();
    }
}

/// This vCPU is about to halt and touches neither application memory nor threads' stacks until [`leave_idle`]. Interrupts
/// are masked.
pub fn enter_idle() {
    TARGETS.get().state.store(IDLE, SeqCst);
}

/// This vCPU is about to run threads again. Interrupts are masked.
pub fn leave_idle() {
    if TARGETS.get().state.swap(ACTIVE, SeqCst) == STALE {
        hal::paging::flush_all();
    }
}
