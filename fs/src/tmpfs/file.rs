//! A node as an open file.

use super::node::Content;
use super::{Node, has_pages};
use crate::file::{Access, Extent, File, SyncKind};
use crate::inode::{Allocate, Inode};
use crate::io::{Sink, Source};
use crate::metadata::{DirEntry, Metadata};
use crate::{FsError, FsResult};
use alloc::sync::Arc;
use core::any::Any;

impl File for Node {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn access(&self) -> Access {
        Access::Positioned
    }
    fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        let count = self.data()?.read_at(offset, sink)?;
        self.touch_atime();
        Ok(count)
    }
    fn write_at(&self, offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        let count = self.data()?.write_at(offset, source)?;
        self.touch();
        Ok(count)
    }
    fn append(&self, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        let result = self.data()?.append(source)?;
        self.touch();
        Ok(result)
    }
    fn readdir(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        Inode::readdir(self, cursor, emit)
    }
    fn metadata(&self) -> Metadata {
        self.attributes()
    }
    fn sync(&self, _kind: SyncKind) -> FsResult<()> {
        Ok(())
    }
    fn truncate(&self, size: u64) -> FsResult<()> {
        Inode::truncate(self, size)
    }
    fn allocate(&self, how: Allocate, offset: u64, len: u64) -> FsResult<()> {
        let data = match &self.content {
            Content::File(data) => data,
            Content::Directory(_) => return Err(FsError::IsDirectory),
            _ => return Err(FsError::NoDevice),
        };
        match how {
            Allocate::Extend => data.reserve(offset, len, Some(offset + len))?,
            Allocate::KeepSize => data.reserve(offset, len, None)?,
            Allocate::PunchHole => data.punch(offset, len),
            // As Linux's tmpfs.
            Allocate::Zero | Allocate::ZeroKeepSize => return Err(FsError::NotSupported),
        }
        self.touch();
        Ok(())
    }
    fn seek_extent(&self, offset: u64, extent: Extent) -> FsResult<u64> {
        match &self.content {
            Content::File(data) => data.seek_extent(offset, extent),
            _ => Err(FsError::Invalid),
        }
    }
    fn backing(&self) -> Option<Arc<dyn mm::Backing>> {
        if has_pages(self.file_kind()) { Inode::backing(self) } else { None }
    }
}
