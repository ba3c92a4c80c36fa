//! Time. Nanoseconds everywhere; the time-stamp counter is the one source, also for the application's vDSO.

use crate::arch::current as arch;

/// How to turn the time-stamp counter into time, for the vDSO:
/// `monotonic_ns = mono_base_ns + ((tsc - tsc_base) * mult >> shift)`, realtime = monotonic + `real_offset_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TscParams {
    /// Nanoseconds a tick, scaled by 2^`shift`.
    pub mult: u32,
    /// See `mult`.
    pub shift: u32,
    /// Counter value at `mono_base_ns`.
    pub tsc_base: u64,
    /// CLOCK_MONOTONIC at `tsc_base`, in nanoseconds.
    pub mono_base_ns: u64,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, in nanoseconds.
    pub real_offset_ns: i64,
}

impl TscParams {
    /// CLOCK_MONOTONIC at counter value `tsc`; before `tsc_base` it is `mono_base_ns`.
    pub fn monotonic_ns(&self, tsc: u64) -> u64 {
        let ticks = tsc.saturating_sub(self.tsc_base);
        self.mono_base_ns + ((ticks as u128 * self.mult as u128) >> self.shift) as u64
    }
}

/// CLOCK_MONOTONIC: nanoseconds since boot.
pub fn now_ns() -> u64 {
    arch::now_ns()
}

/// CLOCK_REALTIME: nanoseconds since 1970 (0 or more).
pub fn realtime_ns() -> u64 {
    (now_ns() as i64).saturating_add(tsc_params().real_offset_ns).max(0) as u64
}

/// Sets CLOCK_REALTIME.
pub fn set_realtime_ns(realtime_ns: u64) {
    arch::set_real_offset(realtime_ns as i64 - now_ns() as i64);
}

/// This vCPU's timer fires once at `deadline_ns` ([`now_ns`] time), or not at all.
pub fn set_deadline(deadline_ns: Option<u64>) {
    arch::set_deadline(deadline_ns);
}

/// The parameters in force.
pub fn tsc_params() -> TscParams {
    arch::tsc_params()
}

/// `hook` is called whenever [`tsc_params`] changes (set_realtime, calibration), to refresh the vDSO's copy.
pub fn on_change(hook: fn()) {
    arch::on_clock_change(hook);
}

/// Measures the counter's rate anew over all the time since boot. Wiring calls it once before the first timer and once
/// some seconds later.
pub fn refine() {
    arch::refine_clock();
}
