//! Trees whose files are made by functions: `/proc`, `/sys`, `/dev` and the mount points of the root.

mod dir;
mod file;
mod link;

pub use dir::{Dynamic, GenDir};
pub use file::GenFile;
pub use link::GenLink;

use crate::anonymous::next_id;
use crate::inode::{FileSystem, InodeRef};
use crate::metadata::{FileKind, FsStat, Metadata};
use alloc::{string::String, sync::Arc};

/// A generated tree as a file system.
pub struct GenFs {
    type_name: &'static str,
    magic: u64,
    root: InodeRef,
    id: u64,
    options: &'static str,
}

impl GenFs {
    /// A file system of this type and magic number (Linux's `magic.h`).
    pub fn new(type_name: &'static str, magic: u64, root: InodeRef) -> Arc<Self> {
        Arc::new(Self { type_name, magic, root, id: next_id(), options: "" })
    }
}

impl FileSystem for GenFs {
    fn root(&self) -> InodeRef {
        self.root.clone()
    }
    fn type_name(&self) -> &'static str {
        self.type_name
    }
    fn statistics(&self) -> FsStat {
        FsStat { magic: self.magic, block_bytes: 4096, name_max: 255, id: self.id, ..FsStat::default() }
    }
    fn options(&self) -> String {
        String::from(self.options)
    }
}

/// Device number of generated trees.
const GENERATED_DEV: u64 = 0x15;

/// Attributes of a generated node, born at boot.
pub(crate) fn metadata(ino: u64, kind: FileKind, mode: u32, nlink: u32, size: u64) -> Metadata {
    let boot_ns = (hal::clock::realtime_ns() - hal::clock::now_ns().min(hal::clock::realtime_ns())) as i64;
    Metadata {
        ino,
        dev: GENERATED_DEV,
        kind,
        mode,
        nlink,
        uid: 0,
        gid: 0,
        size,
        blocks: 0,
        atime_ns: boot_ns,
        mtime_ns: boot_ns,
        ctime_ns: boot_ns,
        btime_ns: boot_ns,
        rdev: 0,
        block_bytes: 4096,
    }
}
