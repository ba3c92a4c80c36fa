//! One request queue of the device, with the slots of its requests.

use super::slots::{Ended, SLOTS, Slots, Waiter};
use super::{MAX_BUFFERS, TYPE_DISCARD, TYPE_WRITE};
use crate::virtio::VirtioError;
use crate::virtio::queue::{Buffer, Direction, QueueError, QueueOptions, SharedMemory, VirtQueue};
use crate::virtio::start::start_queue;
use crate::virtio::transport::{Doorbell, Transport};
use alloc::string::String;
use hal::addr::PhysAddr;
use hal::hil::{BlockError, Segment};
use hal::sync::SpinLock;
use sched::WaitQueue;

struct State {
    queue: VirtQueue,
    slots: Slots,
    is_broken: bool,
}

/// What a request is about.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    /// Memory that the device reads or writes.
    Memory(&'a [Segment]),
    /// Sectors to forget: the first, and how many.
    Range(u64, u32),
    /// Where the serial string goes.
    Identity,
}

/// What the device has given back.
pub(super) enum Popped {
    Request(Ended),
    Nothing,
    /// It breaks the protocol.
    Nonsense,
}

pub(super) struct Lane {
    doorbell: Doorbell,
    state: SpinLock<State>,
    /// Threads that wait for a free slot.
    pub room: WaitQueue,
    /// Threads that wait for the end of their request, one queue a slot.
    pub ends: [WaitQueue; SLOTS],
}

impl Lane {
    /// Shared memory that one needs.
    pub fn memory_bytes(size: u16, options: QueueOptions) -> usize {
        (VirtQueue::memory_bytes(size, options) + Slots::MEMORY_BYTES).next_multiple_of(64)
    }

    /// Makes queue number `number` in its memory and turns it on.
    pub fn start(
        transport: &dyn Transport,
        number: u16,
        (size, options): (u16, QueueOptions),
        memory: &SharedMemory,
        entry: u16,
    ) -> Result<Self, VirtioError> {
        let ring_bytes = VirtQueue::memory_bytes(size, options);
        let ring = memory.part(0, ring_bytes).ok_or(VirtioError::NoMemory)?;
        let slots = memory.part(ring_bytes, Slots::MEMORY_BYTES).ok_or(VirtioError::NoMemory)?;
        let (queue, doorbell) = start_queue(transport, number, size, options, ring, entry)?;
        Ok(Self {
            doorbell,
            state: SpinLock::new(State { queue, slots: Slots::new(slots), is_broken: false }),
            room: WaitQueue::new(),
            ends: [const { WaitQueue::new() }; SLOTS],
        })
    }

    /// Queues a request if there is room, and then takes `waiter`. Its slot. Segments longer than the device likes go as
    /// several.
    pub fn try_enqueue(
        &self,
        (kind, sector): (u32, u64),
        payload: Payload<'_>,
        max_segment_bytes: u32,
        waiter: &mut Option<Waiter>,
    ) -> Result<usize, QueueError> {
        let direction =
            if matches!(kind, TYPE_WRITE | TYPE_DISCARD) { Direction::ToDevice } else { Direction::FromDevice };
        let mut state = self.state.lock();
        if state.is_broken {
            return Err(QueueError::Broken);
        }
        let slot = state.slots.free().ok_or(QueueError::Full)?;
        let mut list = BufferList::new();
        list.push(state.slots.write_header(slot, kind, sector))?;
        let own;
        let segments = match payload {
            Payload::Memory(segments) => segments,
            Payload::Range(start, sectors) => {
                own = [state.slots.write_range(slot, start, sectors)];
                &own
            }
            Payload::Identity => {
                own = [state.slots.identity_place()];
                &own
            }
        };
        for segment in segments {
            let (mut start, mut left) = (segment.start, segment.len_bytes);
            while left > 0 {
                let len_bytes = left.min(max_segment_bytes);
                list.push(Buffer { start, len_bytes, direction })?;
                start = start.offset(u64::from(len_bytes));
                left -= len_bytes;
            }
        }
        list.push(state.slots.status_buffer(slot))?;
        state.queue.add(list.as_slice(), slot as u16)?;
        if let Some(waiter) = waiter.take() {
            state.slots.occupy(slot, waiter);
        }
        let notify = state.queue.needs_notify();
        drop(state);
        if notify {
            self.doorbell.ring();
        }
        Ok(slot)
    }

    /// The end of the request in `slot`, once; frees the slot.
    pub fn take_end(&self, slot: usize) -> Option<Result<(), BlockError>> {
        let result = self.state.lock().slots.take_end(slot)?;
        self.room.wake_one();
        Some(result)
    }

    /// The next request that the device is done with.
    pub fn pop(&self) -> Popped {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        loop {
            if state.is_broken {
                return Popped::Nothing;
            }
            match state.queue.pop() {
                Ok(Some(used)) => return Popped::Request(state.slots.end(usize::from(used.token))),
                Ok(None) if state.queue.enable_interrupts() => return Popped::Nothing,
                Ok(None) => {}
                Err(_) => return Popped::Nonsense,
            }
        }
    }

    /// Tells who waits.
    pub fn deliver(&self, ended: Ended) {
        match ended {
            Ended::Thread(slot) => {
                self.ends[slot].wake_all();
            }
            Ended::Callback(done, result) => {
                done.complete(result);
                self.room.wake_one();
            }
            Ended::Nobody => {}
        }
    }

    /// Whether the device has nothing to do here.
    pub fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.is_broken || state.queue.in_flight() == 0
    }

    /// Takes nothing any more.
    pub fn break_down(&self) {
        let mut state = self.state.lock();
        state.is_broken = true;
        state.queue.break_down();
    }

    /// Ends whatever waits in [`BlockError::Broken`]: the device has stopped.
    pub fn end_all(&self) {
        for slot in 0..SLOTS {
            let ended = self.state.lock().slots.end_with(slot, Err(BlockError::Broken));
            self.deliver(ended);
        }
        self.room.wake_all();
    }

    /// The serial string that a request of [`Payload::Identity`] has brought.
    pub fn identity(&self) -> String {
        self.state.lock().slots.identity()
    }
}

/// The buffers of one request, on the stack.
struct BufferList {
    buffers: [Buffer; MAX_BUFFERS],
    len: usize,
}

impl BufferList {
    fn new() -> Self {
        let none = Buffer { start: PhysAddr(0), len_bytes: 0, direction: Direction::ToDevice };
        Self { buffers: [none; MAX_BUFFERS], len: 0 }
    }
    fn push(&mut self, buffer: Buffer) -> Result<(), QueueError> {
        *self.buffers.get_mut(self.len).ok_or(QueueError::BadRequest)? = buffer;
        self.len += 1;
        Ok(())
    }
    fn as_slice(&self) -> &[Buffer] {
        &self.buffers[..self.len]
    }
}
