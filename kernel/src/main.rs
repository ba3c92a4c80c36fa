//! The kernel binary: what is wired to what, and in which order the machine comes up. No mechanism lives here.
//!
//! `hal` has booted this vCPU on the final page tables when it calls [`kernel_main`]. From there: memory, threads, the
//! other vCPUs, then the first thread goes on in [`init`] with interrupts on.
#![no_std]
#![no_main]
#![deny(unsafe_code)]
extern crate alloc;

mod crash;
mod init;

#[global_allocator]
static HEAP: mm::heap::KernelHeap = mm::heap::KernelHeap::new();

/// How long after boot the clock's rate is measured a last time, over all of that time.
const LAST_CALIBRATION_NS: u64 = 3_000_000_000;

/// First code above `hal`: on the boot vCPU's boot stack, interrupts masked.
#[allow(unsafe_code, reason = "hal calls it by name: the crates below the binary cannot know it otherwise")]
#[unsafe(no_mangle)]
fn kernel_main() -> ! {
    mm::init(hal::boot_info::get());
    hal::stack::set_provider(&mm::kernel_stack::POOL);
    hal::trap::set_hooks(init::HOOKS);
    sched::limit_threads(mm::frame::stats().total as u64 * 4096);
    hal::log::mark("memory ready");
    hal::clock::refine();
    sched::init_boot_cpu();
    sched::stat::idle_work(mm::frame::zero_ahead);
    sched::stat::around_halt(mm::space::shootdown::enter_idle, mm::space::shootdown::leave_idle);
    let cpus = hal::smp::start_others(sched::start_cpu);
    log::info!("{cpus} vCPUs");
    hal::log::mark("vCPUs ready");
    start("init", init::run);
    start("clock", || {
        sched::sleep_until(LAST_CALIBRATION_NS, sched::Interruptible::No);
        hal::clock::refine();
    });
    sched::run_idle()
}

fn start(name: &str, run: fn()) {
    let spawn = sched::Spawn { name, ext: None, affinity: None, start: alloc::boxed::Box::new(run) };
    if let Err(reason) = sched::spawn(spawn) {
        panic!("boot: no thread for {name}: {reason:?}");
    }
}
