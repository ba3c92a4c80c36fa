//! Time from the host's clock: the "time-stamp counter" counts nanoseconds.

use crate::clock::TscParams;
use core::sync::atomic::{AtomicI64, Ordering};
#[cfg_attr(feature = "loom", allow(unused_imports, reason = "models have no time"))]
use std::time::{Instant, SystemTime};

static START: crate::sync::Once<(Instant, i64)> = crate::sync::Once::new();
static REAL_OFFSET_CHANGE: AtomicI64 = AtomicI64::new(0);

fn start() -> &'static (Instant, i64) {
    START.call_once(|| {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (Instant::now(), since_epoch.as_nanos() as i64)
    })
}

#[cfg(feature = "loom")]
pub fn now_ns() -> u64 {
    crate::model::now_ns()
}
#[cfg(not(feature = "loom"))]
pub fn now_ns() -> u64 {
    // Never 0, which callers may take for "no time".
    start().0.elapsed().as_nanos() as u64 + 1
}
pub fn read_tsc() -> u64 {
    now_ns()
}
pub fn tsc_params() -> TscParams {
    let real_offset_ns = start().1 + REAL_OFFSET_CHANGE.load(Ordering::Relaxed);
    TscParams { mult: 1, shift: 0, tsc_base: 0, mono_base_ns: 0, real_offset_ns }
}
pub fn set_real_offset(offset_ns: i64) {
    REAL_OFFSET_CHANGE.store(offset_ns - start().1, Ordering::Relaxed);
}
pub fn set_deadline(_deadline_ns: Option<u64>) {}
pub fn on_clock_change(_hook: fn()) {}
pub fn refine_clock() {}
pub fn seconds_since_epoch() -> Option<u64> {
    Some(start().1 as u64 / 1_000_000_000)
}
