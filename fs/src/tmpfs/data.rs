//! The bytes of a file.

use super::Space;
use super::pages::Pages;
use crate::anonymous::next_id;
use crate::file::Extent;
use crate::io::{Sink, Source};
use crate::page_cache::transfer::{self, index_of, within};
use crate::page_cache::{PAGE, copy_in, page_bytes, write_bytes, zero_range};
use crate::{FsError, FsResult};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};
use hal::sync::SpinLock;
use mm::frame::HUGE_PAGES;
use mm::space::PrivateCopies;
use mm::{Backing, BackingError, FrameRef, HugeRef};
use sched::Mutex;

/// Pages freed under one hold of the spin lock.
const PIECE: usize = 64;

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

impl FileData {
    pub fn new(space: &Arc<Space>, ino: u64) -> Arc<Self> {
        Arc::new(Self {
            id: next_id(),
            ino,
            space: space.clone(),
            pages: SpinLock::new(Pages::new()),
            content: Mutex::new(()),
            mapped: AtomicUsize::new(0),
        })
    }

    pub fn len_bytes(&self) -> u64 {
        self.pages.lock().size
    }

    pub fn allocated_pages(&self) -> u64 {
        self.pages.lock().count()
    }

    pub fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        transfer::read(offset, sink, &mut |at, _| {
            let pages = self.pages.lock();
            Ok((pages.size, pages.get(index_of(at))))
        })
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
        transfer::write(offset, source, &mut |at, len, source| self.write_in_page(at, len, source))
    }

    fn write_in_page(&self, at: u64, len: usize, source: &mut dyn Source) -> FsResult<usize> {
        let index = index_of(at);
        let existing = self.peek_page(index);
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
            let rival = pages.get(index);
            if rival.is_none() {
                pages.insert(index, frame.clone());
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
        self.unmap_cut(size);
        let content = self.content.lock();
        let (old, partial) = {
            let mut pages = self.pages.lock();
            let old = core::mem::replace(&mut pages.size, size);
            (old, (size < old && within(size) > 0).then(|| pages.get(index_of(size))).flatten())
        };
        // Also where the size stays: what fallocate(2) keeps behind the end goes then, as in Linux's shmem.
        if size <= old {
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
        let split = {
            let mut pages = self.pages.lock();
            pages.split_at(range.start) + pages.split_at(range.end)
        };
        self.space.uncharge_huge(split);
        loop {
            let mut gone = Vec::with_capacity(PIECE);
            let finished = self.pages.lock().remove(range.clone(), PIECE, &mut |frame| gone.push(frame));
            let huge: u64 = gone.iter().map(super::pages::Gone::count).filter(|&count| count > 1).sum();
            self.space.uncharge_huge(huge);
            self.space.uncharge(gone.iter().map(super::pages::Gone::count).sum());
            if finished {
                return;
            }
        }
    }

    /// Unmaps the 2 MiB frames that a change at `offset` cuts, so that their pages can be freed one by one. Without it they
    /// would be freed together, later.
    fn unmap_cut(&self, offset: u64) {
        let chunk = index_of(offset) / HUGE_PAGES;
        let is_cut = !offset.is_multiple_of(PAGE as u64 * HUGE_PAGES) && self.pages.lock().chunk(chunk).is_some();
        if is_cut {
            self.invalidate(chunk * HUGE_PAGES..(chunk + 1) * HUGE_PAGES, PrivateCopies::Keep);
        }
    }

    fn invalidate(&self, range: Range<u64>, copies: PrivateCopies) {
        if self.mapped.load(Ordering::SeqCst) > 0 {
            mm::space().invalidate(self.id, range, copies);
        }
    }

    /// Makes `offset .. offset + len` read as zeros; whole pages are given back.
    pub fn punch(&self, offset: u64, len: u64) {
        let end = offset.saturating_add(len);
        self.unmap_cut(offset);
        self.unmap_cut(end);
        let content = self.content.lock();
        let hole = transfer::Hole::new(offset, end);
        for (at, len) in hole.edges() {
            if let Some(frame) = self.peek_page(index_of(at)) {
                zero_range(&frame, within(at), len);
            }
        }
        if hole.pages.is_empty() {
            return;
        }
        self.drop_pages(hole.pages.clone());
        drop(content);
        self.invalidate(hole.pages, PrivateCopies::Keep);
    }

    /// Allocates the pages of `offset .. offset + len`; all or none. The size grows to `new_size` if that is given.
    pub fn reserve(&self, offset: u64, len: u64, new_size: Option<u64>) -> FsResult<()> {
        let _content = self.content.lock();
        let range = index_of(offset)..(offset + len).div_ceil(PAGE as u64);
        // What was not there before, in runs: for the way back.
        let mut made: Vec<Range<u64>> = Vec::new();
        let mut index = range.start;
        while index < range.end {
            let whole_chunk = index.is_multiple_of(HUGE_PAGES) && range.end - index >= HUGE_PAGES;
            let run = if whole_chunk && self.make_chunk(index / HUGE_PAGES) {
                index..index + HUGE_PAGES
            } else {
                match self.make_page(index, None) {
                    Ok(Made::Before) => index..index,
                    Ok(Made::Now) => index..index + 1,
                    Err(error) => {
                        made.into_iter().for_each(|run| self.drop_pages(run));
                        return Err(error);
                    }
                }
            };
            index = run.end.max(index + 1);
            match made.last_mut() {
                Some(last) if last.end == run.start => last.end = run.end,
                _ => made.push(run),
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
            Ok(pages.get(index))
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
                pages.insert(index, frame.clone());
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

    /// Fills a chunk that is a hole with one frame of 2 MiB, if one is at hand.
    fn make_chunk(&self, chunk: u64) -> bool {
        if !self.pages.lock().is_hole(chunk) || self.space.charge(HUGE_PAGES).is_err() {
            return false;
        }
        let frame = mm::frame::alloc_huge();
        let is_made = frame.is_some_and(|frame| {
            let frame = frame.into_huge();
            let mut pages = self.pages.lock();
            // A fault may have made a page meanwhile.
            let is_hole = pages.is_hole(chunk);
            if is_hole {
                pages.insert_chunk(chunk, frame);
            }
            is_hole
        });
        if is_made {
            self.space.charge_huge()
        } else {
            self.space.uncharge(HUGE_PAGES)
        }
        is_made
    }

    /// As `lseek` with SEEK_DATA and SEEK_HOLE.
    pub fn seek_extent(&self, offset: u64, extent: Extent) -> FsResult<u64> {
        let pages = self.pages.lock();
        if offset >= pages.size {
            return Err(FsError::NoSuchAddress);
        }
        match extent {
            Extent::Data => {
                let index = pages.next(index_of(offset)).ok_or(FsError::NoSuchAddress)?;
                let found = offset.max(index * PAGE as u64);
                if found < pages.size { Ok(found) } else { Err(FsError::NoSuchAddress) }
            }
            Extent::Hole => {
                let index = pages.next_hole(index_of(offset));
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
        let pages = self.pages.get_mut();
        self.space.uncharge(pages.count());
        self.space.uncharge_huge(pages.huge_count());
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
        self.pages.lock().visible(index)
    }
    fn peek_pages(&self, first: u64, out: &mut [Option<FrameRef>]) {
        let pages = self.pages.lock();
        for (offset, slot) in out.iter_mut().enumerate() {
            *slot = pages.visible(first + offset as u64);
        }
    }
    fn fault_huge(&self, index: u64, hole: mm::Hole) -> Option<HugeRef> {
        let chunk = index / HUGE_PAGES;
        let look = || {
            let pages = self.pages.lock();
            let reaches = index + HUGE_PAGES <= pages.size.div_ceil(PAGE as u64);
            (reaches, pages.chunk(chunk).filter(|_| reaches).cloned())
        };
        let (reaches, frame) = look();
        if frame.is_none() && reaches && hole == mm::Hole::MayBeFilled && self.make_chunk(chunk) {
            return look().1;
        }
        frame
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
