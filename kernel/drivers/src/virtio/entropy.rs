//! The entropy device (section 5.4): one queue, one request at a time.
//!
//! The first request is made at start, without waiting for it, and seeds the kernel's generator when it ends.

use super::VirtioError;
use super::queue::{Buffer, Direction, QueueError, QueueOptions, SharedMemory, VirtQueue};
use super::start::{go, negotiate, queue_options, queue_size, reset, start_queue};
use super::transport::{Doorbell, Transport};
use crate::interrupts::Service;
use alloc::{string::String, sync::Arc};
use hal::hil::{self, Entropy, EntropyError};
use hal::sync::SpinLock;
use mm::dma::DmaBuffer;
use sched::{Interruptible, WaitQueue};

const QUEUE_SIZE: u16 = 4;
/// Bytes of one request.
const REQUEST_BYTES: usize = 256;
const SEED_BYTES: usize = 64;
const TIMEOUT_NS: u64 = 5_000_000_000;

/// What the one request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    None,
    Seed,
    Fill,
    /// A fill that ended with so many bytes.
    Filled(usize),
}

struct State {
    queue: VirtQueue,
    buffer: SharedMemory,
    request: Request,
}

struct EntropyDevice {
    transport: Arc<dyn Transport>,
    doorbell: Doorbell,
    state: SpinLock<State>,
    changed: WaitQueue,
    /// One caller at a time.
    turn: sched::Mutex<()>,
    _memory: DmaBuffer,
}

/// Starts the device and registers it.
pub(super) fn start(transport: Arc<dyn Transport>) -> Result<String, VirtioError> {
    let agreed = negotiate(&*transport, 0)?;
    let size = queue_size(&*transport, 0, QUEUE_SIZE)?;
    let options = QueueOptions { indirect_descriptors: 0, ..queue_options(agreed, 0) };
    let ring_bytes = VirtQueue::memory_bytes(size, options);
    let memory = DmaBuffer::new(ring_bytes + REQUEST_BYTES).ok_or(VirtioError::NoMemory)?;
    // SAFETY: the device structure keeps the buffer, is never dropped once started, and uses it through these only.
    let shared = unsafe { SharedMemory::of(&memory) }.ok_or(VirtioError::NoMemory)?;
    let ring = shared.part(0, ring_bytes).ok_or(VirtioError::NoMemory)?;
    let buffer = shared.part(ring_bytes, REQUEST_BYTES).ok_or(VirtioError::NoMemory)?;
    let (queue, doorbell) = start_queue(&*transport, 0, size, options, ring, 0)?;
    let device = Arc::new(EntropyDevice {
        transport: transport.clone(),
        doorbell,
        state: SpinLock::new(State { queue, buffer, request: Request::None }),
        changed: WaitQueue::new(),
        turn: sched::Mutex::new(()),
        _memory: memory,
    });
    transport.connect("virtio-entropy", device.clone(), 1)?;
    go(&*transport);
    device.ask(Request::Seed, SEED_BYTES)?;
    hil::register_entropy(device);
    Ok(String::from("entropy"))
}

impl EntropyDevice {
    /// Makes a request, unless one is under way (then [`QueueError::Full`]).
    fn ask(&self, request: Request, len_bytes: usize) -> Result<(), QueueError> {
        let mut state = self.state.lock();
        if state.request != Request::None {
            return Err(QueueError::Full);
        }
        let buffer = Buffer {
            start: state.buffer.phys(),
            len_bytes: len_bytes.clamp(1, REQUEST_BYTES) as u32,
            direction: Direction::FromDevice,
        };
        state.queue.add(&[buffer], 0)?;
        state.request = request;
        let notify = state.queue.needs_notify();
        drop(state);
        if notify {
            self.doorbell.ring();
        }
        Ok(())
    }

    /// Sees whether the request has ended.
    fn collect(&self) {
        let mut seed = [0; SEED_BYTES];
        let mut seed_bytes = 0;
        {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let used = match state.queue.pop() {
                Ok(Some(used)) => used,
                Ok(None) => return,
                Err(_) => {
                    drop(guard);
                    self.changed.wake_all();
                    return;
                }
            };
            // The queue checked the length against the buffer's.
            let len = used.written_bytes as usize;
            state.request = match state.request {
                Request::Fill => Request::Filled(len),
                Request::Seed => {
                    seed_bytes = state.buffer.read(0, &mut seed[..len.min(SEED_BYTES)]);
                    Request::None
                }
                other => other,
            };
            state.queue.enable_interrupts();
        }
        if seed_bytes > 0 {
            hal::random::reseed(&seed[..seed_bytes]);
        }
        self.changed.wake_all();
    }

    /// Waits until `ready` gives something, with the queue looked at each time.
    fn wait<R>(&self, deadline_ns: u64, mut ready: impl FnMut(&mut State) -> Option<R>) -> Result<R, EntropyError> {
        let result = self.changed.wait_until(Some(deadline_ns), Interruptible::No, || {
            self.collect();
            let mut state = self.state.lock();
            if state.queue.is_broken() { Some(Err(EntropyError::Broken)) } else { ready(&mut state).map(Ok) }
        });
        result.unwrap_or(Err(EntropyError::Broken))
    }

    fn try_fill(&self, buffer: &mut [u8]) -> Result<usize, EntropyError> {
        let deadline_ns = hal::clock::now_ns().saturating_add(TIMEOUT_NS);
        self.wait(deadline_ns, |state| (state.request == Request::None).then_some(()))?;
        self.ask(Request::Fill, buffer.len()).map_err(|_| EntropyError::Broken)?;
        self.wait(deadline_ns, |state| match state.request {
            Request::Filled(len) => {
                state.request = Request::None;
                let len = len.min(buffer.len());
                Some(state.buffer.read(0, &mut buffer[..len]))
            }
            _ => None,
        })
    }
}

impl Entropy for EntropyDevice {
    fn fill(&self, buffer: &mut [u8]) -> Result<usize, EntropyError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let _turn = self.turn.lock();
        match self.try_fill(buffer) {
            Ok(len) if len > 0 => Ok(len),
            _ => {
                let was_broken = {
                    let mut state = self.state.lock();
                    let was_broken = state.queue.is_broken();
                    state.queue.break_down();
                    was_broken
                };
                reset(&*self.transport);
                if !was_broken {
                    log::error!("virtio entropy does not answer; it is not used any more");
                }
                Err(EntropyError::Broken)
            }
        }
    }
}

impl Service for EntropyDevice {
    fn interrupt(&self, _entry: u16) {
        self.collect();
    }
}

#[cfg(test)]
mod tests;
