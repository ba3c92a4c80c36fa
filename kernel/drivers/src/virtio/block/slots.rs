//! The slots of a block device's requests: header and status byte in shared memory, and who waits.

use crate::virtio::queue::{Buffer, Direction, SharedMemory};
use alloc::{string::String, sync::Arc};
use hal::addr::PhysAddr;
use hal::hil::{BlockError, Completion, Segment};

/// Requests in flight at most.
pub(super) const SLOTS: usize = 16;
const SLOT_BYTES: usize = 48;
const HEADER_BYTES: u32 = 16;
const STATUS_OFFSET: usize = 16;
/// The range of a discard, 8 bytes aligned.
const RANGE_OFFSET: usize = 24;
const RANGE_BYTES: usize = 16;
const IDENTITY_OFFSET: usize = SLOTS * SLOT_BYTES;

/// Status bytes (section 5.2.6). The last one is ours: the device has written nothing.
const STATUS_OK: u8 = 0;
const STATUS_UNSUPPORTED: u8 = 2;
const STATUS_NONE: u8 = 0xff;

/// Who hears of a request's end.
pub(super) enum Waiter {
    /// A thread, which sleeps on the slot's queue and then takes the result out of the slot.
    Thread,
    /// Someone to be called.
    Callback(Arc<dyn Completion>),
}

enum Slot {
    Free,
    InFlight(Waiter),
    /// Ended; the thread has not taken the result yet.
    Ended(Result<(), BlockError>),
}

/// What is to be done for a request that ended, after the device's lock is open.
pub(super) enum Ended {
    /// Wake the slot's queue.
    Thread(usize),
    /// Call.
    Callback(Arc<dyn Completion>, Result<(), BlockError>),
    /// Nothing.
    Nobody,
}

/// All slots of a device.
pub(super) struct Slots {
    memory: SharedMemory,
    slots: [Slot; SLOTS],
    /// A bit for each free slot.
    free: u32,
}

impl Slots {
    /// Shared memory that they need.
    pub(super) const MEMORY_BYTES: usize = IDENTITY_OFFSET + 32;

    pub(super) fn new(memory: SharedMemory) -> Self {
        Self { memory, slots: [const { Slot::Free }; SLOTS], free: ((1u64 << SLOTS) - 1) as u32 }
    }

    /// A free slot, which stays free until [`Slots::occupy`].
    pub(super) fn free(&self) -> Option<usize> {
        (self.free != 0).then_some(self.free.trailing_zeros() as usize)
    }

    /// Writes a request's header and clears its status. The header's buffer comes back.
    pub(super) fn write_header(&self, slot: usize, kind: u32, sector: u64) -> Buffer {
        let at = slot * SLOT_BYTES;
        // Type, reserved, sector, then the status byte behind them.
        let mut bytes = [0; STATUS_OFFSET + 1];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[8..16].copy_from_slice(&sector.to_le_bytes());
        bytes[STATUS_OFFSET] = STATUS_NONE;
        self.memory.write(at, &bytes);
        Buffer { start: self.place(at), len_bytes: HEADER_BYTES, direction: Direction::ToDevice }
    }

    /// Writes the range of a discard (`virtio_blk_discard_write_zeroes`, no flags). Its place comes back, as a segment.
    pub(super) fn write_range(&self, slot: usize, sector: u64, sectors: u32) -> Segment {
        let at = slot * SLOT_BYTES + RANGE_OFFSET;
        let mut bytes = [0; RANGE_BYTES];
        bytes[..8].copy_from_slice(&sector.to_le_bytes());
        bytes[8..12].copy_from_slice(&sectors.to_le_bytes());
        self.memory.write(at, &bytes);
        Segment { start: self.place(at), len_bytes: RANGE_BYTES as u32 }
    }

    /// The status byte's buffer.
    pub(super) fn status_buffer(&self, slot: usize) -> Buffer {
        let start = self.place(slot * SLOT_BYTES + STATUS_OFFSET);
        Buffer { start, len_bytes: 1, direction: Direction::FromDevice }
    }

    /// The request in `slot` is the device's now.
    pub(super) fn occupy(&mut self, slot: usize, waiter: Waiter) {
        self.free &= !(1 << slot);
        self.slots[slot] = Slot::InFlight(waiter);
    }

    /// The device gave the request in `slot` back.
    pub(super) fn end(&mut self, slot: usize) -> Ended {
        let mut status = [STATUS_NONE];
        self.memory.read(slot * SLOT_BYTES + STATUS_OFFSET, &mut status);
        let result = match status[0] {
            STATUS_OK => Ok(()),
            STATUS_UNSUPPORTED => Err(BlockError::NotSupported),
            _ => Err(BlockError::Device),
        };
        self.end_with(slot, result)
    }

    /// Ends the request in `slot`, if there is one.
    pub(super) fn end_with(&mut self, slot: usize, result: Result<(), BlockError>) -> Ended {
        match core::mem::replace(&mut self.slots[slot], Slot::Free) {
            Slot::InFlight(Waiter::Thread) => {
                self.slots[slot] = Slot::Ended(result);
                Ended::Thread(slot)
            }
            Slot::InFlight(Waiter::Callback(done)) => {
                self.free |= 1 << slot;
                Ended::Callback(done, result)
            }
            other => {
                self.slots[slot] = other;
                Ended::Nobody
            }
        }
    }

    /// The thread takes the result; the slot is free again.
    pub(super) fn take_end(&mut self, slot: usize) -> Option<Result<(), BlockError>> {
        match self.slots[slot] {
            Slot::Ended(result) => {
                self.slots[slot] = Slot::Free;
                self.free |= 1 << slot;
                Some(result)
            }
            _ => None,
        }
    }

    /// Where the device writes its serial string.
    pub(super) fn identity_place(&self) -> Segment {
        Segment { start: self.place(IDENTITY_OFFSET), len_bytes: super::ID_BYTES as u32 }
    }

    /// The serial string: up to 20 bytes, ended by a zero if shorter; printable ASCII only.
    pub(super) fn identity(&self) -> String {
        let mut bytes = [0; super::ID_BYTES];
        self.memory.read(IDENTITY_OFFSET, &mut bytes);
        let text = bytes.iter().take_while(|byte| **byte != 0);
        text.filter(|byte| (b' '..=b'~').contains(byte)).map(|byte| char::from(*byte)).collect()
    }

    fn place(&self, offset: usize) -> PhysAddr {
        self.memory.phys().offset(offset as u64)
    }
}
