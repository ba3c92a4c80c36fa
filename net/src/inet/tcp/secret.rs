//! What strangers must not foresee: numbers that connections start with, SYN cookies, places in hash tables.

use crate::inet::address::Tuple;
use core::hash::{BuildHasher, Hasher};
use hal::sync::Once;
use siphasher::sip::SipHasher24;

static KEY: Once<[u64; 2]> = Once::new();

fn key() -> [u64; 2] {
    *KEY.call_once(|| {
        let mut bytes = [0; 16];
        hal::random::fill(&mut bytes);
        let number = u128::from_ne_bytes(bytes);
        [number as u64, (number >> 64) as u64]
    })
}

/// A number of this boot for a connection and what else the caller says: SipHash-2-4 with the boot's key.
pub(super) fn of(tuple: &Tuple, extra: u64) -> u64 {
    let [one, other] = key();
    let mut hasher = SipHasher24::new_with_keys(one, other);
    hasher.write_u128(tuple.local_ip.0);
    hasher.write_u128(tuple.remote_ip.0);
    hasher.write_u32(u32::from(tuple.local_port) << 16 | u32::from(tuple.remote_port));
    hasher.write_u64(extra);
    hasher.finish()
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
