//! A file whose text a function writes.
//!
//! The text is made when the file is read at offset 0 and kept for the following reads, so that a reader in pieces sees
//! one consistent text and a reader that rewinds sees a new one.

use crate::anonymous::next_ino;
use crate::file::{Access, File, SyncKind};
use crate::inode::Inode;
use crate::io::{Sink, Source};
use crate::metadata::{FileKind, Metadata, SetAttributes, StatusFlags};
use crate::{FsError, FsResult};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::any::Any;
use sched::Mutex;

type Read = Box<dyn Fn() -> FsResult<Vec<u8>> + Send + Sync>;
type Write = Box<dyn Fn(&[u8]) -> FsResult<()> + Send + Sync>;

/// Longest text that can be written to such a file, bytes.
const WRITE_MAX: usize = 4096;

/// A generated file.
pub struct GenFile {
    ino: u64,
    mode: u32,
    /// What `stat` shows: 0 in `/proc`, 4096 in `/sys`.
    size: u64,
    read: Read,
    write: Option<Write>,
}

impl GenFile {
    /// A file that reads as what `text` gives, mode 0444, size 0.
    pub fn new(text: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Arc<Self> {
        Self::fallible(0o444, 0, move || Ok(text()))
    }

    /// A file with this mode and shown size, whose text may fail.
    pub fn fallible(mode: u32, size: u64, text: impl Fn() -> FsResult<Vec<u8>> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { ino: next_ino(), mode, size, read: Box::new(text), write: None })
    }

    /// A file that can be written too; each write call hands its bytes to `write`.
    pub fn writable(
        mode: u32,
        text: impl Fn() -> FsResult<Vec<u8>> + Send + Sync + 'static,
        write: impl Fn(&[u8]) -> FsResult<()> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { ino: next_ino(), mode, size: 0, read: Box::new(text), write: Some(Box::new(write)) })
    }
}

impl Inode for GenFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        super::metadata(self.ino, FileKind::Regular, self.mode, 1, self.size)
    }
    fn kind(&self) -> FileKind {
        FileKind::Regular
    }
    fn truncate(&self, _size: u64) -> FsResult<()> {
        // `echo x > /proc/...` truncates first.
        if self.write.is_some() { Ok(()) } else { Err(FsError::Permission) }
    }
    fn set_attributes(&self, _set: &SetAttributes) -> FsResult<()> {
        Err(FsError::Permission)
    }
    fn open(self: Arc<Self>, status: StatusFlags) -> FsResult<Arc<dyn File>> {
        if status.contains(StatusFlags::WRITE) && self.write.is_none() {
            return Err(FsError::Access);
        }
        Ok(Arc::new(OpenText { file: self, text: Mutex::new(None) }))
    }
}

struct OpenText {
    file: Arc<GenFile>,
    text: Mutex<Option<Vec<u8>>>,
}

impl File for OpenText {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn access(&self) -> Access {
        Access::Positioned
    }
    fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        let mut text = self.text.lock();
        if offset == 0 || text.is_none() {
            *text = Some((self.file.read)()?);
        }
        let Some(bytes) = &*text else { return Ok(0) };
        match bytes.get(offset.min(usize::MAX as u64) as usize..) {
            Some(rest) if !rest.is_empty() => sink.put(rest),
            _ => Ok(0),
        }
    }
    fn write_at(&self, _offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        let write = self.file.write.as_ref().ok_or(FsError::Access)?;
        let mut bytes = alloc::vec![0; source.remaining().min(WRITE_MAX)];
        let count = source.take(&mut bytes)?;
        write(&bytes[..count])?;
        Ok(count)
    }
    fn append(&self, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        let count = self.write_at(0, source)?;
        Ok((count, count as u64))
    }
    fn metadata(&self) -> Metadata {
        self.file.metadata()
    }
    fn sync(&self, _kind: SyncKind) -> FsResult<()> {
        Err(FsError::Invalid)
    }
    fn truncate(&self, size: u64) -> FsResult<()> {
        Inode::truncate(&*self.file, size)
    }
}
