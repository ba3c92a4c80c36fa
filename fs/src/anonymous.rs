//! What objects without a file system share: inode numbers and attributes.

use crate::metadata::{FileKind, Metadata};
use core::sync::atomic::{AtomicU64, Ordering};

/// Device number of unnamed objects.
pub const ANONYMOUS_DEV: u64 = 0x0f;

static NEXT_INO: AtomicU64 = AtomicU64::new(1000);
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A number that no other unnamed object has.
pub fn next_ino() -> u64 {
    NEXT_INO.fetch_add(1, Ordering::Relaxed)
}

/// An identity for a dentry, a mount, or a backing: never given twice.
pub(crate) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// Attributes of an event object.
pub fn metadata(ino: u64) -> Metadata {
    metadata_of(ino, FileKind::Anonymous, 0o600)
}

/// Attributes of an unnamed object of some kind.
pub fn metadata_of(ino: u64, kind: FileKind, mode: u32) -> Metadata {
    let now_ns = now_ns();
    Metadata {
        ino,
        dev: ANONYMOUS_DEV,
        kind,
        mode,
        nlink: 1,
        uid: 0,
        gid: 0,
        size: 0,
        blocks: 0,
        atime_ns: now_ns,
        mtime_ns: now_ns,
        ctime_ns: now_ns,
        btime_ns: now_ns,
        rdev: 0,
        block_bytes: 4096,
    }
}

/// The time for a file's time stamps.
pub(crate) fn now_ns() -> i64 {
    hal::clock::realtime_ns() as i64
}
