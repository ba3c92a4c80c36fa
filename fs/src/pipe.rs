//! Pipes: 64 KiB between writers and readers; writes of up to 4096 bytes arrive in one piece.
//!
//! Bytes are copied under the ring's sleeping lock, because user memory may fault. How much there is, and who still has
//! an end open, is kept in atomics beside it, so that polling and waiting take no lock.

use crate::anonymous::{metadata_of, next_ino};
use crate::file::File;
use crate::io::{Blocking, Sink, Source};
use crate::metadata::{FileKind, Metadata, StatusFlags};
use crate::poll::{PollSource, Readiness};
use crate::{FsError, FsResult, OpenFile};
use alloc::collections::VecDeque;
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::any::Any;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use sched::{Interruptible, Mutex, WaitQueue};

/// Bytes that a new pipe holds.
pub const PIPE_CAPACITY: usize = 65_536;
/// The most that a pipe can be made to hold (fs.pipe-max-size of Linux).
pub const PIPE_CAPACITY_MAX: usize = 1 << 20;
/// Writes of up to this many bytes are not mixed with others (PIPE_BUF).
pub const PIPE_ATOMIC: usize = 4096;

const PAGE: usize = PIPE_ATOMIC;

/// What both ends share.
pub struct Pipe {
    ino: u64,
    ring: Mutex<Ring>,
    filled: AtomicUsize,
    /// Pages in use.
    pages: AtomicUsize,
    /// Bytes that it holds; changed under `ring`.
    capacity: AtomicUsize,
    readers: AtomicU32,
    writers: AtomicU32,
    /// Ends opened so far, for `open` of a named pipe, which waits for the other side to come.
    reader_opens: AtomicU32,
    writer_opens: AtomicU32,
    readable: WaitQueue,
    writable: WaitQueue,
    opened: WaitQueue,
    read_source: PollSource,
    write_source: PollSource,
}

/// The bytes, in pieces of up to a page each; grows by doubling up to the capacity.
struct Ring {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
    /// What lies in each page of Linux's pipe, oldest first: a pipe is full when it has no page left, however little is in them.
    pieces: VecDeque<Piece>,
}

/// One page: bytes up to `end` were written to it, and the last `len` of them not read yet.
#[derive(Clone, Copy)]
struct Piece {
    end: usize,
    len: usize,
}

impl Ring {
    const EMPTY: Self = Self { bytes: Vec::new(), start: 0, len: 0, pieces: VecDeque::new() };

    /// Makes room for `len` more bytes.
    fn reserve(&mut self, len: usize) -> FsResult<()> {
        let wanted = self.len + len;
        if wanted <= self.bytes.len() {
            return Ok(());
        }
        let size = wanted.next_power_of_two().max(PIPE_ATOMIC);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| FsError::NoMemory)?;
        let first = self.len.min(self.bytes.len() - self.start);
        bytes.extend_from_slice(&self.bytes[self.start..self.start + first]);
        bytes.extend_from_slice(&self.bytes[..self.len - first]);
        bytes.resize(size, 0);
        self.bytes = bytes;
        self.start = 0;
        Ok(())
    }

    fn take(&mut self, sink: &mut dyn Sink) -> FsResult<usize> {
        let mut done = 0;
        let wanted = sink.remaining().min(self.len);
        while done < wanted {
            let end = (self.start + self.len).min(self.bytes.len());
            match sink.put(&self.bytes[self.start..end]) {
                Ok(0) => break,
                Ok(count) => {
                    self.start = self.wrapped(self.start + count);
                    self.len -= count;
                    self.forget(count);
                    done += count;
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        if self.len == 0 {
            self.start = 0;
        }
        Ok(done)
    }

    /// The place that a number of bytes from the ring's beginning leads to, less than twice round it.
    #[inline(always)]
    fn wrapped(&self, at: usize) -> usize {
        if at < self.bytes.len() { at } else { at - self.bytes.len() }
    }

    /// `count` bytes were read.
    fn forget(&mut self, mut count: usize) {
        while count > 0
            && let Some(first) = self.pieces.front_mut()
        {
            let read = count.min(first.len);
            first.len -= read;
            count -= read;
            if first.len == 0 {
                self.pieces.pop_front();
            }
        }
    }

    /// Fills pages until all are in use or `source` is empty. A write begins (`is_first`) with what of it is no whole page, in the
    /// last page if that has room for it (Linux: `pipe_write`).
    fn put(&mut self, source: &mut dyn Source, pages: usize, is_first: bool) -> FsResult<usize> {
        let total = source.remaining();
        let odd = total % PAGE;
        // Before anything moves: afterwards nothing can fail but the source.
        let fresh = total.div_ceil(PAGE).min(pages.saturating_sub(self.pieces.len()));
        if self.pieces.capacity() - self.pieces.len() < fresh {
            self.pieces.try_reserve(fresh).map_err(|_| FsError::NoMemory)?;
        }
        let mut done = 0;
        if is_first && odd > 0 && self.pieces.back().is_some_and(|last| last.end + odd <= PAGE) {
            done = self.append(source, odd)?;
            if let Some(last) = self.pieces.back_mut() {
                *last = Piece { end: last.end + done, len: last.len + done };
            }
            if done < odd {
                return Ok(done);
            }
        }
        while done < total && self.pieces.len() < pages {
            match self.append(source, (total - done).min(PAGE)) {
                Ok(0) => break,
                Ok(count) => {
                    self.pieces.push_back(Piece { end: count, len: count });
                    done += count;
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Copies `want` bytes behind what is there. Where `source` faults nothing of them stays: a page's piece comes whole or not at
    /// all, as on Linux.
    fn append(&mut self, source: &mut dyn Source, want: usize) -> FsResult<usize> {
        self.reserve(want)?;
        let mut done = 0;
        while done < want {
            let at = self.wrapped(self.start + self.len);
            let end = if at < self.start { self.start } else { self.bytes.len() };
            let end = end.min(at + (want - done));
            match source.take(&mut self.bytes[at..end]) {
                Ok(0) => break,
                Ok(count) => {
                    self.len += count;
                    done += count;
                }
                Err(error) => {
                    self.len -= done;
                    return Err(error);
                }
            }
        }
        Ok(done)
    }
}

impl Pipe {
    /// A pipe with no end open yet.
    pub fn unopened() -> Arc<Self> {
        Arc::new(Self {
            ino: next_ino(),
            ring: Mutex::new(Ring::EMPTY),
            filled: AtomicUsize::new(0),
            pages: AtomicUsize::new(0),
            capacity: AtomicUsize::new(PIPE_CAPACITY),
            readers: AtomicU32::new(0),
            writers: AtomicU32::new(0),
            reader_opens: AtomicU32::new(0),
            writer_opens: AtomicU32::new(0),
            readable: WaitQueue::new(),
            writable: WaitQueue::new(),
            opened: WaitQueue::new(),
            read_source: PollSource::new(),
            write_source: PollSource::new(),
        })
    }

    fn end(self: &Arc<Self>, status: StatusFlags) -> PipeEnd {
        if status.contains(StatusFlags::READ) {
            self.readers.fetch_add(1, Ordering::AcqRel);
            self.reader_opens.fetch_add(1, Ordering::AcqRel);
        }
        if status.contains(StatusFlags::WRITE) {
            self.writers.fetch_add(1, Ordering::AcqRel);
            self.writer_opens.fetch_add(1, Ordering::AcqRel);
        }
        let writer_opens = self.writer_opens.load(Ordering::Acquire);
        let is_alone = self.writers.load(Ordering::Acquire) == 0;
        let writers_before = if is_alone { writer_opens } else { 0 };
        PipeEnd { pipe: self.clone(), ends: status & (StatusFlags::READ | StatusFlags::WRITE), writers_before }
    }

    /// `open` of a named pipe: waits for the other side unless NONBLOCK. Errors: `NoSuchAddress` (writing, NONBLOCK, no
    /// reader), `Interrupted`.
    pub fn open_named(self: &Arc<Self>, status: StatusFlags) -> FsResult<Arc<dyn File>> {
        let both = StatusFlags::READ | StatusFlags::WRITE;
        let access = status & both;
        if access == StatusFlags::WRITE
            && status.contains(StatusFlags::NONBLOCK)
            && self.readers.load(Ordering::Acquire) == 0
        {
            return Err(FsError::NoSuchAddress);
        }
        let (other_open, other_opens) = if access == StatusFlags::READ {
            (&self.writers, &self.writer_opens)
        } else {
            (&self.readers, &self.reader_opens)
        };
        let seen = other_opens.load(Ordering::Acquire);
        // Who waits here for us may be done and gone before we look again.
        let was_open = other_open.load(Ordering::Acquire) > 0;
        let end: Arc<dyn File> = Arc::new(self.end(access));
        self.opened.wake_all();
        self.read_source.notify(Readiness::WRITE);
        if access != both && !was_open && !status.contains(StatusFlags::NONBLOCK) {
            // The other side may have come and gone again meanwhile: that counts.
            let met = || other_open.load(Ordering::Acquire) > 0 || other_opens.load(Ordering::Acquire) != seen;
            self.opened.wait_until(None, Interruptible::Yes, || met().then_some(()))?;
        }
        Ok(end)
    }

    /// Pages that it may use.
    fn pages_max(&self) -> usize {
        self.capacity.load(Ordering::Acquire) / PAGE
    }

    /// Whether a page is free.
    fn has_room(&self) -> bool {
        self.pages.load(Ordering::Acquire) < self.pages_max()
    }

    /// What is in the ring, for those who do not hold it.
    fn publish(&self, ring: &Ring) {
        self.filled.store(ring.len, Ordering::Release);
        self.pages.store(ring.pieces.len(), Ordering::Release);
    }

    /// What nobody has read goes with the last end (fifo(7)): who opens a named pipe afterwards finds it empty, and of the first size.
    fn forget_unread(&self) {
        let is_open = || self.readers.load(Ordering::Acquire) != 0 || self.writers.load(Ordering::Acquire) != 0;
        if is_open() {
            return;
        }
        let mut ring = self.ring.lock();
        // Who has opened it meanwhile writes under the lock.
        if is_open() {
            return;
        }
        *ring = Ring::EMPTY;
        self.capacity.store(PIPE_CAPACITY, Ordering::Release);
        self.publish(&ring);
    }

    /// Makes the pipe hold `bytes`. Errors: `Busy` (more pages than that are in use).
    fn set_capacity(&self, bytes: usize) -> FsResult<()> {
        let ring = self.ring.lock();
        if ring.pieces.len() > bytes / PAGE {
            return Err(FsError::Busy);
        }
        self.capacity.store(bytes, Ordering::Release);
        drop(ring);
        self.writable.wake_all();
        self.write_source.notify(Readiness::WRITE);
        Ok(())
    }

    fn read(&self, sink: &mut dyn Sink, blocking: Blocking) -> FsResult<usize> {
        if sink.remaining() == 0 {
            return Ok(0);
        }
        loop {
            let mut ring = self.ring.lock();
            if ring.len > 0 {
                let was_full = !self.has_room();
                let result = ring.take(sink);
                self.publish(&ring);
                let left = ring.len;
                drop(ring);
                // Nobody waits to write while a page is free.
                if was_full && self.has_room() {
                    self.writable.wake_all();
                    self.write_source.notify(Readiness::WRITE);
                }
                if left > 0 {
                    // Another reader may have been woken for what is left and found the lock taken.
                    self.readable.wake_one();
                }
                return result;
            }
            drop(ring);
            if self.writers.load(Ordering::Acquire) == 0 {
                // A writer may have written and gone since the look at the ring.
                if self.filled.load(Ordering::Acquire) > 0 {
                    continue;
                }
                return Ok(0);
            }
            if blocking == Blocking::Never {
                return Err(FsError::WouldBlock);
            }
            self.readable.wait_until(None, Interruptible::Yes, || {
                (self.filled.load(Ordering::Acquire) > 0 || self.writers.load(Ordering::Acquire) == 0).then_some(())
            })?;
        }
    }

    fn write(&self, source: &mut dyn Source, blocking: Blocking) -> FsResult<usize> {
        let total = source.remaining();
        if total == 0 {
            return Ok(0);
        }
        let mut done = 0;
        let mut is_first = true;
        loop {
            if self.readers.load(Ordering::Acquire) == 0 {
                return if done > 0 { Ok(done) } else { Err(FsError::BrokenPipe) };
            }
            let mut ring = self.ring.lock();
            let result = ring.put(source, self.pages_max(), core::mem::take(&mut is_first));
            self.publish(&ring);
            let is_full = !self.has_room();
            drop(ring);
            match result {
                Ok(0) if !is_full => return Ok(done),
                Ok(0) => {}
                Ok(count) => {
                    self.readable.wake_one();
                    self.read_source.notify(Readiness::READ);
                    done += count;
                    if done == total {
                        return Ok(done);
                    }
                    continue;
                }
                Err(_) if done > 0 => return Ok(done),
                Err(error) => return Err(error),
            }
            if blocking == Blocking::Never {
                return if done > 0 { Ok(done) } else { Err(FsError::WouldBlock) };
            }
            let woken = self.writable.wait_until(None, Interruptible::Yes, || {
                (self.has_room() || self.readers.load(Ordering::Acquire) == 0).then_some(())
            });
            match woken {
                Ok(()) => {}
                Err(_) if done > 0 => return Ok(done),
                Err(reason) => return Err(reason.into()),
            }
        }
    }
}

/// A pipe: its reading and its writing end. `status` may hold NONBLOCK and DIRECT for both.
pub fn pipe(status: StatusFlags) -> (Arc<OpenFile>, Arc<OpenFile>) {
    let pipe = Pipe::unopened();
    let (reader, writer) = (pipe.end(StatusFlags::READ), pipe.end(StatusFlags::WRITE));
    (
        OpenFile::anonymous(Arc::new(reader), status | StatusFlags::READ),
        OpenFile::anonymous(Arc::new(writer), status | StatusFlags::WRITE),
    )
}

/// Bytes that the pipe behind `file` holds. Errors: `BadHandle` (no pipe).
pub fn capacity(file: &OpenFile) -> FsResult<usize> {
    let end = file.downcast::<PipeEnd>().ok_or(FsError::BadHandle)?;
    Ok(end.pipe.capacity.load(Ordering::Acquire))
}

/// Makes the pipe hold at least `bytes`; what it holds then. Errors: `BadHandle` (no pipe), `Invalid` (0, or too large to
/// round), `Permission` (more than [`PIPE_CAPACITY_MAX`]), `Busy` (more than that is in it).
pub fn set_capacity(file: &OpenFile, bytes: usize) -> FsResult<usize> {
    let end = file.downcast::<PipeEnd>().ok_or(FsError::BadHandle)?;
    if bytes > 1 << 31 {
        return Err(FsError::Invalid);
    }
    let size = bytes.next_power_of_two().max(PIPE_ATOMIC);
    if size > PIPE_CAPACITY_MAX {
        return Err(FsError::Permission);
    }
    end.pipe.set_capacity(size)?;
    Ok(size)
}

/// One open end, or both of a named pipe.
pub struct PipeEnd {
    pipe: Arc<Pipe>,
    ends: StatusFlags,
    /// Writers that had come and gone when this was opened: not their going, a later one's is a hang-up (Linux: `f_version`).
    writers_before: u32,
}

impl File for PipeEnd {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, sink: &mut dyn Sink, blocking: Blocking) -> FsResult<usize> {
        self.pipe.read(sink, blocking)
    }
    fn write(&self, source: &mut dyn Source, blocking: Blocking) -> FsResult<usize> {
        self.pipe.write(source, blocking)
    }
    fn metadata(&self) -> Metadata {
        metadata_of(self.pipe.ino, FileKind::Fifo, 0o600)
    }
    fn poll(&self) -> Readiness {
        let pipe = &self.pipe;
        let mut ready = Readiness::empty();
        if self.ends.contains(StatusFlags::READ) {
            if pipe.filled.load(Ordering::Acquire) > 0 {
                ready |= Readiness::READ;
            }
            let has_no_writer = pipe.writers.load(Ordering::Acquire) == 0;
            if has_no_writer && pipe.writer_opens.load(Ordering::Acquire) != self.writers_before {
                ready |= Readiness::HANGUP;
            }
        }
        if self.ends.contains(StatusFlags::WRITE) {
            if pipe.has_room() {
                ready |= Readiness::WRITE;
            }
            if pipe.readers.load(Ordering::Acquire) == 0 {
                ready |= Readiness::ERROR;
            }
        }
        ready
    }
    fn wait_source(&self) -> Option<&PollSource> {
        if self.ends == StatusFlags::WRITE { Some(&self.pipe.write_source) } else { Some(&self.pipe.read_source) }
    }
    fn pending_bytes(&self) -> FsResult<usize> {
        Ok(self.pipe.filled.load(Ordering::Acquire))
    }
    fn label(&self) -> String {
        format!("pipe:[{}]", self.pipe.ino)
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let pipe = &self.pipe;
        if self.ends.contains(StatusFlags::READ) && pipe.readers.fetch_sub(1, Ordering::AcqRel) == 1 {
            pipe.writable.wake_all();
            pipe.write_source.notify(Readiness::WRITE | Readiness::ERROR);
        }
        if self.ends.contains(StatusFlags::WRITE) && pipe.writers.fetch_sub(1, Ordering::AcqRel) == 1 {
            pipe.readable.wake_all();
            pipe.read_source.notify(Readiness::READ | Readiness::HANGUP);
        }
        pipe.forget_unread();
    }
}
