//! Interrupts: masking, vectors for devices, and interrupts between vCPUs.

use crate::arch::current as arch;
use core::marker::PhantomData;

/// Interrupts stay masked on this vCPU until the guard drops. Guards nest.
pub struct IrqGuard {
    were_enabled: bool,
    /// Not `Send`: the mask belongs to one vCPU.
    _not_send: PhantomData<*mut ()>,
}

impl IrqGuard {
    /// Masks interrupts.
    pub fn mask() -> Self {
        Self { were_enabled: arch::irq_save(), _not_send: PhantomData }
    }
}

impl Drop for IrqGuard {
    fn drop(&mut self) {
        if self.were_enabled {
            // SAFETY: they were on when the guard was made, so nothing that the guard protects needs them off.
            unsafe { arch::irq_enable() }
        }
    }
}

/// Whether this vCPU takes interrupts now.
pub fn enabled() -> bool {
    arch::irq_enabled()
}

/// Unmasks interrupts.
///
/// # Safety
/// No [`IrqGuard`] or spin lock is alive on this vCPU.
pub unsafe fn enable() {
    // SAFETY: the caller's duty.
    unsafe { arch::irq_enable() }
}

/// Masks interrupts without a guard, for code that ends in a context switch or a return from a trap.
///
/// # Safety
/// The caller sees to it that they are unmasked again.
pub unsafe fn disable() {
    arch::irq_save();
}

/// Sleeps until an interrupt comes and has been handled. Call with interrupts masked; returns with them masked.
/// An interrupt between the caller's last check and the sleep is not lost.
pub fn wait_for_interrupt() {
    arch::wait_for_interrupt();
}

/// A device's interrupt vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vector(pub(crate) u8);

/// How an interrupt line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Rising edge.
    EdgeHigh,
    /// Level, active high.
    LevelHigh,
    /// Level, active low (PCI INTx).
    LevelLow,
}

/// What a device writes, and where, to interrupt a vCPU (PCI 3.0 section 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiMessage {
    /// Message address.
    pub address: u64,
    /// Message data.
    pub data: u32,
}

/// Takes a free vector for a device. `handler(arg)` then runs on each interrupt, with interrupts masked; hal ends the
/// interrupt. `None` when all vectors are taken.
pub fn allocate(name: &'static str, handler: fn(usize), arg: usize) -> Option<Vector> {
    arch::irq_allocate(name, handler, arg)
}

/// The message that makes `vector` happen on vCPU `cpu`.
pub fn msi_message(vector: Vector, cpu: usize) -> MsiMessage {
    arch::msi_message(vector, cpu)
}

/// Connects a global system interrupt (an I/O APIC pin) to `vector` on the boot vCPU and unmasks it.
/// Returns false when no I/O APIC has such a pin.
pub fn route_gsi(gsi: u32, vector: Vector, trigger: Trigger) -> bool {
    arch::route_gsi(gsi, vector, trigger)
}

/// Why one vCPU interrupts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipi {
    /// Look at the run queue and the current thread's work flags.
    Reschedule,
    /// Requests for translation flushes are queued (`mm`).
    TlbFlush,
    /// Stop for ever: the machine is going down.
    Stop,
}

/// Interrupts vCPU `cpu`.
pub fn send_ipi(cpu: usize, kind: Ipi) {
    arch::send_ipi(cpu, kind);
}

/// Counts of handled interrupts: (vector's name, count).
pub fn counts() -> alloc::vec::Vec<(&'static str, u64)> {
    arch::irq_counts()
}
