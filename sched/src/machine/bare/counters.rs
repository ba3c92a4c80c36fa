//! Where the time went.

use super::cpu::CPUS;
use crate::Thread;
use crate::stat::CpuStat;

/// One vCPU's times, under its lock.
pub(super) struct Times {
    stat: CpuStat,
    /// Calls of the scheduler, also those that switched nothing.
    passes: u64,
    /// The running thread's time counts from here.
    since_ns: u64,
    running: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Idle,
    Application,
    Kernel,
}

impl Times {
    pub const fn new() -> Self {
        let stat = CpuStat { user_ns: 0, system_ns: 0, idle_ns: 0, switches: 0 };
        Self { stat, passes: 0, since_ns: 0, running: Kind::Idle }
    }

    /// The vCPU's idle thread starts to run at `now_ns`.
    pub fn begin(&mut self, now_ns: u64) {
        self.since_ns = now_ns;
    }

    /// A pass through the scheduler at `now_ns`.
    pub fn pass(&mut self, now_ns: u64) {
        self.stat = self.up_to(now_ns);
        self.since_ns = self.since_ns.max(now_ns);
        self.passes += 1;
    }

    /// Another thread runs after this pass.
    pub fn switch(&mut self, next: &Thread, is_idle: bool) {
        self.stat.switches += 1;
        self.running = match (is_idle, next.is_application()) {
            (true, _) => Kind::Idle,
            (_, true) => Kind::Application,
            _ => Kind::Kernel,
        };
    }

    fn up_to(&self, now_ns: u64) -> CpuStat {
        let mut stat = self.stat;
        let passed_ns = now_ns.saturating_sub(self.since_ns);
        match self.running {
            Kind::Application => stat.user_ns += passed_ns,
            Kind::Kernel => stat.system_ns += passed_ns,
            Kind::Idle => stat.idle_ns += passed_ns,
        }
        stat
    }
}

pub(crate) fn cpu_stat(cpu: usize) -> CpuStat {
    let shared = CPUS.of(cpu).shared.lock();
    shared.times.up_to(hal::clock::now_ns())
}

pub(crate) fn passes() -> u64 {
    CPUS.iter().map(|cpu| cpu.shared.lock().times.passes).sum()
}

pub(crate) fn runnable() -> usize {
    CPUS.iter().map(|cpu| cpu.shared.lock().queue.runnable()).sum()
}

pub(crate) fn load_integral_ns() -> u64 {
    let now_ns = hal::clock::now_ns();
    CPUS.iter().map(|cpu| cpu.shared.lock().queue.load_integral_ns(now_ns)).sum()
}
