//! The scheduler's one function, and the switch that it ends in.

use super::cpu::{CPUS, Cpu, Shared};
use super::{idle, place, tick};
use crate::policy::Runnable;
use crate::preemption;
use crate::spawn::{self, bury, run_start};
use crate::{Thread, ThreadRef};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use hal::context::{self, WorkFlags};
use hal::irq::{self, IrqGuard};
use hal::sync::SpinLockGuard;
use intrusive_collections::UnsafeRef;

/// What becomes of the thread that calls [`schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Leave {
    /// It could run on.
    Runnable,
    /// As `Runnable`, but it gives its turn away.
    Yielding,
    /// It is in a PARKED state, or somebody has queued it since.
    Parked,
    /// It may not run here any more: `finish` sends it elsewhere.
    Moving,
    /// It ends. The registry's count is with the vCPU.
    Dead,
}

/// See [`crate::try_current`].
pub(crate) fn current() -> *const Thread {
    context::current().cast()
}

/// The running thread, for code that cannot be preempted.
pub(crate) fn running() -> &'static Thread {
    // SAFETY: every vCPU has a current thread from `init_cpu` on, and the callers, with interrupts masked, keep the
    // reference no longer than it runs here.
    unsafe { &*current() }
}

/// A handle for queues.
pub(super) fn runnable(thread: &Thread) -> Runnable {
    // SAFETY: a thread that is queued or runs is counted by the registry, and leaves that only at its own end.
    unsafe { UnsafeRef::from_raw(thread) }
}

/// Chooses who runs now on this vCPU and switches. Interrupts are masked. Returns when the calling thread runs again,
/// maybe on another vCPU; at once if it is chosen.
pub(super) fn schedule(leave: Leave) {
    debug_assert!(!irq::enabled(), "the scheduler runs with interrupts masked");
    let id = hal::cpu::id();
    let cpu = CPUS.of(id);
    let prev = running();
    let prev_is_idle = cpu.is_idle_thread(prev);
    debug_assert!(!(prev_is_idle && leave == Leave::Parked), "an idle thread must not block");
    debug_assert!(
        !(prev_is_idle && preemption::is_off()),
        "it may be on another thread's stack: see `idle::wait_here`"
    );
    if prev.work_flags().any(WorkFlags::RESCHED) {
        prev.work_flags().clear(WorkFlags::RESCHED);
    }
    let mut now_ns = hal::clock::now_ns();
    if leave == Leave::Parked {
        place::learn_hand_over(prev, now_ns);
    }

    let mut leave = leave;
    let mut shared = cpu.shared.lock();
    shared.pass(now_ns);
    if !prev_is_idle && matches!(leave, Leave::Runnable | Leave::Yielding) {
        if !prev.may_run_on(id) {
            leave = Leave::Moving;
        } else if leave == Leave::Yielding {
            shared.queue.put_back_behind(runnable(prev));
        } else {
            shared.queue.put_back(runnable(prev));
        }
    }
    let mut next;
    (next, shared) = find(id, cpu, shared, prev, &mut leave, now_ns);
    let waits_here = next.is_none() && leave == Leave::Parked && prev.machine.waits_here.load(Ordering::Relaxed);
    if waits_here {
        (next, shared, now_ns) = idle::wait_here(id, cpu, shared, prev, &mut leave, now_ns);
    }
    let next_is_idle = next.is_none();
    shared.queue.run(next.clone(), now_ns);
    cpu.publish(&shared.queue);
    let slice_end_ns = shared.queue.slice_end_ns();
    let next: &Thread = next.as_deref().unwrap_or(cpu.idle_thread());
    let same = core::ptr::eq(next, prev);
    if !same || waits_here {
        shared.times.switch(next, next_is_idle);
    }
    drop(shared);

    if let Some(end_ns) = slice_end_ns {
        tick::end_slice_at(end_ns);
    } else if !next_is_idle {
        tick::end_turn_later(now_ns);
    }
    if prev_is_idle && !next_is_idle {
        idle::leave(id);
    }
    if same {
        if waits_here {
            prev.clock.start(now_ns);
        }
        return;
    }
    if !waits_here {
        stop(prev, leave, now_ns);
    }
    next.clock.start(now_ns);
    next.machine.on_cpu.store(true, Ordering::Relaxed);
    next.cpu.store(id, Ordering::Relaxed);
    cpu.leaving.store(core::ptr::from_ref(prev).cast_mut(), Ordering::Relaxed);
    cpu.leave.store(leave as u8, Ordering::Relaxed);
    let (from, to) = (prev.machine.context.get(), next.machine.context.get());
    // SAFETY: `to` is suspended: a thread leaves a queue only when it is not `on_cpu`, or it is `prev`. Both contexts
    // live in threads that the registry (or, for a dead one, this vCPU) counts. Interrupts are masked.
    unsafe {
        make_current(next, next);
        context::switch(from, to);
    }
    finish();
}

/// The code that runs next, on the stack of `owner`, is `thread`'s.
///
/// # Safety
/// Interrupts are masked, and it is so: the stack is the one that runs, or is switched to next. Both threads live.
pub(super) unsafe fn make_current(thread: &Thread, owner: &Thread) {
    // SAFETY: the context is changed by this vCPU only, which runs the stack.
    let stack = unsafe { (*owner.machine.context.get()).usable_stack(owner.machine.stack) };
    // SAFETY: the caller's duty.
    unsafe { context::set_current(core::ptr::from_ref(thread).cast(), thread.work_flags(), stack) };
}

/// `thread` has run up to `now_ns`.
pub(super) fn stop(thread: &Thread, leave: Leave, now_ns: u64) {
    thread.clock.stop(now_ns);
    bump(if leave == Leave::Parked { &thread.voluntary } else { &thread.involuntary });
}

/// Who is to run now: a thread of the locked queue, else one that waits for another vCPU.
pub(super) fn find<'a>(
    id: usize,
    cpu: &'a Cpu,
    shared: SpinLockGuard<'a, Shared>,
    prev: &Thread,
    leave: &mut Leave,
    now_ns: u64,
) -> (Option<Runnable>, SpinLockGuard<'a, Shared>) {
    let (next, mut shared) = take_allowed(id, cpu, shared, prev, leave);
    if next.is_some() || hal::cpu::count() == 1 {
        return (next, shared);
    }
    cpu.publish(&shared.queue);
    drop(shared);
    let stolen = place::steal(id, now_ns);
    shared = cpu.shared.lock();
    match stolen {
        Some(thread) => {
            place::adopt_stolen(id, &mut shared.queue, &thread);
            (Some(thread), shared)
        }
        // Something may have come while the lock was open.
        None => take_allowed(id, cpu, shared, prev, leave),
    }
}

/// Takes threads from the locked queue until one may run here; sends the others where they may.
// A call would cost each switch some thirty instructions (`micro count`): what it returns goes by way of memory.
#[inline(always)]
fn take_allowed<'a>(
    id: usize,
    cpu: &'a Cpu,
    mut shared: SpinLockGuard<'a, Shared>,
    prev: &Thread,
    leave: &mut Leave,
) -> (Option<Runnable>, SpinLockGuard<'a, Shared>) {
    loop {
        let Some(thread) = shared.queue.take_next() else { return (None, shared) };
        if thread.may_run_on(id) {
            return (Some(thread), shared);
        }
        if core::ptr::eq(&*thread, prev) {
            // Its registers are still here.
            *leave = Leave::Moving;
            continue;
        }
        cpu.publish(&shared.queue);
        drop(shared);
        place::send_away(&thread);
        shared = cpu.shared.lock();
    }
}

/// Only its own vCPU adds to it.
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// On the next thread's stack: settles what becomes of the one that was left. Interrupts are masked.
fn finish() {
    let cpu = CPUS.get();
    let left = cpu.leaving.load(Ordering::Relaxed);
    let leave = cpu.leave.load(Ordering::Relaxed);
    // SAFETY: it is alive until `on_cpu` falls: it cannot run, hence not end, elsewhere before.
    let thread = unsafe { &*left };
    if leave == Leave::Dead as u8 {
        thread.machine.on_cpu.store(false, Ordering::Release);
        // SAFETY: `exit` gave up the registry's count for this.
        bury(unsafe { Arc::from_raw(left) });
        return;
    }
    // From here on another vCPU may run the thread, unless it is in no queue and parked nowhere.
    thread.machine.on_cpu.store(false, Ordering::Release);
    if leave == Leave::Moving as u8 {
        place::send_away(thread);
    }
}

/// Where every new thread starts, interrupts masked.
pub(super) extern "C" fn thread_main(_unused: usize) -> ! {
    finish();
    // SAFETY: nothing on this stack has masked them.
    unsafe { irq::enable() };
    run_start(&crate::current());
    spawn::exit_current()
}

/// See `machine`: the thread is the running one, in a PARKED state, interrupts masked.
pub(crate) fn block(thread: &Thread, deadline_ns: Option<u64>) -> bool {
    let Some(deadline_ns) = deadline_ns else {
        schedule(Leave::Parked);
        return false;
    };
    if deadline_ns <= hal::clock::now_ns() && thread.park.notify() {
        // Past already, and nobody has queued the thread: it need not even stop.
        return true;
    }
    thread.sleep.arm(thread, deadline_ns);
    schedule(Leave::Parked);
    thread.sleep.disarm()
}

/// Lets another thread run first.
pub(crate) fn yield_now() {
    let _irq = IrqGuard::mask();
    schedule(Leave::Yielding);
}

/// See [`crate::hooks::preempt`].
pub(crate) fn preempt() {
    schedule(Leave::Runnable);
}

/// The end of the running thread; `registered` is the registry's count of it.
pub(crate) fn exit(registered: ThreadRef) -> ! {
    // SAFETY: this thread never runs again; the next one unmasks for itself.
    unsafe { irq::disable() };
    registered.park.die();
    let _ = Arc::into_raw(registered);
    schedule(Leave::Dead);
    unreachable!("a dead thread is in no queue")
}
