//! EROFS: the read-only image of the root.
//!
//! Uncompressed images with 4 KiB blocks, as `mkfs.erofs` makes them: compact and extended inodes, flat and inline
//! layouts. A file's pages are its blocks: they go from the device into the page cache unchanged. Everything read from
//! the image is checked before it is used; what is wrong is refused with a reason and never leads out of bounds.
//!
//! Specification: Linux `Documentation/filesystems/erofs.rst` and the on-disk format published with it.

mod directory;
mod format;
mod node;
mod superblock;

pub use superblock::MountError;

use crate::anonymous::next_id;
use crate::block::BlockDevice;
use crate::inode::{FileSystem, InodeRef};
use crate::metadata::{FileKind, FsStat};
use crate::{FsError, FsResult};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use hal::sync::SpinLock;
use hashbrown::HashMap;
use node::Node;
use superblock::Superblock;

/// Bytes in a block; other sizes are refused.
pub(crate) const BLOCK: u64 = 4096;
/// Major number of virtio block devices, for `st_dev`.
const MAJOR: u64 = 254;

/// A mounted image.
pub struct Erofs {
    volume: Arc<Volume>,
    root: InodeRef,
    id: u64,
}

/// What all nodes of an image share.
struct Volume {
    device: Arc<BlockDevice>,
    superblock: Superblock,
    dev: u64,
    nodes: SpinLock<HashMap<u64, Arc<Node>>>,
}

impl Volume {
    /// The node with number `nid`, read once. Errors: `Io` (damaged).
    fn node(self: &Arc<Self>, nid: u64) -> FsResult<Arc<Node>> {
        if let Some(node) = self.nodes.lock().get(&nid) {
            return Ok(node.clone());
        }
        let node = Arc::new(Node::read(self, nid)?);
        Ok(self.nodes.lock().entry(nid).or_insert(node).clone())
    }

    /// Says what is wrong with the image and gives the error for it.
    fn damaged(&self, nid: u64, what: &str) -> FsError {
        log::warn!("erofs {}: inode {nid}: {what}", self.device.identity());
        FsError::Io
    }
}

impl Erofs {
    /// Mounts the image on `device`.
    pub fn mount(device: Arc<BlockDevice>) -> Result<Arc<Self>, MountError> {
        static MOUNTS: AtomicU64 = AtomicU64::new(0);
        let superblock = Superblock::read(&device)?;
        let dev = MAJOR << 8 | MOUNTS.fetch_add(1, Ordering::Relaxed) & 0xff;
        let volume = Arc::new(Volume { device, superblock, dev, nodes: SpinLock::new(HashMap::new()) });
        let root = volume.node(volume.superblock.root_nid).map_err(|_| MountError::Root)?;
        if root.file_kind() != FileKind::Directory {
            return Err(MountError::Root);
        }
        Ok(Arc::new(Self { volume, root, id: next_id() }))
    }
}

impl Drop for Erofs {
    fn drop(&mut self) {
        // Nodes hold the volume and the volume holds nodes.
        let _nodes = core::mem::take(&mut *self.volume.nodes.lock());
    }
}

impl FileSystem for Erofs {
    fn root(&self) -> InodeRef {
        self.root.clone()
    }
    fn type_name(&self) -> &'static str {
        "erofs"
    }
    fn statistics(&self) -> FsStat {
        FsStat {
            magic: 0xe0f5_e1e2,
            block_bytes: BLOCK,
            blocks: self.volume.superblock.blocks,
            files: self.volume.superblock.inode_count,
            id: self.id,
            name_max: 255,
            read_only: true,
            ..FsStat::default()
        }
    }
    fn read_only(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
