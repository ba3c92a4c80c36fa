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

/// A thread runs alone on this vCPU. Where an emulator has one thread for all vCPUs (QEMU's, up to 0.1 s for one that is not
/// interrupted), others wait for it: an interrupt ends the vCPU's turn after a slice.
pub(super) fn end_turn_later(now_ns: u64) {
    if cpu::count() > 1 && cpu::features().emulated {
        program_timer(now_ns + SLICE_NS);
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
        program_timer(end_ns);
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
        program_timer(end_ns);
    }
}

/// Who runs this code: the vCPU, from 1. Interrupts are masked.
pub(crate) fn executor() -> usize {
    cpu::id() + 1
}
