//! Giving clean pages back when memory is short.

use super::FileCache;
use alloc::{sync::Arc, sync::Weak, vec::Vec};
use core::sync::atomic::{AtomicUsize, Ordering};
use hal::sync::SpinLock;

static CACHES: SpinLock<Vec<Weak<FileCache>>> = SpinLock::new(Vec::new());
/// Where the hand is.
static HAND: AtomicUsize = AtomicUsize::new(0);
static CACHED: AtomicUsize = AtomicUsize::new(0);
static READ: AtomicUsize = AtomicUsize::new(0);

/// Pages in all caches.
pub fn cached_pages() -> u64 {
    CACHED.load(Ordering::Relaxed) as u64
}

/// Pages read from devices since boot.
pub fn pages_read() -> u64 {
    READ.load(Ordering::Relaxed) as u64
}

pub(super) fn enroll(cache: &Arc<FileCache>) {
    let mut caches = CACHES.lock();
    if caches.len() == caches.capacity() {
        caches.retain(|known| known.strong_count() > 0);
    }
    caches.push(Arc::downgrade(cache));
}

/// Notes pages that came from a device, for vmstat.
pub(crate) fn count_read(pages: usize) {
    READ.fetch_add(pages, Ordering::Relaxed);
}

/// Notes pages put into a cache, for meminfo.
pub(crate) fn count_added(pages: usize) {
    CACHED.fetch_add(pages, Ordering::Relaxed);
}

/// Notes pages taken out of a cache.
pub(crate) fn count_removed(pages: usize) {
    CACHED.fetch_sub(pages, Ordering::Relaxed);
}

/// Frees up to `goal` pages; runs inside an allocation, so it allocates nothing and only tries locks.
pub(crate) fn reclaim(goal: usize) -> usize {
    let mut freed = 0;
    // Twice round: the first clears the marks of use.
    let Some(rounds) = CACHES.try_lock().map(|caches| caches.len() * 2) else { return 0 };
    for _ in 0..rounds {
        if freed >= goal {
            break;
        }
        let cache = {
            let Some(caches) = CACHES.try_lock() else { break };
            if caches.is_empty() {
                break;
            }
            let index = HAND.fetch_add(1, Ordering::Relaxed) % caches.len();
            caches[index].upgrade()
        };
        if let Some(cache) = cache {
            freed += cache.shrink(goal - freed);
        }
    }
    freed
}
