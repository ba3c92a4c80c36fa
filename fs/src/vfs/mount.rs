//! Mounted trees.

use super::dentry::Dentry;
use crate::anonymous::next_id;
use crate::inode::{FileSystem, InodeRef};
use crate::metadata::FsStat;
use alloc::{string::String, sync::Arc, vec::Vec};
use hal::sync::{Once, SpinLock};

/// A mounted file system.
pub struct Mount {
    /// Number, as in `/proc/self/mountinfo`.
    pub id: u64,
    /// The tree.
    pub file_system: Arc<dyn FileSystem>,
    /// What `/proc/mounts` shows as device.
    pub source: String,
    covered: SpinLock<Option<Arc<Dentry>>>,
}

/// A row of `/proc/mounts`.
#[derive(Clone, Debug)]
pub struct MountInfo {
    /// Number of the mount.
    pub id: u64,
    /// Number of the mount that it is mounted in; its own for the root.
    pub parent_id: u64,
    /// Device number of its files.
    pub dev: u64,
    /// What is mounted.
    pub source: String,
    /// Where.
    pub path: Vec<u8>,
    /// Type of file system.
    pub type_name: &'static str,
    /// Options: `rw` or `ro`, and the file system's own.
    pub options: String,
}

impl Mount {
    pub(super) fn new(file_system: Arc<dyn FileSystem>, source: &str, covered: Option<Arc<Dentry>>) -> Arc<Self> {
        Arc::new(Self { id: next_id(), file_system, source: String::from(source), covered: SpinLock::new(covered) })
    }

    /// The mount of objects that have no place.
    pub(super) fn none() -> Arc<Self> {
        static NONE: Once<Arc<Mount>> = Once::new();
        NONE.call_once(|| Self::new(Arc::new(NoFs), "none", None)).clone()
    }

    /// The place that it hides.
    pub(super) fn covered(&self) -> Option<Arc<Dentry>> {
        self.covered.lock().clone()
    }

    pub(super) fn release_covered(&self) {
        let _old = self.covered.lock().take();
    }

    pub(super) fn info(&self, root: &Arc<Dentry>) -> MountInfo {
        let parent_id = self.covered().map_or(self.id, |place| place.mount().id);
        let access = if self.file_system.read_only() { "ro" } else { "rw" };
        MountInfo {
            id: self.id,
            parent_id,
            dev: root.metadata().dev,
            source: self.source.clone(),
            path: root.path_with_deleted_mark(),
            type_name: self.file_system.type_name(),
            options: alloc::format!("{access},relatime{}", self.file_system.options()),
        }
    }
}

struct NoFs;

impl FileSystem for NoFs {
    fn root(&self) -> InodeRef {
        crate::generated::GenDir::new(0o555, Vec::new())
    }
    fn type_name(&self) -> &'static str {
        "anon_inodefs"
    }
    fn statistics(&self) -> FsStat {
        FsStat { magic: 0x0904_1934, block_bytes: 4096, name_max: 255, ..FsStat::default() }
    }
}
