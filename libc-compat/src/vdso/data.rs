//! The data page of the vDSO: what turns the time-stamp counter into nanoseconds.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use hal::clock::TscParams;

/// The page's content. `image.s` knows the offsets. `sequence` is odd while the rest is being written.
#[repr(C)]
pub struct Data {
    sequence: AtomicU32,
    shift: AtomicU32,
    mult: AtomicU64,
    tsc_base: AtomicU64,
    mono_base_ns: AtomicU64,
    real_base_ns: AtomicU64,
}

impl Data {
    /// Takes new parameters over. One writer at a time.
    pub fn write(&self, params: &TscParams) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.shift.store(params.shift, Ordering::Relaxed);
        self.mult.store(params.mult.into(), Ordering::Relaxed);
        self.tsc_base.store(params.tsc_base, Ordering::Relaxed);
        self.mono_base_ns.store(params.mono_base_ns, Ordering::Relaxed);
        let real_base_ns = params.mono_base_ns.wrapping_add_signed(params.real_offset_ns);
        self.real_base_ns.store(real_base_ns, Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }
}
