//! The hashes by which an indexed directory sorts its names: legacy, half MD4 and TEA, each over signed or unsigned bytes.

use crate::layout::Superblock;

/// How a directory hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hasher {
    version: u8,
    unsigned: bool,
    seed: [u32; 4],
}

const HALF_MD4: u8 = 1;
const TEA: u8 = 2;
/// No name has this hash: it stands for the end of a directory.
const END: u32 = 0x7fff_ffff << 1;

impl Hasher {
    /// For the version that a directory's root names. None for one that is not known.
    pub fn new(version: u8, superblock: &Superblock) -> Option<Self> {
        let (version, unsigned) = match version {
            0..=2 => (version, superblock.unsigned_hash()),
            3..=5 => (version - 3, true),
            _ => return None,
        };
        let seed = superblock.hash_seed();
        let seed = if seed == [0; 4] { [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476] } else { seed };
        Some(Self { version, unsigned, seed })
    }

    /// A name's hash; the lowest bit is clear.
    pub fn hash(&self, name: &[u8]) -> u32 {
        self.hashes(name).0
    }

    /// A name's hash, and the minor one that orders names of one hash.
    pub fn hashes(&self, name: &[u8]) -> (u32, u32) {
        let (hash, minor) = match self.version {
            HALF_MD4 => {
                let state = self.rounds(name, 32, half_md4);
                (state[1], state[2])
            }
            TEA => {
                let state = self.rounds(name, 16, tea);
                (state[0], state[1])
            }
            _ => (self.legacy(name), 0),
        };
        let hash = hash & !1;
        (if hash == END { END - 2 } else { hash }, minor)
    }

    fn byte(&self, byte: u8) -> u32 {
        if self.unsigned { u32::from(byte) } else { i32::from(byte.cast_signed()).cast_unsigned() }
    }

    fn legacy(&self, name: &[u8]) -> u32 {
        let (mut hash, mut before) = (0x12a3_fe2d_u32, 0x37ab_e8f9_u32);
        for byte in name {
            let mut next = before.wrapping_add(hash ^ self.byte(*byte).wrapping_mul(7_152_373));
            if next & 0x8000_0000 != 0 {
                next = next.wrapping_sub(0x7fff_ffff);
            }
            (before, hash) = (hash, next);
        }
        hash << 1
    }

    fn rounds(&self, name: &[u8], step: usize, round: fn(&mut [u32; 4], &[u32; 8])) -> [u32; 4] {
        let mut state = self.seed;
        let mut rest = name;
        // A name is never empty.
        while !rest.is_empty() {
            round(&mut state, &self.words(rest, step / 4));
            rest = &rest[rest.len().min(step)..];
        }
        state
    }

    /// The next bytes of a name in big-endian order of value, filled up with its length.
    fn words(&self, name: &[u8], count: usize) -> [u32; 8] {
        let length = name.len() as u32;
        let pad = length | length << 8;
        let pad = pad | pad << 16;
        let mut words = [pad; 8];
        for (word, bytes) in words.iter_mut().zip(name.chunks(4).take(count)) {
            for byte in bytes {
                *word = self.byte(*byte).wrapping_add(*word << 8);
            }
        }
        words
    }
}

fn tea(state: &mut [u32; 4], words: &[u32; 8]) {
    let [mut x, mut y] = [state[0], state[1]];
    let mut sum = 0_u32;
    let half = |v: u32, low: u32, high: u32, sum: u32| {
        (v << 4).wrapping_add(low) ^ v.wrapping_add(sum) ^ (v >> 5).wrapping_add(high)
    };
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9e37_79b9);
        x = x.wrapping_add(half(y, words[0], words[1], sum));
        y = y.wrapping_add(half(x, words[2], words[3], sum));
    }
    state[0] = state[0].wrapping_add(x);
    state[1] = state[1].wrapping_add(y);
}

fn half_md4(state: &mut [u32; 4], words: &[u32; 8]) {
    let choose = |x: u32, y: u32, z: u32| z ^ (x & (y ^ z));
    let majority = |x: u32, y: u32, z: u32| (x & y).wrapping_add((x ^ y) & z);
    let parity = |x: u32, y: u32, z: u32| x ^ y ^ z;
    let functions: [&dyn Fn(u32, u32, u32) -> u32; 3] = [&choose, &majority, &parity];
    let added = [0, 0x5a82_7999_u32, 0x6ed9_eba1];
    let order = [[0, 1, 2, 3, 4, 5, 6, 7], [1, 3, 5, 7, 0, 2, 4, 6], [3, 7, 2, 6, 1, 5, 0, 4]];
    let shifts = [[3, 7, 11, 19], [3, 5, 9, 13], [3, 9, 11, 15]];
    let mut s = *state;
    for round in 0..3 {
        for (step, word) in order[round].iter().enumerate() {
            // a, d, c, b take turns.
            let a = (4 - step % 4) % 4;
            let mixed = functions[round](s[(a + 1) % 4], s[(a + 2) % 4], s[(a + 3) % 4]);
            let sum = s[a].wrapping_add(mixed).wrapping_add(words[*word]).wrapping_add(added[round]);
            s[a] = sum.rotate_left(shifts[round][step % 4]);
        }
    }
    for (state, s) in state.iter_mut().zip(s) {
        *state = state.wrapping_add(s);
    }
}
