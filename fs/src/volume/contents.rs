//! A file's pages in memory.

use super::Shared;
use crate::anonymous::next_id;
use crate::io::{Sink, Source};
use crate::page_cache::readahead::Readahead;
use crate::page_cache::transfer::{self, Hole, PIECE, index_of, within};
use crate::page_cache::{
    PAGE, PageTree, copy_in, count_added, count_read, count_removed, page_bytes, write_bytes, zero_range,
};
use crate::{FsError, FsResult};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use hal::sync::SpinLock;
use mm::space::PrivateCopies;
use mm::{Backing, BackingError, FrameRef};
use sched::{Mutex, MutexGuard};

/// Dirty pages of a volume from which on a writer writes its own back: 64 MiB.
const DIRTY_MAX: u64 = 16384;

/// A page in memory.
pub(super) struct Page {
    pub frame: FrameRef,
    /// Newer than the device.
    pub dirty: bool,
    /// Whether the file has a block for it.
    pub has_block: bool,
    /// Mapped writable since it was last clean: stores to it are not seen.
    pub is_written_by_mappings: bool,
    /// Used since the reclaim hand came by.
    used: AtomicBool,
}

pub(super) struct Pages {
    pub tree: PageTree<Page>,
    /// Bytes in the file, as programs see it.
    pub size: u64,
    readahead: Readahead,
    /// Pages that got their blocks last, in memory or not: who writes in order asks the engine once for many.
    reserved: Range<u64>,
    /// Where the reclaim hand goes on.
    hand: u64,
}

/// The contents of a file on a volume.
pub(crate) struct Contents {
    id: u64,
    pub(super) number: u32,
    pub(super) shared: Arc<Shared>,
    /// The node that this belongs to, to keep it in memory while pages are dirty.
    node: Weak<super::Node>,
    pub(super) pages: SpinLock<Pages>,
    /// Held by who changes size or contents by a call, or reads pages in.
    pub(super) content: Mutex<()>,
    /// Held while pages are on their way to the device: a sync that finds a page clean must not overtake it.
    pub(super) writing: Mutex<()>,
    mapped: AtomicUsize,
}

impl Contents {
    pub fn new(shared: &Arc<Shared>, number: u32, size: u64, node: Weak<super::Node>) -> Arc<Self> {
        Arc::new(Self {
            id: next_id(),
            number,
            shared: shared.clone(),
            node,
            pages: SpinLock::new(Pages {
                tree: PageTree::new(),
                size,
                readahead: Readahead::new(),
                reserved: 0..0,
                hand: 0,
            }),
            content: Mutex::new(()),
            writing: Mutex::new(()),
            mapped: AtomicUsize::new(0),
        })
    }

    pub fn len_bytes(&self) -> u64 {
        self.pages.lock().size
    }

    fn cached(&self, index: u64) -> Option<FrameRef> {
        let pages = self.pages.lock();
        let page = pages.tree.get(index)?;
        page.used.store(true, Ordering::Relaxed);
        Some(page.frame.clone())
    }

    /// A page, read in with its neighbours if it is not there. The caller holds `content`.
    fn page(&self, index: u64) -> FsResult<FrameRef> {
        self.page_of(index, 1)
    }

    /// The same for a caller that wants `count` pages from there on.
    fn page_of(&self, index: u64, count: u64) -> FsResult<FrameRef> {
        if let Some(frame) = self.cached(index) {
            return Ok(frame);
        }
        let last = self.len_bytes().div_ceil(PAGE as u64).max(index + 1);
        let range = {
            let mut pages = self.pages.lock();
            let window = pages.readahead.window(index, count, last);
            let range = pages.tree.free_around(window, index);
            pages.readahead.note_read(range.end);
            range
        };
        match self.fetch(range.clone(), index) {
            // A neighbour that cannot be read, or finds no memory, is nobody's error.
            Err(_) if range.end - range.start > 1 => match self.cached(index) {
                Some(frame) => Ok(frame),
                None => self.fetch(index..index + 1, index),
            },
            result => result,
        }
    }

    /// Reads pages in that are not there; the answer is the one at `index`, one of them.
    fn fetch(&self, range: Range<u64>, index: u64) -> FsResult<FrameRef> {
        let mut at = range.start;
        let mut wanted = None;
        while at < range.end {
            let logical = u32::try_from(at).map_err(|_| FsError::TooBig)?;
            let most = (range.end - at) as u32;
            let mapping = self.shared.look(|volume| volume.map(self.number, logical, most))?;
            let mut frames = Vec::with_capacity(mapping.length as usize);
            for _ in 0..mapping.length {
                frames.push(mm::frame::alloc().ok_or(FsError::NoMemory)?.into_shared());
            }
            match mapping.block.filter(|_| !mapping.unwritten) {
                Some(block) => {
                    super::writeback::read_pages(&*self.shared.device, block, &frames)?;
                    count_read(frames.len());
                }
                None => frames.iter().for_each(|frame| zero_range(frame, 0, PAGE)),
            }
            count_added(frames.len());
            let mut pages = self.pages.lock();
            for (index_now, frame) in (at..).zip(frames) {
                if index_now == index {
                    wanted = Some(frame.clone());
                }
                let page = Page {
                    frame,
                    dirty: false,
                    has_block: mapping.block.is_some(),
                    is_written_by_mappings: false,
                    used: AtomicBool::new(index_now == index),
                };
                let _none = pages.tree.insert(index_now, page);
            }
            drop(pages);
            at += u64::from(mapping.length);
        }
        wanted.ok_or(FsError::Io)
    }

    pub fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        transfer::read(offset, sink, &mut |at, wanted| {
            let size = self.len_bytes();
            if at >= size {
                return Ok((size, None));
            }
            let frame = match self.cached(index_of(at)) {
                Some(frame) => frame,
                None => {
                    let end = at.saturating_add(wanted as u64).min(size);
                    transfer::patiently(|| {
                        let _content = self.content.lock();
                        self.page_of(index_of(at), end.div_ceil(PAGE as u64) - index_of(at))
                    })?
                }
            };
            Ok((size, Some(frame)))
        })
    }

    pub fn write_at(&self, offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        let content = self.content.lock();
        let count = self.write_locked(offset, source)?;
        drop(content);
        self.throttle();
        Ok(count)
    }

    /// The count and the offset behind what was written.
    pub fn append(&self, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        let content = self.content.lock();
        let end = self.len_bytes();
        let count = self.write_locked(end, source)?;
        drop(content);
        self.throttle();
        Ok((count, end + count as u64))
    }

    pub(super) fn write_locked(&self, offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        transfer::write(offset, source, &mut |at, len, source| self.write_in_page(at, len, source))
    }

    fn write_in_page(&self, at: u64, len: usize, source: &mut dyn Source) -> FsResult<usize> {
        let index = index_of(at);
        let touched = (within(at) + source.remaining()).div_ceil(PAGE);
        self.reserve_blocks(index, touched.min(256) as u32)?;
        let is_behind_end = at - within(at) as u64 >= self.len_bytes();
        let count = if self.cached(index).is_none() && (is_behind_end || len == PAGE) {
            self.write_fresh(at, len, is_behind_end, source)?
        } else {
            copy_in(&transfer::patiently(|| self.page(index))?, within(at), len, source)?
        };
        {
            let mut pages = self.pages.lock();
            pages.size = pages.size.max(at + count as u64);
        }
        self.set_dirty(index);
        Ok(count)
    }

    /// Writes to a page that is not in memory, of which nothing is kept: one behind the end, or a whole one.
    fn write_fresh(&self, at: u64, len: usize, is_behind_end: bool, source: &mut dyn Source) -> FsResult<usize> {
        let frame = transfer::patiently(|| mm::frame::alloc_zeroed().ok_or(FsError::NoMemory))?.into_shared();
        let count = copy_in(&frame, within(at), len, source)?;
        if count < len && !is_behind_end {
            // The source has failed half-way: the rest stays what it was.
            let known = transfer::patiently(|| self.page(index_of(at)))?;
            write_bytes(&known, within(at), &page_bytes(&frame)[within(at)..within(at) + count]);
            return Ok(count);
        }
        let page =
            Page { frame, dirty: false, has_block: true, is_written_by_mappings: false, used: AtomicBool::new(true) };
        count_added(1);
        let _none = self.pages.lock().tree.insert(index_of(at), page);
        Ok(count)
    }

    /// Makes sure that page `index` has a block; if it gets one, so do up to `wanted` pages from it on.
    fn reserve_blocks(&self, index: u64, wanted: u32) -> FsResult<()> {
        {
            let pages = self.pages.lock();
            if pages.reserved.contains(&index) || pages.tree.get(index).is_some_and(|page| page.has_block) {
                return Ok(());
            }
        }
        let logical = u32::try_from(index).ok().filter(|logical| *logical < u32::MAX - 512).ok_or(FsError::TooBig)?;
        let number = self.number;
        // No more than what is written: who asks for more than there is gets what there is.
        let mapping = self.shared.change(|volume| volume.allocate(number, logical, wanted.max(1)))?;
        let mut pages = self.pages.lock();
        pages.reserved = index..index + u64::from(mapping.length);
        for index in pages.reserved.clone() {
            if let Some(page) = pages.tree.get_mut(index) {
                page.has_block = true;
            }
        }
        Ok(())
    }

    fn set_dirty(&self, index: u64) {
        let mut pages = self.pages.lock();
        let Some(page) = pages.tree.get_mut(index) else { return };
        page.used.store(true, Ordering::Relaxed);
        if !core::mem::replace(&mut page.dirty, true) {
            self.shared.dirty_pages.fetch_add(1, Ordering::Relaxed);
        }
        drop(pages);
        if let Some(node) = self.node.upgrade() {
            self.shared.note_dirty(node);
        }
    }

    fn throttle(&self) {
        let scarce = mm::frame::is_scarce();
        if self.shared.dirty_pages.load(Ordering::Relaxed) > if scarce { DIRTY_MAX / 64 } else { DIRTY_MAX } {
            // An error is told to who syncs.
            let _result = self.shared.write_all();
        }
    }

    /// Sets the size as programs see it, and on disk.
    pub fn truncate(&self, size: u64) -> FsResult<()> {
        let content = self.content.lock();
        let old = self.len_bytes();
        if size < old && within(size) > 0 {
            // The rest of the last page becomes zeros on disk too.
            let mapping = self.shared.look(|volume| volume.map(self.number, index_of(size) as u32, 1))?;
            if mapping.block.is_some() || self.cached(index_of(size)).is_some() {
                let frame = self.page(index_of(size))?;
                zero_range(&frame, within(size), PAGE - within(size));
                if mapping.block.is_some() {
                    self.set_dirty(index_of(size));
                }
            }
        }
        self.pages.lock().size = size;
        let number = self.number;
        self.shared.change(|volume| volume.set_size(number, size, super::now()))?;
        if size < old {
            let range = size.div_ceil(PAGE as u64)..u64::MAX / PAGE as u64;
            self.drop_pages(range.clone());
            let writing = self.none_on_the_way();
            while !self.shared.change(|volume| volume.trim(number))? {}
            drop((writing, content));
            self.invalidate(range, PrivateCopies::Drop);
        }
        Ok(())
    }

    /// Makes `offset .. offset + len` read as zeros and gives whole pages back.
    pub fn punch(&self, offset: u64, len: u64) -> FsResult<()> {
        let content = self.content.lock();
        let end = offset.saturating_add(len).min(self.len_bytes().next_multiple_of(PAGE as u64));
        if offset >= end {
            return Ok(());
        }
        let hole = Hole::new(offset, end);
        for (at, len) in hole.edges() {
            let mapping = self.shared.look(|volume| volume.map(self.number, index_of(at) as u32, 1))?;
            if mapping.block.is_some() {
                let frame = self.page(index_of(at))?;
                zero_range(&frame, within(at), len);
                self.set_dirty(index_of(at));
            }
        }
        if hole.pages.is_empty() {
            return Ok(());
        }
        self.drop_pages(hole.pages.clone());
        let number = self.number;
        let (logical, count) = (hole.pages.start as u32, (hole.pages.end - hole.pages.start) as u32);
        let writing = self.none_on_the_way();
        while !self.shared.change(|volume| volume.punch(number, logical, count, super::now()))? {}
        drop((writing, content));
        self.invalidate(hole.pages, PrivateCopies::Keep);
        Ok(())
    }

    /// Gives `offset .. offset + len` its blocks; the size grows over it if `extend`.
    pub fn reserve(&self, offset: u64, len: u64, extend: bool) -> FsResult<()> {
        let _content = self.content.lock();
        let end = offset.checked_add(len).ok_or(FsError::TooBig)?;
        let last = u32::try_from(end.div_ceil(PAGE as u64)).map_err(|_| FsError::TooBig)?;
        let mut at = index_of(offset) as u32;
        let number = self.number;
        while at < last {
            let mapping = self.shared.change(|volume| volume.allocate(number, at, last - at))?;
            at += mapping.length;
        }
        if extend && end > self.len_bytes() {
            self.pages.lock().size = end;
            self.shared.change(|volume| volume.set_size(number, end, super::now()))?;
        }
        Ok(())
    }

    /// Waits for pages that are on their way to blocks which are about to be freed, and may be another file's soon.
    fn none_on_the_way(&self) -> MutexGuard<'_, ()> {
        self.writing.lock()
    }

    /// Forgets pages; their blocks are about to go.
    pub(super) fn drop_pages(&self, range: Range<u64>) {
        self.pages.lock().reserved = 0..0;
        loop {
            let mut gone = Vec::with_capacity(PIECE);
            let finished =
                self.pages.lock().tree.remove_range(range.start, range.end, PIECE, &mut |_, page| gone.push(page));
            count_removed(gone.len());
            let dirty = gone.iter().filter(|page| page.dirty).count() as u64;
            self.shared.dirty_pages.fetch_sub(dirty, Ordering::Relaxed);
            if finished {
                return;
            }
        }
    }

    /// Whether some address space has it mapped.
    pub(super) fn is_mapped(&self) -> bool {
        self.mapped.load(Ordering::SeqCst) > 0
    }

    pub(super) fn invalidate(&self, range: Range<u64>, copies: PrivateCopies) {
        if self.is_mapped() {
            mm::space().invalidate(self.id, range, copies);
        }
    }

    /// Gives back up to `goal` clean pages that nobody maps and that were not used since the last round. How many.
    pub(super) fn shrink(&self, goal: usize) -> usize {
        let freed = transfer::shrink(goal, &mut |most| {
            let mut pages = self.pages.try_lock()?;
            let Pages { tree, hand, .. } = &mut *pages;
            let is_idle =
                |page: &Page| page.frame.count() == 1 && !page.dirty && !page.used.swap(false, Ordering::Relaxed);
            Some(transfer::stride(tree, hand, most, is_idle))
        });
        count_removed(freed);
        freed
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        let mut dirty = 0;
        let tree = &self.pages.get_mut().tree;
        count_removed(tree.len());
        tree.visit(0, &mut |_, page| {
            dirty += u64::from(page.dirty);
            true
        });
        self.shared.dirty_pages.fetch_sub(dirty, Ordering::Relaxed);
    }
}

impl Backing for Contents {
    fn id(&self) -> u64 {
        self.id
    }
    fn size(&self) -> u64 {
        self.len_bytes()
    }
    fn fault_page(&self, index: u64, write: bool) -> Result<FrameRef, BackingError> {
        if index >= self.len_bytes().div_ceil(PAGE as u64) {
            return Err(BackingError::BeyondEnd);
        }
        let failed = |error| match error {
            FsError::NoMemory => BackingError::NoMemory,
            _ => BackingError::Io,
        };
        if write {
            // Before the page: this one must stay mapped.
            self.throttle();
        }
        let _content = self.content.lock();
        if write {
            self.reserve_blocks(index, 1).map_err(failed)?;
        }
        let frame = self.page(index).map_err(failed)?;
        if write {
            self.set_dirty(index);
        }
        Ok(frame)
    }
    fn peek_page(&self, index: u64) -> Option<FrameRef> {
        let pages = self.pages.lock();
        if index >= pages.size.div_ceil(PAGE as u64) {
            return None;
        }
        Some(pages.tree.get(index)?.frame.clone())
    }
    fn mark_dirty(&self, index: u64) {
        let mut pages = self.pages.lock();
        if let Some(page) = pages.tree.get_mut(index) {
            page.is_written_by_mappings = true;
        }
        drop(pages);
        self.set_dirty(index);
    }
    fn dev_ino(&self) -> (u64, u64) {
        (self.shared.dev, u64::from(self.number))
    }
    fn path(&self) -> alloc::string::String {
        alloc::string::String::new()
    }
    fn writable_shared(&self) -> bool {
        !self.shared.read_only
    }
    fn writeback(&self, pages: Range<u64>) -> Result<(), BackingError> {
        self.write_pages(pages).and_then(|()| self.shared.commit()).map_err(|_| BackingError::Io)
    }
    fn prefetch(&self, pages: Range<u64>) {
        let _content = self.content.lock();
        let end = pages.end.min(self.len_bytes().div_ceil(PAGE as u64));
        // A hint: an error shows when somebody needs the page.
        let _all = (pages.start..end).try_for_each(|index| self.page_of(index, end - index).map(drop));
    }
    fn punch_hole(&self, pages: Range<u64>) -> bool {
        self.punch(pages.start * PAGE as u64, (pages.end - pages.start).saturating_mul(PAGE as u64)).is_ok()
    }
    fn note_mapped(&self, _pages: Range<u64>) {
        self.mapped.fetch_add(1, Ordering::SeqCst);
    }
    fn note_unmapped(&self, _pages: Range<u64>) {
        self.mapped.fetch_sub(1, Ordering::SeqCst);
    }
}
