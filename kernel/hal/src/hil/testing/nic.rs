//! A network interface whose cable the test holds. Frames live in leaked heap memory: for tests only.

use crate::hil::frame::{FrameMemory, ReceivedAs, ReceivedFrame, TransmitBuffer};
use crate::hil::nic::{Nic, NicError, NicEvents, NicInfo, NicStatistics, TransmitOffload};
use alloc::{boxed::Box, collections::BTreeMap, collections::VecDeque, vec::Vec};
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Slots have so many bits; the number of a piece stands above them.
const SLOT_BITS: u32 = 10;
const SLOT_MASK: u16 = (1 << SLOT_BITS) - 1;

/// A frame that the user transmitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Queue that it was sent on.
    pub queue: usize,
    /// The whole frame.
    pub bytes: Vec<u8>,
    /// What the device was asked to do to it.
    pub offload: TransmitOffload,
}

#[derive(Default)]
struct State {
    events: Option<&'static dyn NicEvents>,
    arrived: Vec<VecDeque<(Vec<Vec<u8>>, ReceivedAs)>>,
    interrupt_is_on: Vec<bool>,
    /// Frames and buffers in the user's hands.
    lent: BTreeMap<u16, Vec<Vec<u8>>>,
    next_slot: u16,
    queued: Vec<Sent>,
    sent: Vec<Sent>,
    room_was_missed: Vec<bool>,
    link_is_down: bool,
    statistics: NicStatistics,
}

/// See the module.
pub struct FakeNic {
    info: NicInfo,
    /// Buffers and queued frames that the user may have at a time.
    capacity: usize,
    state: Mutex<State>,
}

impl FakeNic {
    /// A device that starts with (at most) the queues and offloads of `info`, and has room for `capacity` frames.
    pub fn new(info: NicInfo, capacity: usize) -> &'static Self {
        Box::leak(Box::new(Self { info, capacity, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A frame arrives in one piece, its checksum unchecked.
    pub fn arrive(&self, queue: usize, frame: &[u8]) {
        self.arrive_as(queue, &[frame], ReceivedAs::default());
    }

    /// A frame arrives in pieces; `about`'s length is filled in.
    pub fn arrive_as(&self, queue: usize, pieces: &[&[u8]], about: ReceivedAs) {
        let len_bytes = pieces.iter().map(|piece| piece.len() as u32).sum();
        let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
        let events = {
            let mut state = self.state();
            state.arrived[queue].push_back((pieces, ReceivedAs { len_bytes, ..about }));
            let was_on = core::mem::take(&mut state.interrupt_is_on[queue]);
            state.events.filter(|_| was_on)
        };
        if let Some(events) = events {
            events.receive_ready(queue);
        }
    }

    /// Takes everything that was transmitted and kicked; there is room again.
    pub fn take_sent(&self) -> Vec<Sent> {
        let (sent, missed, events) = {
            let mut state = self.state();
            let sent = core::mem::take(&mut state.sent);
            let missed: Vec<_> = state.room_was_missed.iter_mut().map(core::mem::take).collect();
            (sent, missed, state.events)
        };
        for (queue, _) in missed.iter().enumerate().filter(|(_, missed)| **missed) {
            if let Some(events) = events {
                events.transmit_ready(queue);
            }
        }
        sent
    }

    /// Pulls or plugs the cable.
    pub fn set_link(&self, is_up: bool) {
        let events = {
            let mut state = self.state();
            state.link_is_down = !is_up;
            state.events
        };
        if let Some(events) = events {
            events.link_changed();
        }
    }

    /// Frames and buffers that the user holds.
    pub fn lent(&self) -> usize {
        self.state().lent.len()
    }
}

impl State {
    fn lend(&mut self, pieces: Vec<Vec<u8>>) -> (u16, NonNull<u8>, u32) {
        assert!(self.lent.len() <= usize::from(SLOT_MASK), "frames leak");
        while self.lent.contains_key(&self.next_slot) {
            self.next_slot = (self.next_slot + 1) & SLOT_MASK;
        }
        let slot = self.next_slot;
        let pieces = self.lent.entry(slot).or_insert(pieces);
        let first = &mut pieces[0];
        (slot, NonNull::new(first.as_mut_ptr()).expect("not null"), first.len() as u32)
    }
}

impl Nic for FakeNic {
    fn start(&'static self, max_queues: usize, events: &'static dyn NicEvents) -> Result<NicInfo, NicError> {
        let mut state = self.state();
        if state.events.is_some() {
            return Err(NicError::Started);
        }
        let queues = self.info.queues.min(max_queues).max(1);
        state.events = Some(events);
        state.arrived.resize_with(queues, VecDeque::new);
        state.interrupt_is_on.resize(queues, true);
        state.room_was_missed.resize(queues, false);
        Ok(NicInfo { queues, ..self.info })
    }
    fn receive(&'static self, queue: usize) -> Option<ReceivedFrame> {
        let mut state = self.state();
        let (pieces, about) = state.arrived[queue].pop_front()?;
        state.statistics.receive_frames += 1;
        state.statistics.receive_bytes += u64::from(about.len_bytes);
        let (slot, start, first_bytes) = state.lend(pieces);
        // SAFETY: the pieces stay in `lent`, untouched, until the slot is recycled.
        Some(unsafe { ReceivedFrame::new(self, (queue as u16, slot), (start, first_bytes), about) })
    }
    fn enable_receive_interrupt(&self, queue: usize) -> bool {
        let mut state = self.state();
        let is_idle = state.arrived[queue].is_empty();
        state.interrupt_is_on[queue] = is_idle;
        is_idle
    }
    fn disable_receive_interrupt(&self, queue: usize) {
        self.state().interrupt_is_on[queue] = false;
    }
    fn transmit_buffer(&'static self, queue: usize, len_bytes: usize) -> Option<TransmitBuffer> {
        if len_bytes == 0 || len_bytes > self.info.max_transmit_bytes {
            return None;
        }
        let mut state = self.state();
        if state.lent.len() + state.queued.len() + state.sent.len() >= self.capacity {
            state.room_was_missed[queue] = true;
            return None;
        }
        let (slot, start, len_bytes) = state.lend(alloc::vec![alloc::vec![0xaa; len_bytes]]);
        // SAFETY: the piece stays in `lent`, untouched, until the slot is discarded or transmitted.
        Some(unsafe { TransmitBuffer::new(self, (queue as u16, slot), (start, len_bytes)) })
    }
    fn transmit(&self, buffer: TransmitBuffer, offload: TransmitOffload) {
        assert!(offload.checksum.is_none() || self.info.offloads.transmit_checksum, "no checksum offload");
        assert!(offload.segmentation.is_none() || offload.checksum.is_some(), "segmentation needs the checksum");
        let too_long = buffer.len() > usize::from(self.info.mtu_bytes) + super::super::nic::ETHERNET_HEADER_BYTES;
        assert!(!too_long || offload.segmentation.is_some(), "frame of {} bytes", buffer.len());
        let (queue, slot, _) = buffer.into_parts();
        let mut state = self.state();
        let bytes = state.lent.remove(&slot).expect("a buffer is lent").concat();
        state.statistics.transmit_frames += 1;
        state.statistics.transmit_bytes += bytes.len() as u64;
        state.queued.push(Sent { queue: usize::from(queue), bytes, offload });
    }
    fn kick(&self, queue: usize) {
        let mut state = self.state();
        let (kicked, rest) = core::mem::take(&mut state.queued).into_iter().partition(|sent| sent.queue == queue);
        state.queued = rest;
        let kicked: Vec<_> = kicked;
        state.sent.extend(kicked);
    }
    fn link_is_up(&self) -> bool {
        !self.state().link_is_down
    }
    fn statistics(&self) -> NicStatistics {
        self.state().statistics
    }
}

impl FrameMemory for FakeNic {
    fn next_piece(&self, _queue: u16, slot: u16) -> Option<(u16, NonNull<u8>, usize)> {
        let (slot, index) = (slot & SLOT_MASK, usize::from(slot >> SLOT_BITS) + 1);
        let mut state = self.state();
        let piece = state.lent.get_mut(&slot)?.get_mut(index)?;
        Some((slot | (index as u16) << SLOT_BITS, NonNull::new(piece.as_mut_ptr())?, piece.len()))
    }
    fn recycle(&self, _queue: u16, slot: u16) {
        assert!(self.state().lent.remove(&slot).is_some(), "a frame is recycled once");
    }
    fn discard(&self, _queue: u16, slot: u16) {
        assert!(self.state().lent.remove(&slot).is_some(), "a buffer is discarded once");
    }
}
