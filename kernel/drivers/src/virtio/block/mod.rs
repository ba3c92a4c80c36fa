//! The block device (section 5.2): several requests in flight, each over many segments, ended by interrupts.
//!
//! Every request has a slot, which holds its header and status byte in shared memory and says who waits. Nothing
//! allocates on the way. A queue whose requests make no progress for a minute, or that breaks the protocol, is reset
//! and everything that waits ends in [`BlockError::Broken`].

mod slots;
mod watchdog;

use super::queue::{Buffer, Direction, QueueError, SharedMemory, VirtQueue};
use super::start::{go, negotiate, queue_options, queue_size, reset, start_queue};
use super::transport::{Doorbell, Transport};
use super::{VirtioError, feature};
use crate::interrupts::Service;
use alloc::{format, string::String, sync::Arc};
use hal::addr::PhysAddr;
use hal::hil::{self, Block, BlockError, BlockRequest, Completion, Operation, SECTOR_SIZE, Segment};
use hal::sync::{Once, SpinLock};
use mm::dma::DmaBuffer;
use sched::{Interruptible, WaitQueue};
use slots::{Ended, SLOTS, Slots, Waiter};
use watchdog::Watchdog;

/// Features (section 5.2.3).
const SIZE_MAX: u64 = 1 << 1;
const SEG_MAX: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 5;
const BLOCK_SIZE: u64 = 1 << 6;
const FLUSH: u64 = 1 << 9;

/// Configuration fields (section 5.2.4).
const CONFIG_CAPACITY: usize = 0;
const CONFIG_SIZE_MAX: usize = 8;
const CONFIG_SEG_MAX: usize = 12;
const CONFIG_BLOCK_SIZE: usize = 20;

/// Request types (section 5.2.6).
const TYPE_READ: u32 = 0;
const TYPE_WRITE: u32 = 1;
const TYPE_FLUSH: u32 = 4;
const TYPE_GET_ID: u32 = 8;

/// Data segments of a request at most; header and status come on top.
const MAX_SEGMENTS: usize = 32;
const MAX_BUFFERS: usize = MAX_SEGMENTS + 2;
/// Ring size where each request needs a descriptor a buffer.
const DIRECT_RING_SIZE: u16 = 128;
const ID_BYTES: usize = 20;
const ID_TIMEOUT_NS: u64 = 5_000_000_000;

struct State {
    queue: VirtQueue,
    slots: Slots,
    is_broken: bool,
}

/// What the device said of itself.
struct Shape {
    sector_count: u64,
    block_size: u32,
    features: u64,
    max_segments: usize,
    max_segment_bytes: u32,
}

struct BlockDevice {
    transport: Arc<dyn Transport>,
    doorbell: Doorbell,
    shape: Shape,
    identity: Once<String>,
    state: SpinLock<State>,
    /// Threads that wait for a free slot.
    room: WaitQueue,
    /// Threads that wait for the end of their request, one queue a slot.
    ends: [WaitQueue; SLOTS],
    watchdog: Watchdog,
    _memory: DmaBuffer,
}

/// Starts the device and registers it as `name`. Returns a line that describes it.
pub(super) fn start(name: &str, transport: Arc<dyn Transport>) -> Result<String, VirtioError> {
    let agreed = negotiate(&*transport, SIZE_MAX | SEG_MAX | READ_ONLY | BLOCK_SIZE | FLUSH)?;
    let wanted_size = if agreed & feature::INDIRECT_DESCRIPTORS != 0 { SLOTS as u16 } else { DIRECT_RING_SIZE };
    let size = queue_size(&*transport, 0, wanted_size)?;
    let options = queue_options(agreed, MAX_BUFFERS);
    let shape = Shape::read(&*transport, agreed, size)?;

    let ring_bytes = VirtQueue::memory_bytes(size, options);
    let memory = DmaBuffer::new(ring_bytes + Slots::MEMORY_BYTES).ok_or(VirtioError::NoMemory)?;
    // SAFETY: the device structure keeps the buffer, is never dropped once started, and uses it through these only.
    let shared = unsafe { SharedMemory::of(&memory) }.ok_or(VirtioError::NoMemory)?;
    let ring = shared.part(0, ring_bytes).ok_or(VirtioError::NoMemory)?;
    let slots = shared.part(ring_bytes, Slots::MEMORY_BYTES).ok_or(VirtioError::NoMemory)?;
    let (queue, doorbell) = start_queue(&*transport, 0, size, options, ring, 0)?;

    let device = Arc::new(BlockDevice {
        transport: transport.clone(),
        doorbell,
        shape,
        identity: Once::new(),
        state: SpinLock::new(State { queue, slots: Slots::new(slots), is_broken: false }),
        room: WaitQueue::new(),
        ends: [const { WaitQueue::new() }; SLOTS],
        watchdog: Watchdog::new(),
        _memory: memory,
    });
    transport.connect("virtio-block", device.clone(), 1)?;
    device.watchdog.watch(device.clone());
    go(&*transport);
    let identity = device.read_identity()?;
    device.identity.call_once(|| identity);
    hil::register_block(name, device.clone());
    let access = if device.read_only() { "read-only" } else { "writable" };
    Ok(format!("block {name} \"{}\", {} sectors, {access}", device.identity(), device.sector_count()))
}

impl Shape {
    fn read(transport: &dyn Transport, agreed: u64, ring_size: u16) -> Result<Self, VirtioError> {
        let is_indirect = agreed & feature::INDIRECT_DESCRIPTORS != 0;
        // Without indirect tables header and status take two descriptors of the ring.
        let in_ring = if is_indirect { MAX_SEGMENTS } else { usize::from(ring_size).saturating_sub(2) };
        // One segment is what a device that names no number surely takes.
        let by_device = if agreed & SEG_MAX != 0 { transport.config_u32(CONFIG_SEG_MAX) as usize } else { 1 };
        let max_segment_bytes = if agreed & SIZE_MAX != 0 { transport.config_u32(CONFIG_SIZE_MAX) } else { u32::MAX };
        let block_size = if agreed & BLOCK_SIZE != 0 { transport.config_u32(CONFIG_BLOCK_SIZE) } else { 512 };
        let sector_count = transport.config_u64(CONFIG_CAPACITY);
        let is_sound = in_ring > 0 && u64::from(max_segment_bytes) >= SECTOR_SIZE;
        if !is_sound || sector_count > u64::MAX / SECTOR_SIZE {
            return Err(VirtioError::BadConfiguration);
        }
        Ok(Self {
            sector_count,
            block_size: if block_size.is_power_of_two() && block_size >= 512 { block_size } else { 512 },
            features: agreed,
            max_segments: by_device.clamp(1, in_ring.min(MAX_SEGMENTS)),
            // Cut at sectors, so that every piece is whole ones.
            max_segment_bytes: max_segment_bytes & !(SECTOR_SIZE as u32 - 1),
        })
    }
}

impl BlockDevice {
    /// Reads the serial string; empty if the device has none.
    fn read_identity(&self) -> Result<String, VirtioError> {
        let place = self.state.lock().slots.identity_place();
        let segments = [Segment { start: place, len_bytes: ID_BYTES as u32 }];
        let mut waiter = Some(Waiter::Thread);
        let slot = match self.try_enqueue(TYPE_GET_ID, 0, &segments, &mut waiter) {
            Ok(slot) => slot,
            Err(_) => return Err(VirtioError::NoAnswer),
        };
        let deadline_ns = hal::clock::now_ns().saturating_add(ID_TIMEOUT_NS);
        match self.ends[slot].wait_until(Some(deadline_ns), Interruptible::No, || self.take_end(slot)) {
            Ok(Ok(())) => Ok(self.state.lock().slots.identity()),
            Ok(Err(BlockError::Broken)) => Err(VirtioError::Queue(QueueError::Broken)),
            Ok(Err(_)) => Ok(String::new()),
            Err(_) => {
                self.give_up("does not answer");
                Err(VirtioError::NoAnswer)
            }
        }
    }

    /// Queues a request, sleeping while there is no room. Returns its slot.
    fn enqueue(&self, request: &BlockRequest<'_>, waiter: Waiter) -> Result<usize, BlockError> {
        request.check(self)?;
        let kind = match request.operation {
            Operation::Read => TYPE_READ,
            Operation::Write => TYPE_WRITE,
            Operation::Flush => TYPE_FLUSH,
        };
        let mut waiter = Some(waiter);
        loop {
            let attempt = || match self.try_enqueue(kind, request.sector, request.segments, &mut waiter) {
                Err(QueueError::Full) => None,
                Err(QueueError::BadRequest) => Some(Err(BlockError::TooManySegments)),
                Err(QueueError::Broken) => Some(Err(BlockError::Broken)),
                Ok(slot) => Some(Ok(slot)),
            };
            // Without a deadline and interruption the wait ends by the condition only.
            if let Ok(result) = self.room.wait_until(None, Interruptible::No, attempt) {
                return result;
            }
        }
    }

    /// Queues a request if there is room, and then takes `waiter`.
    fn try_enqueue(
        &self,
        kind: u32,
        sector: u64,
        segments: &[Segment],
        waiter: &mut Option<Waiter>,
    ) -> Result<usize, QueueError> {
        let direction = if kind == TYPE_WRITE { Direction::ToDevice } else { Direction::FromDevice };
        let mut state = self.state.lock();
        if state.is_broken {
            return Err(QueueError::Broken);
        }
        let slot = state.slots.free().ok_or(QueueError::Full)?;
        let mut list = BufferList::new();
        list.push(state.slots.write_header(slot, kind, sector))?;
        for segment in segments {
            // Segments longer than the device likes go as several.
            let (mut start, mut left) = (segment.start, segment.len_bytes);
            while left > 0 {
                let len_bytes = left.min(self.shape.max_segment_bytes);
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
        self.watchdog.started();
        if notify {
            self.doorbell.ring();
        }
        Ok(slot)
    }

    /// The end of the request in `slot`, once; frees the slot.
    fn take_end(&self, slot: usize) -> Option<Result<(), BlockError>> {
        let result = self.state.lock().slots.take_end(slot)?;
        self.room.wake_one();
        Some(result)
    }

    /// Ends everything that the device is done with.
    fn collect(&self) {
        loop {
            let ended = {
                let mut guard = self.state.lock();
                let state = &mut *guard;
                if state.is_broken {
                    return;
                }
                match state.queue.pop() {
                    Ok(Some(used)) => state.slots.end(usize::from(used.token)),
                    Ok(None) if state.queue.enable_interrupts() => return,
                    Ok(None) => continue,
                    Err(_) => {
                        drop(guard);
                        self.give_up("breaks the protocol");
                        return;
                    }
                }
            };
            self.watchdog.progressed();
            self.deliver(ended);
        }
    }

    fn deliver(&self, ended: Ended) {
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

    /// Stops the device for good and ends whatever waits.
    fn give_up(&self, why: &str) {
        {
            let mut state = self.state.lock();
            if state.is_broken {
                return;
            }
            state.is_broken = true;
            state.queue.break_down();
        }
        let has_stopped = reset(&*self.transport);
        let name = self.identity.get().map_or("", String::as_str);
        log::error!("virtio block \"{name}\" {why}; it is not used any more");
        if !has_stopped {
            log::error!("virtio block \"{name}\" does not reset either");
        }
        for slot in 0..SLOTS {
            let ended = self.state.lock().slots.end_with(slot, Err(BlockError::Broken));
            self.deliver(ended);
        }
        self.room.wake_all();
    }
}

impl Block for BlockDevice {
    fn sector_count(&self) -> u64 {
        self.shape.sector_count
    }
    fn block_size(&self) -> u32 {
        self.shape.block_size
    }
    fn read_only(&self) -> bool {
        self.shape.features & READ_ONLY != 0
    }
    fn can_flush(&self) -> bool {
        // Agreed on all the same: a device whose driver knows no flush would write through (section 5.2.6).
        !cfg!(feature = "no-flush") && self.shape.features & FLUSH != 0
    }
    fn identity(&self) -> &str {
        self.identity.get().map_or("", String::as_str)
    }
    fn max_segments(&self) -> usize {
        self.shape.max_segments
    }
    unsafe fn submit(&self, request: &BlockRequest<'_>, done: Arc<dyn Completion>) -> Result<(), BlockError> {
        self.enqueue(request, Waiter::Callback(done)).map(|_slot| ())
    }
    unsafe fn transfer(&self, request: &BlockRequest<'_>) -> Result<(), BlockError> {
        let slot = self.enqueue(request, Waiter::Thread)?;
        loop {
            if let Ok(result) = self.ends[slot].wait_until(None, Interruptible::No, || self.take_end(slot)) {
                return result;
            }
        }
    }
}

impl Service for BlockDevice {
    fn interrupt(&self, _entry: u16) {
        self.collect();
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

#[cfg(test)]
mod tests;
