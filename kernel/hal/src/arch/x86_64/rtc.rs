//! The battery clock: the date at boot, to the second (MC146818 data sheet).

use super::pio::{inb, outb};

const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;
const UPDATE_IN_PROGRESS: u8 = 1 << 7;
const BINARY: u8 = 1 << 2;
const HOURS_24: u8 = 1 << 1;
const PM: u8 = 1 << 7;

fn read(register: u8) -> u8 {
    // SAFETY: the battery clock is hal's own; the top bit would mask NMIs and stays clear.
    unsafe {
        outb(INDEX, register);
        inb(DATA)
    }
}

/// Second, minute, hour, day, month, year in the chip's own coding.
fn fields() -> [u8; 6] {
    [0, 2, 4, 7, 8, 9].map(read)
}

/// Seconds since 1970, or `None` where no battery clock answers with a date.
pub fn seconds_since_epoch() -> Option<u64> {
    let mut last = None;
    // Two equal readings outside an update are one date.
    for _ in 0..100 {
        if read(10) & UPDATE_IN_PROGRESS != 0 {
            continue;
        }
        let now = fields();
        if last == Some(now) {
            return crate::clock::decode_rtc(now, read(11) & BINARY != 0, read(11) & HOURS_24 != 0, PM);
        }
        last = Some(now);
    }
    None
}
