//! A seed for the random generator from the CPU.

use super::{clock, features};
use core::arch::asm;

/// 32 bytes: RDSEED or RDRAND where there is one, and always the counter.
pub fn hardware_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    for (index, piece) in seed.chunks_mut(8).enumerate() {
        let hardware = if features().rdseed { rdseed() } else { None };
        let hardware = hardware.or_else(|| if features().rdrand { rdrand() } else { None }).unwrap_or(0);
        let mixed = hardware ^ clock::read_tsc().rotate_left(17 * index as u32);
        piece.copy_from_slice(&mixed.to_ne_bytes());
    }
    seed
}

macro_rules! generator {
    ($name:ident, $instruction:literal) => {
        fn $name() -> Option<u64> {
            // The generator may be busy; ten tries are what Intel advises.
            (0..10).find_map(|_| {
                let (value, ok): (u64, u8);
                // SAFETY: called only where CPUID shows the instruction.
                unsafe { asm!($instruction, "setc {1}", out(reg) value, out(reg_byte) ok, options(nomem, nostack)) };
                (ok != 0).then_some(value)
            })
        }
    };
}

generator!(rdseed, "rdseed {0}");
generator!(rdrand, "rdrand {0}");
