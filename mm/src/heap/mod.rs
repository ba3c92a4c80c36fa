//! The kernel's heap: slabs up to 2 KiB ([`class`], with a magazine of free objects for each vCPU in [`magazine`]), whole
//! runs of frames above.
//!
//! The caller's layout tells the size class, so objects carry no header. Memory comes from the frame allocator with
//! the kernel's urgency: it may use the reserve and never reclaims, so allocating is fine under any lock and with
//! interrupts masked.

mod class;
mod magazine;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::frame::{self, MAX_ORDER, Urgency};
use crate::machine::{pfn_ptr, ptr_pfn};

/// Frames in slabs and large objects.
static FRAMES: AtomicU64 = AtomicU64::new(0);

/// Slabs for small objects, frames for large ones. The kernel binary puts one in a `#[global_allocator]`; all share
/// the same memory.
#[derive(Debug, Default)]
pub struct KernelHeap;

impl KernelHeap {
    /// Usable once `mm::init` has run.
    pub const fn new() -> Self {
        KernelHeap
    }
}

/// Bytes that the heap has taken from the frame allocator.
pub fn used_bytes() -> u64 {
    FRAMES.load(Relaxed) * 4096
}

// SAFETY: blocks come from slabs or the frame allocator, which hand out no memory twice; they are aligned as the
// classes and orders say; `dealloc` finds the same class or order from the same layout.
unsafe impl GlobalAlloc for KernelHeap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class::index(&layout) {
            Some(class) => magazine::take(class),
            None => alloc_large(&layout),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        match class::index(&layout) {
            Some(class) => magazine::give(class, ptr),
            None => free_large(ptr, &layout),
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's duty: `new_size` is not 0 and does not overflow with the alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if room(&layout) == room(&new_layout) {
            return ptr;
        }
        // SAFETY: as above; the layout's size is not 0.
        let new = unsafe { self.alloc(new_layout) };
        if !new.is_null() {
            // SAFETY: both blocks have at least this many bytes and are different.
            unsafe { ptr::copy_nonoverlapping(ptr, new, layout.size().min(new_size)) };
            // SAFETY: the caller's duty: the block has this layout.
            unsafe { self.dealloc(ptr, layout) };
        }
        new
    }
}

/// Bytes that a block of this layout really has.
fn room(layout: &Layout) -> usize {
    match class::index(layout) {
        Some(class) => class::size(class),
        None => match order(layout) {
            order if order <= u32::from(MAX_ORDER) => 4096 << order,
            _ => layout.size().next_multiple_of(2 << 20),
        },
    }
}

/// Log2 of the frames that a large layout needs.
fn order(layout: &Layout) -> u32 {
    layout.size().max(layout.align()).div_ceil(4096).next_power_of_two().ilog2()
}

fn alloc_large(layout: &Layout) -> *mut u8 {
    let order = order(layout);
    let (pfn, frames) = if order == 0 {
        (frame::alloc_urgent().map(frame::Frame::into_pfn), 1)
    } else if order <= u32::from(MAX_ORDER) {
        (frame::take_order(order as u8, Urgency::Kernel), 1 << order)
    } else if layout.align() <= 2 << 20 {
        let regions = layout.size().div_ceil(2 << 20) as u32;
        (frame::take_contiguous(regions, Urgency::Kernel), u64::from(regions) << MAX_ORDER)
    } else {
        (None, 0)
    };
    let Some(pfn) = pfn else { return ptr::null_mut() };
    FRAMES.fetch_add(frames, Relaxed);
    pfn_ptr(pfn)
}

fn free_large(ptr: *mut u8, layout: &Layout) {
    let order = order(layout);
    let pfn = ptr_pfn(ptr);
    let frames = if order == 0 {
        frame::cache::give(pfn);
        1
    } else if order <= u32::from(MAX_ORDER) {
        frame::give_order(pfn, order as u8);
        1 << order
    } else {
        let regions = layout.size().div_ceil(2 << 20) as u32;
        (0..regions).for_each(|i| frame::give_order(pfn + (i << MAX_ORDER), MAX_ORDER));
        u64::from(regions) << MAX_ORDER
    };
    FRAMES.fetch_sub(frames, Relaxed);
}
