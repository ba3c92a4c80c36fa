//! The first thread: devices, then the programs. And what hal calls upward.

/// Every way up from the traps, in one place.
pub const HOOKS: hal::trap::Hooks = hal::trap::Hooks {
    syscall: libc_compat::entry::syscall,
    fault: libc_compat::entry::fault,
    return_work: libc_compat::entry::return_work,
    interrupt: mm::space::shootdown::interrupted,
    timer: sched::hooks::timer,
    reschedule: sched::hooks::reschedule,
    tlb_flush: mm::space::shootdown::serve,
    preempt: sched::hooks::preempt,
};

/// Runs on the first thread, with interrupts on.
pub fn run() {
    crate::crash::if_asked();
    drivers::probe_all();
    net::device::register();
    hal::log::mark("devices ready");
    jvm_host::run()
}
