//! `memfd_create`: tmpfs files without a name or a size limit, and the seals on them.

use crate::file::{Access, Extent, File, SyncKind};
use crate::inode::Allocate;
use crate::io::{LimitedSource, Sink, Source};
use crate::metadata::{FileKind, Metadata, StatusFlags};
use crate::{FsError, FsResult, OpenFile, tmpfs, vfs};
use alloc::{sync::Arc, vec::Vec};
use bitflags::bitflags;
use core::any::Any;
use core::sync::atomic::{AtomicU32, Ordering};
use hal::addr::PAGE_SIZE;
use hal::sync::Once;

/// Longest name, bytes.
pub const NAME_MAX: usize = 249;

bitflags! {
    /// What can be done to the file no more. A seal never comes off.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Seals: u32 {
        /// No more seals.
        const SEAL = 1;
        /// It does not shrink.
        const SHRINK = 2;
        /// It does not grow.
        const GROW = 4;
        /// Its bytes do not change.
        const WRITE = 8;
        /// As `WRITE`, but mappings that are writable already stay so.
        const FUTURE_WRITE = 16;
    }
}

impl Seals {
    /// Bytes stay as they are.
    const NO_WRITES: Self = Self::WRITE.union(Self::FUTURE_WRITE);
}

/// Whether seals can be put on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sealing {
    /// They can.
    Allowed,
    /// The file has the seal against seals from the start.
    Denied,
}

/// An empty memory file. `/proc/self/fd` shows it as `/memfd:NAME (deleted)`. Errors: `Invalid` (name too long).
pub fn create(name: &[u8], sealing: Sealing) -> FsResult<Arc<OpenFile>> {
    static FILES: Once<Arc<tmpfs::Tmpfs>> = Once::new();
    if name.len() > NAME_MAX {
        return Err(FsError::Invalid);
    }
    let files = FILES.call_once(|| tmpfs::Tmpfs::new(tmpfs::Limits::UNLIMITED));
    let inode = files.unnamed_file(0o777);
    let mut path = Vec::from(&b"/memfd:"[..]);
    path.extend_from_slice(name);
    path.extend_from_slice(b" (deleted)");
    let status = StatusFlags::READ | StatusFlags::WRITE;
    let seals = if sealing == Sealing::Allowed { Seals::empty() } else { Seals::SEAL };
    let file =
        Arc::new(MemFile { pages: crate::Inode::open(inode.clone(), status)?, seals: AtomicU32::new(seals.bits()) });
    Ok(OpenFile::new(file, Some(vfs::unnamed_place(inode, files.clone(), path)), status))
}

/// The seals on a memory file. A file of tmpfs has the one against seals, as on Linux; None for anything else.
pub fn seals(file: &OpenFile) -> Option<Seals> {
    let of_tmpfs = || {
        file.downcast::<tmpfs::Node>()
            .filter(|node| crate::File::metadata(*node).kind == FileKind::Regular)
            .map(|_| Seals::SEAL)
    };
    file.downcast::<MemFile>().map(MemFile::seals).or_else(of_tmpfs)
}

/// Puts seals on, by their bits. `is_written` tells whether the pages can be written through a mapping. Errors: `Permission`
/// (not open for writing, sealed against it), `Invalid` (no memory file, bits that mean nothing), `Busy` (against writes, and
/// there is such a mapping).
pub fn add_seals(file: &OpenFile, bits: u32, is_written: &dyn Fn(&dyn mm::Backing) -> bool) -> FsResult<()> {
    if !file.status().contains(StatusFlags::WRITE) {
        return Err(FsError::Permission);
    }
    let added = Seals::from_bits(bits).ok_or(FsError::Invalid)?;
    if seals(file).ok_or(FsError::Invalid)?.contains(Seals::SEAL) {
        return Err(FsError::Permission);
    }
    let memory = file.downcast::<MemFile>().ok_or(FsError::Invalid)?;
    if (added - memory.seals()).contains(Seals::WRITE) && memory.backing().is_some_and(|pages| is_written(&*pages)) {
        return Err(FsError::Busy);
    }
    memory.seals.fetch_or(added.bits(), Ordering::AcqRel);
    Ok(())
}

/// Whether a new shared mapping of the file may be writable.
pub fn may_map_writable(file: &OpenFile) -> bool {
    seals(file).is_none_or(|seals| !seals.intersects(Seals::NO_WRITES))
}

/// The file with its seals.
struct MemFile {
    pages: Arc<dyn File>,
    seals: AtomicU32,
}

impl MemFile {
    fn seals(&self) -> Seals {
        Seals::from_bits_truncate(self.seals.load(Ordering::Acquire))
    }

    fn refuse(&self, against: Seals) -> FsResult<()> {
        if self.seals().intersects(against) { Err(FsError::Permission) } else { Ok(()) }
    }

    /// A change that would make the file reach to `end`.
    fn may_reach(&self, end: u64) -> FsResult<()> {
        if end > self.metadata().size { self.refuse(Seals::GROW) } else { Ok(()) }
    }
}

impl File for MemFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn access(&self) -> Access {
        Access::Positioned
    }
    fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        self.pages.read_at(offset, sink)
    }
    fn write_at(&self, offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        if !self.seals().is_empty() && source.remaining() > 0 {
            self.refuse(Seals::NO_WRITES)?;
            let size = self.metadata().size;
            if self.seals().contains(Seals::GROW) && source.remaining() as u64 > size.saturating_sub(offset) {
                // Page by page, as on Linux: what goes before the page that would grow the file.
                let room = (size & !(PAGE_SIZE - 1)).saturating_sub(offset) as usize;
                return match room {
                    0 => Err(FsError::Permission),
                    _ => self.pages.write_at(offset, &mut LimitedSource::new(source, room)),
                };
            }
        }
        self.pages.write_at(offset, source)
    }
    fn append(&self, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        if source.remaining() > 0 {
            self.refuse(Seals::NO_WRITES.union(Seals::GROW))?;
        }
        self.pages.append(source)
    }
    fn metadata(&self) -> Metadata {
        self.pages.metadata()
    }
    fn sync(&self, kind: SyncKind) -> FsResult<()> {
        self.pages.sync(kind)
    }
    fn truncate(&self, size: u64) -> FsResult<()> {
        let old = self.metadata().size;
        if size < old {
            self.refuse(Seals::SHRINK)?;
        }
        self.may_reach(size)?;
        self.pages.truncate(size)
    }
    fn allocate(&self, how: Allocate, offset: u64, len: u64) -> FsResult<()> {
        match how {
            Allocate::PunchHole => self.refuse(Seals::NO_WRITES)?,
            // Told before any seal, as by Linux's tmpfs.
            Allocate::Zero | Allocate::ZeroKeepSize => return Err(FsError::NotSupported),
            Allocate::Extend => self.may_reach(offset + len)?,
            Allocate::KeepSize => {}
        }
        self.pages.allocate(how, offset, len)
    }
    fn seek_extent(&self, offset: u64, extent: Extent) -> FsResult<u64> {
        self.pages.seek_extent(offset, extent)
    }
    fn backing(&self) -> Option<Arc<dyn mm::Backing>> {
        self.pages.backing()
    }
}
