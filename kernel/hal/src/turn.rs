//! Turns of vCPUs where one thread of QEMU's emulation runs all of them.
//!
//! QEMU changes over to another vCPU when the running one halts, executes PAUSE, or is interrupted, and each interrupt of any
//! vCPU interrupts the running one; else after a tenth of a second. So a vCPU that computes would keep what it got for an
//! interrupt, while another one was about to answer a request. Here turns have an owner: who was interrupted while it was another's
//! turn gives it back, and the owner keeps it for a slice. On other machines nothing here does anything.

use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use crate::{clock, cpu};

/// Whose turn it is. May name one that idles, which costs a PAUSE at each interrupt.
static OWNER: AtomicUsize = AtomicUsize::new(NOBODY);
/// When that began.
static SINCE_NS: AtomicU64 = AtomicU64::new(0);
/// The next one that asks may have it.
const NOBODY: usize = usize::MAX;

/// Whether vCPUs may have to take turns.
pub fn are_taken() -> bool {
    cpu::features().emulated && cpu::count() > 1
}

/// At the end of an interrupt: gives the turn back to whose it is, or takes it because a thread is to run here at once. Interrupts are
/// masked.
pub fn interrupt_ends(is_urgent: bool) {
    if !are_taken() || OWNER.load(Relaxed) == cpu::id() {
    } else if is_urgent || OWNER.load(Relaxed) == NOBODY {
        begin(cpu::id());
    } else {
        pass();
    }
}

/// At the end of the timer's interrupt, as [`interrupt_ends`]; also ends this vCPU's own turn after `slice_ns`. `idle` has a bit for each
/// vCPU that has nothing to do.
pub fn tick(slice_ns: u64, idle: u64, is_urgent: bool) {
    if are_taken() && OWNER.load(Relaxed) == cpu::id() && clock::now_ns() >= SINCE_NS.load(Relaxed) + slice_ns {
        let mut others = (1..cpu::count()).map(|step| (cpu::id() + step) % cpu::count());
        begin(others.find(|&other| idle & 1 << other == 0).unwrap_or(cpu::id()));
        pass();
    } else {
        interrupt_ends(is_urgent);
    }
}

/// Lets another vCPU see an interrupt that was just sent to it; what it does not keep it gives back. Interrupts are masked.
pub fn lend() {
    if are_taken() {
        pass();
    }
}

/// This vCPU is about to halt.
pub fn idle() {
    let _ = OWNER.compare_exchange(cpu::id(), NOBODY, Relaxed, Relaxed);
}

fn begin(owner: usize) {
    OWNER.store(owner, Relaxed);
    SINCE_NS.store(clock::now_ns(), Relaxed);
}

fn pass() {
    // QEMU's PAUSE.
    cpu::relax();
    if OWNER.load(Relaxed) == NOBODY {
        begin(cpu::id());
    }
}
