//! What the files' caches give back when memory is short: clean pages first, then the names that nobody uses, and with
//! them the inodes and pages that only those names kept.

use crate::{Namespace, page_cache};
use alloc::sync::{Arc, Weak};
use hal::sync::Once;

static NAMES: Once<Weak<Namespace>> = Once::new();

/// Lets mm take from the caches of `names` and of all files. Once, when the root is mounted.
pub fn register(names: &Arc<Namespace>) {
    NAMES.call_once(|| Arc::downgrade(names));
    mm::frame::register_reclaimer(page_cache::reclaim);
    mm::frame::register_reclaimer(forget_names);
}

/// Forgets unused names. How many frames that freed, roughly: others allocate meanwhile.
fn forget_names(_goal: usize) -> usize {
    let Some(names) = NAMES.get().and_then(Weak::upgrade) else { return 0 };
    let before = mm::frame::stats().free;
    names.shrink();
    mm::frame::stats().free.saturating_sub(before) as usize
}
