//! The kernel's heap.
use core::alloc::{GlobalAlloc, Layout};

/// Slabs for small objects, frames for large ones. The kernel binary puts one in a `#[global_allocator]`.
pub struct KernelHeap {
    _private: (),
}

impl KernelHeap {
    /// Usable once `mm::init` has run.
    pub const fn new() -> Self {
        KernelHeap { _private: () }
    }
}

// SAFETY: signatures only so far.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = layout;
        unimplemented!()
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        let _ = (ptr, layout);
        unimplemented!()
    }
}
