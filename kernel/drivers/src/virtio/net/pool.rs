//! Memory for frames: slots of one size in physically contiguous memory, which the device keeps for ever.

use crate::virtio::VirtioError;
use core::ptr::NonNull;
use hal::addr::PhysAddr;
use mm::dma::DmaBuffer;

#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    base: NonNull<u8>,
    phys: PhysAddr,
    slot_bytes: usize,
    count: usize,
}

// SAFETY: plain memory; who holds a slot is decided by the queues' locks.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    pub(super) fn new(count: usize, slot_bytes: usize) -> Result<Self, VirtioError> {
        let memory = DmaBuffer::new(count * slot_bytes).ok_or(VirtioError::NoMemory)?;
        let base = NonNull::new(memory.as_ptr()).ok_or(VirtioError::NoMemory)?;
        let phys = memory.phys();
        core::mem::forget(memory);
        Ok(Self { base, phys, slot_bytes, count })
    }

    /// The byte at `offset` in slot `slot`.
    pub(super) fn at(&self, slot: usize, offset: usize) -> NonNull<u8> {
        assert!(slot < self.count && offset < self.slot_bytes, "slots are numbered below the pool's size");
        // SAFETY: inside the memory.
        unsafe { self.base.add(slot * self.slot_bytes + offset) }
    }

    pub(super) fn phys(&self, slot: usize) -> PhysAddr {
        self.phys.offset((slot * self.slot_bytes) as u64)
    }

    pub(super) fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }
}
