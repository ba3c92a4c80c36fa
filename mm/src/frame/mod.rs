//! Physical memory in frames of 4 KiB.
use crate::machine::PhysAddr;

/// An owned run of `1 << order` frames; dropped, it goes back.
pub struct Frame {
    _pfn: u32,
    _order: u8,
}

impl Frame {
    /// Physical address of the first byte.
    pub fn phys(&self) -> PhysAddr {
        unimplemented!()
    }
    /// The first byte in the direct map.
    pub fn as_ptr(&self) -> *mut u8 {
        unimplemented!()
    }
    /// Log2 of the number of frames.
    pub fn order(&self) -> u8 {
        unimplemented!()
    }
    /// Bytes.
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    /// Turns a single owned frame into a counted one (count 1).
    pub fn into_shared(self) -> FrameRef {
        unimplemented!()
    }
    /// Turns an owned 2 MiB run into a counted one.
    pub fn into_huge(self) -> HugeRef {
        unimplemented!()
    }
}

/// A counted 4 KiB frame: the page cache holds one reference, each mapping another.
pub struct FrameRef {
    _pfn: u32,
}

impl FrameRef {
    /// Physical address of the first byte.
    pub fn phys(&self) -> PhysAddr {
        unimplemented!()
    }
    /// The first byte in the direct map.
    pub fn as_ptr(&self) -> *mut u8 {
        unimplemented!()
    }
    /// References that exist right now; 1 means this one only.
    pub fn count(&self) -> u32 {
        unimplemented!()
    }
}

impl Clone for FrameRef {
    fn clone(&self) -> Self {
        unimplemented!()
    }
}

/// A counted 2 MiB frame.
pub struct HugeRef {
    _pfn: u32,
}

impl HugeRef {
    /// Physical address of the first byte.
    pub fn phys(&self) -> PhysAddr {
        unimplemented!()
    }
    /// The first byte in the direct map.
    pub fn as_ptr(&self) -> *mut u8 {
        unimplemented!()
    }
    /// References that exist right now.
    pub fn count(&self) -> u32 {
        unimplemented!()
    }
}

impl Clone for HugeRef {
    fn clone(&self) -> Self {
        unimplemented!()
    }
}

/// One frame, contents undefined. When memory is short the registered reclaimers run first, if interrupts are on.
pub fn alloc() -> Option<Frame> {
    unimplemented!()
}
/// One frame full of zeros.
pub fn alloc_zeroed() -> Option<Frame> {
    unimplemented!()
}
/// `1 << order` frames, aligned to their size; `order` up to 9 (2 MiB).
pub fn alloc_order(order: u8) -> Option<Frame> {
    let _ = order;
    unimplemented!()
}

/// All in frames of 4 KiB.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stats {
    /// Frames that mm was given at boot.
    pub total: u64,
    /// Free frames, untouched and per-CPU ones included.
    pub free: u64,
    /// Of `free`: in per-CPU caches.
    pub cached: u64,
    /// Of `free`: never used since boot.
    pub untouched: u64,
    /// Of `free`: in whole 2 MiB blocks, untouched ones included.
    pub free_huge: u64,
    /// Kept for the kernel and for a clear end when memory is out.
    pub reserve: u64,
}

/// A snapshot; cheap.
pub fn stats() -> Stats {
    unimplemented!()
}

/// Registers a function that gives memory back: called with the number of frames wanted, returns how many it freed.
/// It runs inside an allocation, with interrupts on, with any sleeping lock possibly held by its caller: it may only
/// *try* to take locks and must not allocate.
pub fn register_reclaimer(reclaim: fn(pages: usize) -> usize) {
    let _ = reclaim;
    unimplemented!()
}

/// Frees at least `pages` frames if it can: reclaimers, then clean file pages mapped in the address space. Call it with
/// no lock held; may sleep. Returns how many it freed.
pub fn reclaim(pages: usize) -> usize {
    let _ = pages;
    unimplemented!()
}

/// Lets every allocation use the reserve from now on (out of memory: the dying process needs a little to say so).
/// [`crate::AddressSpace::clear`] closes it again.
pub fn open_reserve() {
    unimplemented!()
}
