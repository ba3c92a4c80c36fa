//! The dentry cache: (parent, name) to a dentry, or to "nothing there".
//!
//! A found name costs a hash, one shard's spin lock and one count; nothing is allocated. An answer of a file system is
//! put in only if no name changed since the question was asked (`generation`), so a slow lookup cannot bring back what
//! was removed or hide what was made meanwhile.

use super::dentry::{Dentry, Name};
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};
use hal::sync::SpinLock;
use hashbrown::HashTable;

const SHARDS: usize = 16;
/// Entries of a shard before those that nobody uses are thrown out, on a large machine and on a small one.
const SHARD_LIMIT: usize = 2048;
const SHARD_LIMIT_MIN: usize = 128;

struct Entry {
    hash: u64,
    parent: u64,
    name: Name,
    /// None: there is no such name.
    target: Option<Arc<Dentry>>,
}

/// What the cache knows.
pub(super) enum Cached {
    Found(Arc<Dentry>),
    Absent,
    Unknown,
}

pub(super) struct DentryCache {
    generation: AtomicU64,
    shards: [SpinLock<HashTable<Entry>>; SHARDS],
}

fn hash(parent: u64, name: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = parent.wrapping_mul(K) ^ name.len() as u64;
    let mut words = name.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        state = (state.rotate_left(23) ^ word).wrapping_mul(K);
    }
    let mut tail = 0;
    for &byte in words.remainder() {
        tail = tail << 8 | u64::from(byte);
    }
    state = (state.rotate_left(23) ^ tail).wrapping_mul(K);
    state ^ state >> 32
}

impl DentryCache {
    pub const fn new() -> Self {
        Self { generation: AtomicU64::new(0), shards: [const { SpinLock::new(HashTable::new()) }; SHARDS] }
    }

    /// To be read before a file system is asked.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    fn shard(&self, hash: u64) -> &SpinLock<HashTable<Entry>> {
        &self.shards[(hash >> 7) as usize % SHARDS]
    }

    pub fn find(&self, parent: &Dentry, name: &[u8]) -> Cached {
        let hash = hash(parent.id, name);
        let shard = self.shard(hash).lock();
        match shard.find(hash, |entry| entry.parent == parent.id && *entry.name == *name) {
            Some(Entry { target: Some(dentry), .. }) => Cached::Found(dentry.clone()),
            Some(_) => Cached::Absent,
            None => Cached::Unknown,
        }
    }

    /// Remembers a file system's answer to a question asked at `generation`; gives the dentry to use, which is another
    /// thread's when that was first.
    pub fn learn(
        &self,
        parent: &Dentry,
        name: &Name,
        target: Option<Arc<Dentry>>,
        generation: u64,
    ) -> Option<Arc<Dentry>> {
        let hash = hash(parent.id, name);
        let mut shard = self.shard(hash).lock();
        if let Some(entry) = shard.find(hash, |entry| entry.parent == parent.id && entry.name == *name) {
            return entry.target.clone().or(target);
        }
        if self.generation() != generation {
            return target;
        }
        let mut evicted = Vec::new();
        if shard.len() >= SHARD_LIMIT_MIN && shard.len() >= shard_limit() {
            evicted = unused(&mut shard);
        }
        let entry = Entry { hash, parent: parent.id, name: name.clone(), target: target.clone() };
        shard.insert_unique(hash, entry, |entry| entry.hash);
        drop(shard);
        drop(evicted);
        target
    }

    /// A change of names: from now on (parent, name) is `target`. What was there comes back.
    pub fn set(&self, parent: &Dentry, name: &Name, target: Option<Arc<Dentry>>) -> Option<Arc<Dentry>> {
        let hash = hash(parent.id, name);
        let mut shard = self.shard(hash).lock();
        self.generation.fetch_add(1, Ordering::SeqCst);
        if let Some(entry) = shard.find_mut(hash, |entry| entry.parent == parent.id && entry.name == *name) {
            return core::mem::replace(&mut entry.target, target);
        }
        let entry = Entry { hash, parent: parent.id, name: name.clone(), target };
        shard.insert_unique(hash, entry, |entry| entry.hash);
        None
    }

    /// Forgets the names of a mount that is gone.
    pub fn forget_mount(&self, mount: u64) {
        for shard in &self.shards {
            let of_mount = |entry: &mut Entry| entry.target.as_ref().is_some_and(|place| place.mount().id == mount);
            let gone: Vec<Entry> = shard.lock().extract_if(of_mount).collect();
            drop(gone);
        }
    }

    /// Forgets every name that nobody uses. How many.
    pub fn shrink(&self) -> usize {
        let mut count = 0;
        loop {
            let before = count;
            for shard in &self.shards {
                let gone = unused(&mut shard.lock());
                count += gone.len();
            }
            // A directory is unused once its children are gone.
            if count == before {
                return count;
            }
        }
    }
}

/// A name takes some 100 to 600 bytes: all shards together keep a few hundredths of a small machine at most.
fn shard_limit() -> usize {
    (mm::frame::stats().total as usize / 64).clamp(SHARD_LIMIT_MIN, SHARD_LIMIT)
}

/// Takes out the entries whose dentry only the cache holds, and all absences.
fn unused(shard: &mut HashTable<Entry>) -> Vec<Entry> {
    shard.extract_if(|entry| entry.target.as_ref().is_none_or(|dentry| Arc::strong_count(dentry) == 1)).collect()
}
