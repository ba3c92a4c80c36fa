//! A directory with fixed entries, and optionally some that a function makes up.

use crate::anonymous::next_ino;
use crate::file::{Access, File, SyncKind};
use crate::inode::{Inode, InodeRef, NewNode};
use crate::metadata::{DirEntry, FileKind, Metadata, StatusFlags};
use crate::{FsError, FsResult, Sink};
use alloc::{borrow::Cow, boxed::Box, sync::Arc, vec::Vec};
use core::any::Any;

/// Entries that come and go, such as process numbers.
pub trait Dynamic: Send + Sync {
    /// The node under `name`.
    fn lookup(&self, name: &[u8]) -> Option<InodeRef>;
    /// The names that are there now, in a stable order, with their kinds.
    fn list(&self) -> Vec<(Vec<u8>, FileKind)>;
}

/// A directory made of names and nodes.
pub struct GenDir {
    ino: u64,
    mode: u32,
    entries: Vec<(Cow<'static, str>, InodeRef)>,
    dynamic: Option<Box<dyn Dynamic>>,
}

impl GenDir {
    /// A directory with these entries.
    pub fn new(mode: u32, entries: Vec<(&'static str, InodeRef)>) -> Arc<Self> {
        Self::named(mode, entries.into_iter().map(|(name, inode)| (Cow::Borrowed(name), inode)).collect())
    }

    /// As [`GenDir::new`], with names made at run time.
    pub fn named(mode: u32, entries: Vec<(Cow<'static, str>, InodeRef)>) -> Arc<Self> {
        Arc::new(Self { ino: next_ino(), mode, entries, dynamic: None })
    }

    /// With entries that come and go behind the fixed ones.
    pub fn with_dynamic(
        mode: u32,
        entries: Vec<(&'static str, InodeRef)>,
        dynamic: impl Dynamic + 'static,
    ) -> Arc<Self> {
        let entries = entries.into_iter().map(|(name, inode)| (Cow::Borrowed(name), inode)).collect();
        Arc::new(Self { ino: next_ino(), mode, entries, dynamic: Some(Box::new(dynamic)) })
    }

    fn attributes(&self) -> Metadata {
        let below = self.entries.iter().filter(|(_, inode)| inode.kind() == FileKind::Directory).count();
        super::metadata(self.ino, FileKind::Directory, self.mode, 2 + below as u32, 0)
    }

    fn list(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        let mut index = cursor;
        while let Some((name, inode)) = self.entries.get(index as usize) {
            let ino = inode.metadata().ino;
            if !emit(&DirEntry { name: name.as_bytes(), ino, kind: inode.kind(), next_cursor: index + 1 }) {
                return Ok(());
            }
            index += 1;
        }
        let Some(dynamic) = &self.dynamic else { return Ok(()) };
        let fixed = self.entries.len() as u64;
        for (name, kind) in dynamic.list().iter().skip((index - fixed) as usize) {
            // A made-up number that is the same each time.
            let ino = name.iter().fold(self.ino << 24, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
            if !emit(&DirEntry { name, ino, kind: *kind, next_cursor: index + 1 }) {
                return Ok(());
            }
            index += 1;
        }
        Ok(())
    }
}

impl Inode for GenDir {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        self.attributes()
    }
    fn kind(&self) -> FileKind {
        FileKind::Directory
    }
    fn lookup(&self, name: &[u8]) -> FsResult<InodeRef> {
        if let Some((_, inode)) = self.entries.iter().find(|(known, _)| known.as_bytes() == name) {
            return Ok(inode.clone());
        }
        self.dynamic.as_ref().and_then(|dynamic| dynamic.lookup(name)).ok_or(FsError::NotFound)
    }
    fn create(&self, _name: &[u8], _node: NewNode, _mode: u32) -> FsResult<InodeRef> {
        // As Linux: /proc says that there is nothing of the name, /sys that it may not be made.
        Err(if self.dynamic.is_some() { FsError::NotFound } else { FsError::Permission })
    }
    fn lookups_are_stable(&self) -> bool {
        self.dynamic.is_none()
    }
    fn readdir(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        self.list(cursor, emit)
    }
    fn open(self: Arc<Self>, _status: StatusFlags) -> FsResult<Arc<dyn File>> {
        Ok(self)
    }
}

impl File for GenDir {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn access(&self) -> Access {
        Access::Positioned
    }
    fn read_at(&self, _offset: u64, _sink: &mut dyn Sink) -> FsResult<usize> {
        Err(FsError::IsDirectory)
    }
    fn readdir(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        self.list(cursor, emit)
    }
    fn metadata(&self) -> Metadata {
        self.attributes()
    }
    fn sync(&self, _kind: SyncKind) -> FsResult<()> {
        Ok(())
    }
}
