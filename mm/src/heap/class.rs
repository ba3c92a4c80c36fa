//! Size classes and their slabs. A slab is one frame of equal objects; its free objects are chained through their first two bytes,
//! its state is in the frame's metadata. Slabs with a free object are in their class's list.

use core::alloc::Layout;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use hal::sync::SpinLock;

use super::FRAMES;
use crate::frame;
use crate::frame::meta::{FrameMeta, NONE};
use crate::machine::{Pfn, pfn_ptr, ptr_pfn};

/// Bytes of an object of each class; all multiples of 16.
const SIZES: [u16; CLASSES] = [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 672, 1024, 1360, 2048];
/// Number of classes.
pub(super) const CLASSES: usize = 14;

/// Class by (size + 15) / 16.
const BY_SIZE: [u8; 129] = {
    let mut table = [0; 129];
    let mut units = 0;
    let mut class = 0;
    while units < table.len() {
        while (SIZES[class] as usize) < units * 16 {
            class += 1;
        }
        table[units] = class as u8;
        units += 1;
    }
    table
};

/// The class that serves a layout; None: too large for a slab.
#[inline]
pub(super) fn index(layout: &Layout) -> Option<usize> {
    if layout.align() <= 16 {
        return BY_SIZE.get(layout.size().div_ceil(16)).map(|&class| class as usize);
    }
    // Objects of a power-of-two class are aligned to their size.
    let size = layout.size().max(layout.align()).checked_next_power_of_two()?;
    BY_SIZE.get(size / 16).map(|&class| class as usize)
}

/// Bytes of an object.
#[inline]
pub(super) const fn size(class: usize) -> usize {
    SIZES[class] as usize
}

/// First slab with a free object, and a whole free slab kept to save the frame allocator a round trip.
struct List {
    partial: Pfn,
    empty: Pfn,
}

static LISTS: [SpinLock<List>; CLASSES] = [const { SpinLock::new(List { partial: NONE, empty: NONE }) }; CLASSES];

/// No free object.
const END: u16 = u16::MAX;

/// A slab's state in its metadata: first free object (by index) in the low half, objects in use in the high half.
fn state(meta: &FrameMeta) -> (u16, u16) {
    let word = meta.count.load(Relaxed);
    (word as u16, (word >> 16) as u16)
}

fn set_state(meta: &FrameMeta, first_free: u16, in_use: u16) {
    meta.count.store(u32::from(in_use) << 16 | u32::from(first_free), Relaxed);
}

fn meta(pfn: Pfn) -> &'static FrameMeta {
    frame::table().get(pfn)
}

/// Takes up to `out.len()` objects; returns how many.
pub(super) fn take(class: usize, out: &mut [*mut u8]) -> usize {
    let mut list = LISTS[class].lock();
    let mut taken = 0;
    while taken < out.len() {
        if list.partial == NONE && !list.add_slab(class) {
            break;
        }
        let pfn = list.partial;
        let meta = meta(pfn);
        let (mut first, mut in_use) = state(meta);
        while taken < out.len() && first != END {
            let object = object(pfn, class, first);
            out[taken] = object;
            taken += 1;
            in_use += 1;
            first = read_link(object);
        }
        set_state(meta, first, in_use);
        if first == END {
            list.unlink(pfn);
        }
    }
    taken
}

/// Gives objects back.
pub(super) fn give(class: usize, objects: &[*mut u8]) {
    let mut list = LISTS[class].lock();
    for &object in objects {
        let pfn = ptr_pfn(object);
        let meta = meta(pfn);
        let (first, in_use) = state(meta);
        let index = (object as usize & 4095) / size(class);
        write_link(object, first);
        set_state(meta, index as u16, in_use - 1);
        if first == END {
            list.link(pfn);
        }
        if in_use == 1 {
            list.retire(pfn);
        }
    }
}

impl List {
    /// Puts a slab of free objects into the list.
    fn add_slab(&mut self, class: usize) -> bool {
        if self.empty != NONE {
            let pfn = core::mem::replace(&mut self.empty, NONE);
            self.link(pfn);
            return true;
        }
        let Some(frame) = frame::alloc_urgent() else { return false };
        FRAMES.fetch_add(1, Relaxed);
        let pfn = frame.into_pfn();
        let count = (4096 / size(class)) as u16;
        for i in 0..count {
            write_link(object(pfn, class, i), if i + 1 == count { END } else { i + 1 });
        }
        set_state(meta(pfn), 0, 0);
        self.link(pfn);
        true
    }

    /// All objects of the slab are free: keep one such slab, free the others.
    fn retire(&mut self, pfn: Pfn) {
        self.unlink(pfn);
        let old = core::mem::replace(&mut self.empty, pfn);
        if old != NONE {
            FRAMES.fetch_sub(1, Relaxed);
            frame::cache::give(old);
        }
    }

    fn link(&mut self, pfn: Pfn) {
        let new = meta(pfn);
        new.prev.store(NONE, Relaxed);
        new.next.store(self.partial, Relaxed);
        if self.partial != NONE {
            meta(self.partial).prev.store(pfn, Relaxed);
        }
        self.partial = pfn;
    }

    fn unlink(&mut self, pfn: Pfn) {
        let old = meta(pfn);
        let (next, prev) = (old.next.load(Relaxed), old.prev.load(Relaxed));
        if prev == NONE {
            self.partial = next;
        } else {
            meta(prev).next.store(next, Relaxed);
        }
        if next != NONE {
            meta(next).prev.store(prev, Relaxed);
        }
    }
}

fn object(pfn: Pfn, class: usize, index: u16) -> *mut u8 {
    pfn_ptr(pfn).wrapping_add(index as usize * size(class))
}

fn read_link(object: *mut u8) -> u16 {
    // SAFETY: a free object of a slab, 16-byte aligned, under the class's lock.
    unsafe { ptr::read(object.cast()) }
}

fn write_link(object: *mut u8, next: u16) {
    // SAFETY: as above.
    unsafe { ptr::write(object.cast(), next) }
}
