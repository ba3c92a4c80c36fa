//! tmpfs: files in memory. Refuses when it is full instead of eating the machine.
//!
//! A file's bytes are counted frames in a tree, shared with mappings. A write holds the file's `content` lock and copies
//! into frames that may be mapped; a read takes none. Truncation takes the pages out first and lets mm unmap them then,
//! so that a later access finds nothing and ends in SIGBUS.
//!
//! Lock order: `Space::tree` (changes of names) -> a directory's entries; a file's `content` -> its `pages` (spin).
//! mm's address-space lock is never taken with one of these held.

mod data;
mod directory;
mod file;
mod names;
mod node;
mod pages;
mod xattrs;

pub(crate) use node::Node;

use crate::inode::{FileSystem, InodeRef};
use crate::metadata::{FileKind, FsStat};
use crate::{FsError, FsResult};
use alloc::{format, string::String, sync::Arc};
use core::sync::atomic::{AtomicU64, Ordering};
use sched::Mutex;

/// Pages of all tmpfs and memfd files.
static USED_PAGES: AtomicU64 = AtomicU64::new(0);

/// Pages that all tmpfs and memfd files hold.
pub fn used_pages() -> u64 {
    USED_PAGES.load(Ordering::Relaxed)
}

/// Of `used_pages`: in frames of 2 MiB.
static HUGE: AtomicU64 = AtomicU64::new(0);

/// Of [`used_pages`]: in frames of 2 MiB.
pub fn huge_pages() -> u64 {
    HUGE.load(Ordering::Relaxed)
}

/// How much a tmpfs may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Pages of contents.
    pub pages: u64,
    /// Files, directories, links.
    pub inodes: u64,
}

impl Limits {
    /// As far as memory goes.
    pub const UNLIMITED: Self = Self { pages: u64::MAX, inodes: u64::MAX };

    /// Half of the memory, as Linux's default.
    pub fn half_of_memory() -> Self {
        let pages = mm::frame::stats().total / 2;
        Self { pages, inodes: pages }
    }
}

/// What all nodes of a tmpfs share.
pub(crate) struct Space {
    limits: Limits,
    pages: AtomicU64,
    inodes: AtomicU64,
    next_ino: AtomicU64,
    dev: u64,
    /// Held while names change.
    tree: Mutex<()>,
}

/// A file system in memory.
pub struct Tmpfs {
    space: Arc<Space>,
    root: Arc<Node>,
}

impl Tmpfs {
    /// An empty one.
    pub fn new(limits: Limits) -> Arc<Self> {
        static DEVICES: AtomicU64 = AtomicU64::new(0x20);
        let space = Arc::new(Space {
            limits,
            pages: AtomicU64::new(0),
            inodes: AtomicU64::new(0),
            next_ino: AtomicU64::new(1),
            dev: DEVICES.fetch_add(1, Ordering::Relaxed),
            tree: Mutex::new(()),
        });
        let root = Node::directory(&space, 0o1777);
        Arc::new(Self { space, root })
    }

    /// A file that has no name.
    pub(crate) fn unnamed_file(&self, mode: u32) -> Arc<Node> {
        let file = Node::regular(&self.space, mode);
        file.set_nlink(0);
        file
    }
}

impl FileSystem for Tmpfs {
    fn root(&self) -> InodeRef {
        self.root.clone()
    }
    fn type_name(&self) -> &'static str {
        "tmpfs"
    }
    fn statistics(&self) -> FsStat {
        let Limits { pages, inodes } = self.space.limits;
        let free_frames = mm::frame::stats().free;
        let pages_free = pages.saturating_sub(self.space.pages.load(Ordering::Relaxed)).min(free_frames);
        let unlimited = pages == u64::MAX;
        FsStat {
            magic: 0x0102_1994,
            block_bytes: 4096,
            // As Linux: no limit shows as zeros.
            blocks: if unlimited { 0 } else { pages },
            blocks_free: if unlimited { 0 } else { pages_free },
            files: if unlimited { 0 } else { inodes },
            files_free: if unlimited { 0 } else { inodes.saturating_sub(self.space.inodes.load(Ordering::Relaxed)) },
            id: self.space.dev,
            name_max: 255,
            read_only: false,
        }
    }
    fn options(&self) -> String {
        match self.space.limits.pages {
            u64::MAX => String::new(),
            pages => format!(",size={}k", pages.saturating_mul(4)),
        }
    }
}

impl Space {
    /// Counts `pages` more. Errors: `NoSpace`.
    fn charge(&self, pages: u64) -> FsResult<()> {
        let limit = self.limits.pages;
        let more = |used: u64| used.checked_add(pages).filter(|&sum| sum <= limit);
        self.pages.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map_err(|_| FsError::NoSpace)?;
        USED_PAGES.fetch_add(pages, Ordering::Relaxed);
        Ok(())
    }

    fn uncharge(&self, pages: u64) {
        self.pages.fetch_sub(pages, Ordering::Relaxed);
        USED_PAGES.fetch_sub(pages, Ordering::Relaxed);
    }

    /// 512 of the pages that are counted are in one frame.
    fn charge_huge(&self) {
        HUGE.fetch_add(mm::frame::HUGE_PAGES, Ordering::Relaxed);
    }

    /// So many pages are not in frames of 2 MiB any more.
    fn uncharge_huge(&self, pages: u64) {
        HUGE.fetch_sub(pages, Ordering::Relaxed);
    }

    /// Counts one more inode. Errors: `NoSpace`.
    fn charge_inode(&self) -> FsResult<()> {
        let limit = self.limits.inodes;
        let more = |used: u64| (used < limit).then_some(used + 1);
        self.inodes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map(|_| ()).map_err(|_| FsError::NoSpace)
    }
}

/// Kinds whose content is a tree of names or bytes; the rest is opened elsewhere.
fn has_pages(kind: FileKind) -> bool {
    kind == FileKind::Regular
}

#[cfg(test)]
mod tests;
