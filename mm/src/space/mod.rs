//! The application's half of the address space.
mod error;
mod info;
mod request;

use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;

use crate::backing::Backing;
pub use error::{FaultError, MapError};
pub use info::{AreaInfo, Residence, Usage};
pub use request::{Access, Advice, HugePolicy, MapRequest, Placement, Protection, Remap, Sharing};

/// The areas of the one application and its half of the page tables.
pub struct AddressSpace {
    _private: (),
}

/// The only address space.
pub fn space() -> &'static AddressSpace {
    unimplemented!()
}

impl AddressSpace {
    /// Makes a mapping and returns its address.
    pub fn map(&self, request: &MapRequest) -> Result<u64, MapError> {
        let _ = request;
        unimplemented!()
    }
    /// Takes everything in `start .. start + len` away; holes are no error.
    pub fn unmap(&self, start: u64, len: u64) -> Result<(), MapError> {
        let _ = (start, len);
        unimplemented!()
    }
    /// Changes the protection; `MapError::NotMapped` when there is a hole (what lies before it is changed, as on Linux).
    pub fn protect(&self, start: u64, len: u64, prot: Protection) -> Result<(), MapError> {
        let _ = (start, len, prot);
        unimplemented!()
    }
    /// Grows, shrinks or moves a mapping; returns its new address.
    pub fn remap(&self, old: u64, old_len: u64, new_len: u64, how: Remap) -> Result<u64, MapError> {
        let _ = (old, old_len, new_len, how);
        unimplemented!()
    }
    /// Applies advice; `MapError::NotMapped` when there was a hole (the rest is done, as on Linux).
    pub fn advise(&self, start: u64, len: u64, advice: Advice) -> Result<(), MapError> {
        let _ = (start, len, advice);
        unimplemented!()
    }
    /// Writes dirty pages of shared file mappings back and waits (msync MS_SYNC).
    pub fn sync(&self, start: u64, len: u64) -> Result<(), MapError> {
        let _ = (start, len);
        unimplemented!()
    }
    /// One flag a page: would an access need no input or output? (mincore)
    pub fn resident(&self, start: u64, len: u64) -> Result<Vec<bool>, MapError> {
        let _ = (start, len);
        unimplemented!()
    }
    /// Resolves a page fault at `addr`. May sleep; interrupts on, no lock held.
    pub fn fault(&self, addr: u64, access: Access) -> Result<(), FaultError> {
        let _ = (addr, access);
        unimplemented!()
    }
    /// All areas in order of address.
    pub fn areas(&self) -> Vec<AreaInfo> {
        unimplemented!()
    }
    /// The area that holds `addr`.
    pub fn area_at(&self, addr: u64) -> Option<AreaInfo> {
        let _ = addr;
        unimplemented!()
    }
    /// What of the range is resident (smaps); walks page tables.
    pub fn residence(&self, range: Range<u64>) -> Residence {
        let _ = range;
        unimplemented!()
    }
    /// Totals; cheap.
    pub fn usage(&self) -> Usage {
        unimplemented!()
    }
    /// Identity and byte offset of the shared object behind `addr`: the key of a shared futex. None: private memory.
    pub fn backing_at(&self, addr: u64) -> Option<(u64, u64)> {
        let _ = addr;
        unimplemented!()
    }
    /// The object behind `addr` and the byte offset in it, private mappings included.
    pub fn object_at(&self, addr: u64) -> Option<(Arc<dyn Backing>, u64)> {
        let _ = addr;
        unimplemented!()
    }
    /// Takes the pages of a backing out of every mapping (truncation, hole punching, eviction). With `PrivateCopies::Drop`
    /// (truncation) copies made by writes to private mappings go too. May sleep.
    pub fn invalidate(&self, backing_id: u64, pages: Range<u64>, copies: PrivateCopies) {
        let _ = (backing_id, pages, copies);
        unimplemented!()
    }
    /// Makes the shared mappings of these pages read-only, so that the next write faults and marks the page dirty
    /// again. For writeback, before it clears a page's dirty state. May sleep.
    pub fn write_protect(&self, backing_id: u64, pages: Range<u64>) {
        let _ = (backing_id, pages);
        unimplemented!()
    }
    /// The end of a process: unmaps the whole lower half, frees every frame, picks new random bases. No thread of the process may
    /// run any more.
    pub fn clear(&self) {
        unimplemented!()
    }
    /// Sets the limits; `u64::MAX` is none.
    pub fn set_limits(&self, limits: Limits) {
        let _ = limits;
        unimplemented!()
    }
    /// The limits in force.
    pub fn limits(&self) -> Limits {
        unimplemented!()
    }
    /// Where top-down search begins (below the stack).
    pub fn mmap_base(&self) -> u64 {
        unimplemented!()
    }
    /// A random page-aligned displacement of up to `pages` pages, 0 with `noaslr`: for the stack, the heap (brk), the program and the vDSO.
    pub fn random_offset(&self, pages: u64) -> u64 {
        let _ = pages;
        unimplemented!()
    }
}

/// What happens to copies that private mappings made of a backing's pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrivateCopies {
    /// They stay (hole punching, eviction).
    Keep,
    /// They go (truncation: SIGBUS on the next access).
    Drop,
}

/// Limits of the address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// RLIMIT_AS, bytes.
    pub address_space_bytes: u64,
    /// RLIMIT_STACK, bytes: the gap kept below the stack when the bases are chosen.
    pub stack_bytes: u64,
    /// vm.max_map_count.
    pub areas: usize,
}
