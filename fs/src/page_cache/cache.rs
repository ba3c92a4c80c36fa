//! The cached pages of one file.

use super::frames::{page_bytes, zero_range};
use super::readahead::Readahead;
use super::{PAGE, PageTree, reclaim, transfer};
use crate::anonymous::next_id;
use crate::io::Sink;
use crate::{FsError, FsResult};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};
use hal::sync::SpinLock;
use mm::{Backing, BackingError, FrameRef};
use sched::{Interruptible, WaitQueue};

/// Where a cache's pages come from.
pub trait PageSource: Send + Sync {
    /// Fills `frames` with the pages from `first` on; what lies behind the end of the file is zeros. Sleeps.
    fn fill(&self, first: u64, frames: &[FrameRef]) -> FsResult<()>;
    /// Device and inode numbers.
    fn dev_ino(&self) -> (u64, u64);
}

struct Page {
    frame: FrameRef,
    /// Set at each use, cleared by the reclaim hand.
    used: AtomicBool,
}

struct State {
    pages: PageTree<Page>,
    /// Ranges that are being read now.
    filling: Vec<Range<u64>>,
    readahead: Readahead,
    /// Where the next search for pages to give back begins.
    hand: u64,
}

/// The pages of one file that never changes.
pub struct FileCache {
    id: u64,
    size: u64,
    source: Arc<dyn PageSource>,
    state: SpinLock<State>,
    filled: WaitQueue,
}

impl FileCache {
    /// The cache of a file of `size` bytes.
    pub fn new(size: u64, source: Arc<dyn PageSource>) -> Arc<Self> {
        let cache = Arc::new(Self {
            id: next_id(),
            size,
            source,
            state: SpinLock::new(State {
                pages: PageTree::new(),
                filling: Vec::new(),
                readahead: Readahead::new(),
                hand: 0,
            }),
            filled: WaitQueue::new(),
        });
        reclaim::enroll(&cache);
        cache
    }

    /// Bytes in the file.
    pub fn len_bytes(&self) -> u64 {
        self.size
    }

    fn page_count(&self) -> u64 {
        self.size.div_ceil(PAGE as u64)
    }

    fn cached(&self, index: u64) -> Option<FrameRef> {
        let state = self.state.lock();
        let page = state.pages.get(index)?;
        page.used.store(true, Ordering::Relaxed);
        Some(page.frame.clone())
    }

    /// The page, read in if need be. Errors: `Io`, `NoMemory`, `Invalid` behind the end.
    pub fn page(&self, index: u64) -> FsResult<FrameRef> {
        match self.cached(index) {
            Some(frame) => Ok(frame),
            None => transfer::patiently(|| self.read_in(index, 1)),
        }
    }

    /// Reads a window that holds `index` and, if `wanted` is more, the pages behind it; gives the page.
    #[cold]
    fn read_in(&self, index: u64, wanted: u64) -> FsResult<FrameRef> {
        if index >= self.page_count() {
            return Err(FsError::Invalid);
        }
        loop {
            let range = {
                let mut state = self.state.lock();
                if let Some(page) = state.pages.get(index) {
                    return Ok(page.frame.clone());
                }
                if state.filling.iter().any(|range| range.contains(&index)) {
                    drop(state);
                    self.wait_filled(index);
                    continue;
                }
                let range = state.choose_window(index, wanted, self.page_count());
                state.filling.push(range.clone());
                range
            };
            let result = self.fill(range.clone());
            let frame = {
                let mut state = self.state.lock();
                state.filling.retain(|other| *other != range);
                match result {
                    Ok(frames) => {
                        let wanted = frames[(index - range.start) as usize].clone();
                        let count = frames.len();
                        for (at, frame) in range.zip(frames) {
                            // What was read ahead and never asked for goes first.
                            let _none = state.pages.insert(at, Page { frame, used: AtomicBool::new(at == index) });
                        }
                        reclaim::count_read(count);
                        reclaim::count_added(count);
                        Ok(wanted)
                    }
                    Err(error) => Err(error),
                }
            };
            self.filled.wake_all();
            return frame;
        }
    }

    fn wait_filled(&self, index: u64) {
        let idle = || !self.state.lock().filling.iter().any(|range| range.contains(&index));
        let _ended = self.filled.wait_until(None, Interruptible::No, || idle().then_some(()));
    }

    fn fill(&self, range: Range<u64>) -> FsResult<Vec<FrameRef>> {
        let mut frames = Vec::with_capacity((range.end - range.start) as usize);
        for _ in range.clone() {
            match mm::frame::alloc() {
                Some(frame) => frames.push(frame.into_shared()),
                None => return Err(FsError::NoMemory),
            }
        }
        self.source.fill(range.start, &frames)?;
        let last = self.page_count() - 1;
        if range.contains(&last) && !self.size.is_multiple_of(PAGE as u64) {
            let end = (self.size % PAGE as u64) as usize;
            zero_range(&frames[(last - range.start) as usize], end, PAGE - end);
        }
        Ok(frames)
    }

    /// Copies bytes from `offset` on into `sink`, straight from the cached pages.
    pub fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        transfer::read(offset, sink, &mut |at, wanted| {
            if at >= self.size {
                return Ok((self.size, None));
            }
            let index = transfer::index_of(at);
            let frame = match self.cached(index) {
                Some(frame) => frame,
                None => {
                    let end = at.saturating_add(wanted as u64).min(self.size);
                    transfer::patiently(|| self.read_in(index, end.div_ceil(PAGE as u64) - index))?
                }
            };
            Ok((self.size, Some(frame)))
        })
    }

    /// Runs `look` on the bytes of a page.
    pub fn with_page<R>(&self, index: u64, look: impl FnOnce(&[u8; PAGE]) -> R) -> FsResult<R> {
        let frame = self.page(index)?;
        Ok(look(page_bytes(&frame)))
    }

    /// Gives back up to `goal` clean pages that nobody maps and that were not used since the last round. No allocation,
    /// no sleep; does nothing when the cache is busy. How many.
    pub(super) fn shrink(&self, goal: usize) -> usize {
        let freed = transfer::shrink(goal, &mut |most| {
            let mut state = self.state.try_lock()?;
            let State { pages, hand, .. } = &mut *state;
            let is_idle = |page: &Page| page.frame.count() == 1 && !page.used.swap(false, Ordering::Relaxed);
            Some(transfer::stride(pages, hand, most, is_idle))
        });
        reclaim::count_removed(freed);
        freed
    }
}

impl State {
    fn choose_window(&mut self, index: u64, wanted: u64, page_count: u64) -> Range<u64> {
        let window = self.readahead.window(index, wanted, page_count);
        // What is there, or on its way, is not read again. Runs, not pages: this is the path of every miss.
        let Range { mut start, mut end } = self.pages.free_around(window, index);
        for other in &self.filling {
            if other.end <= index {
                start = start.max(other.end);
            } else if other.start > index {
                end = end.min(other.start);
            }
        }
        self.readahead.note_read(end);
        start..end
    }
}

impl Drop for FileCache {
    fn drop(&mut self) {
        reclaim::count_removed(self.state.get_mut().pages.len());
    }
}

impl Backing for FileCache {
    fn id(&self) -> u64 {
        self.id
    }
    fn size(&self) -> u64 {
        self.size
    }
    fn fault_page(&self, index: u64, _write: bool) -> Result<FrameRef, BackingError> {
        if index >= self.page_count() {
            return Err(BackingError::BeyondEnd);
        }
        let page = self.cached(index).map_or_else(|| self.read_in(index, 1), Ok);
        page.map_err(|error| match error {
            FsError::NoMemory => BackingError::NoMemory,
            _ => BackingError::Io,
        })
    }
    fn peek_page(&self, index: u64) -> Option<FrameRef> {
        self.cached(index)
    }
    fn peek_pages(&self, first: u64, out: &mut [Option<FrameRef>]) {
        let state = self.state.lock();
        let mut at = first;
        let mut rest = out;
        while !rest.is_empty() {
            let run = state.pages.run(at);
            // Without a leaf there: on to the next one.
            let step = if run.is_empty() { 64 - (at % 64) as usize } else { run.len() }.min(rest.len());
            let (now, later) = rest.split_at_mut(step);
            for (slot, page) in now.iter_mut().zip(run) {
                if let Some(page) = page {
                    page.used.store(true, Ordering::Relaxed);
                    *slot = Some(page.frame.clone());
                }
            }
            at += step as u64;
            rest = later;
        }
    }
    fn tracks_dirty(&self) -> bool {
        true
    }
    fn is_constant(&self) -> bool {
        true
    }
    fn dev_ino(&self) -> (u64, u64) {
        self.source.dev_ino()
    }
    fn path(&self) -> String {
        String::new()
    }
    fn writable_shared(&self) -> bool {
        false
    }
    fn prefetch(&self, pages: Range<u64>) {
        let end = pages.end.min(self.page_count());
        let mut at = pages.start;
        while at < end {
            if self.cached(at).is_none() && self.read_in(at, end - at).is_err() {
                return;
            }
            at += 1;
        }
    }
}
