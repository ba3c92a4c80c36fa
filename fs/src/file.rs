//! What a descriptor works on: files, pipes, sockets, event objects.

use crate::inode::Allocate;
use crate::io::{Blocking, Sink, Source};
use crate::metadata::{DirEntry, Metadata};
use crate::poll::{PollSource, Readiness};
use crate::{FsError, FsResult};
use alloc::{string::String, sync::Arc};
use core::any::Any;

/// How an object is read and written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// At offsets: [`File::read_at`] and [`File::write_at`]; the open description keeps a position.
    Positioned,
    /// In order: [`File::read`] and [`File::write`].
    Stream,
}

/// What `fsync` and `fdatasync` differ in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncKind {
    /// Data, and the attributes needed to find it.
    Data,
    /// Everything.
    All,
}

/// What seeking looks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Allocated bytes.
    Data,
    /// A hole; the end of the file is one.
    Hole,
}

/// An object behind descriptors. Its end is `Drop`.
///
/// # Locks
/// `poll` and `wait_source` do not sleep. All others may, and none is called with a lock held.
pub trait File: Send + Sync + 'static {
    /// For downcasts (sockets, epoll).
    fn as_any(&self) -> &dyn Any;

    /// Positioned or a stream.
    fn access(&self) -> Access {
        Access::Stream
    }
    /// Whether seeking means something; where it does not (`/dev/null`) every seek succeeds and ends at 0.
    fn has_position(&self) -> bool {
        true
    }
    /// Moves what there is into `sink`, at most what it takes; 0 is the end. `WouldBlock` with [`Blocking::Never`].
    fn read(&self, sink: &mut dyn Sink, blocking: Blocking) -> FsResult<usize> {
        let _ = (sink, blocking);
        Err(FsError::Invalid)
    }
    /// Takes bytes from `source`; waits until all are taken, or says how many were.
    fn write(&self, source: &mut dyn Source, blocking: Blocking) -> FsResult<usize> {
        let _ = (source, blocking);
        Err(FsError::Invalid)
    }
    /// Reads at a byte offset; 0 at and behind the end.
    fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        let _ = (offset, sink);
        Err(FsError::SeekPipe)
    }
    /// Writes at a byte offset.
    fn write_at(&self, offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        let _ = (offset, source);
        Err(FsError::SeekPipe)
    }
    /// Writes at the end in one step; the count and the offset behind what was written.
    fn append(&self, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        let _ = source;
        Err(FsError::SeekPipe)
    }
    /// As `read_at` for [`crate::StatusFlags::DIRECT`]: past a cache, if there is one.
    fn read_direct(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        self.read_at(offset, sink)
    }
    /// As `write_at`, or `append` for no offset, past a cache: the count and the offset behind what was written.
    fn write_direct(&self, offset: Option<u64>, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        match offset {
            Some(offset) => self.write_at(offset, source).map(|count| (count, offset + count as u64)),
            None => self.append(source),
        }
    }
    /// Lists a directory; as [`crate::Inode::readdir`].
    fn readdir(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        let _ = (cursor, emit);
        Err(FsError::NotDirectory)
    }
    /// Attributes.
    fn metadata(&self) -> Metadata;
    /// What can be done now without waiting.
    fn poll(&self) -> Readiness {
        Readiness::READ | Readiness::WRITE
    }
    /// Who tells when that changes; None for what is always ready (`epoll` refuses it).
    fn wait_source(&self) -> Option<&PollSource> {
        None
    }
    /// Pushes changes to stable storage.
    fn sync(&self, kind: SyncKind) -> FsResult<()> {
        let _ = kind;
        Err(FsError::Invalid)
    }
    /// Sets the size.
    fn truncate(&self, size: u64) -> FsResult<()> {
        let _ = size;
        Err(FsError::Invalid)
    }
    /// Changes the allocation of `offset .. offset + len`.
    fn allocate(&self, how: Allocate, offset: u64, len: u64) -> FsResult<()> {
        let _ = (how, offset, len);
        Err(FsError::NoDevice)
    }
    /// The first offset from `offset` on that lies in such an extent. Errors: `NoSuchAddress` behind the end.
    fn seek_extent(&self, offset: u64, extent: Extent) -> FsResult<u64> {
        let size = self.metadata().size;
        match extent {
            _ if offset >= size => Err(FsError::NoSuchAddress),
            Extent::Data => Ok(offset),
            Extent::Hole => Ok(size),
        }
    }
    /// Whether `isatty` says yes.
    fn is_terminal(&self) -> bool {
        false
    }
    /// Bytes that can be read now (FIONREAD).
    fn pending_bytes(&self) -> FsResult<usize> {
        Err(FsError::NotTty)
    }
    /// The pages, to be mapped.
    fn backing(&self) -> Option<Arc<dyn mm::Backing>> {
        None
    }
    /// What `/proc/self/fd` shows for an object without a place, such as `pipe:[12]`.
    fn label(&self) -> String {
        String::from("anon_inode:[unknown]")
    }
}
