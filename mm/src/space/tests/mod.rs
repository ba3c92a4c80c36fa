//! Spaces over root tables of their own in the host's arena. "Memory accesses" fault as a CPU would and then go through
//! the software page table.

mod copies;
mod files;
mod huge;
mod oracle;
mod placement;
mod verbs;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::sync::Mutex;

use hal::addr::{HUGE_PAGE_SIZE, PAGE_SIZE};

use super::*;
use crate::backing::{Backing, BackingError};
use crate::frame::{self, FrameRef};
use crate::machine::pfn_ptr;
use crate::page_table::entry;

pub(super) const RW: Protection = Protection::READ.union(Protection::WRITE);
pub(super) const RO: Protection = Protection::READ;
pub(super) const NONE: Protection = Protection::empty();
pub(super) const WRITE: Access = Access { write: true, fetch: false };
pub(super) const READ: Access = Access { write: false, fetch: false };
pub(super) const FETCH: Access = Access { write: false, fetch: true };

impl AddressSpace {
    /// A fresh space without random addresses and, unless a test says so, without 2 MiB pages.
    pub(super) fn for_test() -> Self {
        let root = frame::alloc_zeroed().expect("memory");
        let space = AddressSpace::new(crate::machine::pfn_phys(root.into_pfn()));
        space.policy.fix_layout();
        space.set_huge_pages(HugePages::Never);
        space.choose_bases();
        space
    }

    /// Where an access lands, faulting until it goes through, as a CPU would.
    pub(super) fn touch(&self, addr: u64, access: Access) -> Result<*mut u8, FaultError> {
        loop {
            if let Some(slot) = self.tables.find(addr) {
                let value = slot.entry.load(SeqCst);
                if entry::allows(value, access.write, access.fetch) {
                    let used = entry::ACCESSED | if access.write { entry::DIRTY } else { 0 };
                    slot.entry.fetch_or(used, SeqCst);
                    let span = if slot.level == 2 { HUGE_PAGE_SIZE } else { PAGE_SIZE };
                    return Ok(pfn_ptr(entry::pfn(value)).wrapping_add((addr & (span - 1)) as usize));
                }
            }
            self.fault(addr, access)?;
        }
    }

    pub(super) fn load(&self, addr: u64) -> Result<u8, FaultError> {
        // SAFETY: a byte of a frame that the space maps.
        Ok(unsafe { self.touch(addr, READ)?.read() })
    }

    pub(super) fn store(&self, addr: u64, value: u8) -> Result<(), FaultError> {
        // SAFETY: as above.
        unsafe { self.touch(addr, WRITE)?.write(value) };
        Ok(())
    }

    /// Level of the mapping at `addr`.
    pub(super) fn level_at(&self, addr: u64) -> Option<u8> {
        self.tables.find(addr).map(|slot| slot.level)
    }

    pub(super) fn at(&self, addr: u64, len: u64, prot: Protection) -> u64 {
        self.map(&MapRequest::anonymous(len, prot).at(Placement::Fixed(addr))).expect("free and valid")
    }
}

/// A file: each page's bytes all say which page it is, until written.
pub(super) struct TestFile {
    id: u64,
    size: AtomicU64,
    tracks: bool,
    constant: AtomicBool,
    pages: Mutex<BTreeMap<u64, FrameRef>>,
    pub fetched: AtomicU64,
    pub dirtied: Mutex<Vec<u64>>,
    /// Mappings of each page, as notes say.
    pub mapped: Mutex<BTreeMap<u64, i64>>,
}

impl TestFile {
    pub(super) fn new(pages: u64, tracks: bool) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(TestFile {
            id: NEXT.fetch_add(1, SeqCst),
            size: AtomicU64::new(pages * PAGE_SIZE),
            tracks,
            constant: AtomicBool::new(false),
            pages: Mutex::default(),
            fetched: AtomicU64::new(0),
            dirtied: Mutex::default(),
            mapped: Mutex::default(),
        })
    }

    /// A file whose bytes never change.
    pub(super) fn constant(pages: u64) -> Arc<Self> {
        let file = Self::new(pages, true);
        file.constant.store(true, SeqCst);
        file
    }

    /// What a page holds at first.
    pub(super) fn initial(index: u64) -> u8 {
        (index % 200) as u8 + 17
    }

    /// Reads all pages in.
    pub(super) fn cache_all(&self) {
        for index in 0..self.size.load(SeqCst) / PAGE_SIZE {
            self.fault_page(index, false).expect("memory");
        }
    }

    /// Makes the file shorter.
    pub(super) fn truncate(&self, pages: u64, space: &AddressSpace) {
        self.size.store(pages * PAGE_SIZE, SeqCst);
        let gone = self.pages.lock().expect("no panic").split_off(&pages);
        space.invalidate(self.id, pages..u64::MAX, PrivateCopies::Drop);
        assert!(gone.values().all(|page| page.count() == 1), "a truncated page is still mapped");
    }

    /// The first byte of a page as the file has it.
    pub(super) fn byte(&self, index: u64) -> u8 {
        match self.pages.lock().expect("no panic").get(&index) {
            // SAFETY: a whole frame of this file.
            Some(page) => unsafe { page.as_ptr().read() },
            None => Self::initial(index),
        }
    }

    /// Drops pages that nobody maps.
    pub(super) fn evict(&self) -> usize {
        let mut pages = self.pages.lock().expect("no panic");
        let before = pages.len();
        pages.retain(|_, page| page.count() > 1);
        before - pages.len()
    }
}

impl Backing for TestFile {
    fn id(&self) -> u64 {
        self.id
    }
    fn size(&self) -> u64 {
        self.size.load(SeqCst)
    }
    fn fault_page(&self, index: u64, _write: bool) -> Result<FrameRef, BackingError> {
        if index * PAGE_SIZE >= self.size() {
            return Err(BackingError::BeyondEnd);
        }
        if let Some(page) = self.peek_page(index) {
            return Ok(page);
        }
        self.fetched.fetch_add(1, SeqCst);
        let page = frame::alloc().ok_or(BackingError::NoMemory)?;
        // SAFETY: the frame is ours.
        unsafe { page.as_ptr().write_bytes(Self::initial(index), 4096) };
        Ok(self.pages.lock().expect("no panic").entry(index).or_insert(page.into_shared()).clone())
    }
    fn peek_page(&self, index: u64) -> Option<FrameRef> {
        self.pages.lock().expect("no panic").get(&index).cloned()
    }
    fn mark_dirty(&self, index: u64) {
        self.dirtied.lock().expect("no panic").push(index);
    }
    fn tracks_dirty(&self) -> bool {
        self.tracks
    }
    fn is_constant(&self) -> bool {
        self.constant.load(SeqCst)
    }
    fn dev_ino(&self) -> (u64, u64) {
        (8, self.id)
    }
    fn path(&self) -> String {
        String::from("/test")
    }
    fn writable_shared(&self) -> bool {
        true
    }
    fn note_mapped(&self, pages: Range<u64>) {
        let mut mapped = self.mapped.lock().expect("no panic");
        pages.for_each(|page| *mapped.entry(page).or_default() += 1);
    }
    fn note_unmapped(&self, pages: Range<u64>) {
        let mut mapped = self.mapped.lock().expect("no panic");
        pages.for_each(|page| *mapped.entry(page).or_default() -= 1);
    }
}
