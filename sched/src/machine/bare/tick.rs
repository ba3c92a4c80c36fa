//! Interrupts of the timer and from other vCPUs.

use super::cpu::{CPUS, IDLE, NEVER};
use super::place;
use super::switch::running;
use crate::policy::SLICE_NS;
use crate::{CpuSet, timer};
use core::sync::atomic::Ordering;
use hal::context::WorkFlags;
use hal::irq::IrqGuard;
use hal::{clock, cpu};

/// The shortest turn of a vCPU that takes turns, nanoseconds.
const TURN_NS: u64 = 2_000_000;
/// The longest is this much longer.
const UNEVEN_NS: u64 = 1 << 21;

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

/// Sees to it that the slice that ends at `end_ns` ends then, or a little later.
pub(super) fn end_slice_at(end_ns: u64) {
    program_timer(if vcpus_take_turns() { uneven(end_ns) } else { end_ns });
}

/// A thread runs alone on this vCPU, which others may wait for: an interrupt ends its turn.
pub(super) fn end_turn_later(now_ns: u64) {
    if vcpus_take_turns() {
        program_timer(uneven(now_ns + TURN_NS));
    }
}

/// How long a wakee is kept for its waker's vCPU at most, where `limit_ns` is right for vCPUs that run at the same time. Where
/// they take turns another one could have it no earlier than at this turn's end, and a vCPU alone has only to see that both get
/// their share: a timer for each hand-over would cost more than it.
pub(super) fn hand_over_limit_ns(limit_ns: u64) -> u64 {
    match cpu::count() {
        1 => SLICE_NS,
        _ if vcpus_take_turns() => TURN_NS,
        _ => limit_ns,
    }
}

/// An emulator may have one thread for all vCPUs: QEMU's goes over to the next one at each interrupt of any of them, and
/// without one after 0.1 s.
fn vcpus_take_turns() -> bool {
    cpu::count() > 1 && cpu::features().emulated
}

/// `deadline_ns`, later by up to [`UNEVEN_NS`]. With turns of one length a vCPU whose timer fires just before another's has
/// only the time between the two, turn after turn.
fn uneven(deadline_ns: u64) -> u64 {
    // The clock's low bits, spread over all (Knuth's multiplicative hashing).
    let spread = deadline_ns.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    deadline_ns + spread % UNEVEN_NS
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
    if !waiting {
        if !cpu.is_idle_thread(running()) {
            end_turn_later(now_ns);
        }
        return;
    }
    if over {
        running().work_flags().set(WorkFlags::RESCHED);
        if cpu::count() > 1 {
            place::balance(me);
        }
    } else if preempt {
        running().work_flags().set(WorkFlags::RESCHED);
    } else if let Some(end_ns) = slice_end_ns {
        end_slice_at(end_ns);
    }
    if cpu::count() > 1 && IDLE.load(Ordering::Relaxed) != 0 {
        if now_ns < hand_over_end_ns {
            program_timer(hand_over_end_ns);
        } else {
            // The waker did not block after all.
            place::offer(me, CpuSet::ALL);
        }
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
        end_slice_at(end_ns);
    }
}

/// Who runs this code: the vCPU, from 1. Interrupts are masked.
pub(crate) fn executor() -> usize {
    cpu::id() + 1
}
