//! A receive queue: every slot is with the device, with the user as (a part of) a frame, or free.
//!
//! Free slots go back in the order in which they came, a batch at a time. The device fills them in that order, so the
//! buffers of a merged frame lie side by side almost always, and the frame in one piece: a buffer that is not the first
//! one has no header.

use super::header::{HEADER_BYTES, Header};
use super::pool::Pool;
use super::{GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, MRG_RXBUF};
use crate::virtio::VirtioError;
use crate::virtio::queue::{Buffer, Direction, QueueError, VirtQueue};
use crate::virtio::transport::Doorbell;
use alloc::{boxed::Box, vec::Vec};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use hal::hil::frame::ReceivedAs;
use hal::hil::nic::{ETHERNET_HEADER_BYTES, NicStatistics};

const SLOT_BYTES: usize = 2048;
/// Where frames may be 64 KiB long.
const LARGE_SLOT_BYTES: usize = 4096;
/// No slot follows.
const LAST: u16 = u16::MAX;

/// What follows each slot of a frame, and how many bytes are in it; written before the frame is lent, read without a lock.
pub(super) struct Links {
    pool: Pool,
    links: Box<[AtomicU64]>,
}

impl Links {
    fn set(&self, slot: u16, next: u16, len_bytes: u32) {
        self.links[usize::from(slot)].store(u64::from(len_bytes) << 16 | u64::from(next), Ordering::Relaxed);
    }

    fn next(&self, slot: u16) -> Option<u16> {
        let next = self.links[usize::from(slot)].load(Ordering::Relaxed) as u16;
        (next != LAST).then_some(next)
    }

    pub(super) fn next_piece(&self, slot: u16) -> Option<(u16, NonNull<u8>, usize)> {
        let next = self.next(slot)?;
        let len_bytes = self.links[usize::from(next)].load(Ordering::Relaxed) >> 16;
        Some((next, self.pool.at(next.into(), 0), len_bytes as usize))
    }
}

/// A frame that has arrived.
pub(super) struct Next {
    pub(super) slot: u16,
    pub(super) first: (NonNull<u8>, u32),
    pub(super) about: ReceivedAs,
}

pub(super) struct Receive {
    queue: VirtQueue,
    bell: Doorbell,
    pool: Pool,
    features: u64,
    /// Free slots, a ring.
    free: Box<[u16]>,
    first_free: usize,
    free_count: usize,
    interrupt_is_on: bool,
    frames: u64,
    bytes: u64,
    errors: u64,
}

impl Receive {
    pub(super) fn new(
        queue: VirtQueue,
        bell: Doorbell,
        features: u64,
        frame_bytes: usize,
    ) -> Result<(Self, Links), VirtioError> {
        let slots = queue.size();
        let is_large = features & (GUEST_TSO4 | GUEST_TSO6) != 0;
        let one_frame = (frame_bytes + HEADER_BYTES).next_power_of_two();
        let slot_bytes = match features & MRG_RXBUF != 0 {
            true if is_large => LARGE_SLOT_BYTES,
            true => SLOT_BYTES,
            false => one_frame.max(SLOT_BYTES),
        };
        let pool = Pool::new(usize::from(slots), slot_bytes)?;
        let free: Vec<u16> = (0..slots).collect();
        let links = Links { pool, links: (0..slots).map(|_| AtomicU64::new(u64::from(LAST))).collect() };
        let receive = Self {
            queue,
            bell,
            pool,
            features,
            first_free: 0,
            free_count: free.len(),
            free: free.into(),
            interrupt_is_on: false,
            frames: 0,
            bytes: 0,
            errors: 0,
        };
        Ok((receive, links))
    }

    /// Gives the device all slots; ring the bell then. Interrupts stay off.
    pub(super) fn start(&mut self) -> Result<(), QueueError> {
        self.queue.disable_interrupts();
        self.offer_all()?;
        self.queue.needs_notify();
        Ok(())
    }

    fn offer_all(&mut self) -> Result<(), QueueError> {
        while self.free_count > 0 {
            let slot = self.free[self.first_free];
            let buffer = Buffer {
                start: self.pool.phys(slot.into()),
                len_bytes: self.pool.slot_bytes() as u32,
                direction: Direction::FromDevice,
            };
            self.queue.add_one(&buffer, slot)?;
            self.first_free = self.wrapped(self.first_free + 1);
            self.free_count -= 1;
        }
        Ok(())
    }

    /// A place in the ring of free slots: `at` is less than twice round.
    fn wrapped(&self, at: usize) -> usize {
        if at < self.free.len() { at } else { at - self.free.len() }
    }

    fn release(&mut self, slot: u16) {
        let at = self.wrapped(self.first_free + self.free_count);
        self.free[at] = slot;
        self.free_count += 1;
    }

    /// The next frame that makes sense.
    pub(super) fn next(&mut self, links: &Links) -> Result<Option<Next>, QueueError> {
        if self.queue.is_broken() {
            return Ok(None);
        }
        while let Some(used) = self.queue.pop()? {
            let slot = used.token;
            let start = self.pool.at(slot.into(), 0);
            // SAFETY: the device gave the slot back.
            let header = unsafe { Header::read(start) };
            let count = if self.features & MRG_RXBUF != 0 { header.buffers() } else { 1 };
            let mut len_bytes = used.written_bytes.saturating_sub(HEADER_BYTES as u32);
            let first_bytes = len_bytes;
            let (mut last, mut last_bytes, mut is_whole) = (slot, used.written_bytes, true);
            links.set(slot, LAST, first_bytes);
            let mut missing = count.wrapping_sub(1);
            // A count of 0 is a mistake of the device's, not very many buffers.
            while count > 0 && missing > 0 {
                let Some(used) = self.queue.pop()? else { break };
                let follows = used.token == last + 1 && last_bytes as usize == self.pool.slot_bytes();
                is_whole &= follows;
                let previous_bytes = if last == slot { first_bytes } else { last_bytes };
                links.set(last, used.token, previous_bytes);
                links.set(used.token, LAST, used.written_bytes);
                (last, last_bytes) = (used.token, used.written_bytes);
                len_bytes = len_bytes.saturating_add(used.written_bytes);
                missing -= 1;
            }
            if count == 0 || missing > 0 || (first_bytes as usize) < ETHERNET_HEADER_BYTES {
                self.errors += 1;
                self.release_frame(links, slot);
                continue;
            }
            self.frames += 1;
            self.bytes += u64::from(len_bytes);
            let about = ReceivedAs {
                len_bytes,
                checksum_is_valid: self.features & GUEST_CSUM != 0 && header.checksum_is_valid(),
                segment_bytes: header.segment_bytes(),
            };
            let first = (self.pool.at(slot.into(), HEADER_BYTES), if is_whole { len_bytes } else { first_bytes });
            return Ok(Some(Next { slot, first, about }));
        }
        // Frames that made no sense may have been all of a batch.
        if self.offer_some()? {
            self.bell.ring();
        }
        Ok(None)
    }

    fn release_frame(&mut self, links: &Links, first: u16) {
        let mut slot = Some(first);
        while let Some(at) = slot {
            slot = links.next(at);
            self.release(at);
        }
    }

    fn offer_some(&mut self) -> Result<bool, QueueError> {
        if self.queue.is_broken() || self.free_count < self.free.len() / 8 {
            return Ok(false);
        }
        self.offer_all()?;
        Ok(self.queue.needs_notify())
    }

    /// Takes a frame back. True: ring the bell.
    pub(super) fn recycle(&mut self, links: &Links, first: u16) -> Result<bool, QueueError> {
        self.release_frame(links, first);
        self.offer_some()
    }

    /// Whether an interrupt is the user's business; turns interrupts off.
    pub(super) fn take_interrupt(&mut self) -> bool {
        let was_on = core::mem::take(&mut self.interrupt_is_on);
        if was_on {
            self.queue.disable_interrupts();
        }
        was_on
    }

    pub(super) fn enable_interrupt(&mut self) -> bool {
        self.interrupt_is_on = true;
        let is_idle = self.queue.enable_interrupts();
        if !is_idle {
            self.disable_interrupt();
        }
        is_idle
    }

    pub(super) fn disable_interrupt(&mut self) {
        self.interrupt_is_on = false;
        self.queue.disable_interrupts();
    }

    pub(super) fn break_down(&mut self) {
        self.queue.break_down();
    }

    pub(super) fn count(&self, sum: &mut NicStatistics) {
        sum.receive_frames += self.frames;
        sum.receive_bytes += self.bytes;
        sum.receive_errors += self.errors;
    }
}
