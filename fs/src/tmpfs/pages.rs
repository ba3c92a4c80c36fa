//! The pages of a file in memory: single ones, and chunks of 2 MiB in one frame.
//!
//! A chunk is either in one frame or in pages, never both. Pages of a 2 MiB frame are handed out like others
//! ([`mm::HugeRef::part`]), so only who frees a part of one needs to take it to pieces.

use crate::page_cache::PageTree;
use core::ops::Range;
use hal::addr::PAGE_SIZE;
use mm::frame::HUGE_PAGES;
use mm::{FrameRef, HugeRef};

/// What a file holds. Lives in a spin lock.
pub(super) struct Pages {
    small: PageTree<FrameRef>,
    /// By index / 512.
    huge: PageTree<HugeRef>,
    /// Bytes.
    pub size: u64,
}

/// What was taken out of a file; freed when it is dropped.
pub(super) enum Gone {
    Page(#[allow(dead_code, reason = "kept until it is dropped")] FrameRef),
    Chunk(#[allow(dead_code, reason = "as above")] HugeRef),
}

impl Gone {
    /// Pages in it.
    pub fn count(&self) -> u64 {
        match self {
            Gone::Page(_) => 1,
            Gone::Chunk(_) => HUGE_PAGES,
        }
    }
}

impl Pages {
    pub const fn new() -> Self {
        Self { small: PageTree::new(), huge: PageTree::new(), size: 0 }
    }

    /// Pages that are there.
    pub fn count(&self) -> u64 {
        self.small.len() as u64 + self.huge.len() as u64 * HUGE_PAGES
    }

    /// Of `count`: in 2 MiB frames.
    pub fn huge_count(&self) -> u64 {
        self.huge.len() as u64 * HUGE_PAGES
    }

    pub fn get(&self, index: u64) -> Option<FrameRef> {
        if self.huge.len() > 0
            && let Some(chunk) = self.huge.get(index / HUGE_PAGES)
        {
            return Some(chunk.part(index % HUGE_PAGES));
        }
        self.small.get(index).cloned()
    }

    /// The same for a mapping: what was reserved behind the end is not to be seen (mmap(2), SIGBUS).
    pub fn visible(&self, index: u64) -> Option<FrameRef> {
        if index < self.size.div_ceil(PAGE_SIZE) { self.get(index) } else { None }
    }

    /// The frame of a chunk, by its number.
    pub fn chunk(&self, chunk: u64) -> Option<&HugeRef> {
        self.huge.get(chunk)
    }

    /// Whether nothing is there yet of a chunk.
    pub fn is_hole(&self, chunk: u64) -> bool {
        let first = chunk * HUGE_PAGES;
        self.huge.get(chunk).is_none() && self.small.next(first).is_none_or(|index| index >= first + HUGE_PAGES)
    }

    /// Fills a hole.
    pub fn insert(&mut self, index: u64, frame: FrameRef) {
        let _none = self.small.insert(index, frame);
    }

    /// Fills a chunk that is a hole.
    pub fn insert_chunk(&mut self, chunk: u64, frame: HugeRef) {
        let _none = self.huge.insert(chunk, frame);
    }

    /// The first page from `index` on that is there.
    pub fn next(&self, index: u64) -> Option<u64> {
        let small = self.small.next(index);
        let huge = self.huge.next(index / HUGE_PAGES).map(|chunk| index.max(chunk * HUGE_PAGES));
        match (small, huge) {
            (Some(small), Some(huge)) => Some(small.min(huge)),
            (small, huge) => small.or(huge),
        }
    }

    /// The first page from `index` on that is not there.
    pub fn next_hole(&self, mut index: u64) -> u64 {
        loop {
            if self.huge.get(index / HUGE_PAGES).is_some() {
                index = (index / HUGE_PAGES + 1) * HUGE_PAGES;
            } else if self.small.get(index).is_some() {
                index += 1;
            } else {
                return index;
            }
        }
    }

    /// Makes sure that no chunk in one frame has pages on both sides of `edge`. Returns how many pages left such a frame.
    pub fn split_at(&mut self, edge: u64) -> u64 {
        if edge.is_multiple_of(HUGE_PAGES) {
            return 0;
        }
        let Some(frame) = self.huge.remove(edge / HUGE_PAGES) else { return 0 };
        let mut index = edge - edge % HUGE_PAGES;
        frame.split(&mut |page| {
            let _none = self.small.insert(index, page);
            index += 1;
        });
        HUGE_PAGES
    }

    /// Takes at most `max` frames of the range out, whose edges [`Pages::split_at`] has seen to; true when no more are
    /// left there.
    pub fn remove(&mut self, range: Range<u64>, max: usize, gone: &mut dyn FnMut(Gone)) -> bool {
        // A chunk that a fault has just filled around an edge stays.
        let chunks = range.start.div_ceil(HUGE_PAGES)..range.end / HUGE_PAGES;
        self.huge.remove_range(chunks.start, chunks.end, max, &mut |_, frame| gone(Gone::Chunk(frame)))
            && self.small.remove_range(range.start, range.end, max, &mut |_, frame| gone(Gone::Page(frame)))
    }
}
