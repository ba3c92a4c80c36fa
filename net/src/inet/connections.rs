//! Which connections there are, by addresses and ports of both ends.

use super::address::Tuple;
use super::tcp::TcpSocket;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use hal::sync::{Once, SpinLock};
use hashbrown::HashMap;

/// Parts of the table, each with its own lock.
const SHARDS: usize = 64;

/// A hash that peers cannot foresee: multiplied and folded with a key of this boot.
#[derive(Clone, Copy, Default)]
pub struct TupleHasher(u64);

static KEY: Once<[u64; 2]> = Once::new();

fn key() -> [u64; 2] {
    *KEY.call_once(|| {
        let mut bytes = [0; 16];
        hal::random::fill(&mut bytes);
        let number = u128::from_ne_bytes(bytes);
        [number as u64 | 1, (number >> 64) as u64 | 1]
    })
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of a connection.
pub fn hash_of(tuple: &Tuple) -> u64 {
    let [one, other] = key();
    let halves = |ip: u128| fold(ip as u64 ^ one, (ip >> 64) as u64 ^ other);
    let ports = u64::from(tuple.local_port) << 16 | u64::from(tuple.remote_port);
    fold(halves(tuple.local_ip.0) ^ one, halves(tuple.remote_ip.0).rotate_left(17) ^ ports ^ other)
}

impl Hasher for TupleHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl BuildHasher for TupleHasher {
    type Hasher = TupleHasher;
    fn build_hasher(&self) -> TupleHasher {
        TupleHasher(0)
    }
}

/// A tuple that hashes to what [`hash_of`] gives.
#[derive(PartialEq, Eq)]
struct Hashed(Tuple);

impl core::hash::Hash for Hashed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(hash_of(&self.0));
    }
}

type Shard = HashMap<Hashed, Arc<TcpSocket>, TupleHasher>;

static TABLE: [SpinLock<Shard>; SHARDS] = [const { SpinLock::new(HashMap::with_hasher(TupleHasher(0))) }; SHARDS];

fn shard(tuple: &Tuple) -> &'static SpinLock<Shard> {
    &TABLE[hash_of(tuple) as usize % SHARDS]
}

/// Adds a connection; false if there is one of the same addresses.
pub fn insert(tuple: Tuple, socket: &Arc<TcpSocket>) -> bool {
    match shard(&tuple).lock().entry(Hashed(tuple)) {
        hashbrown::hash_map::Entry::Occupied(_) => false,
        hashbrown::hash_map::Entry::Vacant(place) => {
            place.insert(socket.clone());
            true
        }
    }
}

/// Whether there is one.
pub fn contains(tuple: &Tuple) -> bool {
    shard(tuple).lock().contains_key(&Hashed(*tuple))
}

/// The connection of these addresses.
pub fn find(tuple: &Tuple) -> Option<Arc<TcpSocket>> {
    shard(tuple).lock().get(&Hashed(*tuple)).cloned()
}

/// Takes one out.
pub fn remove(tuple: &Tuple) {
    let _gone = shard(tuple).lock().remove(&Hashed(*tuple));
}

/// All of them, for tables that people read.
pub fn all() -> Vec<Arc<TcpSocket>> {
    let mut list = Vec::new();
    for shard in &TABLE {
        // Counted first: nothing of that size is allocated under the lock.
        list.reserve(shard.lock().len() + 8);
        list.extend(shard.lock().values().cloned());
    }
    list
}
