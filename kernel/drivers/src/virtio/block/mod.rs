//! The block device (section 5.2): several queues with several requests in flight, each over many segments, ended by
//! interrupts.
//!
//! Every request has a slot, which holds its header and status byte in shared memory and says who waits. Nothing
//! allocates on the way. A queue whose requests make no progress for a minute, or that breaks the protocol, is reset
//! and everything that waits ends in [`BlockError::Broken`].

mod lane;
mod slots;
mod watchdog;

use super::queue::{QueueError, SharedMemory};
use super::start::{go, negotiate, queue_options, queue_size, reset};
use super::transport::{ANY_ENTRY, Transport};
use super::{VirtioError, feature};
use crate::interrupts::Service;
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use hal::hil::{self, Block, BlockError, BlockRequest, Completion, Operation, SECTOR_SIZE};
use hal::sync::Once;
use lane::{Lane, Payload, Popped};
use mm::dma::DmaBuffer;
use sched::Interruptible;
use slots::{SLOTS, Waiter};
use watchdog::Watchdog;

/// Features (section 5.2.3).
const SIZE_MAX: u64 = 1 << 1;
const SEG_MAX: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 5;
const BLOCK_SIZE: u64 = 1 << 6;
const FLUSH: u64 = 1 << 9;
const MULTIQUEUE: u64 = 1 << 12;
const DISCARD: u64 = 1 << 13;

/// Configuration fields (section 5.2.4).
const CONFIG_CAPACITY: usize = 0;
const CONFIG_SIZE_MAX: usize = 8;
const CONFIG_SEG_MAX: usize = 12;
const CONFIG_BLOCK_SIZE: usize = 20;
const CONFIG_QUEUES: usize = 34;
const CONFIG_MAX_DISCARD: usize = 36;

/// Request types (section 5.2.6).
const TYPE_READ: u32 = 0;
const TYPE_WRITE: u32 = 1;
const TYPE_FLUSH: u32 = 4;
const TYPE_GET_ID: u32 = 8;
const TYPE_DISCARD: u32 = 11;

/// Discards are cut at multiples of this, so that whole blocks of 4 KiB go.
const SECTORS_PER_BLOCK: u32 = 8;
/// Data segments of a request at most; header and status come on top.
const MAX_SEGMENTS: usize = 32;
const MAX_BUFFERS: usize = MAX_SEGMENTS + 2;
/// Queues that a device gets at most.
const LANES_MAX: usize = 8;
/// Ring size where each request needs a descriptor a buffer.
const DIRECT_RING_SIZE: u16 = 128;
const ID_BYTES: usize = 20;
const ID_TIMEOUT_NS: u64 = 5_000_000_000;

/// What the device said of itself.
struct Shape {
    sector_count: u64,
    block_size: u32,
    features: u64,
    max_segments: usize,
    max_segment_bytes: u32,
    /// Sectors that one discard may name; 0 if there is none.
    max_discard_sectors: u32,
}

struct BlockDevice {
    transport: Arc<dyn Transport>,
    shape: Shape,
    identity: Once<String>,
    /// The vCPUs share them; one that is full leaves its requests to the next.
    lanes: Vec<Lane>,
    /// Interrupts: lane `n` has number `n % entries`.
    entries: u16,
    is_broken: AtomicBool,
    watchdog: Watchdog,
    _memory: DmaBuffer,
}

/// Starts the device and registers it as `name`. Returns a line that describes it.
pub(super) fn start(name: &str, transport: Arc<dyn Transport>) -> Result<String, VirtioError> {
    start_for(name, transport, hal::cpu::count())
}

/// The same for so many vCPUs.
fn start_for(name: &str, transport: Arc<dyn Transport>, cpus: usize) -> Result<String, VirtioError> {
    let wanted = SIZE_MAX | SEG_MAX | READ_ONLY | BLOCK_SIZE | FLUSH | MULTIQUEUE | DISCARD;
    let agreed = negotiate(&*transport, wanted)?;
    let wanted_size = if agreed & feature::INDIRECT_DESCRIPTORS != 0 { SLOTS as u16 } else { DIRECT_RING_SIZE };
    let size = queue_size(&*transport, 0, wanted_size)?;
    let options = queue_options(agreed, MAX_BUFFERS);
    let shape = Shape::read(&*transport, agreed, size)?;

    let lane_count = shape.lane_count(&*transport, cpus);
    let entries = transport.entries(lane_count as u16).max(1);
    let lane_bytes = Lane::memory_bytes(size, options);
    let memory = DmaBuffer::new(lane_bytes * lane_count).ok_or(VirtioError::NoMemory)?;
    // SAFETY: the device structure keeps the buffer, is never dropped once started, and uses it through these only.
    let shared = unsafe { SharedMemory::of(&memory) }.ok_or(VirtioError::NoMemory)?;
    let mut lanes = Vec::with_capacity(lane_count);
    for number in 0..lane_count {
        let part = shared.part(number * lane_bytes, lane_bytes).ok_or(VirtioError::NoMemory)?;
        let entry = number as u16 % entries;
        lanes.push(Lane::start(&*transport, number as u16, (size, options), &part, entry)?);
    }

    let device = Arc::new(BlockDevice {
        transport: transport.clone(),
        shape,
        identity: Once::new(),
        lanes,
        entries,
        is_broken: AtomicBool::new(false),
        watchdog: Watchdog::new(),
        _memory: memory,
    });
    transport.connect("virtio-block", device.clone(), entries)?;
    device.watchdog.watch(device.clone());
    go(&*transport);
    let identity = device.read_identity()?;
    device.identity.call_once(|| identity);
    hil::register_block(name, device.clone());
    let access = if device.read_only() { "read-only" } else { "writable" };
    let queues = if lane_count > 1 { format!(", {lane_count} queues") } else { String::new() };
    Ok(format!("block {name} \"{}\", {} sectors, {access}{queues}", device.identity(), device.sector_count()))
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
        // A device that names no limit, or none that makes sense, is asked for nothing.
        let can_discard = agreed & DISCARD != 0 && agreed & READ_ONLY == 0;
        let max_discard = if can_discard { transport.config_u32(CONFIG_MAX_DISCARD) } else { 0 };
        Ok(Self {
            sector_count,
            max_discard_sectors: max_discard & !(SECTORS_PER_BLOCK - 1),
            block_size: if block_size.is_power_of_two() && block_size >= 512 { block_size } else { 512 },
            features: agreed,
            max_segments: by_device.clamp(1, in_ring.min(MAX_SEGMENTS)),
            // Cut at sectors, so that every piece is whole ones.
            max_segment_bytes: max_segment_bytes & !(SECTOR_SIZE as u32 - 1),
        })
    }

    /// Queues to use: one a vCPU, as far as the device has them. Read-only disks hold programs: theirs are read into the
    /// page cache once, and interrupt vectors are few.
    fn lane_count(&self, transport: &dyn Transport, cpus: usize) -> usize {
        if self.features & MULTIQUEUE == 0 || self.features & READ_ONLY != 0 {
            return 1;
        }
        usize::from(transport.config_u16(CONFIG_QUEUES)).min(cpus).clamp(1, LANES_MAX)
    }
}

impl BlockDevice {
    /// Reads the serial string; empty if the device has none.
    fn read_identity(&self) -> Result<String, VirtioError> {
        let lane = &self.lanes[0];
        let mut waiter = Some(Waiter::Thread);
        let slot = lane.try_enqueue((TYPE_GET_ID, 0), Payload::Identity, u32::MAX, &mut waiter);
        let slot = slot.map_err(|_| VirtioError::NoAnswer)?;
        self.watchdog.started();
        let deadline_ns = hal::clock::now_ns().saturating_add(ID_TIMEOUT_NS);
        match lane.ends[slot].wait_until(Some(deadline_ns), Interruptible::No, || lane.take_end(slot)) {
            Ok(Ok(())) => Ok(lane.identity()),
            Ok(Err(BlockError::Broken)) => Err(VirtioError::Queue(QueueError::Broken)),
            Ok(Err(_)) => Ok(String::new()),
            Err(_) => {
                self.give_up("does not answer");
                Err(VirtioError::NoAnswer)
            }
        }
    }

    /// Queues a request, sleeping while there is no room. Returns its lane and slot.
    fn enqueue(&self, what: (u32, u64), payload: Payload<'_>, waiter: Waiter) -> Result<(&Lane, usize), BlockError> {
        // Where this thread runs now; wherever it runs then, any lane will do.
        let first = hal::cpu::id() % self.lanes.len();
        let (before, from) = self.lanes.split_at(first);
        let mut waiter = Some(waiter);
        loop {
            let attempt = || {
                for lane in from.iter().chain(before) {
                    match lane.try_enqueue(what, payload, self.shape.max_segment_bytes, &mut waiter) {
                        Err(QueueError::Full) => {}
                        Err(QueueError::BadRequest) => return Some(Err(BlockError::TooManySegments)),
                        Err(QueueError::Broken) => return Some(Err(BlockError::Broken)),
                        Ok(slot) => return Some(Ok((lane, slot))),
                    }
                }
                None
            };
            // Without a deadline and interruption the wait ends by the condition only.
            if let Ok(result) = from[0].room.wait_until(None, Interruptible::No, attempt) {
                self.watchdog.started();
                return result;
            }
        }
    }

    /// Carries a request out and sleeps until it has ended.
    fn wait_for(&self, what: (u32, u64), payload: Payload<'_>) -> Result<(), BlockError> {
        let (lane, slot) = self.enqueue(what, payload, Waiter::Thread)?;
        loop {
            if let Ok(result) = lane.ends[slot].wait_until(None, Interruptible::No, || lane.take_end(slot)) {
                return result;
            }
        }
    }

    /// Ends everything that the device is done with on some lanes.
    fn collect(&self, lanes: impl Iterator<Item = usize>) {
        for number in lanes {
            let lane = &self.lanes[number];
            loop {
                match lane.pop() {
                    Popped::Request(ended) => {
                        self.watchdog.progressed();
                        lane.deliver(ended);
                    }
                    Popped::Nothing => break,
                    Popped::Nonsense => {
                        self.give_up("breaks the protocol");
                        return;
                    }
                }
            }
        }
    }

    /// Stops the device for good and ends whatever waits.
    fn give_up(&self, why: &str) {
        if self.is_broken.swap(true, Ordering::AcqRel) {
            return;
        }
        self.lanes.iter().for_each(Lane::break_down);
        let has_stopped = reset(&*self.transport);
        let name = self.identity.get().map_or("", String::as_str);
        log::error!("virtio block \"{name}\" {why}; it is not used any more");
        if !has_stopped {
            log::error!("virtio block \"{name}\" does not reset either");
        }
        self.lanes.iter().for_each(Lane::end_all);
    }

    fn asked(&self, request: &BlockRequest<'_>) -> Result<(u32, u64), BlockError> {
        request.check(self)?;
        let kind = match request.operation {
            Operation::Read => TYPE_READ,
            Operation::Write => TYPE_WRITE,
            Operation::Flush => TYPE_FLUSH,
        };
        Ok((kind, request.sector))
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
    fn can_discard(&self) -> bool {
        self.shape.max_discard_sectors > 0
    }
    fn discard(&self, start_sector: u64, sectors: u64) -> Result<(), BlockError> {
        if !self.can_discard() {
            return Err(BlockError::NotSupported);
        }
        let end = start_sector.checked_add(sectors).filter(|end| *end <= self.shape.sector_count);
        let end = end.ok_or(BlockError::OutOfRange)?;
        let mut at = start_sector;
        while at < end {
            let count = (end - at).min(u64::from(self.shape.max_discard_sectors));
            self.wait_for((TYPE_DISCARD, 0), Payload::Range(at, count as u32))?;
            at += count;
        }
        Ok(())
    }
    unsafe fn submit(&self, request: &BlockRequest<'_>, done: Arc<dyn Completion>) -> Result<(), BlockError> {
        let what = self.asked(request)?;
        self.enqueue(what, Payload::Memory(request.segments), Waiter::Callback(done)).map(|_slot| ())
    }
    unsafe fn transfer(&self, request: &BlockRequest<'_>) -> Result<(), BlockError> {
        self.wait_for(self.asked(request)?, Payload::Memory(request.segments))
    }
}

impl Service for BlockDevice {
    fn interrupt(&self, entry: u16) {
        let first = if entry == ANY_ENTRY { 0 } else { usize::from(entry) };
        let step = if entry == ANY_ENTRY { 1 } else { usize::from(self.entries) };
        self.collect((first..self.lanes.len()).step_by(step));
    }
    fn cpu(&self, entry: u16) -> usize {
        usize::from(entry) % hal::cpu::count()
    }
}

#[cfg(test)]
mod tests;
