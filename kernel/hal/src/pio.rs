//! x86 port input and output, for PCI configuration mechanism #1 and legacy devices.

use crate::arch::current as arch;

macro_rules! port_access {
    ($read:ident, $write:ident, $ty:ty, $arch_read:ident, $arch_write:ident) => {
        /// Reads from `port`.
        ///
        /// # Safety
        /// Reading this port changes no state that other code relies on.
        pub unsafe fn $read(port: u16) -> $ty {
            // SAFETY: the caller's duty.
            unsafe { arch::$arch_read(port) }
        }

        /// Writes to `port`.
        ///
        /// # Safety
        /// The device behind `port` is the caller's, and does not write to memory that is not.
        pub unsafe fn $write(port: u16, value: $ty) {
            // SAFETY: the caller's duty.
            unsafe { arch::$arch_write(port, value) }
        }
    };
}

port_access!(read_u8, write_u8, u8, inb, outb);
port_access!(read_u16, write_u16, u16, inw, outw);
port_access!(read_u32, write_u32, u32, inl, outl);
