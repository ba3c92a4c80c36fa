//! A transmit queue: small slots for frames, and a few large ones for TCP packets that the device cuts.
//!
//! A frame lies in one piece behind its header and needs one descriptor. Slots that the device is done with are taken back
//! when somebody wants one; it interrupts for them only after there was none.

use super::header::{HEADER_BYTES, Header};
use super::pool::Pool;
use crate::virtio::VirtioError;
use crate::virtio::queue::{Buffer, Direction, QueueError, VirtQueue};
use alloc::vec::Vec;
use core::ptr::NonNull;
use hal::hil::nic::{NicStatistics, TransmitOffload};

/// Descriptors, as many as slots.
pub(super) const RING: u16 = 128;
/// A large slot.
pub(super) const LARGE_BYTES: usize = 64 << 10;
const LARGE_SLOTS: usize = 16;
const SMALL_BYTES: usize = 2048;
/// Longer frames are not written while the queue is locked.
pub(super) const SHORT_BYTES: usize = 2048;

pub(super) struct Transmit {
    queue: VirtQueue,
    small: Pool,
    large: Option<Pool>,
    /// Slots below this number are small.
    small_count: u16,
    free_small: Vec<u16>,
    free_large: Vec<u16>,
    room_is_wanted: bool,
    frames: u64,
    bytes: u64,
}

impl Transmit {
    /// `frame_bytes`: the longest frame on the wire; `max_bytes`: the longest buffer.
    pub(super) fn new(queue: VirtQueue, frame_bytes: usize, max_bytes: usize) -> Result<Self, VirtioError> {
        let slots = usize::from(queue.size());
        let large_count = if max_bytes > frame_bytes { LARGE_SLOTS.min(slots / 2) } else { 0 };
        let small_count = (slots - large_count) as u16;
        let small_bytes = (frame_bytes + HEADER_BYTES).next_power_of_two().max(SMALL_BYTES);
        let large = if large_count > 0 { Some(Pool::new(large_count, LARGE_BYTES)?) } else { None };
        let mut transmit = Self {
            queue,
            small: Pool::new(small_count.into(), small_bytes)?,
            large,
            small_count,
            free_small: (0..small_count).rev().collect(),
            free_large: (small_count..slots as u16).rev().collect(),
            room_is_wanted: false,
            frames: 0,
            bytes: 0,
        };
        transmit.queue.disable_interrupts();
        Ok(transmit)
    }

    #[inline(always)]
    fn place(&self, slot: u16) -> (Pool, usize) {
        match self.large {
            Some(large) if slot >= self.small_count => (large, usize::from(slot - self.small_count)),
            _ => (self.small, usize::from(slot)),
        }
    }

    /// A slot for `len_bytes` bytes, and where they go. `None`: full, or they never fit.
    #[inline(always)]
    pub(super) fn buffer(&mut self, len_bytes: usize) -> Result<Option<(u16, NonNull<u8>)>, QueueError> {
        if self.queue.is_broken() || len_bytes == 0 {
            return Ok(None);
        }
        let needed = len_bytes.saturating_add(HEADER_BYTES);
        let is_small = needed <= self.small.slot_bytes();
        if !is_small && (self.large.is_none() || needed > LARGE_BYTES) {
            return Ok(None);
        }
        let mut slot = self.pop(is_small);
        if slot.is_none() {
            while self.take_back()? {}
            slot = self.pop(is_small);
        }
        if slot.is_none() && !self.queue.enable_interrupts() {
            while self.take_back()? {}
            slot = self.pop(is_small);
        }
        self.room_is_wanted = slot.is_none();
        if !self.room_is_wanted {
            self.queue.disable_interrupts();
        }
        Ok(slot.map(|slot| {
            let (pool, index) = self.place(slot);
            (slot, pool.at(index, HEADER_BYTES))
        }))
    }

    fn pop(&mut self, is_small: bool) -> Option<u16> {
        if is_small { self.free_small.pop() } else { self.free_large.pop() }
    }

    fn take_back(&mut self) -> Result<bool, QueueError> {
        let used = self.queue.pop()?;
        if let Some(used) = used {
            self.discard(used.token);
        }
        Ok(used.is_some())
    }

    /// A slot is free again. The lists have room for all slots from the start.
    pub(super) fn discard(&mut self, slot: u16) {
        if slot < self.small_count { self.free_small.push(slot) } else { self.free_large.push(slot) }
    }

    /// Queues the frame in `slot`.
    #[inline(always)]
    pub(super) fn send(&mut self, slot: u16, len_bytes: u32, offload: TransmitOffload) -> Result<(), QueueError> {
        if self.queue.is_broken() {
            return Ok(());
        }
        let (pool, index) = self.place(slot);
        // SAFETY: the slot came to us with the buffer.
        unsafe { Header::asking(offload).write(pool.at(index, 0)) };
        let buffer = Buffer {
            start: pool.phys(index),
            len_bytes: len_bytes + HEADER_BYTES as u32,
            direction: Direction::ToDevice,
        };
        self.frames += 1;
        self.bytes += u64::from(len_bytes);
        // There is a descriptor for every slot.
        self.queue.add_one(&buffer, slot)
    }

    /// Queues a frame that `fill` writes; whether there was room.
    pub(super) fn send_filled(
        &mut self,
        len_bytes: usize,
        fill: &mut dyn FnMut(&mut [u8]) -> TransmitOffload,
    ) -> Result<bool, QueueError> {
        let Some((slot, start)) = self.buffer(len_bytes)? else { return Ok(false) };
        // SAFETY: the slot is free, so nobody else's, its memory was cleared once, and it has room for so many bytes.
        let offload = fill(unsafe { core::slice::from_raw_parts_mut(start.as_ptr(), len_bytes) });
        self.send(slot, len_bytes as u32, offload)?;
        Ok(true)
    }

    pub(super) fn needs_notify(&mut self) -> bool {
        !self.queue.is_broken() && self.queue.needs_notify()
    }

    /// Whether somebody waits for what an interrupt tells; turns interrupts off.
    pub(super) fn take_interrupt(&mut self) -> bool {
        let was_wanted = core::mem::take(&mut self.room_is_wanted);
        if was_wanted {
            self.queue.disable_interrupts();
        }
        was_wanted
    }

    pub(super) fn break_down(&mut self) {
        self.queue.break_down();
    }

    pub(super) fn count(&self, sum: &mut NicStatistics) {
        sum.transmit_frames += self.frames;
        sum.transmit_bytes += self.bytes;
    }
}
