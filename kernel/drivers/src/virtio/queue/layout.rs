//! Where the parts of a split virtqueue lie in memory (virtio 1.2 section 2.7), and raw access to them.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, Ordering};
use hal::addr::PhysAddr;
use mm::dma::DmaBuffer;

/// Bytes of a descriptor.
pub const DESCRIPTOR_BYTES: usize = 16;
/// Descriptor flag: another one follows in `next`.
pub const FLAG_NEXT: u16 = 1;
/// Descriptor flag: the device writes this buffer.
pub const FLAG_WRITE: u16 = 2;
/// Descriptor flag: the buffer is a table of descriptors.
pub const FLAG_INDIRECT: u16 = 4;

/// A descriptor as the device reads it. x86 is little-endian, as virtio is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Descriptor {
    /// Bus address of the buffer.
    pub address: u64,
    /// Its length in bytes.
    pub len: u32,
    /// `FLAG_*`.
    pub flags: u16,
    /// Next descriptor of the chain.
    pub next: u16,
}

/// A piece of memory that a device shares. It does not own the memory: the driver keeps the [`DmaBuffer`] for as long
/// as the device may use it, which for our drivers is for ever.
#[derive(Clone, Copy, Debug)]
pub struct SharedMemory {
    base: NonNull<u8>,
    phys: PhysAddr,
    len_bytes: usize,
}

// SAFETY: plain memory; each queue has one owner at a time (`&mut`).
unsafe impl Send for SharedMemory {}

impl SharedMemory {
    /// The memory at `base`, which the device sees at `phys`.
    ///
    /// # Safety
    /// The range is valid and nothing else in Rust refers to it for as long as the value or a copy is used; 16-byte aligned.
    pub unsafe fn new(base: NonNull<u8>, phys: PhysAddr, len_bytes: usize) -> Self {
        Self { base, phys, len_bytes }
    }

    /// All of a DMA buffer, which the caller keeps alive and does not touch otherwise.
    ///
    /// # Safety
    /// The buffer outlives the value and all its copies, and is accessed through them only.
    pub unsafe fn of(buffer: &DmaBuffer) -> Option<Self> {
        // SAFETY: the caller's duty; DMA buffers are page-aligned.
        Some(unsafe { Self::new(NonNull::new(buffer.as_ptr())?, buffer.phys(), buffer.len()) })
    }

    /// The part of `len_bytes` at `offset`, which must be a multiple of 16; `None` if it is not inside.
    pub fn part(&self, offset: usize, len_bytes: usize) -> Option<Self> {
        if !offset.is_multiple_of(16) || offset.checked_add(len_bytes)? > self.len_bytes {
            return None;
        }
        let base = NonNull::new(self.base.as_ptr().wrapping_add(offset))?;
        Some(Self { base, phys: self.phys.offset(offset as u64), len_bytes })
    }

    /// Its bus address.
    pub fn phys(&self) -> PhysAddr {
        self.phys
    }

    /// Its length in bytes.
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Copies `bytes` in at `offset`; what does not fit is left out.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let count = bytes.len().min(self.len_bytes.saturating_sub(offset));
        // SAFETY: inside the range, which nothing in Rust refers to.
        unsafe { self.base.as_ptr().wrapping_add(offset).copy_from_nonoverlapping(bytes.as_ptr(), count) }
    }

    /// Copies out from `offset`; returns how many bytes there were.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.len_bytes.saturating_sub(offset));
        // SAFETY: inside the range. A device that writes meanwhile gives mixed bytes, all of them initialised.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(self.base.as_ptr().wrapping_add(offset), count) }
        count
    }

    fn atomic(&self, offset: usize) -> &AtomicU16 {
        assert!(offset + 2 <= self.len_bytes && offset.is_multiple_of(2), "ring offsets are computed from the size");
        // SAFETY: in range and aligned (the base is); the device accesses it as a 16-bit unit too.
        unsafe { AtomicU16::from_ptr(self.base.as_ptr().wrapping_add(offset).cast()) }
    }

    pub(super) fn load(&self, offset: usize) -> u16 {
        self.atomic(offset).load(Ordering::Acquire)
    }

    pub(super) fn store(&self, offset: usize, value: u16) {
        self.atomic(offset).store(value, Ordering::Release);
    }

    /// The 32-bit number at `offset`, a multiple of 4.
    pub(super) fn load_u32(&self, offset: usize) -> u32 {
        assert!(offset + 4 <= self.len_bytes && offset.is_multiple_of(4), "ring offsets are computed from the size");
        // SAFETY: in range and aligned; volatile because the device writes it.
        unsafe { self.base.as_ptr().wrapping_add(offset).cast::<u32>().read_volatile() }
    }

    pub(super) fn store_descriptor(&self, index: usize, descriptor: Descriptor) {
        let offset = index * DESCRIPTOR_BYTES;
        assert!(offset + DESCRIPTOR_BYTES <= self.len_bytes, "descriptor indices are below the table's size");
        // SAFETY: in range, aligned by 16; volatile because the device reads it.
        unsafe { self.base.as_ptr().wrapping_add(offset).cast::<Descriptor>().write_volatile(descriptor) }
    }
}

/// Offsets of a queue's parts from the start of its memory: computed once, since every frame asks for some.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Of an index: the queue's size less one.
    mask: usize,
    available: usize,
    used: usize,
}

impl Layout {
    /// For a queue of `size` descriptors, a power of two.
    pub const fn new(size: u16) -> Self {
        let size = size as usize;
        let available = size * DESCRIPTOR_BYTES;
        // Flags, index, entries, and the used event.
        let used = (available + 4 + size * 2 + 2).next_multiple_of(4);
        Self { mask: size - 1, available, used }
    }
    /// Bytes in all, a multiple of 16.
    pub const fn total_bytes(self) -> usize {
        (self.avail_event() + 2).next_multiple_of(16)
    }
    /// The available ring: flags, then index, then entries.
    pub const fn available(self) -> usize {
        self.available
    }
    pub(super) const fn available_index(self) -> usize {
        self.available + 2
    }
    pub(super) const fn available_entry(self, index: u16) -> usize {
        self.available + 4 + (index as usize & self.mask) * 2
    }
    /// Where we say which used entry shall interrupt us.
    pub(super) const fn used_event(self) -> usize {
        self.available + 4 + (self.mask + 1) * 2
    }
    /// The used ring: flags, then index, then entries of 8 bytes.
    pub const fn used(self) -> usize {
        self.used
    }
    pub(super) const fn used_index(self) -> usize {
        self.used + 2
    }
    pub(super) const fn used_entry(self, index: u16) -> usize {
        self.used + 4 + (index as usize & self.mask) * 8
    }
    /// Where the device says which available entry it wants to be told of.
    pub(super) const fn avail_event(self) -> usize {
        self.used + 4 + (self.mask + 1) * 8
    }
}
