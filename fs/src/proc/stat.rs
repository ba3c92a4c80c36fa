//! `/proc/stat`, `/proc/uptime`, `/proc/loadavg`.

use alloc::{format, string::String, vec::Vec};
use sched::stat::CpuStat;

/// Nanoseconds in a tick of 1/100 s, the unit of `/proc/stat`.
const TICK_NS: u64 = 10_000_000;

fn line(name: &str, cpu: &CpuStat) -> String {
    let (user, system, idle) = (cpu.user_ns / TICK_NS, cpu.system_ns / TICK_NS, cpu.idle_ns / TICK_NS);
    format!("{name} {user} 0 {system} {idle} 0 0 0 0 0 0\n")
}

pub(super) fn stat() -> Vec<u8> {
    let cpus = sched::stat::cpus();
    let mut sum = CpuStat::default();
    for cpu in &cpus {
        sum.user_ns += cpu.user_ns;
        sum.system_ns += cpu.system_ns;
        sum.idle_ns += cpu.idle_ns;
    }
    let mut text = line("cpu ", &sum);
    for (index, cpu) in cpus.iter().enumerate() {
        text += &line(&format!("cpu{index}"), cpu);
    }
    let boot_s = hal::clock::realtime_ns().saturating_sub(hal::clock::now_ns()) / 1_000_000_000;
    text += &format!(
        "intr 0\nctxt {}\nbtime {boot_s}\nprocesses {}\nprocs_running {}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
        sched::stat::context_switches(),
        sched::stat::threads_created(),
        sched::stat::runnable().max(1),
    );
    text.into_bytes()
}

fn hundredths(ns: u64) -> String {
    let ticks = ns / TICK_NS;
    format!("{}.{:02}", ticks / 100, ticks % 100)
}

pub(super) fn uptime() -> Vec<u8> {
    let idle_ns = sched::stat::cpus().iter().map(|cpu| cpu.idle_ns).sum();
    format!("{} {}\n", hundredths(hal::clock::now_ns()), hundredths(idle_ns)).into_bytes()
}

pub(super) fn load_average() -> Vec<u8> {
    let loads = sched::stat::load_average().map(|load| {
        let hundredths = load * 100 / 2048;
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    });
    let threads = sched::stat::threads();
    let last = threads.last().map_or(0, |thread| thread.id());
    format!("{} {}/{} {last}\n", loads.join(" "), sched::stat::runnable().max(1), threads.len()).into_bytes()
}
