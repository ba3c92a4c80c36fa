//! The control queues: small messages about ports, in both directions (section 5.3.6.2).

use crate::virtio::VirtioError;
use crate::virtio::queue::{Buffer, Direction, QueueError, QueueOptions, SharedMemory, VirtQueue};
use crate::virtio::start::{queue_size, start_queue};
use crate::virtio::transport::{Doorbell, Transport};
use hal::sync::SpinLock;

const RECEIVE_QUEUE: u16 = 2;
const TRANSMIT_QUEUE: u16 = 3;
/// Messages in each direction. The host drops what finds no buffer, and greets with three messages a port.
const QUEUE_SIZE: u16 = 32;
const HEADER_BYTES: usize = 8;
/// Names of ports are cut to this.
const NAME_BYTES: usize = 72;
const RECEIVE_BYTES: usize = HEADER_BYTES + NAME_BYTES;
const TRANSMIT_BYTES: usize = 16;
/// Port number in messages that are about the whole device.
pub(super) const ANY_PORT: u32 = u32::MAX;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    DeviceReady,
    PortAdd,
    PortRemove,
    PortReady,
    ConsolePort,
    Resize,
    PortOpen,
    PortName,
    Unknown,
}

const EVENTS: [Event; 8] = [
    Event::DeviceReady,
    Event::PortAdd,
    Event::PortRemove,
    Event::PortReady,
    Event::ConsolePort,
    Event::Resize,
    Event::PortOpen,
    Event::PortName,
];

/// A message from the host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub port: u32,
    pub event: Event,
    pub value: u16,
    name: [u8; NAME_BYTES],
    name_bytes: usize,
}

impl Message {
    /// The name that follows; empty for most events.
    pub(super) fn name(&self) -> &[u8] {
        let name = &self.name[..self.name_bytes];
        // QEMU sends no terminator, others may.
        name.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [p0, p1, p2, p3, e0, e1, v0, v1] = *header;
        let event = EVENTS.get(usize::from(u16::from_le_bytes([e0, e1]))).copied().unwrap_or(Event::Unknown);
        let mut message = Self {
            port: u32::from_le_bytes([p0, p1, p2, p3]),
            event,
            value: u16::from_le_bytes([v0, v1]),
            name: [0; NAME_BYTES],
            name_bytes: rest.len().min(NAME_BYTES),
        };
        message.name[..message.name_bytes].copy_from_slice(&rest[..message.name_bytes]);
        Some(message)
    }
}

struct State {
    receive: VirtQueue,
    transmit: VirtQueue,
    receive_memory: SharedMemory,
    transmit_memory: SharedMemory,
    /// A bit for each free transmit buffer.
    transmit_free: u32,
}

/// Both control queues.
pub(super) struct Control {
    state: SpinLock<State>,
    receive_bell: Doorbell,
    transmit_bell: Doorbell,
}

impl Control {
    /// Shared memory that they need.
    pub(super) fn memory_bytes(options: QueueOptions) -> usize {
        2 * VirtQueue::memory_bytes(QUEUE_SIZE, options) + usize::from(QUEUE_SIZE) * (RECEIVE_BYTES + TRANSMIT_BYTES)
    }

    /// Makes the queues in `memory`, with nothing in them.
    pub(super) fn start(
        transport: &dyn Transport,
        options: QueueOptions,
        memory: SharedMemory,
        entry: u16,
    ) -> Result<Self, VirtioError> {
        let ring_bytes = VirtQueue::memory_bytes(QUEUE_SIZE, options);
        let slots = usize::from(QUEUE_SIZE);
        let part = |at: usize, len: usize| memory.part(at, len).ok_or(VirtioError::NoMemory);
        let queue = |index: u16, at: usize| {
            let size = queue_size(transport, index, QUEUE_SIZE)?;
            start_queue(transport, index, size, options, part(at, ring_bytes)?, entry)
        };
        let (receive, receive_bell) = queue(RECEIVE_QUEUE, 0)?;
        let (mut transmit, transmit_bell) = queue(TRANSMIT_QUEUE, ring_bytes)?;
        transmit.disable_interrupts();
        let free = if transmit.size() >= 32 { u32::MAX } else { (1 << transmit.size()) - 1 };
        let state = State {
            receive,
            transmit,
            receive_memory: part(2 * ring_bytes, slots * RECEIVE_BYTES)?,
            transmit_memory: part(2 * ring_bytes + slots * RECEIVE_BYTES, slots * TRANSMIT_BYTES)?,
            transmit_free: free,
        };
        Ok(Self { state: SpinLock::new(state), receive_bell, transmit_bell })
    }

    /// Gives the device all buffers for messages.
    pub(super) fn open_for_messages(&self) {
        let mut state = self.state.lock();
        for slot in 0..state.receive.size() {
            if state.offer(slot).is_err() {
                break;
            }
        }
        let notify = state.receive.needs_notify();
        drop(state);
        if notify {
            self.receive_bell.ring();
        }
    }

    /// The next message from the host.
    pub(super) fn next_message(&self) -> Result<Option<Message>, QueueError> {
        let mut state = self.state.lock();
        loop {
            let Some(used) = state.receive.pop()? else {
                if state.receive.enable_interrupts() {
                    return Ok(None);
                }
                continue;
            };
            let mut bytes = [0; RECEIVE_BYTES];
            let len = (used.written_bytes as usize).min(RECEIVE_BYTES);
            state.receive_memory.read(usize::from(used.token) * RECEIVE_BYTES, &mut bytes[..len]);
            state.offer(used.token)?;
            let notify = state.receive.needs_notify();
            // A message that is too short for its header says nothing.
            let message = Message::parse(&bytes[..len]);
            if notify || message.is_some() {
                drop(state);
                if notify {
                    self.receive_bell.ring();
                }
                if message.is_some() {
                    return Ok(message);
                }
                state = self.state.lock();
            }
        }
    }

    /// Sends a message. One that finds no room is lost: the host has not taken 32 others.
    pub(super) fn send(&self, port: u32, event: Event, value: u16) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        while let Ok(Some(used)) = state.transmit.pop() {
            state.transmit_free |= 1 << used.token;
        }
        if state.transmit_free == 0 {
            log::warn!("virtio console: host takes no control messages");
            return;
        }
        let slot = state.transmit_free.trailing_zeros() as u16;
        let at = usize::from(slot) * TRANSMIT_BYTES;
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&port.to_le_bytes());
        let number = EVENTS.iter().position(|known| *known == event).unwrap_or(EVENTS.len());
        bytes[4..6].copy_from_slice(&(number as u16).to_le_bytes());
        bytes[6..].copy_from_slice(&value.to_le_bytes());
        state.transmit_memory.write(at, &bytes);
        let buffer = Buffer {
            start: state.transmit_memory.phys().offset(at as u64),
            len_bytes: HEADER_BYTES as u32,
            direction: Direction::ToDevice,
        };
        // A broken queue is noticed where messages are received.
        if state.transmit.add(&[buffer], slot).is_ok() {
            state.transmit_free &= !(1 << slot);
        }
        let notify = state.transmit.needs_notify();
        drop(guard);
        if notify {
            self.transmit_bell.ring();
        }
    }

    /// Takes nothing from the device any more.
    pub(super) fn break_down(&self) {
        let mut state = self.state.lock();
        state.receive.break_down();
        state.transmit.break_down();
    }
}

impl State {
    fn offer(&mut self, slot: u16) -> Result<(), QueueError> {
        let buffer = Buffer {
            start: self.receive_memory.phys().offset((usize::from(slot) * RECEIVE_BYTES) as u64),
            len_bytes: RECEIVE_BYTES as u32,
            direction: Direction::FromDevice,
        };
        self.receive.add(&[buffer], slot)
    }
}
