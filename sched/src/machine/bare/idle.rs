//! vCPUs without work.

use super::Machine;
use super::cpu::{CPUS, IDLE, NEVER};
use super::switch::{Leave, schedule};
use crate::{CpuSet, Thread};
use alloc::format;
use alloc::sync::Arc;
use hal::sync::Once;
use hal::sync::atomic::Ordering;
use hal::{context, cpu, irq};

static HOOK: Once<fn()> = Once::new();
static WORK: Once<fn() -> bool> = Once::new();

/// See [`crate::stat::idle_hook`]. The first one stays.
pub(crate) fn set_idle_hook(hook: fn()) {
    HOOK.call_once(|| hook);
}

/// See [`crate::stat::idle_work`]. The first one stays.
pub(crate) fn set_idle_work(work: fn() -> bool) {
    WORK.call_once(|| work);
}

/// Before and after a halt.
type Around = (fn(), fn());
static AROUND_HALT: Once<Around> = Once::new();

/// See [`crate::stat::around_halt`]. The first ones stay.
pub(crate) fn set_around_halt(before: fn(), after: fn()) {
    AROUND_HALT.call_once(|| (before, after));
}

/// This vCPU leaves its idle thread for another one. The interrupt that ended the halt may have come straight here,
/// past the end of [`run_idle`]'s turn: what has to happen before a thread runs happens now.
pub(super) fn leave() {
    AROUND_HALT.get().inspect(|(_, after)| after());
}

/// The code that runs on this vCPU becomes its idle thread.
pub(crate) fn init_cpu() {
    let _irq = irq::IrqGuard::mask();
    let id = cpu::id();
    let machine = Machine::idle();
    let thread = Arc::new(Thread::new(0, &format!("idle/{id}"), None, CpuSet::only(id), None, machine));
    thread.park.start();
    thread.cpu.store(id, Ordering::Relaxed);
    thread.machine.on_cpu.store(true, Ordering::Relaxed);
    let now_ns = hal::clock::now_ns();
    thread.clock.start(now_ns);
    let cpu = CPUS.of(id);
    cpu.programmed_ns.store(NEVER, Ordering::Relaxed);
    let mut shared = cpu.shared.lock();
    shared.queue.run(None, now_ns);
    shared.times.begin(now_ns);
    drop(shared);
    // The count that `into_raw` gives up is the vCPU's, for ever.
    let thread = Arc::into_raw(thread);
    cpu.idle.store(thread.cast_mut(), Ordering::Release);
    // SAFETY: interrupts are masked, the thread stays for ever, and the stack is the one that runs.
    unsafe { context::set_current(thread.cast(), (*thread).work_flags(), (*thread).machine.stack) };
}

/// Halts until there is something to do.
pub(crate) fn run_idle() -> ! {
    loop {
        // SAFETY: this function masked them, or the vCPU's start did; no guard is alive.
        unsafe { irq::enable() };
        // The bit stays set meanwhile: who queues something here interrupts it.
        let is_busy = WORK.get().is_some_and(|work| work());
        if !is_busy && let Some(hook) = HOOK.get() {
            hook();
        }
        // SAFETY: unmasked at the top of the next turn.
        unsafe { irq::disable() };
        if look_for_work() && !is_busy {
            let around = AROUND_HALT.get();
            around.inspect(|(before, _)| before());
            irq::wait_for_interrupt();
            around.inspect(|(_, after)| after());
        }
    }
}

/// Offers this vCPU to wakers, and runs what there is. Whether, back in the idle thread, there is still nothing, so that it
/// may halt: whatever comes after this look interrupts it. Interrupts are masked.
pub(crate) fn look_for_work() -> bool {
    let id = cpu::id();
    let bit = 1 << id;
    IDLE.fetch_or(bit, Ordering::SeqCst);
    // Looks here and, with more vCPUs, elsewhere; the bit was set before, so what comes later is announced.
    schedule(Leave::Runnable);
    let still_idle = IDLE.load(Ordering::SeqCst) & bit != 0;
    still_idle && CPUS.of(id).queued.load(Ordering::Relaxed) == 0
}

/// The calling thread of a model is in vCPU `id`'s idle thread.
#[cfg(all(test, feature = "vcpus"))]
pub(crate) fn become_idle(id: usize) {
    let thread: *const Thread = CPUS.of(id).idle.load(Ordering::Relaxed);
    // SAFETY: `init_cpu` made it for ever; nothing runs on a stack.
    unsafe { context::set_current(thread.cast(), (*thread).work_flags(), (*thread).machine.stack) };
}
