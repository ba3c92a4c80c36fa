//! What strangers must not foresee: numbers that connections start with, SYN cookies, places in hash tables.

use crate::inet::address::Tuple;
use core::hash::{BuildHasher, Hasher};
use hal::sync::Once;

static KEY: Once<[u64; 2]> = Once::new();

fn key() -> [u64; 2] {
    *KEY.call_once(|| {
        let mut bytes = [0; 16];
        hal::random::fill(&mut bytes);
        let number = u128::from_ne_bytes(bytes);
        [number as u64, (number >> 64) as u64]
    })
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

/// SipHash-2-4 of whole words.
fn sip([one, other]: [u64; 2], words: &[u64]) -> u64 {
    let mut v = [
        one ^ 0x736f_6d65_7073_6575,
        other ^ 0x646f_7261_6e64_6f6d,
        one ^ 0x6c79_6765_6e65_7261,
        other ^ 0x7465_6462_7974_6573,
    ];
    let length = (words.len() as u64 * 8) << 56;
    for &word in words.iter().chain(&[length]) {
        v[3] ^= word;
        round(&mut v);
        round(&mut v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

/// A number of this boot for a connection and what else the caller says.
pub(super) fn of(tuple: &Tuple, extra: u64) -> u64 {
    let (local, remote) = (tuple.local_ip.0, tuple.remote_ip.0);
    let ports = u64::from(tuple.local_port) << 16 | u64::from(tuple.remote_port);
    sip(key(), &[local as u64, (local >> 64) as u64, remote as u64, (remote >> 64) as u64, ports, extra])
}

/// Hashes of tables that strangers fill.
#[derive(Clone, Copy, Default)]
pub(super) struct Keyed;

pub(super) struct KeyedHasher(u64);

impl BuildHasher for Keyed {
    type Hasher = KeyedHasher;
    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher(key()[0])
    }
}

impl KeyedHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(key()[1] | 1);
        self.0 = (product as u64 ^ (product >> 64) as u64).rotate_left(29);
    }
}

impl Hasher for KeyedHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }
    fn write_u16(&mut self, number: u16) {
        self.mix(number.into());
    }
    fn write_u128(&mut self, number: u128) {
        self.mix(number as u64);
        self.mix((number >> 64) as u64);
    }
}

#[cfg(test)]
mod tests {
    /// The first of the vectors in the paper by Aumasson and Bernstein that is a whole number of words long.
    #[test]
    fn sip_hash_is_as_published() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(super::sip(key, &[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(super::sip(key, &[0x0706_0504_0302_0100]), 0x93f5_f579_9a93_2462);
    }
}
