//! A node of an image.

use super::directory::{Block, CURSOR_STRIDE};
use super::format::{self, Extent, RawInode};
use super::{BLOCK, Volume};
use crate::file::{Access, File, SyncKind};
use crate::inode::{Inode, InodeRef, Link};
use crate::io::{Sink, SliceSink};
use crate::metadata::{DirEntry, FileKind, Metadata, SetAttributes, StatusFlags};
use crate::page_cache::{FileCache, PageSource, write_bytes, zero_range};
use crate::{FsError, FsResult};
use alloc::{sync::Arc, vec, vec::Vec};
use core::any::Any;
use core::cmp::Ordering;
use hal::sync::Once;
use mm::FrameRef;

/// Longest target of a symbolic link.
const LINK_MAX: u64 = 4095;

/// A node: file, directory or link.
pub(super) struct Node {
    volume: Arc<Volume>,
    nid: u64,
    raw: RawInode,
    extent: Extent,
    pages: Once<Arc<FileCache>>,
}

/// Fills a file's pages from its blocks.
struct FilePages {
    volume: Arc<Volume>,
    extent: Extent,
    ino: u64,
}

impl PageSource for FilePages {
    fn fill(&self, first: u64, frames: &[FrameRef]) -> FsResult<()> {
        let whole = self.extent.blocks.saturating_sub(first).min(frames.len() as u64) as usize;
        if whole > 0 {
            self.volume.device.read_pages(self.extent.first_block + first, &frames[..whole])?;
        }
        if let (Some(frame), Some((start, len))) = (frames.get(whole), self.extent.tail) {
            let tail = |page: &[u8; BLOCK as usize]| {
                let from = (start % BLOCK) as usize;
                write_bytes(frame, 0, &page[from..from + len]);
            };
            self.volume.device.pages().with_page(start / BLOCK, tail)?;
            zero_range(frame, len, BLOCK as usize - len);
        }
        Ok(())
    }
    fn dev_ino(&self) -> (u64, u64) {
        (self.volume.dev, self.ino)
    }
}

impl Node {
    pub fn read(volume: &Arc<Volume>, nid: u64) -> FsResult<Self> {
        let damaged = |what| volume.damaged(nid, what);
        let record_at = nid
            .checked_mul(format::COMPACT as u64)
            .and_then(|at| at.checked_add(volume.superblock.meta_block * BLOCK))
            .filter(|&at| at < volume.superblock.blocks * BLOCK)
            .ok_or_else(|| damaged("number behind the end of the image"))?;
        let mut bytes = [0; format::EXTENDED];
        let read = |at: u64, to: &mut [u8]| match volume.device.pages().read_at(at, &mut SliceSink::new(to)) {
            Ok(count) if count == to.len() => Ok(()),
            Ok(_) => Err(damaged("cut off by the end of the image")),
            Err(error) => Err(error),
        };
        read(record_at, &mut bytes[..format::COMPACT])?;
        let len = if format::is_extended(&bytes) { format::EXTENDED } else { format::COMPACT };
        read(record_at + format::COMPACT as u64, &mut bytes[format::COMPACT..len])?;
        let raw = RawInode::parse(&bytes[..len]).map_err(damaged)?;
        let extent = match raw.kind {
            FileKind::Regular | FileKind::Directory | FileKind::Symlink => {
                Extent::of(&raw, record_at, volume.superblock.blocks).map_err(damaged)?
            }
            _ => Extent { first_block: 0, blocks: 0, tail: None },
        };
        if raw.kind == FileKind::Symlink && !(1..=LINK_MAX).contains(&raw.size) {
            return Err(damaged("link of improper length"));
        }
        Ok(Self { volume: volume.clone(), nid, raw, extent, pages: Once::new() })
    }

    pub fn file_kind(&self) -> FileKind {
        self.raw.kind
    }

    fn pages(&self) -> &Arc<FileCache> {
        self.pages.call_once(|| {
            let source = FilePages { volume: self.volume.clone(), extent: self.extent, ino: self.number() };
            FileCache::new(self.raw.size, Arc::new(source))
        })
    }

    /// `st_ino`: the node's number, as on Linux; 0 would mean "none" to readers of directories.
    fn number(&self) -> u64 {
        self.nid.max(1)
    }

    /// Runs `look` on the bytes of a block of a directory or link, straight from the device's cached pages.
    fn with_block<R>(&self, index: u64, look: impl FnOnce(&[u8]) -> R) -> FsResult<R> {
        let pages = self.volume.device.pages();
        let len = (self.raw.size - index * BLOCK).min(BLOCK) as usize;
        if index < self.extent.blocks {
            return pages.with_page(self.extent.first_block + index, |page| look(&page[..len]));
        }
        let (start, len) = self.extent.tail.ok_or(FsError::Io)?;
        let from = (start % BLOCK) as usize;
        pages.with_page(start / BLOCK, |page| look(&page[from..from + len]))
    }

    fn block_count(&self) -> u64 {
        self.raw.size.div_ceil(BLOCK)
    }

    /// Binary search over the blocks, then inside one.
    fn find(&self, name: &[u8]) -> FsResult<u64> {
        let (mut low, mut high) = (0, self.block_count());
        while low < high {
            let middle = (low + high) / 2;
            let found = self
                .with_block(middle, |bytes| Block::parse(bytes)?.find(name))?
                .map_err(|what| self.volume.damaged(self.nid, what))?;
            match found {
                Ok(nid) => return Ok(nid),
                Err(Ordering::Less) => high = middle,
                Err(Ordering::Greater) => low = middle + 1,
                Err(Ordering::Equal) => return Err(FsError::NotFound),
            }
        }
        Err(FsError::NotFound)
    }

    fn list(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        let mut start = cursor % CURSOR_STRIDE;
        for block in cursor / CURSOR_STRIDE..self.block_count() {
            let mut walk = |bytes: &[u8]| -> Result<bool, &'static str> {
                let entries = Block::parse(bytes)?;
                for index in start as usize..entries.len() {
                    let entry = entries.entry(index)?;
                    if entry.name == b"." || entry.name == b".." {
                        continue;
                    }
                    let next_cursor = block * CURSOR_STRIDE + index as u64 + 1;
                    let kind = entry.kind.unwrap_or(FileKind::Anonymous);
                    if !emit(&DirEntry { name: entry.name, ino: entry.nid.max(1), kind, next_cursor }) {
                        return Ok(false);
                    }
                }
                Ok(true)
            };
            let more =
                self.with_block(block, |bytes| walk(bytes))?.map_err(|what| self.volume.damaged(self.nid, what))?;
            if !more {
                return Ok(());
            }
            start = 0;
        }
        Ok(())
    }

    fn attributes(&self) -> Metadata {
        let raw = &self.raw;
        let time_ns = raw.mtime_ns.unwrap_or(self.volume.superblock.build_time_ns);
        let device = matches!(raw.kind, FileKind::CharDevice | FileKind::BlockDevice);
        Metadata {
            ino: self.number(),
            dev: self.volume.dev,
            kind: raw.kind,
            mode: raw.mode,
            nlink: raw.nlink,
            uid: raw.uid,
            gid: raw.gid,
            size: if device { 0 } else { raw.size },
            blocks: raw.size.div_ceil(BLOCK).saturating_mul(BLOCK / 512),
            atime_ns: time_ns,
            mtime_ns: time_ns,
            ctime_ns: time_ns,
            btime_ns: time_ns,
            // Linux's packed form: minor 0..8, major 8..20, the rest of the minor above.
            rdev: if device { u64::from(raw.union) & 0xf_ffff } else { 0 },
            block_bytes: BLOCK as u32,
        }
    }
}

impl Inode for Node {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        self.attributes()
    }
    fn kind(&self) -> FileKind {
        self.raw.kind
    }
    fn lookup(&self, name: &[u8]) -> FsResult<InodeRef> {
        if self.raw.kind != FileKind::Directory {
            return Err(FsError::NotDirectory);
        }
        Ok(self.volume.node(self.find(name)?)?)
    }
    fn readlink(&self) -> FsResult<Link> {
        if self.raw.kind != FileKind::Symlink {
            return Err(FsError::Invalid);
        }
        let mut target = vec![0; self.raw.size as usize];
        for (index, piece) in target.chunks_mut(BLOCK as usize).enumerate() {
            self.with_block(index as u64, |bytes| piece.copy_from_slice(&bytes[..piece.len()]))?;
        }
        if target.contains(&0) {
            return Err(self.volume.damaged(self.nid, "link with a zero byte"));
        }
        Ok(Link::Path(target))
    }
    fn readdir(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        Inode::kind(self).eq(&FileKind::Directory).then_some(()).ok_or(FsError::NotDirectory)?;
        self.list(cursor, emit)
    }
    fn truncate(&self, _size: u64) -> FsResult<()> {
        Err(FsError::ReadOnly)
    }
    fn set_attributes(&self, _set: &SetAttributes) -> FsResult<()> {
        Err(FsError::ReadOnly)
    }
    fn open(self: Arc<Self>, status: StatusFlags) -> FsResult<Arc<dyn File>> {
        match self.raw.kind {
            FileKind::Regular | FileKind::Directory if status.contains(StatusFlags::WRITE) => Err(FsError::ReadOnly),
            FileKind::Regular | FileKind::Directory => Ok(self),
            FileKind::Symlink => Err(FsError::Loop),
            _ => Err(FsError::NoSuchAddress),
        }
    }
    fn xattr(&self, _name: &[u8]) -> FsResult<Vec<u8>> {
        Err(FsError::NoData)
    }
    fn xattrs(&self) -> FsResult<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }
    fn backing(&self) -> Option<Arc<dyn mm::Backing>> {
        (self.raw.kind == FileKind::Regular).then(|| self.pages().clone() as Arc<dyn mm::Backing>)
    }
}

impl File for Node {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn access(&self) -> Access {
        Access::Positioned
    }
    fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        if self.raw.kind == FileKind::Directory {
            return Err(FsError::IsDirectory);
        }
        self.pages().read_at(offset, sink)
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
    fn backing(&self) -> Option<Arc<dyn mm::Backing>> {
        Inode::backing(self)
    }
}
