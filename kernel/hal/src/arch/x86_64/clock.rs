//! Time from the time-stamp counter. The parameters are read without a lock at every look at the clock, and change
//! seldom (calibration, a set clock): a sequence counter tells a reader that it must look again.

use super::apic;
use super::cpuid::features;
use crate::clock::TscParams;
use crate::sync::SpinLock;
use core::arch::asm;
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Sequence: odd while the words below change.
static SEQUENCE: AtomicU32 = AtomicU32::new(0);
static MULT: AtomicU32 = AtomicU32::new(1);
static SHIFT: AtomicU32 = AtomicU32::new(0);
/// `MULT`, as it is with [`NOW_SHIFT`].
static NOW_MULT: AtomicU64 = AtomicU64::new(1 << NOW_SHIFT);
/// A shift that the compiler knows; [`scale`] gives none that is larger.
const NOW_SHIFT: u32 = 32;
static TSC_BASE: AtomicU64 = AtomicU64::new(0);
static MONO_BASE_NS: AtomicU64 = AtomicU64::new(0);
static REAL_OFFSET_NS: AtomicI64 = AtomicI64::new(0);
static WRITER: SpinLock<()> = SpinLock::new(());
static CHANGE_HOOK: AtomicUsize = AtomicUsize::new(0);

/// APIC timer ticks a nanosecond, scaled by 2^32.
static APIC_RATE: AtomicU64 = AtomicU64::new(1 << 32);

/// The counter now.
pub fn read_tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: CR4.TSD is clear; the fence keeps the read in program order.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// What `read` makes of the words above when they do not change meanwhile.
#[inline]
fn consistently<R>(read: impl Fn() -> R) -> R {
    loop {
        let before = SEQUENCE.load(Ordering::Acquire);
        let result = read();
        core::sync::atomic::fence(Ordering::Acquire);
        if before & 1 == 0 && SEQUENCE.load(Ordering::Relaxed) == before {
            return result;
        }
        crate::cpu::relax();
    }
}

/// The parameters in force.
pub fn tsc_params() -> TscParams {
    consistently(|| TscParams {
        mult: MULT.load(Ordering::Relaxed),
        shift: SHIFT.load(Ordering::Relaxed),
        tsc_base: TSC_BASE.load(Ordering::Relaxed),
        mono_base_ns: MONO_BASE_NS.load(Ordering::Relaxed),
        real_offset_ns: REAL_OFFSET_NS.load(Ordering::Relaxed),
    })
}

fn publish(params: TscParams) {
    let guard = WRITER.lock();
    SEQUENCE.fetch_add(1, Ordering::AcqRel);
    MULT.store(params.mult, Ordering::Relaxed);
    SHIFT.store(params.shift, Ordering::Relaxed);
    NOW_MULT.store(u64::from(params.mult) << (NOW_SHIFT - params.shift), Ordering::Relaxed);
    TSC_BASE.store(params.tsc_base, Ordering::Relaxed);
    MONO_BASE_NS.store(params.mono_base_ns, Ordering::Relaxed);
    REAL_OFFSET_NS.store(params.real_offset_ns, Ordering::Relaxed);
    SEQUENCE.fetch_add(1, Ordering::Release);
    drop(guard);
    let hook = CHANGE_HOOK.load(Ordering::Acquire);
    if hook != 0 {
        // SAFETY: only `on_clock_change` stores here, and it stores a `fn()`.
        unsafe { core::mem::transmute::<usize, fn()>(hook)() };
    }
}

/// See `crate::clock::on_change`.
pub fn on_clock_change(hook: fn()) {
    CHANGE_HOOK.store(hook as *const () as usize, Ordering::Release);
}

/// Time since boot: to the nanosecond what [`TscParams::monotonic_ns`] makes of the counter.
pub fn now_ns() -> u64 {
    let [mult, tsc_base, mono_base_ns] =
        consistently(|| [&NOW_MULT, &TSC_BASE, &MONO_BASE_NS].map(|word| word.load(Ordering::Relaxed)));
    let ticks = read_tsc().saturating_sub(tsc_base);
    mono_base_ns + ((u128::from(ticks) * u128::from(mult)) >> NOW_SHIFT) as u64
}

/// Monotonic time starts now, at 0, with a counter of `tsc_hz`.
pub fn start(tsc: u64, tsc_hz: u64) {
    let (mult, shift) = scale(tsc_hz);
    publish(TscParams { mult, shift, tsc_base: tsc, mono_base_ns: 0, real_offset_ns: 0 });
}

/// The counter's rate turns out to be `tsc_hz`: from now on time runs at it, without a jump.
pub fn set_rate(tsc_hz: u64) {
    let (mult, shift) = scale(tsc_hz);
    let old = tsc_params();
    let now = read_tsc();
    publish(TscParams { mult, shift, tsc_base: now, mono_base_ns: old.monotonic_ns(now), ..old });
}

/// Realtime minus monotonic.
pub fn set_real_offset(offset_ns: i64) {
    publish(TscParams { real_offset_ns: offset_ns, ..tsc_params() });
}

/// `(mult, shift)` so that ticks * mult >> shift are nanoseconds; mult keeps 31 significant bits.
fn scale(tsc_hz: u64) -> (u32, u32) {
    let mut shift = 32;
    let mut mult = (1_000_000_000u128 << shift) / u128::from(tsc_hz.max(1));
    while mult >= 1 << 31 {
        mult >>= 1;
        shift -= 1;
    }
    (mult as u32, shift)
}

/// Sets the APIC timer's rate.
pub fn set_apic_rate(ticks_per_second: u64) {
    APIC_RATE.store(((u128::from(ticks_per_second) << 32) / 1_000_000_000) as u64, Ordering::Relaxed);
}

/// See `crate::clock::set_deadline`.
pub fn set_deadline(deadline_ns: Option<u64>) {
    let tsc_deadline = features().tsc_deadline;
    let Some(deadline) = deadline_ns else {
        return if tsc_deadline { apic::set_tsc_deadline(0) } else { apic::start_timer(0) };
    };
    if tsc_deadline {
        let params = tsc_params();
        let ahead = deadline.saturating_sub(params.mono_base_ns);
        let ticks = (u128::from(ahead) << params.shift) / u128::from(params.mult);
        // A deadline in the past fires at once; 0 would switch the timer off.
        apic::set_tsc_deadline((u128::from(params.tsc_base) + ticks + 1).min(u64::MAX.into()) as u64);
    } else {
        let ahead = deadline.saturating_sub(now_ns());
        let ticks = (u128::from(ahead) * u128::from(APIC_RATE.load(Ordering::Relaxed))) >> 32;
        // Too far for the counter: it fires early, and whoever set the deadline sets it again.
        apic::start_timer(ticks.clamp(1, u32::MAX.into()) as u32);
    }
}
