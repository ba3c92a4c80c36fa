//! Interrupt masking, device vectors and their dispatch.

use super::apic;
use crate::irq::{MsiMessage, Vector};
use crate::sync::SpinLock;
use crate::trap::hooks;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Vectors between vCPUs and of the timer, above all devices' so that they come first (SDM volume 3, 11.8.3).
pub const VECTOR_TIMER: u8 = 0xf0;
pub const VECTOR_RESCHEDULE: u8 = 0xf1;
pub const VECTOR_TLB_FLUSH: u8 = 0xf2;
pub const VECTOR_STOP: u8 = 0xf3;
pub const VECTOR_SPURIOUS: u8 = 0xff;
const FIRST_DEVICE: u8 = 0x30;
const DEVICE_VECTORS: usize = 64;

/// A device's handler: read without a lock at each interrupt, written once.
struct Slot {
    handler: AtomicUsize,
    arg: AtomicUsize,
    count: AtomicU64,
}

static SLOTS: [Slot; DEVICE_VECTORS] =
    [const { Slot { handler: AtomicUsize::new(0), arg: AtomicUsize::new(0), count: AtomicU64::new(0) } };
        DEVICE_VECTORS];
static NAMES: SpinLock<([&str; DEVICE_VECTORS], usize)> = SpinLock::new(([""; DEVICE_VECTORS], 0));

/// Masks interrupts; returns whether they were on.
pub fn irq_save() -> bool {
    let flags: u64;
    // SAFETY: masking interrupts is always sound.
    unsafe { asm!("pushfq", "pop {}", "cli", out(reg) flags) };
    flags & crate::trap::RFLAGS_IF != 0
}

/// Whether interrupts are on.
pub fn irq_enabled() -> bool {
    let flags: u64;
    // SAFETY: reads the flags.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
    flags & crate::trap::RFLAGS_IF != 0
}

/// # Safety
/// As `crate::irq::enable`.
pub unsafe fn irq_enable() {
    // SAFETY: the caller's duty.
    unsafe { asm!("sti", options(nostack)) };
}

/// Sleeps until an interrupt. STI takes effect after the next instruction, so none is lost before HLT.
pub fn wait_for_interrupt() {
    // SAFETY: the caller has masked interrupts and holds no lock.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// See `crate::irq::allocate`.
pub fn irq_allocate(name: &'static str, handler: fn(usize), arg: usize) -> Option<Vector> {
    let mut names = NAMES.lock();
    let index = names.1;
    let slot = SLOTS.get(index)?;
    names.0[index] = name;
    names.1 += 1;
    slot.arg.store(arg, Ordering::Relaxed);
    slot.handler.store(handler as *const () as usize, Ordering::Release);
    Some(Vector(FIRST_DEVICE + index as u8))
}

/// See `crate::irq::counts`.
pub fn irq_counts() -> alloc::vec::Vec<(&'static str, u64)> {
    let names = NAMES.lock();
    (0..names.1).map(|index| (names.0[index], SLOTS[index].count.load(Ordering::Relaxed))).collect()
}

/// See `crate::irq::msi_message`.
pub fn msi_message(vector: Vector, cpu: usize) -> MsiMessage {
    let destination = u64::from(apic::id_of(cpu) & 0xff);
    MsiMessage { address: 0xfee0_0000 | destination << 12, data: vector.0.into() }
}

/// Handles interrupt `vector`, with interrupts masked.
pub fn dispatch(vector: u8) {
    if vector == VECTOR_SPURIOUS {
        return;
    }
    let hooks = hooks();
    hooks.inspect(|hooks| (hooks.interrupt)());
    match vector {
        // Ended first: the handler may switch threads.
        VECTOR_TIMER => {
            apic::end_of_interrupt();
            hooks.inspect(|hooks| (hooks.timer)());
        }
        VECTOR_RESCHEDULE => {
            apic::end_of_interrupt();
            hooks.inspect(|hooks| (hooks.reschedule)());
        }
        VECTOR_TLB_FLUSH => {
            apic::end_of_interrupt();
            hooks.inspect(|hooks| (hooks.tlb_flush)());
        }
        VECTOR_STOP => super::power::halt_for_ever(),
        _ => {
            if let Some(slot) = vector.checked_sub(FIRST_DEVICE).and_then(|index| SLOTS.get(usize::from(index))) {
                slot.count.fetch_add(1, Ordering::Relaxed);
                let handler = slot.handler.load(Ordering::Acquire);
                if handler != 0 {
                    // SAFETY: only `irq_allocate` stores here, and it stores a `fn(usize)`.
                    let handler = unsafe { core::mem::transmute::<usize, fn(usize)>(handler) };
                    handler(slot.arg.load(Ordering::Relaxed));
                }
            }
            // Legacy vectors (32..48) are masked and need no end; an extra end is harmless only if none is in service.
            if vector >= FIRST_DEVICE {
                apic::end_of_interrupt();
            }
        }
    }
}
