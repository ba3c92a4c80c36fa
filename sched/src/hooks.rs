//! What the kernel's wiring installs into [`hal::trap::Hooks`], and how vCPUs enter scheduling.

/// [`hal::trap::Hooks::timer`].
pub fn timer() { unimplemented!() }
/// [`hal::trap::Hooks::reschedule`].
pub fn reschedule() { unimplemented!() }
/// [`hal::trap::Hooks::preempt`].
pub fn preempt() { unimplemented!() }
/// The code that calls becomes vCPU 0's idle thread, which must not block: spawn the boot's work, then [`run_idle`].
pub fn init_boot_cpu() { unimplemented!() }
/// Entry of the other vCPUs, interrupts off: becomes the vCPU's idle thread.
pub fn start_cpu() -> ! { unimplemented!() }
/// The boot vCPU's idle loop.
pub fn run_idle() -> ! { unimplemented!() }
