//! The network device (section 5.1): pairs of queues, checksums and segmentation by the device, mergeable buffers.
//!
//! A device that was found costs nothing until [`hil::Nic::start`]. All memory is taken then: a pool of slots a queue,
//! lent to the user as frames ([`receive`], [`transmit`]); nothing allocates on the way. A queue that breaks the protocol
//! ends the device: it is reset, and nothing is received or sent any more.
//!
//! Locks: one spin lock a queue, a leaf.

mod control;
mod header;
mod pool;
mod receive;
mod transmit;

use super::VirtioError;
use super::queue::{QueueError, SharedMemory, VirtQueue};
use super::start::{go, negotiate, queue_options, queue_size, reset, start_queue};
use super::transport::pci::PciTransport;
use super::transport::{ANY_ENTRY, Doorbell, Transport};
use crate::interrupts::Service;
use crate::pci::Function;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use hal::hil::frame::FrameMemory;
use hal::hil::nic::{ETHERNET_HEADER_BYTES, NicStatistics, Offloads, TransmitOffload, send_by_buffer};
use hal::hil::{self, Nic, NicError, NicEvents, NicInfo, ReceivedFrame, TransmitBuffer};
use hal::sync::{Once, SpinLock};
use header::HEADER_BYTES;
use mm::dma::DmaBuffer;
use receive::Receive;
use transmit::Transmit;

/// Features (section 5.1.3).
const CSUM: u64 = 1 << 0;
const GUEST_CSUM: u64 = 1 << 1;
const MTU: u64 = 1 << 3;
const MAC: u64 = 1 << 5;
const GUEST_TSO4: u64 = 1 << 7;
const GUEST_TSO6: u64 = 1 << 8;
const HOST_TSO4: u64 = 1 << 11;
const HOST_TSO6: u64 = 1 << 12;
const MRG_RXBUF: u64 = 1 << 15;
const STATUS: u64 = 1 << 16;
const CTRL_VQ: u64 = 1 << 17;
const MQ: u64 = 1 << 22;
const ALWAYS: u64 = CSUM | GUEST_CSUM | MTU | MAC | HOST_TSO4 | HOST_TSO6 | MRG_RXBUF | STATUS;

/// Configuration fields (section 5.1.4).
const CONFIG_MAC: usize = 0;
const CONFIG_STATUS: usize = 6;
const CONFIG_MAX_PAIRS: usize = 8;
const CONFIG_MTU: usize = 10;
const STATUS_LINK_UP: u16 = 1;

const DEFAULT_MTU: u16 = 1500;
/// What IPv4 demands (RFC 791); less makes no sense.
const MIN_MTU: u16 = 68;
const RECEIVE_RING: u16 = 256;
/// Pairs of queues at most: as many as interrupts can be had for.
const MAX_PAIRS: usize = 16;

/// A device as it was found.
pub(super) enum Found {
    /// Its registers have not been touched.
    Pci(Function),
    /// It is mapped.
    Ready(Arc<dyn Transport>),
}

struct Pair {
    receive: SpinLock<Receive>,
    receive_links: receive::Links,
    transmit: SpinLock<Transmit>,
    receive_bell: Doorbell,
    transmit_bell: Doorbell,
}

/// A device that runs.
struct Running {
    transport: Arc<dyn Transport>,
    agreed: u64,
    pairs: Vec<Pair>,
    /// Whether an interrupt's entry tells the queue: receive queues first, then transmit queues.
    has_entries: bool,
    events: &'static dyn NicEvents,
    is_broken: AtomicBool,
}

struct NetDevice {
    found: Found,
    is_taken: AtomicBool,
    running: Once<Running>,
}

/// Makes a device known; nothing is done to it.
pub(super) fn register(found: Found) {
    let device = Box::leak(Box::new(NetDevice { found, is_taken: AtomicBool::new(false), running: Once::new() }));
    hil::register_nic(device);
}

/// The interrupts' way to the device.
struct Interrupts(&'static NetDevice);

impl Service for Interrupts {
    fn interrupt(&self, entry: u16) {
        if let Some(running) = self.0.running.get() {
            running.interrupt(entry);
        }
    }
    fn cpu(&self, entry: u16) -> usize {
        // Queue n of either direction interrupts vCPU n.
        let pairs = self.0.running.get().map_or(1, |running| running.pairs.len());
        usize::from(entry) % pairs % hal::cpu::count()
    }
}

impl NetDevice {
    fn bring_up(
        &'static self,
        transport: Arc<dyn Transport>,
        max_queues: usize,
        events: &'static dyn NicEvents,
    ) -> Result<NicInfo, VirtioError> {
        let offered = transport.offered_features();
        let mut wanted = ALWAYS;
        // Joined segments need as many buffers as they are long.
        if offered & MRG_RXBUF != 0 {
            wanted |= GUEST_TSO4 | GUEST_TSO6;
        }
        if offered & (MQ | CTRL_VQ) == MQ | CTRL_VQ && max_queues > 1 {
            wanted |= MQ | CTRL_VQ;
        }
        let agreed = negotiate(&*transport, wanted)?;
        let max_pairs = if agreed & MQ != 0 { usize::from(transport.config_u16(CONFIG_MAX_PAIRS)).max(1) } else { 1 };
        let count = max_pairs.min(max_queues).clamp(1, MAX_PAIRS);
        let info = info(&*transport, agreed, count);
        let entries = usize::from(transport.entries(2 * count as u16));
        let has_entries = entries == 2 * count;
        let pairs: Result<Vec<Pair>, VirtioError> = (0..count)
            .map(|number| {
                let entry = |entry: usize| if has_entries { entry as u16 } else { 0 };
                Pair::start(&*transport, agreed, &info, number, (entry(number), entry(count + number)))
            })
            .collect();
        let control = match agreed & MQ != 0 && count > 1 {
            true => Some(control::Control::start(&*transport, agreed, 2 * max_pairs as u16)?),
            false => None,
        };
        let running = Running {
            transport: transport.clone(),
            agreed,
            pairs: pairs?,
            has_entries,
            events,
            is_broken: AtomicBool::new(false),
        };
        let running = self.running.call_once(|| running);
        transport.connect("virtio-net", Arc::new(Interrupts(self)), if has_entries { 2 * count as u16 } else { 1 })?;
        go(&*transport);
        for (number, pair) in running.pairs.iter().enumerate() {
            pair.receive.lock().start()?;
            pair.receive_bell.ring();
            if !pair.receive.lock().enable_interrupt() {
                events.receive_ready(number);
            }
        }
        if let Some(control) = control {
            control.set_pairs(count as u16)?;
        }
        log::info!("virtio net: {:02x?}, MTU {}, {count} queue pairs, features {agreed:#x}", info.mac, info.mtu_bytes);
        Ok(info)
    }

    fn pair(&self, queue: usize) -> Option<&Pair> {
        self.running.get()?.pairs.get(queue)
    }
}

fn info(transport: &dyn Transport, agreed: u64, queues: usize) -> NicInfo {
    let has = |bits: u64| agreed & bits == bits;
    let mut mac = [0; 6];
    if has(MAC) {
        for (index, part) in mac.chunks_exact_mut(2).enumerate() {
            part.copy_from_slice(&transport.config_u16(CONFIG_MAC + 2 * index).to_le_bytes());
        }
    } else {
        hal::random::fill(&mut mac);
        // Locally administered, of one machine.
        mac[0] = mac[0] & 0xfe | 2;
    }
    let mtu = if has(MTU) { transport.config_u16(CONFIG_MTU).max(MIN_MTU) } else { DEFAULT_MTU };
    let offloads = Offloads {
        transmit_checksum: has(CSUM),
        segmentation_tcp4: has(CSUM | HOST_TSO4),
        segmentation_tcp6: has(CSUM | HOST_TSO6),
        receive_checksum: has(GUEST_CSUM),
        receive_large: agreed & (GUEST_TSO4 | GUEST_TSO6) != 0,
    };
    let frame_bytes = usize::from(mtu) + ETHERNET_HEADER_BYTES;
    let is_large = offloads.segmentation_tcp4 || offloads.segmentation_tcp6;
    let max_transmit_bytes = if is_large { transmit::LARGE_BYTES - HEADER_BYTES } else { frame_bytes };
    NicInfo { mac, mtu_bytes: mtu, queues, offloads, max_transmit_bytes }
}

/// Makes queue `number` with memory of its own, which the device keeps for ever.
fn ring(
    transport: &dyn Transport,
    agreed: u64,
    number: u16,
    wanted: u16,
    indirect: usize,
    entry: u16,
) -> Result<(VirtQueue, Doorbell), VirtioError> {
    let size = queue_size(transport, number, wanted)?;
    let options = queue_options(agreed, indirect);
    let memory = DmaBuffer::new(VirtQueue::memory_bytes(size, options)).ok_or(VirtioError::NoMemory)?;
    // SAFETY: the buffer is leaked just below and used through this only.
    let shared = unsafe { SharedMemory::of(&memory) }.ok_or(VirtioError::NoMemory)?;
    core::mem::forget(memory);
    start_queue(transport, number, size, options, shared, entry)
}

impl Pair {
    fn start(
        transport: &dyn Transport,
        agreed: u64,
        info: &NicInfo,
        number: usize,
        entries: (u16, u16),
    ) -> Result<Self, VirtioError> {
        let frame_bytes = usize::from(info.mtu_bytes) + ETHERNET_HEADER_BYTES;
        let first = 2 * number as u16;
        let (queue, receive_bell) = ring(transport, agreed, first, RECEIVE_RING, 0, entries.0)?;
        let (receive, receive_links) = Receive::new(queue, receive_bell, agreed, frame_bytes)?;
        let (queue, transmit_bell) = ring(transport, agreed, first + 1, transmit::RING, 0, entries.1)?;
        let transmit = Transmit::new(queue, frame_bytes, info.max_transmit_bytes)?;
        Ok(Self {
            receive: SpinLock::new(receive),
            receive_links,
            transmit: SpinLock::new(transmit),
            receive_bell,
            transmit_bell,
        })
    }
}

impl Running {
    fn interrupt(&self, entry: u16) {
        let count = self.pairs.len();
        match usize::from(entry) {
            entry if self.has_entries && entry < count => self.receive_interrupt(entry),
            entry if self.has_entries && entry < 2 * count => self.transmit_interrupt(entry - count),
            entry if !self.has_entries || entry == usize::from(ANY_ENTRY) => {
                for queue in 0..count {
                    self.receive_interrupt(queue);
                    self.transmit_interrupt(queue);
                }
            }
            _ => {}
        }
    }

    fn receive_interrupt(&self, queue: usize) {
        if self.pairs[queue].receive.lock().take_interrupt() {
            self.events.receive_ready(queue);
        }
    }

    fn transmit_interrupt(&self, queue: usize) {
        if self.pairs[queue].transmit.lock().take_interrupt() {
            self.events.transmit_ready(queue);
        }
    }

    /// The device broke the protocol: it is stopped for good.
    fn give_up(&self) {
        if self.is_broken.swap(true, Ordering::AcqRel) {
            return;
        }
        for pair in &self.pairs {
            pair.receive.lock().break_down();
            pair.transmit.lock().break_down();
        }
        reset(&*self.transport);
        log::error!("virtio net breaks the protocol; it is not used any more");
        self.events.link_changed();
    }

    fn checked<T: Default>(&self, result: Result<T, QueueError>) -> T {
        result.unwrap_or_else(|_| {
            self.give_up();
            T::default()
        })
    }
}

impl Nic for NetDevice {
    fn start(&'static self, max_queues: usize, events: &'static dyn NicEvents) -> Result<NicInfo, NicError> {
        if self.is_taken.swap(true, Ordering::AcqRel) {
            return Err(NicError::Started);
        }
        let transport: Result<Arc<dyn Transport>, VirtioError> = match &self.found {
            Found::Pci(function) => PciTransport::new(function).map(|transport| Arc::new(transport) as _),
            Found::Ready(transport) => Ok(transport.clone()),
        };
        let result = transport.and_then(|transport| {
            let result = self.bring_up(transport.clone(), max_queues, events);
            if result.is_err() {
                super::start::fail(&*transport);
            }
            result
        });
        result.map_err(|error| {
            log::error!("virtio net: {error}");
            if error == VirtioError::NoMemory { NicError::NoMemory } else { NicError::Broken }
        })
    }

    fn receive(&'static self, queue: usize) -> Option<ReceivedFrame> {
        let pair = self.pair(queue)?;
        let result = pair.receive.lock().next(&pair.receive_links);
        let next = self.running.get()?.checked(result)?;
        // SAFETY: the slots are out of the device's hands until the frame is recycled; its pieces are linked.
        Some(unsafe { ReceivedFrame::new(self, (queue as u16, next.slot), next.first, next.about) })
    }

    fn enable_receive_interrupt(&self, queue: usize) -> bool {
        self.pair(queue).is_none_or(|pair| pair.receive.lock().enable_interrupt())
    }

    fn disable_receive_interrupt(&self, queue: usize) {
        if let Some(pair) = self.pair(queue) {
            pair.receive.lock().disable_interrupt();
        }
    }

    fn transmit_buffer(&'static self, queue: usize, len_bytes: usize) -> Option<TransmitBuffer> {
        let result = self.pair(queue)?.transmit.lock().buffer(len_bytes);
        let (slot, start) = self.running.get()?.checked(result)?;
        // SAFETY: the slot is nobody else's until it is discarded or transmitted, and has room for so many bytes.
        Some(unsafe { TransmitBuffer::new(self, (queue as u16, slot), (start, len_bytes as u32)) })
    }

    fn transmit(&self, buffer: TransmitBuffer, offload: TransmitOffload) {
        let (queue, slot, len_bytes) = buffer.into_parts();
        if let (Some(pair), Some(running)) = (self.pair(queue.into()), self.running.get()) {
            let result = pair.transmit.lock().send(slot, len_bytes, offload);
            running.checked(result);
        }
    }

    fn kick(&self, queue: usize) {
        if let Some(pair) = self.pair(queue)
            && pair.transmit.lock().needs_notify()
        {
            pair.transmit_bell.ring();
        }
    }

    fn send(&'static self, queue: usize, len_bytes: usize, fill: &mut dyn FnMut(&mut [u8]) -> TransmitOffload) -> bool {
        let Some(running) = self.running.get() else { return false };
        let Some(pair) = running.pairs.get(queue) else { return false };
        if len_bytes > transmit::SHORT_BYTES {
            return send_by_buffer(self, queue, len_bytes, fill);
        }
        let mut transmit = pair.transmit.lock();
        let result = transmit.send_filled(len_bytes, fill);
        let must_ring = transmit.needs_notify();
        drop(transmit);
        let was_room = running.checked(result);
        if must_ring {
            pair.transmit_bell.ring();
        }
        was_room
    }

    fn link_is_up(&self) -> bool {
        self.running.get().is_some_and(|running| {
            let says_so =
                running.agreed & STATUS == 0 || running.transport.config_u16(CONFIG_STATUS) & STATUS_LINK_UP != 0;
            says_so && !running.is_broken.load(Ordering::Acquire)
        })
    }

    fn statistics(&self) -> NicStatistics {
        let mut sum = NicStatistics::default();
        for pair in self.running.get().iter().flat_map(|running| &running.pairs) {
            pair.receive.lock().count(&mut sum);
            pair.transmit.lock().count(&mut sum);
        }
        sum
    }
}

impl FrameMemory for NetDevice {
    fn next_piece(&self, queue: u16, slot: u16) -> Option<(u16, NonNull<u8>, usize)> {
        let pair = self.pair(queue.into())?;
        pair.receive_links.next_piece(slot)
    }

    fn recycle(&self, queue: u16, slot: u16) {
        let (Some(pair), Some(running)) = (self.pair(queue.into()), self.running.get()) else { return };
        let result = pair.receive.lock().recycle(&pair.receive_links, slot);
        if running.checked(result) {
            pair.receive_bell.ring();
        }
    }

    fn discard(&self, queue: u16, slot: u16) {
        if let Some(pair) = self.pair(queue.into()) {
            pair.transmit.lock().discard(slot);
        }
    }
}

#[cfg(test)]
mod tests;
