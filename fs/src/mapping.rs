//! A file as a mapping shows it: the pages of its inode with the path and the rights of the description.

use crate::OpenFile;
use crate::metadata::StatusFlags;
use alloc::{string::String, sync::Arc};
use core::ops::Range;
use mm::{Backing, BackingError, FrameRef, Hole, HugeRef};

/// Keeps the description open while it is mapped, as Linux does.
pub(crate) struct MappedFile {
    file: Arc<OpenFile>,
    pages: Arc<dyn Backing>,
}

impl MappedFile {
    pub fn new(file: &Arc<OpenFile>, pages: Arc<dyn Backing>) -> Self {
        Self { file: file.clone(), pages }
    }
}

impl Backing for MappedFile {
    fn id(&self) -> u64 {
        self.pages.id()
    }
    fn size(&self) -> u64 {
        self.pages.size()
    }
    fn fault_page(&self, index: u64, write: bool) -> Result<FrameRef, BackingError> {
        self.pages.fault_page(index, write)
    }
    fn peek_page(&self, index: u64) -> Option<FrameRef> {
        self.pages.peek_page(index)
    }
    fn peek_pages(&self, first: u64, out: &mut [Option<FrameRef>]) {
        self.pages.peek_pages(first, out);
    }
    fn fault_huge(&self, index: u64, hole: Hole) -> Option<HugeRef> {
        self.pages.fault_huge(index, hole)
    }
    fn mark_dirty(&self, index: u64) {
        self.pages.mark_dirty(index);
    }
    fn tracks_dirty(&self) -> bool {
        self.pages.tracks_dirty()
    }
    fn is_constant(&self) -> bool {
        self.pages.is_constant()
    }
    fn dev_ino(&self) -> (u64, u64) {
        self.pages.dev_ino()
    }
    fn path(&self) -> String {
        self.file.describe()
    }
    fn writable_shared(&self) -> bool {
        self.pages.writable_shared() && self.file.status().contains(StatusFlags::READ | StatusFlags::WRITE)
    }
    fn writeback(&self, pages: Range<u64>) -> Result<(), BackingError> {
        self.pages.writeback(pages)
    }
    fn prefetch(&self, pages: Range<u64>) {
        self.pages.prefetch(pages);
    }
    fn punch_hole(&self, pages: Range<u64>) -> bool {
        self.pages.punch_hole(pages)
    }
    fn note_mapped(&self, pages: Range<u64>) {
        self.pages.note_mapped(pages);
    }
    fn note_unmapped(&self, pages: Range<u64>) {
        self.pages.note_unmapped(pages);
    }
}
