//! A node as an open file.

use super::node::Node;
use crate::file::{Access, Extent, File, SyncKind};
use crate::inode::{Allocate, Inode};
use crate::io::{Sink, Source};
use crate::metadata::{DirEntry, Metadata};
use crate::page_cache::PAGE;
use crate::{FsError, FsResult};
use alloc::sync::Arc;
use core::any::Any;

/// An open file or directory of a volume.
pub(super) struct Opened {
    node: Arc<Node>,
}

impl Opened {
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }
}

impl File for Opened {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn access(&self) -> Access {
        Access::Positioned
    }
    fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        let count = self.node.data()?.read_at(offset, sink)?;
        self.node.touch_read();
        Ok(count)
    }
    fn write_at(&self, offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        let count = self.node.data()?.write_at(offset, source)?;
        self.node.touch();
        Ok(count)
    }
    fn append(&self, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        let result = self.node.data()?.append(source)?;
        self.node.touch();
        Ok(result)
    }
    fn read_direct(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        let count = self.node.data()?.read_direct(offset, sink)?;
        self.node.touch_read();
        Ok(count)
    }
    fn write_direct(&self, offset: Option<u64>, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        let result = self.node.data()?.write_direct(offset, source)?;
        self.node.touch();
        Ok(result)
    }
    fn readdir(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        Inode::readdir(&*self.node, cursor, emit)
    }
    fn metadata(&self) -> Metadata {
        self.node.attributes()
    }
    fn sync(&self, kind: SyncKind) -> FsResult<()> {
        if self.node.shared.read_only {
            return Ok(());
        }
        match (kind, self.node.contents()) {
            (SyncKind::Data, Some(contents)) => contents.write_pages(0..u64::MAX)?,
            _ => self.node.write_back()?,
        }
        self.node.shared.commit()
    }
    fn truncate(&self, size: u64) -> FsResult<()> {
        Inode::truncate(&*self.node, size)
    }
    fn allocate(&self, how: Allocate, offset: u64, len: u64) -> FsResult<()> {
        let data = self.node.data()?;
        match how {
            Allocate::Extend => data.reserve(offset, len, true)?,
            Allocate::KeepSize => data.reserve(offset, len, false)?,
            Allocate::PunchHole => data.punch(offset, len)?,
            Allocate::Zero | Allocate::ZeroKeepSize => {
                data.punch(offset, len)?;
                data.reserve(offset, len, how == Allocate::Zero)?;
            }
        }
        self.node.touch();
        Ok(())
    }
    fn seek_extent(&self, offset: u64, extent: Extent) -> FsResult<u64> {
        let data = self.node.data()?;
        let size = data.len_bytes();
        if offset >= size {
            return Err(FsError::NoSuchAddress);
        }
        let mut at = offset / PAGE as u64;
        loop {
            let start = offset.max(at * PAGE as u64);
            if start >= size {
                return if extent == Extent::Hole { Ok(size) } else { Err(FsError::NoSuchAddress) };
            }
            let mapping = self.node.shared.look(|volume| volume.map(self.node.number, at as u32, u32::MAX / 2))?;
            // A page that was written and is not on the device yet has a block: it counts as data.
            let is_data = mapping.block.is_some();
            if is_data == (extent == Extent::Data) {
                return Ok(start);
            }
            at += u64::from(mapping.length);
        }
    }
    fn backing(&self) -> Option<Arc<dyn mm::Backing>> {
        Inode::backing(&*self.node)
    }
}
