//! Interrupts of the timer and from other vCPUs.

use super::cpu::{CPUS, IDLE, NEVER};
use super::place;
use super::switch::running;
use crate::{CpuSet, timer};
use core::sync::atomic::Ordering;
use hal::context::WorkFlags;
use hal::irq::IrqGuard;
use hal::{clock, cpu, turn};

/// Sees to it that this vCPU's timer fires at `deadline_ns` or before. Setting the hardware is what costs, so a deadline
/// later than the one it is set to waits until that fires.
pub(crate) fn program_timer(deadline_ns: u64) {
    let _irq = IrqGuard::mask();
    let programmed_ns = &CPUS.get().programmed_ns;
    if deadline_ns < programmed_ns.load(Ordering::Relaxed) {
        programmed_ns.store(deadline_ns, Ordering::Relaxed);
        clock::set_deadline(Some(deadline_ns));
    }
}

/// How long a vCPU keeps its turn where they take turns: who answers requests waits for that at times, and a change costs some 0.1 ms.
const TURN_NS: u64 = 2_000_000;

/// A thread runs on this vCPU: where vCPUs take turns, an interrupt ends this one's.
pub(super) fn end_turn_later() {
    if turn::are_taken() {
        program_timer(clock::now_ns() + TURN_NS);
    }
}

/// See [`crate::hooks::timer`].
pub(crate) fn timer_interrupt() {
    let me = cpu::id();
    let cpu = CPUS.of(me);
    cpu.programmed_ns.store(NEVER, Ordering::Relaxed);
    if let Some(next_ns) = timer::expire(clock::now_ns()) {
        program_timer(next_ns);
    }
    let now_ns = clock::now_ns();
    let shared = cpu.shared.lock();
    let waiting = shared.queue.len() > 0;
    let slice_end_ns = shared.queue.slice_end_ns();
    let over = shared.queue.is_slice_over(now_ns);
    let hand_over_end_ns = cpu.handover_end_ns.load(Ordering::Relaxed);
    // A waker that did not block after all: see `place::enqueue` and `RunQueue::arrive`.
    let preempt = now_ns >= hand_over_end_ns && shared.queue.first_preempts(now_ns);
    drop(shared);
    if over {
        running().work_flags().set(WorkFlags::RESCHED);
        if cpu::count() > 1 {
            place::balance(me);
        }
    } else if preempt {
        running().work_flags().set(WorkFlags::RESCHED);
    } else if let Some(end_ns) = slice_end_ns {
        program_timer(end_ns);
    }
    if waiting && cpu::count() > 1 && IDLE.load(Ordering::Relaxed) != 0 {
        if now_ns < hand_over_end_ns {
            program_timer(hand_over_end_ns);
        } else {
            // The waker did not block after all.
            place::offer(me, CpuSet::ALL);
        }
    }
    if !cpu.is_idle_thread(running()) {
        turn::tick(TURN_NS, IDLE.load(Ordering::Relaxed), preempt && !over);
        end_turn_later();
    }
}

/// See [`crate::hooks::reschedule`].
pub(crate) fn reschedule_interrupt() {
    let cpu = CPUS.get();
    // Before the look: who queues a thread after it sends another interrupt.
    cpu.ipi_sent.swap(false, Ordering::SeqCst);
    let now_ns = clock::now_ns();
    let thread = running();
    let shared = cpu.shared.lock();
    let preempt = if cpu.is_idle_thread(thread) { shared.queue.len() > 0 } else { shared.queue.first_preempts(now_ns) };
    let slice_end_ns = shared.queue.slice_end_ns();
    drop(shared);
    if preempt {
        thread.work_flags().set(WorkFlags::RESCHED);
    } else if let Some(end_ns) = slice_end_ns {
        program_timer(end_ns);
    }
}

/// Who runs this code: the vCPU, from 1. Interrupts are masked.
pub(crate) fn executor() -> usize {
    cpu::id() + 1
}
