//! The disk as it may be after a cut.

use super::log::{Entry, SECTOR};

/// The superblock's two sectors count as one: see fs/ext4/tests/crash.rs.
const SUPERBLOCK: usize = 1024;

/// xorshift64*.
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % limit.max(1)
    }
}

/// What an entry leaves on the disk: its data, or zeros where it has discarded.
fn bytes_of<'a>(entry: &Entry, log: &'a [u8], zeros: &'a [u8]) -> &'a [u8] {
    if entry.discarded > 0 { &zeros[..entry.discarded] } else { &log[entry.data.clone()] }
}

/// `image` with all that was written before the last flush among the first `cut` entries, and a random part of what came
/// after it: nothing, all, or some of the sectors, in their order or in any.
pub fn rebuild(image: &mut [u8], log: &[u8], entries: &[Entry], cut: usize, random: &mut Random) {
    let flushed = entries[..cut].iter().rposition(|entry| entry.is_flush).unwrap_or(0);
    let zeros = vec![0; entries.iter().map(|entry| entry.discarded).max().unwrap_or(0)];
    for entry in &entries[..flushed] {
        put(image, entry.offset, bytes_of(entry, log, &zeros));
    }
    let mut later = Vec::new();
    for entry in &entries[flushed..cut] {
        let (mut at, mut rest) = (entry.offset, bytes_of(entry, log, &zeros));
        while !rest.is_empty() {
            let unit = if at == SUPERBLOCK && rest.len() >= 1024 { 1024 } else { SECTOR };
            let (bytes, others) = rest.split_at(unit);
            later.push((at, bytes));
            (at, rest) = (at + unit, others);
        }
    }
    let share = [0, 100, random.below(101)][random.below(3)];
    if random.below(2) == 0 {
        for i in (1..later.len()).rev() {
            later.swap(i, random.below(i + 1));
        }
    }
    for (at, bytes) in later {
        if random.below(100) < share {
            put(image, at, bytes);
        }
    }
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}
