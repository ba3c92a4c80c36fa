//! Models: the code above runs on loom's locks and atomics, and loom tries every order in which threads can meet, and every
//! value that a load may give. A vCPU is a thread of the model; interrupts come where the real ones may: when they are
//! unmasked, while a vCPU waits, and where a model says that the application runs.

use crate::addr::VirtAddr;
use crate::irq::Ipi;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::modelled;
use core::sync::atomic::AtomicU64;
use loom::sync::Notify;
use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// vCPUs of a model, at most.
pub const CPUS: usize = 4;

/// What the hardware of a model does.
#[derive(Clone, Copy, Debug)]
pub struct Hardware {
    /// vCPUs.
    pub cpus: usize,
    /// The handler of interrupts between them.
    pub interrupt: fn(Ipi),
    /// Drops this vCPU's translation of a page, or all.
    pub flush: fn(Option<VirtAddr>),
}

static HARDWARE: Mutex<Option<Hardware>> = Mutex::new(None);
/// Interrupts on their way, a bit for each kind.
static PENDING: [AtomicU32; CPUS] = [const { AtomicU32::new(0) }; CPUS];
/// What stops and starts a thread. Not loom's park: its unpark also lets through who waits for a lock.
pub type Stop = Arc<Notify>;
/// The thread that is each vCPU.
static THREADS: Mutex<[Option<Stop>; CPUS]> = Mutex::new([const { None }; CPUS]);

loom::thread_local! {
    static CPU: Cell<usize> = Cell::new(0);
    static IRQ_ENABLED: Cell<bool> = Cell::new(true);
    static STOP: Stop = Arc::new(Notify::new());
}

/// What makes the calling thread go on.
pub fn stop() -> Stop {
    STOP.with(Arc::clone)
}

/// One model at a time: they share the statics.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `execution` in every order with at most `preemptions` changes of the thread that nothing asked for; how many
/// executions there were. Panics with the first one that fails or hangs.
pub fn check(preemptions: usize, hardware: Option<Hardware>, execution: impl Fn() + Send + Sync + 'static) -> u64 {
    let _turn = turn();
    *HARDWARE.lock().unwrap_or_else(PoisonError::into_inner) = hardware;
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 20_000;
    let count = Arc::new(core::sync::atomic::AtomicU64::new(0));
    let counted = count.clone();
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        modelled::begin();
        NOW_NS.store(BEFORE_NS, Ordering::SeqCst);
        *THREADS.lock().unwrap_or_else(PoisonError::into_inner) = [const { None }; CPUS];
        execution();
    });
    count.load(Ordering::Relaxed)
}

fn hardware() -> Option<Hardware> {
    *HARDWARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The calling thread is vCPU `cpu` from now on.
pub fn become_cpu(cpu: usize) {
    CPU.with(|id| id.set(cpu));
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)[cpu] = Some(stop());
}

/// vCPUs that have done their part.
static RETIRED: AtomicU32 = AtomicU32::new(0);

/// This vCPU has done its part, and halts: it takes interrupts until all have.
pub fn retire() {
    RETIRED.fetch_add(1, Ordering::SeqCst);
    let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    threads.iter().flatten().for_each(|thread| thread.notify());
    let are_all_done = || RETIRED.load(Ordering::SeqCst) as usize == cpu_count();
    while !are_all_done() {
        while_blocked(are_all_done);
    }
}

/// Takes the interrupts that have come, if they are unmasked.
pub fn take_interrupts() {
    let Some(hardware) = hardware() else { return };
    while irq_enabled() {
        let kinds = PENDING[cpu_id()].swap(0, Ordering::SeqCst);
        if kinds == 0 {
            return;
        }
        IRQ_ENABLED.with(|enabled| enabled.set(false));
        for kind in [Ipi::Reschedule, Ipi::TlbFlush] {
            if kinds & 1 << kind as u32 != 0 {
                (hardware.interrupt)(kind);
            }
        }
        IRQ_ENABLED.with(|enabled| enabled.set(true));
    }
}

/// A blocked thread's vCPU: takes interrupts, though the thread itself may have masked them, and stops unless `is_awake`.
pub fn while_blocked(is_awake: impl Fn() -> bool) {
    let masked = IRQ_ENABLED.with(|enabled| enabled.replace(true));
    take_interrupts();
    if !is_awake() {
        stop().wait();
    }
    IRQ_ENABLED.with(|enabled| enabled.set(masked));
}

pub(crate) fn send_ipi(cpu: usize, kind: Ipi) {
    PENDING[cpu].fetch_or(1 << kind as u32, Ordering::SeqCst);
    let thread = THREADS.lock().unwrap_or_else(PoisonError::into_inner)[cpu].clone();
    if let Some(thread) = thread {
        thread.notify();
    }
}

/// Time in a model: before and after all deadlines.
static NOW_NS: AtomicU64 = AtomicU64::new(BEFORE_NS);
const BEFORE_NS: u64 = 1;

/// All deadlines pass. Who fires timers does it after this; who sets one looks at the time after it.
pub fn pass_time() {
    NOW_NS.store(u64::MAX / 2, Ordering::SeqCst);
}

/// Whether [`pass_time`] was called in this execution.
pub fn has_time_passed() -> bool {
    now_ns() != BEFORE_NS
}

pub(crate) fn now_ns() -> u64 {
    NOW_NS.load(Ordering::SeqCst)
}

pub(crate) fn relax() {
    take_interrupts();
    loom::thread::yield_now();
}

pub(crate) fn cpu_id() -> usize {
    CPU.with(Cell::get)
}

pub(crate) fn cpu_count() -> usize {
    hardware().map_or(1, |hardware| hardware.cpus)
}

pub(crate) fn irq_save() -> bool {
    IRQ_ENABLED.with(|enabled| enabled.replace(false))
}

pub(crate) fn irq_enabled() -> bool {
    IRQ_ENABLED.with(Cell::get)
}

pub(crate) fn irq_enable() {
    IRQ_ENABLED.with(|enabled| enabled.set(true));
    take_interrupts();
}

/// Halts until an interrupt is on its way, as `hlt` does.
pub(crate) fn wait_for_interrupt() {
    while PENDING[cpu_id()].load(Ordering::SeqCst) == 0 {
        stop().wait();
    }
    irq_enable();
    irq_save();
}

pub(crate) fn flush(page: Option<VirtAddr>) {
    if let Some(hardware) = hardware() {
        (hardware.flush)(page);
    }
}
