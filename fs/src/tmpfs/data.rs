//! The bytes of a file.

use super::Space;
use crate::anonymous::next_id;
use crate::file::Extent;
use crate::io::{Sink, Source};
use crate::page_cache::{PAGE, PageTree, copy_in, page_bytes, write_bytes, zero_range};
use crate::{FsError, FsResult};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};
use hal::sync::SpinLock;
use mm::space::PrivateCopies;
use mm::{Backing, BackingError, FrameRef};
use sched::Mutex;

/// Pages freed under one hold of the spin lock.
const PIECE: usize = 64;

struct Pages {
    tree: PageTree<FrameRef>,
    size: u64,
}

/// A file's bytes: holes read as zeros.
pub(super) struct FileData {
    id: u64,
    ino: u64,
    space: Arc<Space>,
    pages: SpinLock<Pages>,
    /// Held by who changes contents or size by a call; not by faults.
    content: Mutex<()>,
    mapped: AtomicUsize,
}

fn index_of(offset: u64) -> u64 {
    offset / PAGE as u64
}

fn within(offset: u64) -> usize {
    (offset % PAGE as u64) as usize
}

impl FileData {
    pub fn new(space: &Arc<Space>, ino: u64) -> Arc<Self> {
        Arc::new(Self {
            id: next_id(),
            ino,
            space: space.clone(),
            pages: SpinLock::new(Pages { tree: PageTree::new(), size: 0 }),
            content: Mutex::new(()),
            mapped: AtomicUsize::new(0),
        })
    }

    pub fn len_bytes(&self) -> u64 {
        self.pages.lock().size
    }

    pub fn allocated_pages(&self) -> u64 {
        self.pages.lock().tree.len() as u64
    }

    pub fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        let mut at = offset;
        let mut done = 0;
        while sink.remaining() > 0 {
            let (size, frame) = {
                let pages = self.pages.lock();
                (pages.size, pages.tree.get(index_of(at)).cloned())
            };
            if at >= size {
                break;
            }
            let len = (PAGE - within(at)).min((size - at).min(PAGE as u64) as usize).min(sink.remaining());
            let put = match &frame {
                Some(frame) => sink.put(&page_bytes(frame)[within(at)..within(at) + len]),
                None => sink.put_zeros(len),
            };
            match put {
                Ok(0) => break,
                Ok(count) => {
                    at += count as u64;
                    done += count;
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    pub fn write_at(&self, offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        let _content = self.content.lock();
        self.write_locked(offset, source)
    }

    /// The count and the offset behind what was written.
    pub fn append(&self, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        let _content = self.content.lock();
        let end = self.len_bytes();
        let count = self.write_locked(end, source)?;
        Ok((count, end + count as u64))
    }

    fn write_locked(&self, offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        let mut at = offset;
        let mut done = 0;
        while source.remaining() > 0 {
            if at >= i64::MAX as u64 {
                return if done > 0 { Ok(done) } else { Err(FsError::TooBig) };
            }
            let len = (PAGE - within(at)).min(source.remaining()).min((i64::MAX as u64 - at).min(PAGE as u64) as usize);
            match self.write_in_page(at, len, source) {
                Ok(0) => break,
                Ok(count) => {
                    at += count as u64;
                    done += count;
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn write_in_page(&self, at: u64, len: usize, source: &mut dyn Source) -> FsResult<usize> {
        let index = index_of(at);
        let existing = self.pages.lock().tree.get(index).cloned();
        if let Some(frame) = existing {
            let count = copy_in(&frame, within(at), len, source)?;
            self.grow_to(at + count as u64);
            return Ok(count);
        }
        // A new page gets its bytes before anybody sees it.
        self.space.charge(1)?;
        let frame = match if len == PAGE { mm::frame::alloc() } else { mm::frame::alloc_zeroed() } {
            Some(frame) => frame.into_shared(),
            None => {
                self.space.uncharge(1);
                return Err(FsError::NoSpace);
            }
        };
        let count = match copy_in(&frame, within(at), len, source) {
            Ok(count) if count > 0 => count,
            nothing => {
                self.space.uncharge(1);
                return nothing;
            }
        };
        if len == PAGE {
            zero_range(&frame, count, PAGE - count);
        }
        let rival = {
            let mut pages = self.pages.lock();
            pages.size = pages.size.max(at + count as u64);
            let rival = pages.tree.get(index).cloned();
            if rival.is_none() {
                pages.tree.insert(index, frame.clone());
            }
            rival
        };
        if let Some(rival) = rival {
            // A fault made the page meanwhile: it is the file's.
            write_bytes(&rival, within(at), &page_bytes(&frame)[within(at)..within(at) + count]);
            self.space.uncharge(1);
        }
        Ok(count)
    }

    fn grow_to(&self, end: u64) {
        let mut pages = self.pages.lock();
        pages.size = pages.size.max(end);
    }

    /// Sets the size; what lies behind it is gone, also from mappings.
    pub fn truncate(&self, size: u64) -> FsResult<()> {
        let content = self.content.lock();
        let (old, partial) = {
            let mut pages = self.pages.lock();
            let old = core::mem::replace(&mut pages.size, size);
            (old, (size < old && within(size) > 0).then(|| pages.tree.get(index_of(size)).cloned()).flatten())
        };
        if size < old {
            if let Some(frame) = partial {
                zero_range(&frame, within(size), PAGE - within(size));
            }
            let range = size.div_ceil(PAGE as u64)..u64::MAX / PAGE as u64;
            self.drop_pages(range.clone());
            drop(content);
            self.invalidate(range, PrivateCopies::Drop);
        }
        Ok(())
    }

    /// Takes pages out of the file and frees what nobody maps.
    fn drop_pages(&self, range: Range<u64>) {
        loop {
            let mut gone: Vec<FrameRef> = Vec::with_capacity(PIECE);
            let finished = {
                let mut pages = self.pages.lock();
                pages.tree.remove_range(range.start, range.end, PIECE, &mut |_, frame| gone.push(frame))
            };
            self.space.uncharge(gone.len() as u64);
            if finished {
                return;
            }
        }
    }

    fn invalidate(&self, range: Range<u64>, copies: PrivateCopies) {
        if self.mapped.load(Ordering::SeqCst) > 0 {
            mm::space().invalidate(self.id, range, copies);
        }
    }

    /// Makes `offset .. offset + len` read as zeros; whole pages are given back.
    pub fn punch(&self, offset: u64, len: u64) {
        let content = self.content.lock();
        let end = offset.saturating_add(len);
        let (first, last) = (offset.div_ceil(PAGE as u64), end / PAGE as u64);
        let edges = if index_of(offset) == index_of(end) {
            [(offset, (end - offset) as usize), (0, 0)]
        } else {
            [(offset, (PAGE - within(offset)) % PAGE), (end - within(end) as u64, within(end))]
        };
        for (at, len) in edges {
            if len > 0
                && let Some(frame) = self.peek_page(index_of(at))
            {
                zero_range(&frame, within(at), len);
            }
        }
        if first < last {
            self.drop_pages(first..last);
        }
        drop(content);
        if first < last {
            self.invalidate(first..last, PrivateCopies::Keep);
        }
    }

    /// Allocates the pages of `offset .. offset + len`; all or none. The size grows to `new_size` if that is given.
    pub fn reserve(&self, offset: u64, len: u64, new_size: Option<u64>) -> FsResult<()> {
        let _content = self.content.lock();
        let range = index_of(offset)..(offset + len).div_ceil(PAGE as u64);
        // What was not there before, in runs: for the way back.
        let mut made: Vec<Range<u64>> = Vec::new();
        for index in range {
            match self.make_page(index, None) {
                Ok(Made::Before) => {}
                Ok(Made::Now) => match made.last_mut() {
                    Some(run) if run.end == index => run.end += 1,
                    _ => made.push(index..index + 1),
                },
                Err(error) => {
                    made.into_iter().for_each(|run| self.drop_pages(run));
                    return Err(error);
                }
            }
        }
        if let Some(size) = new_size {
            self.grow_to(size);
        }
        Ok(())
    }

    /// Makes sure that a page is there; with `within_size` only if the file covers it then (else `Invalid`).
    fn make_page(&self, index: u64, out: Option<&mut Option<FrameRef>>) -> FsResult<Made> {
        let for_fault = out.is_some();
        let mut slot = None;
        let out = out.unwrap_or(&mut slot);
        let look = |pages: &Pages| -> FsResult<Option<FrameRef>> {
            if for_fault && index >= pages.size.div_ceil(PAGE as u64) {
                return Err(FsError::Invalid);
            }
            Ok(pages.tree.get(index).cloned())
        };
        if let Some(frame) = look(&self.pages.lock())? {
            *out = Some(frame);
            return Ok(Made::Before);
        }
        self.space.charge(1)?;
        let Some(frame) = mm::frame::alloc_zeroed() else {
            self.space.uncharge(1);
            return Err(if for_fault { FsError::NoMemory } else { FsError::NoSpace });
        };
        let frame = frame.into_shared();
        let mut pages = self.pages.lock();
        let result = match look(&pages) {
            Ok(None) => {
                pages.tree.insert(index, frame.clone());
                *out = Some(frame);
                return Ok(Made::Now);
            }
            Ok(Some(rival)) => {
                *out = Some(rival);
                Ok(Made::Before)
            }
            Err(error) => Err(error),
        };
        drop(pages);
        self.space.uncharge(1);
        result
    }

    /// As `lseek` with SEEK_DATA and SEEK_HOLE.
    pub fn seek_extent(&self, offset: u64, extent: Extent) -> FsResult<u64> {
        let pages = self.pages.lock();
        if offset >= pages.size {
            return Err(FsError::NoSuchAddress);
        }
        match extent {
            Extent::Data => {
                let index = pages.tree.next(index_of(offset)).ok_or(FsError::NoSuchAddress)?;
                let found = offset.max(index * PAGE as u64);
                if found < pages.size { Ok(found) } else { Err(FsError::NoSuchAddress) }
            }
            Extent::Hole => {
                let mut index = index_of(offset);
                while pages.tree.get(index).is_some() {
                    index += 1;
                }
                Ok(offset.max(index * PAGE as u64).min(pages.size))
            }
        }
    }
}

enum Made {
    Now,
    Before,
}

impl Drop for FileData {
    fn drop(&mut self) {
        self.space.uncharge(self.pages.get_mut().tree.len() as u64);
    }
}

impl Backing for FileData {
    fn id(&self) -> u64 {
        self.id
    }
    fn size(&self) -> u64 {
        self.len_bytes()
    }
    fn fault_page(&self, index: u64, _write: bool) -> Result<FrameRef, BackingError> {
        let mut frame = None;
        match self.make_page(index, Some(&mut frame)) {
            Ok(_) => frame.ok_or(BackingError::NoMemory),
            Err(FsError::Invalid) => Err(BackingError::BeyondEnd),
            Err(FsError::NoMemory) => Err(BackingError::NoMemory),
            // Full: SIGBUS, as on Linux.
            Err(_) => Err(BackingError::Io),
        }
    }
    fn peek_page(&self, index: u64) -> Option<FrameRef> {
        self.pages.lock().tree.get(index).cloned()
    }
    fn peek_pages(&self, first: u64, out: &mut [Option<FrameRef>]) {
        let pages = self.pages.lock();
        for (offset, slot) in out.iter_mut().enumerate() {
            *slot = pages.tree.get(first + offset as u64).cloned();
        }
    }
    fn tracks_dirty(&self) -> bool {
        false
    }
    fn dev_ino(&self) -> (u64, u64) {
        (self.space.dev, self.ino)
    }
    fn path(&self) -> String {
        String::new()
    }
    fn writable_shared(&self) -> bool {
        true
    }
    fn punch_hole(&self, pages: Range<u64>) -> bool {
        self.punch(pages.start * PAGE as u64, (pages.end - pages.start) * PAGE as u64);
        true
    }
    fn note_mapped(&self, pages: Range<u64>) {
        self.mapped.fetch_add((pages.end - pages.start) as usize, Ordering::SeqCst);
    }
    fn note_unmapped(&self, pages: Range<u64>) {
        self.mapped.fetch_sub((pages.end - pages.start) as usize, Ordering::SeqCst);
    }
}
