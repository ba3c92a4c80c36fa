//! A read-only union: several trees at one place. The first layer that has a name wins; directories are merged.

use crate::anonymous::next_id;
use crate::file::{File, SyncKind};
use crate::inode::{FileSystem, Inode, InodeRef};
use crate::metadata::{DirEntry, FileKind, FsStat, Metadata, StatusFlags};
use crate::{FsError, FsResult};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::any::Any;

/// Bits of a directory cursor that tell the layer; the rest is the layer's own cursor.
const LAYER_SHIFT: u32 = 56;

/// The union of some file systems; all writes are refused.
pub struct UnionFs {
    layers: Vec<Arc<dyn FileSystem>>,
    root: InodeRef,
    id: u64,
}

impl UnionFs {
    /// First layer first. `None` for no layer.
    pub fn new(layers: Vec<Arc<dyn FileSystem>>) -> Option<Arc<Self>> {
        let roots: Vec<InodeRef> = layers.iter().map(|layer| layer.root()).collect();
        let root = merge(roots)?;
        Some(Arc::new(Self { layers, root, id: next_id() }))
    }
}

impl FileSystem for UnionFs {
    fn root(&self) -> InodeRef {
        self.root.clone()
    }
    fn type_name(&self) -> &'static str {
        self.layers[0].type_name()
    }
    fn statistics(&self) -> FsStat {
        let mut sum = FsStat { id: self.id, ..self.layers[0].statistics() };
        for layer in &self.layers[1..] {
            let other = layer.statistics();
            sum.blocks += other.blocks * other.block_bytes / sum.block_bytes.max(1);
            sum.files += other.files;
        }
        sum.read_only = true;
        sum
    }
    fn read_only(&self) -> bool {
        true
    }
    fn options(&self) -> String {
        String::new()
    }
}

/// One node made of the nodes that the layers have under a name: the first one, or a merged directory.
fn merge(mut found: Vec<InodeRef>) -> Option<InodeRef> {
    let first = found.first()?.clone();
    if first.kind() != FileKind::Directory {
        return Some(first);
    }
    // What is no directory hides everything below it.
    let end = found.iter().position(|inode| inode.kind() != FileKind::Directory).unwrap_or(found.len());
    found.truncate(end);
    if found.len() == 1 { Some(first) } else { Some(Arc::new(UnionDir { layers: found })) }
}

struct UnionDir {
    layers: Vec<InodeRef>,
}

impl UnionDir {
    fn list(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        let mut start = cursor & ((1 << LAYER_SHIFT) - 1);
        for (index, layer) in self.layers.iter().enumerate().skip((cursor >> LAYER_SHIFT) as usize) {
            let mut full = false;
            layer.readdir(start, &mut |entry| {
                let hidden = self.layers[..index].iter().any(|above| above.lookup(entry.name).is_ok());
                let cursor = (index as u64) << LAYER_SHIFT | entry.next_cursor;
                full = !hidden && !emit(&DirEntry { next_cursor: cursor, ..*entry });
                !full
            })?;
            if full {
                return Ok(());
            }
            start = 0;
        }
        Ok(())
    }
}

impl Inode for UnionDir {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        self.layers[0].metadata()
    }
    fn kind(&self) -> FileKind {
        FileKind::Directory
    }
    fn lookup(&self, name: &[u8]) -> FsResult<InodeRef> {
        let mut found = Vec::new();
        for layer in &self.layers {
            match layer.lookup(name) {
                Ok(inode) => {
                    let directory = inode.kind() == FileKind::Directory;
                    found.push(inode);
                    if !directory {
                        break;
                    }
                }
                Err(FsError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        merge(found).ok_or(FsError::NotFound)
    }
    fn readdir(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        self.list(cursor, emit)
    }
    fn open(self: Arc<Self>, _status: StatusFlags) -> FsResult<Arc<dyn File>> {
        Ok(self)
    }
}

impl File for UnionDir {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn access(&self) -> crate::file::Access {
        crate::file::Access::Positioned
    }
    fn read_at(&self, _offset: u64, _sink: &mut dyn crate::Sink) -> FsResult<usize> {
        Err(FsError::IsDirectory)
    }
    fn readdir(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        self.list(cursor, emit)
    }
    fn metadata(&self) -> Metadata {
        self.layers[0].metadata()
    }
    fn sync(&self, _kind: SyncKind) -> FsResult<()> {
        Ok(())
    }
}
