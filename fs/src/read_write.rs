//! Reading and writing through an open description.

use crate::event::notify::{self, Change};
use crate::file::SyncKind;
use crate::io::{Blocking, Sink, Source};
use crate::metadata::StatusFlags;
use crate::open_file::{MAX_OFFSET, OpenFile, Way};
use crate::{FsError, FsResult};

/// An open description that was opened for reading.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a OpenFile);

/// An open description that was opened for writing.
#[derive(Clone, Copy)]
pub struct Writer<'a>(&'a OpenFile);

impl OpenFile {
    /// Itself, if it was opened for reading. Errors: `BadHandle`.
    #[inline(always)]
    pub fn readable(&self) -> FsResult<Reader<'_>> {
        let asked = StatusFlags::READ | StatusFlags::PATH;
        if (self.status() & asked) == StatusFlags::READ { Ok(Reader(self)) } else { Err(FsError::BadHandle) }
    }

    /// Itself, if it was opened for writing. Errors: `BadHandle`.
    #[inline(always)]
    pub fn writable(&self) -> FsResult<Writer<'_>> {
        let asked = StatusFlags::WRITE | StatusFlags::PATH;
        if (self.status() & asked) == StatusFlags::WRITE { Ok(Writer(self)) } else { Err(FsError::BadHandle) }
    }

    /// [`Reader::read`]. Errors also: `BadHandle`.
    pub fn read(&self, sink: &mut dyn Sink) -> FsResult<usize> {
        self.readable()?.read(sink)
    }

    /// [`Writer::write`]. Errors also: `BadHandle`.
    pub fn write(&self, source: &mut dyn Source) -> FsResult<usize> {
        self.writable()?.write(source)
    }

    /// [`Reader::read_at`]. Errors also: `BadHandle`.
    pub fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        self.positioned()?;
        self.readable()?.read_at(offset, sink)
    }

    /// [`Writer::write_at`]. Errors also: `BadHandle`.
    pub fn write_at(&self, offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        self.positioned()?;
        self.writable()?.write_at(offset, source)
    }

    fn blocking(&self) -> Blocking {
        if self.status().contains(StatusFlags::NONBLOCK) { Blocking::Never } else { Blocking::Wait }
    }

    /// Tells who watches the place that `count` bytes were moved.
    #[inline(always)]
    pub(crate) fn told(&self, change: Change, count: usize) -> usize {
        if notify::active()
            && count > 0
            && let Some(place) = self.place()
        {
            notify::object(place, change);
        }
        count
    }
}

impl Reader<'_> {
    /// `read`: at the position, or the next bytes of a stream.
    pub fn read(self, sink: &mut dyn Sink) -> FsResult<usize> {
        let file = self.0;
        let count = match file.way {
            Way::Stream => file.file().read(sink, file.blocking())?,
            Way::Anywhere => file.file().read_at(0, sink)?,
            Way::Positioned => self.read_on(sink)?,
        };
        Ok(file.told(Change::ACCESS, count))
    }

    /// Reads at the position and moves it. Not inlined: it needs more registers than all else that [`Self::read`] does.
    #[inline(never)]
    fn read_on(self, sink: &mut dyn Sink) -> FsResult<usize> {
        let mut position = self.0.position.lock();
        within(*position, sink.remaining())?;
        let count = self.get(*position, sink)?;
        *position += count as u64;
        Ok(count)
    }

    /// `pread`. Errors: `SeekPipe`, ...
    pub fn read_at(self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        self.0.positioned()?;
        within(offset, sink.remaining())?;
        Ok(self.0.told(Change::ACCESS, self.get(offset, sink)?))
    }

    /// Reads at an offset, as the status flags say.
    #[inline(always)]
    fn get(self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        let file = self.0.file();
        if self.0.status().contains(StatusFlags::DIRECT) {
            file.read_direct(offset, sink)
        } else {
            file.read_at(offset, sink)
        }
    }
}

impl Writer<'_> {
    /// `write`: at the position, at the end with APPEND, or to a stream.
    pub fn write(self, source: &mut dyn Source) -> FsResult<usize> {
        let file = self.0;
        let count = match file.way {
            Way::Stream => file.file().write(source, file.blocking())?,
            Way::Anywhere => file.file().write_at(0, source)?,
            Way::Positioned => self.write_on(source)?,
        };
        Ok(file.told(Change::MODIFY, count))
    }

    /// Writes at the position, or at the end with APPEND, and moves it. Not inlined, as [`Reader::read_on`].
    #[inline(never)]
    fn write_on(self, source: &mut dyn Source) -> FsResult<usize> {
        let mut position = self.0.position.lock();
        within(*position, source.remaining())?;
        let count = if self.0.status().contains(StatusFlags::APPEND) {
            let (count, end) = self.put(None, source)?;
            if count > 0 {
                *position = end;
            }
            count
        } else {
            let (count, end) = self.put(Some(*position), source)?;
            *position = end;
            count
        };
        drop(position);
        self.sync_if_asked()?;
        Ok(count)
    }

    /// `pwrite`; with APPEND at the end, as Linux does. Errors: `SeekPipe`, ...
    pub fn write_at(self, offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        self.0.positioned()?;
        within(offset, source.remaining())?;
        let at = if self.0.status().contains(StatusFlags::APPEND) { None } else { Some(offset) };
        let (count, _) = self.put(at, source)?;
        self.sync_if_asked()?;
        Ok(self.0.told(Change::MODIFY, count))
    }

    /// Writes at an offset, or at the end, as the status flags say: the count and the offset behind.
    #[inline(always)]
    fn put(self, offset: Option<u64>, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        let file = self.0.file();
        match offset {
            _ if self.0.status().contains(StatusFlags::DIRECT) => file.write_direct(offset, source),
            Some(offset) => file.write_at(offset, source).map(|count| (count, offset + count as u64)),
            None => file.append(source),
        }
    }

    fn sync_if_asked(self) -> FsResult<()> {
        let status = self.0.status();
        if status.contains(StatusFlags::SYNC) {
            self.0.file().sync(SyncKind::All)
        } else if status.contains(StatusFlags::DSYNC) {
            self.0.file().sync(SyncKind::Data)
        } else {
            Ok(())
        }
    }
}

/// Whether a transfer ends at an offset that there can be. Errors: `Invalid`.
#[inline(always)]
fn within(offset: u64, len: usize) -> FsResult<()> {
    if offset.saturating_add(len as u64) > MAX_OFFSET { Err(FsError::Invalid) } else { Ok(()) }
}
