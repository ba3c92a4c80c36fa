//! Which connections there are, by addresses and ports of both ends.

use super::address::Tuple;
use super::tcp::TcpSocket;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hal::sync::{Once, SpinLock};
use hashbrown::hash_table::{Entry, HashTable};

/// Parts of the table, each with its own lock.
const SHARDS: usize = 64;

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

/// The hash of a connection: peers cannot foresee it, it is multiplied and folded with a key of this boot.
pub fn hash_of(tuple: &Tuple) -> u64 {
    let [one, other] = key();
    if let (Some(local), Some(remote)) = (tuple.local_ip.v4(), tuple.remote_ip.v4()) {
        let ports = u64::from(tuple.local_port) << 16 | u64::from(tuple.remote_port);
        return fold((u64::from(local) << 32 | u64::from(remote)) ^ one, ports ^ other);
    }
    let halves = |ip: u128| fold(ip as u64 ^ one, (ip >> 64) as u64 ^ other);
    let ports = u64::from(tuple.local_port) << 16 | u64::from(tuple.remote_port);
    fold(halves(tuple.local_ip.0) ^ one, halves(tuple.remote_ip.0).rotate_left(17) ^ ports ^ other)
}

type Shard = HashTable<(Tuple, Arc<TcpSocket>)>;

static TABLE: [SpinLock<Shard>; SHARDS] = [const { SpinLock::new(HashTable::new()) }; SHARDS];

/// The part of the table that `hash` belongs to. The low bits choose it; the table inside uses the high ones first.
fn shard(hash: u64) -> &'static SpinLock<Shard> {
    &TABLE[hash as usize % SHARDS]
}

/// Within a part the low bits are the same everywhere.
fn within(hash: u64) -> u64 {
    hash.rotate_right(6)
}

/// Adds a connection; false if there is one of the same addresses.
pub fn insert(tuple: Tuple, socket: &Arc<TcpSocket>) -> bool {
    let hash = hash_of(&tuple);
    let rehash = |(known, _): &(Tuple, _)| within(hash_of(known));
    match shard(hash).lock().entry(within(hash), |(known, _)| *known == tuple, rehash) {
        Entry::Occupied(_) => false,
        Entry::Vacant(place) => {
            place.insert((tuple, socket.clone()));
            true
        }
    }
}

/// Whether there is one.
pub fn contains(tuple: &Tuple) -> bool {
    let hash = hash_of(tuple);
    shard(hash).lock().find(within(hash), |(known, _)| known == tuple).is_some()
}

/// The connection of these addresses.
pub fn find(tuple: &Tuple) -> Option<Arc<TcpSocket>> {
    let hash = hash_of(tuple);
    shard(hash).lock().find(within(hash), |(known, _)| known == tuple).map(|(_, socket)| socket.clone())
}

/// Takes one out.
pub fn remove(tuple: &Tuple) {
    let hash = hash_of(tuple);
    let _gone = {
        let mut shard = shard(hash).lock();
        shard.find_entry(within(hash), |(known, _)| known == tuple).ok().map(|entry| entry.remove().0)
    };
}

/// All of them, for tables that people read.
pub fn all() -> Vec<Arc<TcpSocket>> {
    let mut list = Vec::new();
    for shard in &TABLE {
        // Counted first: nothing of that size is allocated under the lock.
        list.reserve(shard.lock().len() + 8);
        list.extend(shard.lock().iter().map(|(_, socket)| socket.clone()));
    }
    list
}
