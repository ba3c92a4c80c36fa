//! COM1: the kernel log goes out here, nothing comes in.

use super::pio::{inb, outb};

const PORT: u16 = 0x3f8;
/// Line status: the transmitter can take a byte (16550 data sheet, LSR bit 5).
const TRANSMITTER_EMPTY: u8 = 0x20;

/// Writes `bytes`. A port that stays busy (none is there) loses them rather than hanging the machine.
pub fn serial_write(bytes: &[u8]) {
    for &byte in bytes {
        let mut patience = 10_000;
        // SAFETY: COM1 is hal's own.
        while unsafe { inb(PORT + 5) } & TRANSMITTER_EMPTY == 0 && patience > 0 {
            patience -= 1;
        }
        // SAFETY: as above.
        unsafe { outb(PORT, byte) };
    }
}
