//! Port input and output.

use core::arch::asm;

macro_rules! port {
    ($read:ident, $write:ident, $ty:ty, $register:tt, $in:literal, $out:literal) => {
        /// # Safety
        /// As the reads of `crate::pio`.
        pub unsafe fn $read(port: u16) -> $ty {
            let value: $ty;
            // SAFETY: the caller's duty.
            unsafe { asm!($in, out($register) value, in("dx") port, options(nomem, nostack, preserves_flags)) };
            value
        }
        /// # Safety
        /// As the writes of `crate::pio`.
        pub unsafe fn $write(port: u16, value: $ty) {
            // SAFETY: the caller's duty.
            unsafe { asm!($out, in("dx") port, in($register) value, options(nostack, preserves_flags)) };
        }
    };
}

port!(inb, outb, u8, "al", "in al, dx", "out dx, al");
port!(inw, outw, u16, "ax", "in ax, dx", "out dx, ax");
port!(inl, outl, u32, "eax", "in eax, dx", "out dx, eax");
