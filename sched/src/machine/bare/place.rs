//! Where a runnable thread goes.

use super::cpu::{CPUS, IDLE, claim, poke};
use super::switch::{runnable, running};
use super::tick;
use crate::policy::{Arrival, Effect, RunQueue, Runnable, SLICE_NS};
use crate::{CpuSet, Thread, ThreadRef};
use core::sync::atomic::AtomicU32;
use hal::context::WorkFlags;
use hal::cpu;
use hal::irq::IrqGuard;
use hal::sync::atomic::{Ordering, fence};

/// A thread that blocks within this time after it woke another handed over to it. As long the wakee is kept for the
/// waker's vCPU (longer where no other vCPU could run it meanwhile); then an idle vCPU may have it.
const HAND_OVER_NS: u64 = 50_000;
/// Hand-overs, less other wake-ups, after which the next wake-up counts as one.
const HAND_OVER_HABIT: u32 = 2;
const HAND_OVER_MAX: u32 = 3;

/// Puts a thread that the caller moved out of a PARKED state on a queue. Any context.
pub(crate) fn make_runnable(thread: &Thread) {
    let _irq = IrqGuard::mask();
    let now_ns = hal::clock::now_ns();
    let waker = running();
    let me = cpu::id();
    waker.machine.woke_at_ns.store(now_ns, Ordering::Relaxed);
    // Whom a device wakes it will wake again. Whom another thread wakes had better be free to run on that one's vCPU.
    let waits_here = cpu::count() == 1 || CPUS.of(me).is_idle_thread(waker);
    thread.machine.waits_here.store(waits_here, Ordering::Relaxed);
    let (target, hand_over) = choose(thread, waker, me);
    enqueue(target, me, thread, Why::Woken, hand_over, now_ns);
}

/// Starts a thread that never ran.
pub(crate) fn launch(thread: &ThreadRef) {
    let _irq = IrqGuard::mask();
    let me = cpu::id();
    let target = spread(thread, me, Search::Everywhere);
    enqueue(target, me, thread, Why::New, false, hal::clock::now_ns());
}

/// A runnable thread that may not run where it was, and whose registers are saved.
pub(super) fn send_away(thread: &Thread) {
    let me = cpu::id();
    let target = spread(thread, me, Search::Everywhere);
    enqueue(target, me, thread, Why::Moved, false, hal::clock::now_ns());
}

#[derive(Clone, Copy)]
enum Why {
    New,
    Woken,
    Moved,
}

/// The vCPU for a woken thread, and whether it is kept there for a waker that is about to block.
fn choose(thread: &Thread, waker: &Thread, me: usize) -> (usize, bool) {
    let last = thread.last_cpu();
    let mine = CPUS.of(me);
    let waker_is_idle = mine.is_idle_thread(waker);
    let hands_over = !waker_is_idle
        && waker.machine.hands_over.load(Ordering::Relaxed) >= HAND_OVER_HABIT
        && mine.queued.load(Ordering::Relaxed) == 0
        && thread.may_run_on(me);
    if cpu::count() == 1 {
        return (me, hands_over);
    }
    // While it is being left: see `machine::bare`.
    if thread.machine.on_cpu.load(Ordering::Acquire) {
        return (last, false);
    }
    if hands_over {
        return (me, true);
    }
    // An interrupt found this vCPU idle: it is awake now, and to wake another one costs an interrupt more.
    let awake_anyway = waker_is_idle.then_some(me);
    for candidate in awake_anyway.into_iter().chain([last]) {
        if thread.may_run_on(candidate) && claim(candidate) {
            return (candidate, false);
        }
    }
    (spread(thread, me, Search::Near), false)
}

/// Where to look when no vCPU is idle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Search {
    /// This vCPU and the thread's last one, whose caches know it.
    Near,
    /// Every vCPU: the thread has no warm cache, and will stay.
    Everywhere,
}

/// An idle vCPU, this one first since it needs no interrupt; else the least loaded.
fn spread(thread: &Thread, me: usize, search: Search) -> usize {
    let allowed = thread.affinity().intersection(CpuSet::first(cpu::count()));
    loop {
        let idle = allowed.intersection(CpuSet::from_bits(IDLE.load(Ordering::Relaxed)));
        let candidate = if idle.contains(me) { Some(me) } else { idle.lowest() };
        match candidate {
            Some(candidate) if claim(candidate) => return candidate,
            // Somebody else was faster.
            Some(_) => {}
            None => break,
        }
    }
    let last = thread.last_cpu();
    if search == Search::Everywhere {
        let candidates = (0..cpu::count()).filter(|&cpu| allowed.contains(cpu));
        return candidates.min_by_key(|&cpu| waiting(cpu)).unwrap_or(me);
    }
    match (allowed.contains(last), allowed.contains(me)) {
        (true, true) if waiting(me) < waiting(last) => me,
        (true, _) => last,
        (false, true) => me,
        // The affinity is never empty; see `Thread::set_affinity`.
        (false, false) => allowed.lowest().unwrap_or(me),
    }
}

/// Threads that wait for `cpu`.
fn waiting(cpu: usize) -> usize {
    CPUS.of(cpu).queued.load(Ordering::Relaxed)
}

/// At the end of a slice on vCPU `me`: gives one of its waiting threads to the vCPU with the shortest queue, if that is
/// shorter by two; if by one, only at every eighth slice, so that three busy threads on two vCPUs take turns at having
/// one to themselves. No vCPU is idle then: those steal.
pub(super) fn balance(me: usize) {
    const TURN: u32 = 8;
    let mine = CPUS.of(me);
    let slice = mine.slices.load(Ordering::Relaxed).wrapping_add(1);
    mine.slices.store(slice, Ordering::Relaxed);
    let Some(target) = (0..cpu::count()).min_by_key(|&cpu| waiting(cpu)) else { return };
    let longer_by = waiting(me).saturating_sub(waiting(target));
    if longer_by == 0 || (longer_by == 1 && !slice.is_multiple_of(TURN)) {
        return;
    }
    let mut shared = mine.shared.lock();
    let given =
        shared.queue.take_for(|thread| thread.may_run_on(target) && !thread.machine.on_cpu.load(Ordering::Acquire));
    mine.publish(&shared.queue);
    drop(shared);
    if let Some(thread) = given {
        enqueue(target, me, &thread, Why::Moved, false, hal::clock::now_ns());
    }
}

/// Queues `thread`, which is on no queue, and tells the vCPU if it has to know. Interrupts are masked.
fn enqueue(target: usize, me: usize, thread: &Thread, why: Why, hand_over: bool, now_ns: u64) {
    let home = thread.last_cpu();
    let affinity = thread.affinity();
    let cpu = CPUS.of(target);
    let mut shared = cpu.shared.lock();
    let home_ns = if home == target {
        shared.queue.min_vruntime_ns()
    } else {
        CPUS.of(home).min_vruntime_ns.load(Ordering::Relaxed)
    };
    let arrival = match why {
        Why::New => Arrival::New,
        Why::Woken => Arrival::Woken { home_ns },
        Why::Moved => Arrival::Moved { home_ns },
    };
    thread.cpu.store(target, Ordering::Relaxed);
    let effect = shared.queue.arrive(runnable(thread), arrival, now_ns);
    let busy = shared.queue.runnable() > 1;
    cpu.publish(&shared.queue);
    drop(shared);
    if hand_over && busy {
        // The waker is about to block: not preempted, but for so long only.
        let end_ns = now_ns + tick::hand_over_limit_ns(HAND_OVER_NS);
        cpu.handover_end_ns.store(end_ns, Ordering::Relaxed);
        return tick::program_timer(end_ns);
    }
    match effect {
        Effect::Quiet => {}
        Effect::Preempt if target == me => {
            running().work_flags().set(WorkFlags::RESCHED);
            if busy {
                // Kernel code that is not interrupted does not look at its flags: no later than this it is.
                tick::program_timer(now_ns + SLICE_NS);
            }
        }
        Effect::ArmSlice(end_ns) if target == me => tick::end_slice_at(end_ns),
        Effect::Preempt | Effect::ArmSlice(_) => poke(target),
    }
    if !busy || cpu::count() == 1 {
        return;
    }
    // A vCPU that went idle after this one's choice may have looked for work before the thread was queued. It set its
    // bit first, as this looks at the bit last: one of the two sees the other.
    fence(Ordering::SeqCst);
    offer(me, affinity);
}

/// Makes an idle vCPU of `allowed` come and steal.
pub(super) fn offer(me: usize, allowed: CpuSet) {
    let idle = allowed.intersection(CpuSet::from_bits(IDLE.load(Ordering::Relaxed) & !(1 << me)));
    if let Some(thief) = idle.lowest()
        && claim(thief)
    {
        poke(thief);
    }
}

/// A thread that waits on another vCPU's queue and may run here. The caller holds no queue.
pub(super) fn steal(me: usize, now_ns: u64) -> Option<Runnable> {
    let count = cpu::count();
    for victim in (me + 1..count).chain(0..me) {
        let victim = CPUS.of(victim);
        let queued = victim.queued.load(Ordering::Relaxed);
        let kept = queued == 1 && victim.handover_end_ns.load(Ordering::Relaxed) > now_ns;
        if queued == 0 || kept {
            continue;
        }
        let mut shared = victim.shared.lock();
        let thread =
            shared.queue.take_for(|thread| thread.may_run_on(me) && !thread.machine.on_cpu.load(Ordering::Acquire));
        victim.publish(&shared.queue);
        if thread.is_some() {
            return thread;
        }
    }
    None
}

/// Gives a stolen thread its place in the order of this vCPU's queue.
pub(super) fn adopt_stolen(me: usize, queue: &mut RunQueue, thread: &Thread) {
    let home_ns = CPUS.of(thread.last_cpu()).min_vruntime_ns.load(Ordering::Relaxed);
    queue.adopt(thread, Arrival::Moved { home_ns });
    thread.cpu.store(me, Ordering::Relaxed);
}

/// `thread` blocks at `now_ns`: was its last wake-up of another a hand-over?
pub(super) fn learn_hand_over(thread: &Thread, now_ns: u64) {
    let machine = &thread.machine;
    let woke_at_ns = machine.woke_at_ns.load(Ordering::Relaxed);
    if woke_at_ns == 0 {
        return;
    }
    machine.woke_at_ns.store(0, Ordering::Relaxed);
    let habit: &AtomicU32 = &machine.hands_over;
    let before = habit.load(Ordering::Relaxed);
    let after = if now_ns.saturating_sub(woke_at_ns) < HAND_OVER_NS {
        (before + 1).min(HAND_OVER_MAX)
    } else {
        before.saturating_sub(1)
    };
    habit.store(after, Ordering::Relaxed);
}

/// Makes a thread that may be running look at its work flags: on its return to the application. One that waits for a vCPU
/// sees them when it runs.
pub(crate) fn interrupt(thread: &Thread) {
    let _irq = IrqGuard::mask();
    let cpu = thread.last_cpu();
    if cpu != cpu::id() && thread.machine.on_cpu.load(Ordering::SeqCst) {
        poke(cpu);
    }
}

/// A wake-up that tells nobody, for the model that must fail.
#[cfg(all(test, feature = "vcpus"))]
pub(crate) fn queue_silently(thread: &Thread) {
    let cpu = CPUS.of(thread.last_cpu());
    let mut shared = cpu.shared.lock();
    let _ = shared.queue.arrive(runnable(thread), Arrival::Woken { home_ns: 0 }, hal::clock::now_ns());
    cpu.publish(&shared.queue);
}
