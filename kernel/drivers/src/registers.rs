//! A window of device registers, with every access checked against its length.
//!
//! Offsets may come from the device itself (capability lists, notify offsets), so an access outside the window does
//! nothing and reads all ones, as a bus does where nobody answers.

use core::ptr::NonNull;
use hal::addr::{PAGE_SIZE, PhysAddr};

/// Mapped device registers. Copies are the same window.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    base: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: register accesses are single volatile operations; ordering between CPUs is each driver's locking.
unsafe impl Send for Registers {}
// SAFETY: as above.
unsafe impl Sync for Registers {}

macro_rules! access {
    ($read:ident, $write:ident, $ty:ty) => {
        /// Reads a register; all ones outside the window or when misaligned.
        pub fn $read(self, offset: usize) -> $ty {
            match self.pointer::<$ty>(offset) {
                // SAFETY: `pointer` checked range and alignment; the window stays mapped for ever.
                Some(register) => unsafe { register.read_volatile() },
                None => <$ty>::MAX,
            }
        }

        /// Writes a register; nothing happens outside the window or when misaligned.
        pub fn $write(self, offset: usize, value: $ty) {
            if let Some(register) = self.pointer::<$ty>(offset) {
                // SAFETY: as for the read; what a write makes the device do is the driver's business.
                unsafe { register.write_volatile(value) }
            }
        }
    };
}

impl Registers {
    /// The window of `len_bytes` at `base`.
    ///
    /// # Safety
    /// The range is mapped, uncached if it is a device's, for ever, and is not ordinary memory of Rust objects.
    pub unsafe fn new(base: NonNull<u8>, len_bytes: usize) -> Self {
        Self { base, len_bytes }
    }

    /// Maps a device's registers, which need not start at a page.
    pub fn map(start: PhysAddr, len_bytes: usize) -> Option<Self> {
        let page = start.align_down(PAGE_SIZE);
        let inside = (start.0 - page.0) as usize;
        let total = inside.checked_add(len_bytes)?;
        start.0.checked_add(len_bytes as u64)?;
        let base = mm::mmio_map(page, total.next_multiple_of(PAGE_SIZE as usize)).wrapping_add(inside);
        // SAFETY: `mmio_map` maps device registers uncached and for ever.
        Some(unsafe { Self::new(NonNull::new(base)?, len_bytes) })
    }

    /// Length in bytes.
    pub fn len_bytes(self) -> usize {
        self.len_bytes
    }

    /// A part of the window; `None` if it is not inside.
    pub fn part(self, offset: usize, len_bytes: usize) -> Option<Self> {
        if offset.checked_add(len_bytes)? > self.len_bytes {
            return None;
        }
        let base = NonNull::new(self.base.as_ptr().wrapping_add(offset))?;
        Some(Self { base, len_bytes })
    }

    fn pointer<T>(self, offset: usize) -> Option<*mut T> {
        let end = offset.checked_add(size_of::<T>())?;
        let pointer = self.base.as_ptr().wrapping_add(offset).cast::<T>();
        (end <= self.len_bytes && pointer.is_aligned()).then_some(pointer)
    }

    access!(read_u8, write_u8, u8);
    access!(read_u16, write_u16, u16);
    access!(read_u32, write_u32, u32);
}
