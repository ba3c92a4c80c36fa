//! The open description: an object, its position and its status flags. Duplicated descriptors share one.

use crate::event::notify::{self, Change};
use crate::file::{Access, Extent, File, SyncKind};
use crate::inode::Allocate;
use crate::metadata::{DirEntry, FileKind, Metadata, SetAttributes, StatusFlags};
use crate::poll::epoll::{Epoll, Watched};
use crate::vfs::Dentry;
use crate::{FsError, FsResult, InodeRef};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use hal::sync::SpinLock;
use sched::Mutex;

/// Largest offset, bytes: that of `off_t` (lseek(2)).
pub const MAX_OFFSET: u64 = i64::MAX as u64;

/// Where a seek starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SeekFrom {
    /// The beginning.
    Start(u64),
    /// The position.
    Current(i64),
    /// The end.
    End(i64),
    /// The next such extent at or behind the offset.
    Next(Extent, u64),
}

/// How an object is read and written: asked once, for every call needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// The next bytes.
    Stream,
    /// At the position.
    Positioned,
    /// All positions are the same (`/dev/zero`): none is kept, and nobody waits for it.
    Anywhere,
}

impl Way {
    fn of(file: &dyn File) -> Self {
        match (file.access(), file.has_position()) {
            (Access::Stream, _) => Way::Stream,
            (Access::Positioned, true) => Way::Positioned,
            (Access::Positioned, false) => Way::Anywhere,
        }
    }
}

/// An open description.
///
/// # Locks
/// `position` is held while a positioned object is read or written at the position, as on Linux; user memory is
/// touched meanwhile.
pub struct OpenFile {
    file: Arc<dyn File>,
    pub(crate) way: Way,
    place: Option<Arc<Dentry>>,
    status: AtomicU32,
    pub(crate) position: Mutex<u64>,
    epolls: SpinLock<Vec<Watched>>,
    /// A lock was taken through this description: closing it must look in the lock table.
    locked: AtomicBool,
}

impl OpenFile {
    /// A description of an object without a name: pipe, socket, event object.
    pub fn anonymous(file: Arc<dyn File>, status: StatusFlags) -> Arc<Self> {
        Self::new(file, None, status)
    }

    /// A description of an object that has a place in the tree.
    pub fn new(file: Arc<dyn File>, place: Option<Arc<Dentry>>, status: StatusFlags) -> Arc<Self> {
        if notify::active()
            && let Some(place) = place.as_ref().filter(|_| !status.contains(StatusFlags::PATH))
        {
            notify::object(place, Change::OPEN);
        }
        Arc::new(Self {
            way: Way::of(&*file),
            file,
            place,
            status: AtomicU32::new(status.bits()),
            position: Mutex::new(0),
            epolls: SpinLock::new(Vec::new()),
            locked: AtomicBool::new(false),
        })
    }

    /// The object.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// The object as a `T`: a socket, an epoll.
    pub fn downcast<T: 'static>(&self) -> Option<&T> {
        self.file.as_any().downcast_ref()
    }

    /// The place it was opened at.
    pub fn place(&self) -> Option<&Arc<Dentry>> {
        self.place.as_ref()
    }

    /// A place that leads to this description's object, made up when it has none: for `/proc/self/fd`.
    pub fn place_or_made_up(&self) -> Arc<Dentry> {
        self.place.clone().unwrap_or_else(|| crate::vfs::made_up_place(self.file.clone(), self.path()))
    }

    /// The inode, if it has a place.
    pub fn inode(&self) -> Option<&InodeRef> {
        self.place.as_ref().map(|place| place.inode())
    }

    /// Access mode and status flags.
    pub fn status(&self) -> StatusFlags {
        StatusFlags::from_bits_truncate(self.status.load(Ordering::Relaxed))
    }

    /// Sets the changeable status flags (F_SETFL); the others stay.
    pub fn set_status(&self, status: StatusFlags) {
        let fixed = self.status() - StatusFlags::CHANGEABLE;
        self.status.store((fixed | (status & StatusFlags::CHANGEABLE)).bits(), Ordering::Relaxed);
    }

    /// Path as `/proc/self/fd` shows it.
    pub fn path(&self) -> Vec<u8> {
        match &self.place {
            Some(place) => place.path_with_deleted_mark(),
            None => self.file.label().into_bytes(),
        }
    }

    /// Whether bytes have offsets here. Errors: `SeekPipe`.
    pub fn positioned(&self) -> FsResult<()> {
        if self.way == Way::Stream { Err(FsError::SeekPipe) } else { Ok(()) }
    }

    /// Whether there is a position to move; without one lseek(2) gives 0. Errors: `BadHandle`, `SeekPipe`.
    pub fn has_position(&self) -> FsResult<bool> {
        if self.status().contains(StatusFlags::PATH) {
            return Err(FsError::BadHandle);
        }
        if self.way == Way::Stream {
            // Counters, timers and epolls have a position that nothing moves.
            return if self.file.metadata().kind == FileKind::Anonymous { Ok(false) } else { Err(FsError::SeekPipe) };
        }
        Ok(self.way == Way::Positioned)
    }

    /// Moves the position and says where it is.
    pub fn seek(&self, to: SeekFrom) -> FsResult<u64> {
        if !self.has_position()? {
            return Ok(0);
        }
        let mut position = self.position.lock();
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(distance) => position.checked_add_signed(distance),
            SeekFrom::End(distance) => self.file.metadata().size.checked_add_signed(distance),
            SeekFrom::Next(extent, offset) => Some(self.file.seek_extent(offset, extent)?),
        };
        let target = target.filter(|&offset| offset <= MAX_OFFSET).ok_or(FsError::Invalid)?;
        *position = target;
        Ok(target)
    }

    /// The position.
    pub fn position(&self) -> u64 {
        *self.position.lock()
    }

    /// Lists the directory from the position on, `.` and `..` first; `emit` answers false when its buffer is full.
    /// Errors: `BadHandle`, `NotDirectory`, `NotFound` (it was removed), the file system's.
    pub fn readdir(&self, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        if self.status().contains(StatusFlags::PATH) {
            return Err(FsError::BadHandle);
        }
        let place = self.place.as_ref().ok_or(FsError::NotDirectory)?;
        if place.kind() == FileKind::Directory && place.unlinked() {
            return Err(FsError::NotFound);
        }
        let mut position = self.position.lock();
        for (cursor, name) in [(0, &b"."[..]), (1, &b".."[..])] {
            if *position == cursor {
                let dir = if cursor == 0 { place.clone() } else { place.parent_or_self() };
                let ino = dir.inode().metadata().ino;
                if !emit(&DirEntry { name, ino, kind: FileKind::Directory, next_cursor: cursor + 1 }) {
                    return Ok(());
                }
                *position = cursor + 1;
            }
        }
        // Cursors of the directory itself are shifted by the two.
        let mut next = *position;
        let start = *position;
        self.file.readdir(start - 2, &mut |entry| {
            let shifted = DirEntry { next_cursor: entry.next_cursor + 2, ..*entry };
            let taken = emit(&shifted);
            if taken {
                next = shifted.next_cursor;
            }
            taken
        })?;
        *position = next;
        self.told(Change::ACCESS, 1);
        Ok(())
    }

    /// Attributes.
    pub fn metadata(&self) -> Metadata {
        match &self.place {
            Some(place) => place.inode().metadata(),
            None => self.file.metadata(),
        }
    }

    /// `fchmod`, `fchown`, `futimens`. Errors: `ReadOnly`, ...
    pub fn set_attributes(&self, set: &SetAttributes) -> FsResult<()> {
        if self.status().contains(StatusFlags::PATH) {
            return Err(FsError::BadHandle);
        }
        match &self.place {
            Some(place) => {
                place.writable()?;
                place.inode().set_attributes(set)?;
                notify::object(place, set.change());
                Ok(())
            }
            None => Err(FsError::Permission),
        }
    }

    /// `ftruncate`. Errors: `Invalid` (not open for writing, or no file), ...
    pub fn truncate(&self, size: u64) -> FsResult<()> {
        if self.status().contains(StatusFlags::PATH) {
            return Err(FsError::BadHandle);
        }
        if !self.status().contains(StatusFlags::WRITE) || size > MAX_OFFSET {
            return Err(FsError::Invalid);
        }
        self.file.truncate(size)?;
        self.told(Change::MODIFY, 1);
        Ok(())
    }

    /// Whether `fallocate` is possible at all. Errors: `BadHandle`, `SeekPipe`, `IsDirectory`, `NoDevice`, `TooBig`.
    pub fn may_allocate(&self, offset: u64, len: u64) -> FsResult<()> {
        self.writable()?;
        match self.file.metadata().kind {
            FileKind::Fifo => return Err(FsError::SeekPipe),
            FileKind::Directory => return Err(FsError::IsDirectory),
            FileKind::Regular | FileKind::BlockDevice => {}
            _ => return Err(FsError::NoDevice),
        }
        if offset.checked_add(len).is_none_or(|end| end > MAX_OFFSET) { Err(FsError::TooBig) } else { Ok(()) }
    }

    /// `fallocate`. `len` is not 0.
    pub fn allocate(&self, how: Allocate, offset: u64, len: u64) -> FsResult<()> {
        self.may_allocate(offset, len)?;
        self.file.allocate(how, offset, len)
    }

    /// `fsync`, `fdatasync`.
    pub fn sync(&self, kind: SyncKind) -> FsResult<()> {
        if self.status().contains(StatusFlags::PATH) {
            return Err(FsError::BadHandle);
        }
        self.file.sync(kind)
    }

    /// The pages, with this description's path and access mode, for `mmap`.
    /// Errors: `NoDevice` (nothing to map), `BadHandle`; the caller checks READ and WRITE against the protection.
    pub fn backing(self: &Arc<Self>) -> FsResult<Arc<dyn mm::Backing>> {
        if self.status().contains(StatusFlags::PATH) {
            return Err(FsError::BadHandle);
        }
        let pages = self.file.backing().ok_or(FsError::NoDevice)?;
        Ok(Arc::new(crate::mapping::MappedFile::new(self, pages)))
    }

    /// A text for messages.
    pub fn describe(&self) -> String {
        String::from_utf8_lossy(&self.path()).into_owned()
    }

    /// Identity of the description, for locks: no other has it while this one is open.
    pub fn identity(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    pub(crate) fn note_locked(&self) {
        self.locked.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_locked(&self) -> bool {
        self.locked.load(Ordering::Relaxed)
    }

    /// Errors: `NoMemory`.
    pub(crate) fn remember_epoll(&self, watched: Watched) -> FsResult<()> {
        let mut epolls = self.epolls.lock();
        epolls.try_reserve(1).map_err(|_| FsError::NoMemory)?;
        epolls.push(watched);
        Ok(())
    }

    pub(crate) fn forget_epoll(&self, epoll: *const Epoll, fd: u32) -> Option<Watched> {
        let mut epolls = self.epolls.lock();
        let index = epolls.iter().position(|watched| watched.is(epoll, fd))?;
        Some(epolls.swap_remove(index))
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if notify::active()
            && let Some(place) = &self.place
            && !self.status().contains(StatusFlags::PATH)
        {
            let writes = self.status().contains(StatusFlags::WRITE);
            notify::object(place, if writes { Change::CLOSE_WRITE } else { Change::CLOSE_OTHER });
        }
        for watched in core::mem::take(self.epolls.get_mut()) {
            if let Some(source) = self.file.wait_source() {
                source.detach(&watched.watcher);
            }
            if let Some(epoll) = watched.epoll.upgrade() {
                epoll.forget(watched.fd, core::ptr::from_ref(self).addr());
            }
        }
        if self.was_locked() {
            crate::locks::release_description(self);
        }
    }
}
