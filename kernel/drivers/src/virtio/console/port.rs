//! One port: bytes through bounce buffers in both directions, and the state of the host's end.
//!
//! The host's end: awaited -> open <-> closed. What was received before the end closed is read first. Transmit buffers
//! are taken back when somebody wants one; the device interrupts for them only while somebody waits.

use super::Console;
use crate::virtio::VirtioError;
use crate::virtio::queue::{Buffer, Direction, QueueError, SharedMemory, VirtQueue};
use crate::virtio::transport::Doorbell;
use alloc::{string::String, sync::Arc};
use core::sync::atomic::Ordering;
use hal::hil::{Notify, Port, PortError, PortReadiness};
use hal::sync::SpinLock;
use mm::dma::DmaBuffer;
use sched::{Interruptible, WaitQueue};

const RECEIVE_SLOTS: usize = 4;
const RECEIVE_BYTES: usize = 1024;
const TRANSMIT_SLOTS: usize = 3;
const TRANSMIT_BYTES: usize = 4096;
const TRANSMIT_ALL: u8 = (1 << TRANSMIT_SLOTS) - 1;
const TRANSMIT_OFFSET: usize = RECEIVE_SLOTS * RECEIVE_BYTES;

/// The host's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Awaited,
    Open,
    Closed,
}

/// A received piece that has not been read to its end.
#[derive(Clone, Copy, Default)]
struct Piece {
    slot: u16,
    start: usize,
    end: usize,
}

struct State {
    receive: VirtQueue,
    transmit: VirtQueue,
    /// Receive slots, then transmit slots.
    buffers: Option<(SharedMemory, DmaBuffer)>,
    host: Host,
    is_announced: bool,
    given_name: Option<String>,
    /// Received pieces in order, a ring: at most one a receive slot.
    pieces: [Piece; RECEIVE_SLOTS],
    first_piece: usize,
    piece_count: usize,
    /// A bit for each free transmit slot.
    transmit_free: u8,
}

/// A port, whether or not the host has it.
pub(super) struct PortCore {
    number: u32,
    receive_bell: Doorbell,
    transmit_bell: Doorbell,
    state: SpinLock<State>,
    readers: WaitQueue,
    writers: WaitQueue,
    notify: SpinLock<Option<Notify>>,
}

impl PortCore {
    pub(super) fn new(number: u32, receive: (VirtQueue, Doorbell), transmit: (VirtQueue, Doorbell)) -> Self {
        let state = State {
            receive: receive.0,
            transmit: transmit.0,
            buffers: None,
            host: Host::Awaited,
            is_announced: false,
            given_name: None,
            pieces: [Piece::default(); RECEIVE_SLOTS],
            first_piece: 0,
            piece_count: 0,
            transmit_free: 0,
        };
        Self {
            number,
            receive_bell: receive.1,
            transmit_bell: transmit.1,
            state: SpinLock::new(state),
            readers: WaitQueue::new(),
            writers: WaitQueue::new(),
            notify: SpinLock::new(None),
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }
    pub(super) fn is_announced(&self) -> bool {
        self.state.lock().is_announced
    }
    pub(super) fn has_buffers(&self) -> bool {
        self.state.lock().buffers.is_some()
    }
    pub(super) fn given_name(&self) -> Option<String> {
        self.state.lock().given_name.clone()
    }

    /// The host has this port.
    pub(super) fn announce(&self) {
        self.state.lock().is_announced = true;
    }

    /// The host names this port. Only the first name counts, and only until the port is in use.
    pub(super) fn set_given_name(&self, name: &[u8]) {
        let name: String = name.iter().filter(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)).collect();
        let mut state = self.state.lock();
        if state.given_name.is_none() && !name.is_empty() {
            state.given_name = Some(name);
        }
    }

    /// The host opened or closed its end.
    pub(super) fn set_host_open(&self, is_open: bool) {
        {
            let mut state = self.state.lock();
            state.host = match (is_open, state.host) {
                _ if state.receive.is_broken() => Host::Closed,
                (true, _) => Host::Open,
                // A close without an open is how a host says that nobody has been there yet.
                (false, Host::Awaited) => Host::Awaited,
                (false, _) => Host::Closed,
            };
        }
        self.announce_change();
    }

    /// Gives the port memory and the device all receive buffers.
    pub(super) fn give_buffers(&self) -> Result<(), VirtioError> {
        let memory = DmaBuffer::new(TRANSMIT_OFFSET + TRANSMIT_SLOTS * TRANSMIT_BYTES).ok_or(VirtioError::NoMemory)?;
        // SAFETY: the port keeps the buffer beside it, for ever, and uses it through this only.
        let shared = unsafe { SharedMemory::of(&memory) }.ok_or(VirtioError::NoMemory)?;
        let notify = {
            let mut state = self.state.lock();
            state.buffers = Some((shared, memory));
            state.transmit_free = TRANSMIT_ALL;
            state.transmit.disable_interrupts();
            for slot in 0..RECEIVE_SLOTS.min(usize::from(state.receive.size())) {
                state.offer(slot as u16)?;
            }
            state.receive.needs_notify()
        };
        if notify {
            self.receive_bell.ring();
        }
        Ok(())
    }

    /// Serves an interrupt: what changed is announced.
    pub(super) fn collect(&self) -> Result<(), QueueError> {
        let (has_received, has_room) = {
            let mut state = self.state.lock();
            if state.buffers.is_none() {
                return Ok(());
            }
            (state.receive_all()?, state.take_back()?)
        };
        if has_received {
            self.readers.wake_all();
        }
        if has_room {
            self.writers.wake_all();
        }
        if has_received || has_room {
            self.call_notify();
        }
        Ok(())
    }

    /// Takes nothing from the device any more; the host's end is closed.
    pub(super) fn break_down(&self) {
        let mut state = self.state.lock();
        state.receive.break_down();
        state.transmit.break_down();
        state.host = Host::Closed;
    }

    /// Wakes whoever waits for anything here.
    pub(super) fn announce_change(&self) {
        self.readers.wake_all();
        self.writers.wake_all();
        self.call_notify();
    }

    fn call_notify(&self) {
        let notify = self.notify.lock().clone();
        if let Some(notify) = notify {
            notify();
        }
    }

    fn try_write(&self, bytes: &[u8]) -> Result<Result<usize, PortError>, QueueError> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        match state.host {
            Host::Closed => return Ok(Err(PortError::Closed)),
            Host::Awaited => return Ok(Err(PortError::WouldBlock)),
            Host::Open => {}
        }
        if bytes.is_empty() {
            return Ok(Ok(0));
        }
        while state.transmit_free != TRANSMIT_ALL && state.take_back()? {}
        if state.transmit_free == 0 && !state.wait_for_room()? {
            return Ok(Err(PortError::WouldBlock));
        }
        let mut written = 0;
        while written < bytes.len() && state.transmit_free != 0 {
            written += state.transmit_piece(&bytes[written..])?;
        }
        let notify = state.transmit.needs_notify();
        drop(guard);
        if notify {
            self.transmit_bell.ring();
        }
        Ok(Ok(written))
    }

    fn try_read(&self, buffer: &mut [u8]) -> Result<Result<usize, PortError>, QueueError> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if !state.receive.is_broken() {
            state.receive_all()?;
        }
        let mut count = 0;
        while count < buffer.len() && state.piece_count > 0 {
            count += state.read_piece(&mut buffer[count..])?;
        }
        let notify = state.receive.needs_notify();
        let is_at_end = state.host == Host::Closed;
        drop(guard);
        if notify {
            self.receive_bell.ring();
        }
        Ok(if count > 0 || buffer.is_empty() || is_at_end { Ok(count) } else { Err(PortError::WouldBlock) })
    }

    /// Whether everything written has gone; `Err` if it never will.
    fn try_drain(&self) -> Result<Result<(), PortError>, QueueError> {
        let mut state = self.state.lock();
        while state.host != Host::Closed && state.transmit.in_flight() > 0 {
            if !state.take_back()? && state.transmit.enable_interrupts() {
                return Ok(Err(PortError::WouldBlock));
            }
        }
        Ok(if state.host == Host::Closed { Err(PortError::Closed) } else { Ok(()) })
    }

    fn readiness(&self) -> Result<PortReadiness, QueueError> {
        let mut state = self.state.lock();
        let closed = state.host == Host::Closed;
        if closed && state.receive.is_broken() {
            return Ok(PortReadiness { readable: true, writable: true, closed });
        }
        state.receive_all()?;
        let has_room = state.transmit_free != 0 || state.take_back()? || state.wait_for_room()?;
        Ok(PortReadiness {
            readable: closed || state.piece_count > 0,
            writable: closed || state.host == Host::Open && has_room,
            closed,
        })
    }
}

impl State {
    fn memory(&self) -> Result<SharedMemory, QueueError> {
        self.buffers.as_ref().map(|(shared, _)| *shared).ok_or(QueueError::Broken)
    }

    /// Gives the device a receive slot.
    fn offer(&mut self, slot: u16) -> Result<(), QueueError> {
        let start = self.memory()?.phys().offset((usize::from(slot) * RECEIVE_BYTES) as u64);
        let buffer = Buffer { start, len_bytes: RECEIVE_BYTES as u32, direction: Direction::FromDevice };
        self.receive.add(&[buffer], slot)
    }

    /// Takes what the device has received; true if there was something.
    fn receive_all(&mut self) -> Result<bool, QueueError> {
        let mut has_received = false;
        loop {
            match self.receive.pop()? {
                Some(used) if used.written_bytes == 0 => self.offer(used.token)?,
                Some(used) => {
                    // The queue gives each slot back once, so there is room for the piece.
                    let at = (self.first_piece + self.piece_count) % RECEIVE_SLOTS;
                    self.pieces[at] = Piece { slot: used.token, start: 0, end: used.written_bytes as usize };
                    self.piece_count += 1;
                    has_received = true;
                }
                None if self.receive.enable_interrupts() => return Ok(has_received),
                None => {}
            }
        }
    }

    /// Reads from the first piece; gives its slot to the device when it is through.
    fn read_piece(&mut self, buffer: &mut [u8]) -> Result<usize, QueueError> {
        let memory = self.memory()?;
        let piece = &mut self.pieces[self.first_piece];
        let count = (piece.end - piece.start).min(buffer.len());
        memory.read(usize::from(piece.slot) * RECEIVE_BYTES + piece.start, &mut buffer[..count]);
        piece.start += count;
        if piece.start == piece.end {
            let slot = piece.slot;
            self.first_piece = (self.first_piece + 1) % RECEIVE_SLOTS;
            self.piece_count -= 1;
            if !self.receive.is_broken() {
                self.offer(slot)?;
            }
        }
        Ok(count)
    }

    /// Copies the front of `bytes` into a free transmit slot and gives it to the device.
    fn transmit_piece(&mut self, bytes: &[u8]) -> Result<usize, QueueError> {
        let memory = self.memory()?;
        let slot = self.transmit_free.trailing_zeros() as usize;
        let count = bytes.len().min(TRANSMIT_BYTES);
        let at = TRANSMIT_OFFSET + slot * TRANSMIT_BYTES;
        memory.write(at, &bytes[..count]);
        let start = memory.phys().offset(at as u64);
        self.transmit.add(&[Buffer { start, len_bytes: count as u32, direction: Direction::ToDevice }], slot as u16)?;
        self.transmit_free &= !(1 << slot);
        Ok(count)
    }

    /// Takes transmit slots back from the device; true if there were some.
    fn take_back(&mut self) -> Result<bool, QueueError> {
        let mut has_room = false;
        while let Some(used) = self.transmit.pop()? {
            self.transmit_free |= 1 << used.token;
            has_room = true;
        }
        if has_room {
            self.transmit.disable_interrupts();
        }
        Ok(has_room)
    }

    /// Asks for an interrupt when a transmit slot comes back; true if one has come back already.
    fn wait_for_room(&mut self) -> Result<bool, QueueError> {
        while self.transmit_free == 0 {
            if self.transmit.enable_interrupts() {
                return Ok(false);
            }
            self.take_back()?;
        }
        Ok(true)
    }
}

/// What is registered: a port in use, with its name.
pub(super) struct ConsolePort {
    name: String,
    core: Arc<PortCore>,
    console: Arc<Console>,
}

impl ConsolePort {
    pub(super) fn new(name: String, core: Arc<PortCore>, console: Arc<Console>) -> Self {
        Self { name, core, console }
    }

    /// A queue error ends the device; to the caller the port is closed.
    fn checked<T>(&self, result: Result<T, QueueError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(_) => {
                if !self.console.is_broken.load(Ordering::Relaxed) {
                    self.console.give_up();
                }
                None
            }
        }
    }

    fn wait<R>(&self, queue: &WaitQueue, mut attempt: impl FnMut() -> Result<R, PortError>) -> Result<R, PortError> {
        let result = queue.wait_until(None, Interruptible::Yes, || match attempt() {
            Err(PortError::WouldBlock) => None,
            result => Some(result),
        });
        result.unwrap_or(Err(PortError::Interrupted))
    }
}

impl Port for ConsolePort {
    fn name(&self) -> &str {
        &self.name
    }

    fn try_write(&self, bytes: &[u8]) -> Result<usize, PortError> {
        self.checked(self.core.try_write(bytes)).unwrap_or(Err(PortError::Closed))
    }

    fn try_read(&self, buffer: &mut [u8]) -> Result<usize, PortError> {
        self.checked(self.core.try_read(buffer)).unwrap_or(Ok(0))
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, PortError> {
        let mut written = 0;
        while written < bytes.len() {
            match self.wait(&self.core.writers, || self.try_write(&bytes[written..])) {
                Ok(count) => written += count,
                Err(error) if written == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(written)
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize, PortError> {
        self.wait(&self.core.readers, || self.try_read(buffer))
    }

    fn drain(&self) -> Result<(), PortError> {
        self.wait(&self.core.writers, || self.checked(self.core.try_drain()).unwrap_or(Err(PortError::Closed)))
    }

    fn readiness(&self) -> PortReadiness {
        let closed = PortReadiness { readable: true, writable: true, closed: true };
        self.checked(self.core.readiness()).unwrap_or(closed)
    }

    fn host_open(&self) -> bool {
        self.core.state.lock().host == Host::Open
    }

    fn set_notify(&self, notify: Option<Notify>) {
        // The earlier hook is dropped after the lock.
        let _earlier = core::mem::replace(&mut *self.core.notify.lock(), notify);
    }
}
