//! What the kernel's wiring installs into [`hal::trap::Hooks`], and how vCPUs enter scheduling.

use crate::{machine, preemption};

/// For [`hal::trap::Hooks::timer`]: fires timers, ends slices.
pub fn timer() {
    machine::timer_interrupt();
}

/// For [`hal::trap::Hooks::reschedule`]: another vCPU put a thread on this one's queue, or set work flags.
pub fn reschedule() {
    machine::reschedule_interrupt();
}

/// For [`hal::trap::Hooks::preempt`]: kernel code is interrupted, and another thread is to run.
pub fn preempt() {
    if !preemption::is_off() {
        machine::preempt();
    }
}

/// The code that calls becomes vCPU 0's idle thread, which must not block: it spawns the boot's work as a thread and
/// calls [`run_idle`]. On the host: nothing, every std thread becomes a thread when it first asks for [`crate::current`].
pub fn init_boot_cpu() {
    machine::init_cpu();
}

/// Entry of the other vCPUs, interrupts masked, on the stack that hal started them on: becomes the vCPU's idle thread.
pub fn start_cpu() -> ! {
    machine::init_cpu();
    machine::run_idle()
}

/// The boot vCPU's idle loop.
pub fn run_idle() -> ! {
    machine::run_idle()
}
