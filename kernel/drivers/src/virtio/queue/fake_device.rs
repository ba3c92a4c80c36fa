//! The other side of a virtqueue, for tests: reads the rings as a device does, honestly or not.

use super::{DESCRIPTOR_BYTES, EventIndex, FLAG_INDIRECT, FLAG_NEXT, FLAG_WRITE, Layout};
use std::vec::Vec;

/// A chain as the device sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub head: u16,
    /// (address, length, device writes).
    pub buffers: Vec<(u64, u32, bool)>,
}

/// A device with one queue. Addresses on its bus go through `translate`.
pub struct FakeDevice {
    size: u16,
    event_index: EventIndex,
    table: *mut u8,
    available: *mut u8,
    used: *mut u8,
    translate: fn(u64) -> *mut u8,
    seen: u16,
    pub used_index: u16,
}

// SAFETY: test memory, used by one thread at a time.
unsafe impl Send for FakeDevice {}

impl FakeDevice {
    pub fn new(size: u16, addresses: (u64, u64, u64), event_index: EventIndex, translate: fn(u64) -> *mut u8) -> Self {
        let (table, available, used) = (translate(addresses.0), translate(addresses.1), translate(addresses.2));
        Self { size, event_index, table, available, used, translate, seen: 0, used_index: 0 }
    }

    fn read<T: Copy>(base: *mut u8, offset: usize) -> T {
        // SAFETY: offsets stay inside the rings that the queue laid out.
        unsafe { base.add(offset).cast::<T>().read_volatile() }
    }
    fn write<T>(base: *mut u8, offset: usize, value: T) {
        // SAFETY: as above.
        unsafe { base.add(offset).cast::<T>().write_volatile(value) }
    }
    fn slot(&self, index: u16) -> usize {
        usize::from(index % self.size)
    }

    /// Takes the next chain that the driver made available.
    pub fn take(&mut self) -> Option<Chain> {
        if Self::read::<u16>(self.available, 2) == self.seen {
            return None;
        }
        let head = Self::read::<u16>(self.available, 4 + 2 * self.slot(self.seen));
        assert!(head < self.size, "driver gave descriptor {head}");
        self.seen = self.seen.wrapping_add(1);
        self.write_avail_event(self.seen);
        let mut buffers = Vec::new();
        self.walk(self.table, head, self.size, &mut buffers);
        Some(Chain { head, buffers })
    }

    fn walk(&self, table: *mut u8, first: u16, entries: u16, buffers: &mut Vec<(u64, u32, bool)>) {
        let mut at = first;
        for _ in 0..entries {
            let entry = usize::from(at) * DESCRIPTOR_BYTES;
            let (address, len) = (Self::read::<u64>(table, entry), Self::read::<u32>(table, entry + 8));
            let (flags, next) = (Self::read::<u16>(table, entry + 12), Self::read::<u16>(table, entry + 14));
            if flags & FLAG_INDIRECT != 0 {
                let entries = len as usize / DESCRIPTOR_BYTES;
                self.walk((self.translate)(address), 0, entries as u16, buffers);
            } else {
                buffers.push((address, len, flags & FLAG_WRITE != 0));
            }
            if flags & FLAG_NEXT == 0 {
                return;
            }
            at = next;
            assert!(at < entries, "driver's chain leaves its table");
        }
        panic!("driver's chain has a loop");
    }

    /// Gives a chain back. True if the driver wants an interrupt.
    pub fn give_back(&mut self, head: u32, written: u32) -> bool {
        let entry = 4 + 8 * self.slot(self.used_index);
        Self::write(self.used, entry, head);
        Self::write(self.used, entry + 4, written);
        let old = self.used_index;
        self.set_used_index(old.wrapping_add(1));
        match self.event_index {
            EventIndex::Negotiated => {
                let event = Self::read::<u16>(self.available, 4 + 2 * usize::from(self.size));
                event == old
            }
            EventIndex::Absent => Self::read::<u16>(self.available, 0) & 1 == 0,
        }
    }

    /// Sets the used index to anything.
    pub fn set_used_index(&mut self, index: u16) {
        self.used_index = index;
        Self::write(self.used, 2, index);
    }

    /// Says which available entry shall be notified.
    pub fn write_avail_event(&mut self, index: u16) {
        Self::write(self.used, 4 + 8 * usize::from(self.size), index);
    }

    /// Asks for no notifications (without event index).
    pub fn set_used_flags(&mut self, flags: u16) {
        Self::write(self.used, 0, flags);
    }

    /// Overwrites one byte of everything that the device can reach of the queue.
    pub fn scribble(&mut self, offset: usize, value: u8) {
        Self::write(self.table, offset % Layout::new(self.size).total_bytes(), value);
    }

    /// The bytes of a buffer in guest memory.
    ///
    /// # Safety
    /// The buffer is one that the driver gave and nobody else touches it meanwhile.
    pub unsafe fn bytes(&mut self, address: u64, len: u32) -> &mut [u8] {
        // SAFETY: the caller's duty.
        unsafe { core::slice::from_raw_parts_mut((self.translate)(address), len as usize) }
    }
}
