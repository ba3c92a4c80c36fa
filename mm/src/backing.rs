//! What an area shows when it is not anonymous: the trait that `fs` implements for files, tmpfs and memfd.

use alloc::string::String;
use core::ops::Range;

use crate::frame::{FrameRef, HugeRef};

/// Why a page of a backing cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackingError {
    /// The page lies wholly behind the end of the object (SIGBUS, ADRERR).
    BeyondEnd,
    /// The device failed (SIGBUS, ADRERR).
    Io,
    /// No frame, or no space on the device.
    NoMemory,
}

/// What [`Backing::fault_huge`] does where the object has nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hole {
    /// It stays a hole: None.
    Stays,
    /// A 2 MiB frame of zeros fills it, if one is at hand.
    MayBeFilled,
}

/// The pages of a file, a tmpfs file, a memfd or a shared anonymous object. Page `index` covers bytes
/// `index * 4096 ..` of the object.
///
/// Every page handed out is a counted frame. mm keeps one reference for each mapping of it, so
/// `FrameRef::count() == 1` tells the page cache that nobody maps the page.
///
/// # Locks
/// `fault_page`, `writeback` and `prefetch` are called with no lock of mm held and may sleep. Every other method is
/// called under the address-space lock: it must not sleep, must not touch user memory and must not call mm's verbs.
pub trait Backing: Send + Sync {
    /// Stable identity, never reused while the machine runs: futex keys, merge decisions, `invalidate`.
    fn id(&self) -> u64;

    /// Bytes.
    fn size(&self) -> u64;

    /// The page, read in or allocated if need be. With `write` the caller is about to map it writable and shared:
    /// space on the device is allocated and the page is made dirty. May sleep.
    fn fault_page(&self, index: u64, write: bool) -> Result<FrameRef, BackingError>;

    /// The page if it is in memory and up to date. Never sleeps. Truncation relies on it: once a page has been taken
    /// out of the object, `peek_page` no longer returns it.
    fn peek_page(&self, index: u64) -> Option<FrameRef>;

    /// Pages `first .. first + out.len()` as [`Backing::peek_page`] returns them. Override when one lookup can serve
    /// all (fault-around asks for 16).
    fn peek_pages(&self, first: u64, out: &mut [Option<FrameRef>]) {
        for (i, slot) in out.iter_mut().enumerate() {
            *slot = self.peek_page(first + i as u64);
        }
    }

    /// The 2 MiB frame that holds pages `index .. index + 512` (`index` a multiple of 512), if the object has one
    /// there and reaches to its end. Never sleeps.
    fn fault_huge(&self, index: u64, hole: Hole) -> Option<HugeRef> {
        let _ = (index, hole);
        None
    }

    /// Called after a page has been mapped writable and shared, under the address-space lock. Never sleeps.
    fn mark_dirty(&self, index: u64) {
        let _ = index;
    }

    /// Whether the first write to each page must be seen (a disk file: yes; tmpfs and memfd: no, so that a read fault
    /// may map the page writable at once).
    fn tracks_dirty(&self) -> bool {
        true
    }

    /// Whether the bytes never change while the machine runs, so that a private mapping may as well show copies of them.
    fn is_constant(&self) -> bool {
        false
    }

    /// Device and inode numbers, for `/proc/self/maps`.
    fn dev_ino(&self) -> (u64, u64);

    /// Path, for `/proc/self/maps`.
    fn path(&self) -> String;

    /// Whether a shared mapping of this object may be writable (opened for writing, not on a read-only file system).
    fn writable_shared(&self) -> bool;

    /// Writes dirty pages in the range of pages back and waits (msync). May sleep.
    fn writeback(&self, pages: Range<u64>) -> Result<(), BackingError> {
        let _ = pages;
        Ok(())
    }

    /// Starts reading the pages in (MADV_WILLNEED). May sleep.
    fn prefetch(&self, pages: Range<u64>) {
        let _ = pages;
    }

    /// Gives up the pages' content (MADV_REMOVE, hole punching). May sleep. False: not supported.
    fn punch_hole(&self, pages: Range<u64>) -> bool {
        let _ = pages;
        false
    }

    /// These pages are mapped from now on (once more). As long as some are, truncation and hole punching must call
    /// [`crate::AddressSpace::invalidate`] after they have taken pages out of the object.
    fn note_mapped(&self, pages: Range<u64>) {
        let _ = pages;
    }

    /// One mapping of these pages is gone.
    fn note_unmapped(&self, pages: Range<u64>) {
        let _ = pages;
    }
}
