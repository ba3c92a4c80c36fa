//! Ways to end the machine.

use super::{apic, pio};
use crate::acpi::{AddressSpace, RegisterWrite};
use core::arch::asm;

/// QEMU's isa-debug-exit, as the host tool configures it: writing v ends QEMU with (v << 1) | 1.
const DEBUG_EXIT: u16 = 0x501;
/// Ends in status 121, the documented one of a kernel panic.
const DEBUG_EXIT_PANIC: u32 = 0x3c;

/// How long a machine may take to switch off after it was told to.
const ACPI_PATIENCE_NS: u64 = 1_000_000_000;

/// Switches off: by ACPI, then by the debug device.
pub fn power_off(status: u8) -> ! {
    super::irq::irq_save();
    apic::stop_others();
    for write in crate::acpi::power_off_writes().iter() {
        write_register(write);
    }
    // The host's side of it takes a moment.
    let end = crate::clock::now_ns() + ACPI_PATIENCE_NS;
    while crate::clock::now_ns() < end {
        crate::cpu::relax();
    }
    exit(u32::from(status))
}

fn write_register(write: &RegisterWrite) {
    let register = write.register;
    // SAFETY: registers that the firmware's FADT names for this.
    unsafe {
        match (register.space, register.access_bits) {
            (AddressSpace::Port, 8) => pio::outb(register.address as u16, write.value as u8),
            (AddressSpace::Port, 16) => pio::outw(register.address as u16, write.value as u16),
            (AddressSpace::Port, _) => pio::outl(register.address as u16, write.value),
            (AddressSpace::Memory, bits) => {
                let mapped = super::paging::map_device(15, register.address);
                match bits {
                    8 => mapped.write_volatile(write.value as u8),
                    16 => mapped.cast::<u16>().write_volatile(write.value as u16),
                    _ => mapped.cast::<u32>().write_volatile(write.value),
                }
            }
        }
    }
}

fn exit(value: u32) -> ! {
    // SAFETY: no other device answers at this port on the machines we run on.
    unsafe { pio::outl(DEBUG_EXIT, value) };
    halt_for_ever()
}

/// Ends the run after a kernel bug.
pub fn panic_stop() -> ! {
    super::irq::irq_save();
    exit(DEBUG_EXIT_PANIC)
}

/// This vCPU does nothing any more.
pub fn halt_for_ever() -> ! {
    loop {
        // SAFETY: masks interrupts and sleeps; only an NMI or reset comes through.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
