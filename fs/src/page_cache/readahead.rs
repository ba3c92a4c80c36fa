//! How much is read around a page that is missing.

use core::ops::Range;

/// Pages in the first window.
const WINDOW_MIN: u64 = 16;
/// Pages in the largest window.
const WINDOW_MAX: u64 = 128;
/// Pages in every window while memory is scarce.
const WINDOW_SCARCE: u64 = 4;

/// What one file's misses say about the next one: a miss where the last window ended doubles the window.
pub(crate) struct Readahead {
    end: u64,
    window: u64,
}

impl Readahead {
    /// Of a file that nobody has read yet.
    pub const fn new() -> Self {
        Self { end: 0, window: 0 }
    }

    /// The pages to read for a miss at `index` of a file of `page_count` pages, of which `wanted` are asked for.
    pub fn window(&mut self, index: u64, wanted: u64, page_count: u64) -> Range<u64> {
        let (least, most) =
            if mm::frame::is_scarce() { (WINDOW_SCARCE, WINDOW_SCARCE) } else { (WINDOW_MIN, WINDOW_MAX) };
        let sequential = self.window > 0 && index == self.end;
        self.window = if sequential { (self.window * 2).min(most) } else { least };
        // Not in order: around the page, for a mapped program jumps both ways.
        let start = if sequential { index } else { index - index % least };
        start..(start + self.window).max(index + wanted.min(most)).min(page_count)
    }

    /// Notes where the pages that were read in the end stop.
    pub fn note_read(&mut self, end: u64) {
        self.end = end;
    }
}
