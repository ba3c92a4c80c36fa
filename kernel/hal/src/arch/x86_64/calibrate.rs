//! How fast the time-stamp counter and the APIC timer run.
//!
//! Under KVM the paravirtual clock says it exactly. Elsewhere both are measured against the 8254 timer, which every
//! machine that we boot on has: a first estimate over 100 us at boot, then again over the whole boot and once more
//! over the first seconds, without waiting for anything.

use super::cpuid::{features, read_msr, write_msr};
use super::{apic, clock, pio};
use crate::sync::SpinLock;
use core::cell::UnsafeCell;

const PIT_HZ: u64 = 1_193_182;
const PIT_WRAP: u64 = 65536;
const PIT_DATA: u16 = 0x40;
const PIT_COMMAND: u16 = 0x43;
/// Channel 0, both bytes, mode 2 (rate generator).
const PIT_FREE_RUNNING: u8 = 0x34;
/// First estimate's length, in PIT ticks (about 100 us).
const FIRST_TICKS: u64 = 120;

const MSR_KVM_SYSTEM_TIME: u32 = 0x4b56_4d01;
const NS_PER_S: u64 = 1_000_000_000;

/// Counter values taken together.
#[derive(Clone, Copy)]
struct Sample {
    tsc: u64,
    pit: u64,
}

struct State {
    start: Sample,
    tsc_hz: u64,
    exact: bool,
    apic_start_tsc: u64,
}

static STATE: SpinLock<State> =
    SpinLock::new(State { start: Sample { tsc: 0, pit: 0 }, tsc_hz: 0, exact: false, apic_start_tsc: 0 });

fn sample() -> Sample {
    // SAFETY: the 8254 is hal's own. Latching makes the two reads one value.
    unsafe {
        pio::outb(PIT_COMMAND, 0);
        let tsc = clock::read_tsc();
        let low = pio::inb(PIT_DATA);
        let high = pio::inb(PIT_DATA);
        Sample { tsc, pit: u64::from(low) | u64::from(high) << 8 }
    }
}

/// PIT ticks between two samples less than a wrap (55 ms) apart: it counts down.
fn pit_ticks(from: Sample, to: Sample) -> u64 {
    (from.pit + PIT_WRAP - to.pit) % PIT_WRAP
}

/// First estimate; monotonic time starts.
pub fn start() {
    let mut state = STATE.lock();
    if let Some(tsc_hz) = kvm_tsc_hz() {
        state.tsc_hz = tsc_hz;
        state.exact = true;
        clock::start(clock::read_tsc(), tsc_hz);
        return;
    }
    // SAFETY: the 8254 is hal's own; its interrupt is masked.
    unsafe {
        pio::outb(PIT_COMMAND, PIT_FREE_RUNNING);
        pio::outb(PIT_DATA, 0);
        pio::outb(PIT_DATA, 0);
    }
    let first = sample();
    let mut patience = 100_000u32;
    let mut last = sample();
    while pit_ticks(first, last) < FIRST_TICKS && patience > 0 {
        last = sample();
        patience -= 1;
    }
    // Without a working 8254 the counter is taken for one of 1 GHz: time is wrong then, but runs.
    let ticks = pit_ticks(first, last);
    state.tsc_hz = if ticks == 0 || patience == 0 { NS_PER_S } else { (last.tsc - first.tsc) * PIT_HZ / ticks };
    state.exact = patience == 0;
    state.start = first;
    clock::start(first.tsc, state.tsc_hz);
}

/// The APIC timer counts down from its maximum from now on, for [`refine`].
pub fn apic_ready() {
    if !features().tsc_deadline {
        apic::mask_timer(true);
        apic::start_timer(u32::MAX);
        STATE.lock().apic_start_tsc = clock::read_tsc();
    }
}

/// Measures again over the time since [`start`]. The kernel calls it at the end of boot, before the first timer, and
/// once more after a few seconds; the second time only the counter's rate is measured.
pub fn refine() {
    let mut state = STATE.lock();
    if !state.exact {
        let now = sample();
        let ticks_tsc = now.tsc - state.start.tsc;
        // The estimate so far tells how often the 8254 has wrapped since.
        let expected = u128::from(ticks_tsc) * u128::from(PIT_HZ) / u128::from(state.tsc_hz);
        let rest = pit_ticks(state.start, now);
        let wraps = (expected as u64 + PIT_WRAP / 2).saturating_sub(rest) / PIT_WRAP;
        let ticks = wraps * PIT_WRAP + rest;
        if ticks > 0 {
            state.tsc_hz = (u128::from(ticks_tsc) * u128::from(PIT_HZ) / u128::from(ticks)) as u64;
        }
        clock::set_rate(state.tsc_hz);
    }
    if state.apic_start_tsc != 0 {
        let counted = u64::from(u32::MAX - apic::timer_current());
        let ticks_tsc = clock::read_tsc() - state.apic_start_tsc;
        if ticks_tsc > 0 && counted > 0 {
            clock::set_apic_rate((u128::from(counted) * u128::from(state.tsc_hz) / u128::from(ticks_tsc)) as u64);
        }
        state.apic_start_tsc = 0;
        apic::start_timer(0);
        apic::mask_timer(false);
    }
}

/// The structure that KVM fills in (`pvclock_vcpu_time_info`, Linux Documentation/virt/kvm/x86/msr.rst).
#[repr(C, align(64))]
struct PvClock {
    version: u32,
    _pad0: u32,
    tsc_timestamp: u64,
    system_time: u64,
    tsc_to_system_mul: u32,
    tsc_shift: i8,
    flags: u8,
    _pad: [u8; 2],
}

struct PvClockCell(UnsafeCell<PvClock>);
// SAFETY: used once, by the boot vCPU.
unsafe impl Sync for PvClockCell {}

static PV_CLOCK: PvClockCell = PvClockCell(UnsafeCell::new(PvClock {
    version: 0,
    _pad0: 0,
    tsc_timestamp: 0,
    system_time: 0,
    tsc_to_system_mul: 0,
    tsc_shift: 0,
    flags: 0,
    _pad: [0; 2],
}));

/// The counter's exact rate, when a KVM host tells it.
fn kvm_tsc_hz() -> Option<u64> {
    if !features().kvm || !kvm_has_clock() {
        return None;
    }
    let phys = PV_CLOCK.0.get() as u64 - crate::addr::KERNEL_BASE;
    // SAFETY: the MSR exists; KVM writes to a static of ours until it is told to stop.
    let (mul, shift) = unsafe {
        write_msr(MSR_KVM_SYSTEM_TIME, phys | 1);
        let _ = read_msr(MSR_KVM_SYSTEM_TIME);
        let clock = PV_CLOCK.0.get().read_volatile();
        write_msr(MSR_KVM_SYSTEM_TIME, 0);
        (clock.tsc_to_system_mul, clock.tsc_shift)
    };
    if mul == 0 {
        return None;
    }
    // ns = (ticks << shift) * mul >> 32
    let per_second = (u128::from(NS_PER_S) << 32) / u128::from(mul);
    Some(if shift >= 0 { per_second >> shift } else { per_second << -shift } as u64)
}

fn kvm_has_clock() -> bool {
    // KVM_FEATURE_CLOCKSOURCE2
    raw_cpuid::native_cpuid::cpuid_count(0x4000_0001, 0).eax & 1 << 3 != 0
}
