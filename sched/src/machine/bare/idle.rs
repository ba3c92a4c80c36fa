//! vCPUs without work.

use super::Machine;
use super::cpu::{CPUS, Cpu, IDLE, NEVER, Shared};
use super::switch::{Leave, find, make_current, schedule, stop};
use crate::policy::Runnable;
use crate::preemption::NoPreemption;
use crate::{CpuSet, Thread};
use alloc::format;
use alloc::sync::Arc;
use hal::context::WorkFlags;
use hal::sync::atomic::Ordering;
use hal::sync::{Once, SpinLockGuard};
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

/// vCPU `id` leaves its idle thread for another one. The interrupt that ended the halt may have come straight here,
/// past the end of [`run_idle`]'s turn: what has to happen before a thread runs happens now.
pub(super) fn leave(id: usize) {
    IDLE.fetch_and(!(1 << id), Ordering::Relaxed);
    AROUND_HALT.get().inspect(|(_, after)| after());
}

/// Does what there is for a vCPU without work, interrupts on; whether there is more of it. Nothing of it blocks.
fn work() -> bool {
    let is_busy = WORK.get().is_some_and(|work| work());
    if !is_busy && let Some(hook) = HOOK.get() {
        hook();
    }
    is_busy
}

/// Halts until an interrupt has been served. Interrupts are masked.
fn halt() {
    let around = AROUND_HALT.get();
    around.inspect(|(before, _)| before());
    irq::wait_for_interrupt();
    around.inspect(|(_, after)| after());
}

/// `prev` has parked on vCPU `id`, whose locked queue had nobody: waits for the next thread. The vCPU is in its idle thread
/// meanwhile, but on the stack of `prev`, which stays `on_cpu`: a server's one thread that waits for its device goes on without
/// a switch to the idle thread and back, and without a save of its registers. Others are switched to from here.
///
/// Also returns the lock, taken again, and the time. `None` of a thread: `prev` has been woken but may not run here any more
/// (`leave`), and the real idle thread has to see to that.
pub(super) fn wait_here<'a>(
    id: usize,
    cpu: &'a Cpu,
    mut shared: SpinLockGuard<'a, Shared>,
    prev: &Thread,
    leave: &mut Leave,
    now_ns: u64,
) -> (Option<Runnable>, SpinLockGuard<'a, Shared>, u64) {
    let bit = 1 << id;
    let idle = cpu.idle_thread();
    shared.queue.run(None, now_ns);
    shared.times.switch(idle, true);
    cpu.publish(&shared.queue);
    drop(shared);
    stop(prev, *leave, now_ns);
    // SAFETY: interrupts are masked, this is `prev`'s stack, and both live.
    unsafe { make_current(idle, prev) };
    // An interrupt that queues somebody comes back here instead of switching: the idle thread has no context of its own now.
    let section = NoPreemption::begin();
    let look = |leave: &mut Leave| {
        if idle.work_flags().any(WorkFlags::RESCHED) {
            idle.work_flags().clear(WorkFlags::RESCHED);
        }
        let now_ns = hal::clock::now_ns();
        let mut shared = cpu.shared.lock();
        shared.pass(now_ns);
        let (next, shared) = find(id, cpu, shared, prev, leave, now_ns);
        if next.is_some() || *leave == Leave::Moving {
            return Some((next, shared, now_ns));
        }
        cpu.publish(&shared.queue);
        None
    };
    let found = loop {
        // SAFETY: whoever parked masked them, for himself; he holds no lock.
        unsafe { irq::enable() };
        let is_busy = work();
        // SAFETY: unmasked at the top of the next turn, or by who parked.
        unsafe { irq::disable() };
        // As in `look_for_work`: first the bit, then the look.
        IDLE.fetch_or(bit, Ordering::SeqCst);
        let must_look = cpu::count() > 1 || cpu.queued.load(Ordering::Relaxed) != 0;
        if must_look && let Some(found) = look(leave) {
            break found;
        }
        if is_busy || IDLE.load(Ordering::SeqCst) & bit == 0 || cpu.queued.load(Ordering::Relaxed) != 0 {
            continue;
        }
        halt();
        if let Some(found) = look(leave) {
            break found;
        }
    };
    drop(section);
    // SAFETY: as above.
    unsafe { make_current(prev, prev) };
    self::leave(id);
    found
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
        let is_busy = work();
        // SAFETY: unmasked at the top of the next turn.
        unsafe { irq::disable() };
        if look_for_work() && !is_busy {
            halt();
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

/// Whether vCPUs wait on `thread`'s stack while it is parked, until it is woken the next time.
#[cfg(all(test, feature = "vcpus"))]
pub(crate) fn set_waits_here(thread: &Thread, waits_here: bool) {
    thread.machine.waits_here.store(waits_here, Ordering::Relaxed);
}

/// The calling thread of a model is in vCPU `id`'s idle thread.
#[cfg(all(test, feature = "vcpus"))]
pub(crate) fn become_idle(id: usize) {
    let thread: *const Thread = CPUS.of(id).idle.load(Ordering::Relaxed);
    // SAFETY: `init_cpu` made it for ever; nothing runs on a stack.
    unsafe { context::set_current(thread.cast(), (*thread).work_flags(), (*thread).machine.stack) };
}
