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
        self.mono_base_ns + ((ticks as u128 * self.mult as u128) >> (self.shift & 63)) as u64
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

/// Sets CLOCK_REALTIME from `host_epoch_ns` (the host's clock at power-on, when it told it) or the battery clock.
/// Without either it starts at 1970.
pub fn init_realtime(host_epoch_ns: Option<u64>) {
    if let Some(now) = host_epoch_ns.or_else(|| arch::seconds_since_epoch().map(|seconds| seconds * 1_000_000_000)) {
        set_realtime_ns(now);
    }
}

/// Seconds since 1970 from the battery clock's fields [second, minute, hour, day, month, year of the century].
/// `pm` is the bit of the hour that says "afternoon" in 12-hour mode. `None` if it is no date.
#[cfg_attr(not(feature = "bare"), allow(dead_code, reason = "the host backend has no battery clock"))]
pub(crate) fn decode_rtc(fields: [u8; 6], binary: bool, hours_24: bool, pm: u8) -> Option<u64> {
    let number = |value: u8| if binary { value } else { (value >> 4) * 10 + (value & 15) };
    let afternoon = !hours_24 && fields[2] & pm != 0;
    let [second, minute, hour, day, month, year] =
        [fields[0], fields[1], fields[2] & !(if hours_24 { 0 } else { pm }), fields[3], fields[4], fields[5]]
            .map(|value| u64::from(number(value)));
    let hour = if hours_24 { hour } else { hour % 12 + if afternoon { 12 } else { 0 } };
    if second > 59 || minute > 59 || hour > 23 || !(1..=31).contains(&day) || !(1..=12).contains(&month) || year > 99 {
        return None;
    }
    let year = 2000 + year;
    // Days since 1970 of a civil date, counting years from March so that the leap day comes last.
    let (from_march_year, from_march_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = from_march_year / 4 - from_march_year / 100 + from_march_year / 400;
    let days = from_march_year * 365 + leap_days + (from_march_month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::decode_rtc;

    #[test]
    fn battery_clock_dates_become_seconds() {
        // date -u -d '2026-11-24 18:35:07' +%s
        let expected = Some(1_795_545_307);
        assert_eq!(decode_rtc([0x07, 0x35, 0x18, 0x24, 0x11, 0x26], false, true, 0x80), expected);
        assert_eq!(decode_rtc([7, 35, 18, 24, 11, 26], true, true, 0x80), expected);
        assert_eq!(decode_rtc([0x07, 0x35, 0x86, 0x24, 0x11, 0x26], false, false, 0x80), expected);
    }

    #[test]
    fn leap_days_and_midnight() {
        // date -u -d '2028-02-29 00:00:00' +%s
        assert_eq!(decode_rtc([0, 0, 0, 29, 2, 28], true, true, 0x80), Some(1_835_395_200));
        assert_eq!(decode_rtc([0, 0, 0x12, 0x29, 0x02, 0x28], false, false, 0x80), Some(1_835_395_200));
    }

    #[test]
    fn no_date_is_refused() {
        assert_eq!(decode_rtc([0xff; 6], false, true, 0x80), None);
        assert_eq!(decode_rtc([0, 0, 0, 0, 1, 1], true, true, 0x80), None);
    }
}
