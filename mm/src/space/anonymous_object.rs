//! The object behind a shared anonymous mapping: pages that come as zeros and live as long as the object.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hal::addr::PAGE_SIZE;
use hal::sync::SpinLock;

use crate::backing::{Backing, BackingError};
use crate::frame::{self, FrameRef};

/// Identities of mm's own objects have the top bit set.
static NEXT_ID: AtomicU64 = AtomicU64::new(1 << 63);

/// Shared anonymous memory.
pub(super) struct AnonymousObject {
    id: u64,
    len: u64,
    pages: SpinLock<BTreeMap<u64, FrameRef>>,
}

impl AnonymousObject {
    /// An object of `len` bytes, all zeros.
    pub(super) fn new(len: u64) -> Self {
        AnonymousObject { id: NEXT_ID.fetch_add(1, Relaxed), len, pages: SpinLock::new(BTreeMap::new()) }
    }
}

impl Backing for AnonymousObject {
    fn id(&self) -> u64 {
        self.id
    }

    fn size(&self) -> u64 {
        self.len
    }

    fn fault_page(&self, index: u64, _write: bool) -> Result<FrameRef, BackingError> {
        if index >= self.len / PAGE_SIZE {
            return Err(BackingError::BeyondEnd);
        }
        if let Some(page) = self.peek_page(index) {
            return Ok(page);
        }
        // Allocation may reclaim, so not under the lock; another thread may be faster.
        let page = frame::alloc_zeroed().ok_or(BackingError::NoMemory)?.into_shared();
        Ok(self.pages.lock().entry(index).or_insert(page).clone())
    }

    fn peek_page(&self, index: u64) -> Option<FrameRef> {
        self.pages.lock().get(&index).cloned()
    }

    fn tracks_dirty(&self) -> bool {
        false
    }

    fn dev_ino(&self) -> (u64, u64) {
        (1, self.id & !(1 << 63))
    }

    fn path(&self) -> String {
        // Linux's name for it in /proc/self/maps.
        String::from("/dev/zero (deleted)")
    }

    fn writable_shared(&self) -> bool {
        true
    }

    fn punch_hole(&self, pages: Range<u64>) -> bool {
        let dropped = {
            let mut all = self.pages.lock();
            let mut tail = all.split_off(&pages.start);
            let mut behind = tail.split_off(&pages.end.max(pages.start));
            all.append(&mut behind);
            tail
        };
        super::space().invalidate(self.id, pages, super::PrivateCopies::Keep);
        drop(dropped);
        true
    }
}
