//! The end of the machine.

use crate::arch::current as arch;

/// Switches the machine off. `status` (0 to 127) reaches the host only where no control channel could carry it, by
/// QEMU's isa-debug-exit.
pub fn off(status: u8) -> ! {
    arch::power_off(status)
}

/// Stops every vCPU after a kernel bug; the run ends with the panic status.
pub fn panic_stop() -> ! {
    arch::panic_stop()
}
