//! What is known about each frame: 16 bytes, in one virtual array that is present only where memory is in use.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::machine::Pfn;

/// No frame.
pub(crate) const NONE: Pfn = u32::MAX;

/// State of one frame. Who may change it depends on the state: the zone's lock for free blocks, the owner otherwise.
#[repr(C, align(16))]
pub(crate) struct FrameMeta {
    /// Free block: the next one of its size. Slab: the next partial slab. Owned by a gather: the next frame in its chain.
    pub next: AtomicU32,
    /// Free block or partial slab: the previous one.
    pub prev: AtomicU32,
    /// Counted frame: references. Slab: first free object and objects in use.
    pub count: AtomicU32,
    /// Kind (low byte) and order (second byte).
    state: AtomicU32,
}

const _: () = assert!(size_of::<FrameMeta>() == 16);

/// What a block's first frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Kind {
    /// Not memory of ours, or inside a block. Also what zeroed metadata says.
    Other = 0,
    /// First frame of a free block in a free list.
    Free = 1,
    /// First frame of a block in use.
    Used = 2,
    /// A page of a 2 MiB frame that is also handed out by itself: its count is the first frame's.
    Part = 3,
}

impl FrameMeta {
    /// Sets kind and order at once.
    pub(crate) fn set(&self, kind: Kind, order: u8) {
        self.state.store(kind as u32 | u32::from(order) << 8, Relaxed);
    }

    /// Whether this is the first frame of a free block of this order.
    pub(crate) fn is_free(&self, order: u8) -> bool {
        self.state.load(Relaxed) == Kind::Free as u32 | u32::from(order) << 8
    }

    /// Whether the count is that of the 2 MiB frame's first page.
    #[inline]
    pub(crate) fn is_part(&self) -> bool {
        self.state.load(Relaxed) == Kind::Part as u32
    }

    /// Whether this is the first frame of a block in use.
    pub(crate) fn is_used(&self) -> bool {
        self.state.load(Relaxed) & 0xff == Kind::Used as u32
    }
}

/// The array.
#[derive(Clone, Copy)]
pub(crate) struct MetaTable {
    base: *mut FrameMeta,
}

// SAFETY: the fields of an entry are atomics.
unsafe impl Send for MetaTable {}
// SAFETY: as above.
unsafe impl Sync for MetaTable {}

impl MetaTable {
    /// The array at `base`.
    pub(crate) const fn new(base: *mut u8) -> Self {
        Self { base: base.cast() }
    }

    /// The entry of a frame whose region is in use.
    #[inline]
    pub(crate) fn get(&self, pfn: Pfn) -> &'static FrameMeta {
        // SAFETY: callers name frames of populated regions only; there the array is present
        // for ever, and entries are atomics.
        unsafe { &*self.base.add(pfn as usize) }
    }

    /// Address of a frame's entry.
    pub(crate) fn address(&self, pfn: Pfn) -> *mut u8 {
        self.base.wrapping_add(pfn as usize).cast()
    }
}
