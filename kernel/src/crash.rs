//! Crashes on demand, so that the kernel's own ends have tests: `crash=panic`, `crash=recursion` or
//! `crash=stuck` on the command line.

/// Crashes if the command line says so.
pub fn if_asked() {
    match hal::boot_info::option("crash") {
        Some("panic") => panic!("asked for by crash=panic"),
        Some("recursion") => {
            // Called outside of the log line: its arguments are not evaluated below its level.
            let result = deep(1);
            log::info!("recursion came back with {result}");
        }
        Some("stuck") => stuck(),
        _ => {}
    }
}

/// vCPU 1 takes no interrupts any more; vCPU 0 finds out, as whoever waits for an answer of it would.
fn stuck() {
    sched::current().set_affinity(sched::CpuSet::only(0));
    let start = alloc::boxed::Box::new(|| {
        let _masked = hal::irq::IrqGuard::mask();
        loop {
            hal::cpu::relax();
        }
    });
    let affinity = Some(sched::CpuSet::only(1));
    if sched::spawn(sched::Spawn { name: "stuck", ext: None, affinity, start }).is_ok() {
        sched::sleep_until(hal::clock::now_ns() + 50_000_000, sched::Interruptible::No);
        hal::watchdog::report_stuck(1);
    }
}

/// Fills the kernel stack: must end in a panic line on another stack, never in silence.
#[allow(unconditional_recursion, reason = "that it never returns is what it is for")]
#[inline(never)]
fn deep(level: u64) -> u64 {
    let frame = core::hint::black_box([level; 32]);
    deep(level + 1) + core::hint::black_box(frame)[3]
}
