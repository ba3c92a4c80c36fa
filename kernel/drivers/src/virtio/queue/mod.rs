//! The split virtqueue (virtio 1.2 section 2.7), driver side, with event index and preallocated indirect tables.
//!
//! Nothing allocates after [`VirtQueue::new`]. What decides over memory safety (which descriptors are free, how long a
//! chain is, who waits for it) is kept in kernel memory that the device never sees; from the used ring only an index, an
//! id and a length are taken, and each is checked. A device that lies gives [`QueueError::Broken`], for ever.
//!
//! A request is known by a `token` of the driver's choice, usually the number of its own slot.
//!
//! What frames call is inlined where there is a network; a kernel without one is to be small.

mod layout;

pub use layout::{DESCRIPTOR_BYTES, Descriptor, FLAG_INDIRECT, FLAG_NEXT, FLAG_WRITE, Layout, SharedMemory};

use alloc::{boxed::Box, vec::Vec};
use hal::addr::PhysAddr;
use hal::cpu::device_fence;

/// In the used ring's flags: the device does not want to be notified.
const USED_NO_NOTIFY: u16 = 1;
/// In the available ring's flags: we do not want to be interrupted.
const AVAILABLE_NO_INTERRUPT: u16 = 1;

/// Why a queue call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// No descriptors are free; some will be when requests end.
    Full,
    /// The request has no buffers, or more than the queue could ever take.
    BadRequest,
    /// The device broke the protocol.
    Broken,
}

/// Who writes a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// We wrote it, the device reads it.
    ToDevice,
    /// The device writes it.
    FromDevice,
}

/// One buffer of a request. Those to the device come first.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// Bus address.
    pub start: PhysAddr,
    /// Length in bytes, not 0.
    pub len_bytes: u32,
    /// Who writes it.
    pub direction: Direction,
}

/// A request that the device is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// As given to [`VirtQueue::add`].
    pub token: u16,
    /// Bytes that the device says it wrote; at most what it could.
    pub written_bytes: u32,
}

/// What a queue uses beyond the basic ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// `VIRTIO_F_EVENT_IDX` was negotiated.
    pub event_index: EventIndex,
    /// Descriptors in each indirect table; 0 when `VIRTIO_F_INDIRECT_DESC` was not negotiated.
    pub indirect_descriptors: usize,
}

/// Whether each side names the next entry that it wants to hear of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventIndex {
    /// Only on/off flags.
    #[default]
    Absent,
    /// As negotiated.
    Negotiated,
}

/// Our own note of a descriptor.
#[derive(Clone, Copy)]
struct Slot {
    /// Next in the free list, or in the chain.
    next: u16,
    /// Descriptors in the chain that starts here; 0 if no chain in flight does.
    chain: u16,
    token: u16,
    /// Bytes that the device may write.
    writable_bytes: u32,
}

/// A virtqueue.
pub struct VirtQueue {
    memory: SharedMemory,
    layout: Layout,
    indirect: SharedMemory,
    options: QueueOptions,
    slots: Box<[Slot]>,
    /// First free descriptor; meaningful while `free_count` is not 0.
    free: u16,
    free_count: u16,
    /// Index of the next available entry, and what it was when we last thought about notifying.
    available_next: u16,
    notified_at: u16,
    used_next: u16,
    in_flight: u16,
    is_broken: bool,
}

impl VirtQueue {
    /// Bytes of shared memory for `size` descriptors.
    pub const fn memory_bytes(size: u16, options: QueueOptions) -> usize {
        Layout::new(size).total_bytes() + size as usize * options.indirect_descriptors * DESCRIPTOR_BYTES
    }

    /// A queue of `size` (a power of two up to 32768) descriptors in zeroed `memory`. `None` if the size is bad, the
    /// memory too short, or memory for our own notes is out.
    pub fn new(memory: SharedMemory, size: u16, options: QueueOptions) -> Option<Self> {
        if !size.is_power_of_two() || memory.len_bytes() < Self::memory_bytes(size, options) {
            return None;
        }
        let layout = Layout::new(size);
        let mut slots = Vec::new();
        slots.try_reserve_exact(usize::from(size)).ok()?;
        slots.extend((0..size).map(|index| Slot {
            next: index.wrapping_add(1),
            chain: 0,
            token: 0,
            writable_bytes: 0,
        }));
        let tables = usize::from(size) * options.indirect_descriptors * DESCRIPTOR_BYTES;
        Some(Self {
            indirect: memory.part(layout.total_bytes(), tables)?,
            memory,
            layout,
            options,
            slots: slots.into_boxed_slice(),
            free: 0,
            free_count: size,
            available_next: 0,
            notified_at: 0,
            used_next: 0,
            in_flight: 0,
            is_broken: false,
        })
    }

    /// Number of descriptors.
    pub fn size(&self) -> u16 {
        self.slots.len() as u16
    }

    /// Bus addresses of the descriptor table, the available and the used ring.
    pub fn addresses(&self) -> (PhysAddr, PhysAddr, PhysAddr) {
        let at = |offset: usize| self.memory.phys().offset(offset as u64);
        (at(0), at(self.layout.available()), at(self.layout.used()))
    }

    /// Requests that the device has.
    pub fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// Gives the device a request. Ask [`VirtQueue::needs_notify`] after the last of a batch.
    ///
    /// The buffers belong to the device until the token comes back from [`VirtQueue::pop`].
    pub fn add(&mut self, buffers: &[Buffer], token: u16) -> Result<(), QueueError> {
        if let [buffer] = buffers {
            return self.add_one(buffer, token);
        }
        let count = buffers.len();
        let is_indirect = count <= self.options.indirect_descriptors;
        let needed = if is_indirect { 1 } else { count };
        if count == 0 || needed > self.slots.len() {
            return Err(QueueError::BadRequest);
        }
        let head = self.head(needed)?;
        if is_indirect {
            let first = usize::from(head) * self.options.indirect_descriptors;
            for (index, buffer) in buffers.iter().enumerate() {
                let next = if index + 1 < count { Some(index as u16 + 1) } else { None };
                self.indirect.store_descriptor(first + index, describe(buffer, next));
            }
            let table = Descriptor {
                address: self.indirect.phys().offset((first * DESCRIPTOR_BYTES) as u64).0,
                len: (count * DESCRIPTOR_BYTES) as u32,
                flags: FLAG_INDIRECT,
                next: 0,
            };
            self.memory.store_descriptor(usize::from(head), table);
            self.free = self.slots[usize::from(head)].next;
        } else {
            for (index, buffer) in buffers.iter().enumerate() {
                let at = usize::from(self.free);
                let next = self.slots[at].next;
                self.memory.store_descriptor(at, describe(buffer, (index + 1 < count).then_some(next)));
                self.free = next;
            }
        }
        let writable = buffers.iter().map(writable_bytes).fold(0, u32::saturating_add);
        self.offer(head, needed as u16, token, writable);
        Ok(())
    }

    /// [`Self::add`] of one buffer: what every frame of a network is.
    #[cfg_attr(feature = "network", inline(always))]
    pub fn add_one(&mut self, buffer: &Buffer, token: u16) -> Result<(), QueueError> {
        let head = self.head(1)?;
        self.memory.store_descriptor(usize::from(head), describe(buffer, None));
        self.free = self.slots[usize::from(head)].next;
        self.offer(head, 1, token, writable_bytes(buffer));
        Ok(())
    }

    /// The first free descriptor, if so many are free.
    fn head(&self, needed: usize) -> Result<u16, QueueError> {
        match () {
            () if self.is_broken => Err(QueueError::Broken),
            () if needed > usize::from(self.free_count) => Err(QueueError::Full),
            () => Ok(self.free),
        }
    }

    /// Puts a chain that is written into the available ring.
    #[cfg_attr(feature = "network", inline(always))]
    fn offer(&mut self, head: u16, chain: u16, token: u16, writable_bytes: u32) {
        self.free_count -= chain;
        let slot = &mut self.slots[usize::from(head)];
        (slot.chain, slot.token, slot.writable_bytes) = (chain, token, writable_bytes);
        self.in_flight += 1;
        self.memory.store(self.layout.available_entry(self.available_next), head);
        self.available_next = self.available_next.wrapping_add(1);
        // The release store makes descriptors and entry visible before the index.
        self.memory.store(self.layout.available_index(), self.available_next);
    }

    /// Whether the device wants to be told of what was added since the last call.
    #[cfg_attr(feature = "network", inline(always))]
    pub fn needs_notify(&mut self) -> bool {
        // The device may go to sleep just now: our index must be out before its wish is read (section 2.7.13.4.1).
        device_fence();
        let new = self.available_next;
        let old = core::mem::replace(&mut self.notified_at, new);
        match self.options.event_index {
            EventIndex::Negotiated => {
                let event = self.memory.load(self.layout.avail_event());
                new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
            }
            EventIndex::Absent => new != old && self.memory.load(self.layout.used()) & USED_NO_NOTIFY == 0,
        }
    }

    /// Takes back one request that the device is done with.
    #[cfg_attr(feature = "network", inline(always))]
    pub fn pop(&mut self) -> Result<Option<Used>, QueueError> {
        if self.is_broken {
            return Err(QueueError::Broken);
        }
        let ready = self.memory.load(self.layout.used_index()).wrapping_sub(self.used_next);
        if ready == 0 {
            return Ok(None);
        }
        if ready > self.in_flight {
            return Err(self.break_down());
        }
        let entry = self.layout.used_entry(self.used_next);
        let id = self.memory.load_u32(entry);
        let written_bytes = self.memory.load_u32(entry + 4);
        match self.slots.get(id as usize) {
            Some(slot) if slot.chain != 0 && written_bytes <= slot.writable_bytes => {}
            _ => return Err(self.break_down()),
        }
        let token = self.release(id as u16);
        self.used_next = self.used_next.wrapping_add(1);
        Ok(Some(Used { token, written_bytes }))
    }

    /// Asks for an interrupt at the next used entry. True if there is none yet, so that the caller may sleep; false
    /// means: pop again.
    pub fn enable_interrupts(&mut self) -> bool {
        match self.options.event_index {
            EventIndex::Negotiated => self.memory.store(self.layout.used_event(), self.used_next),
            EventIndex::Absent => self.memory.store(self.layout.available(), 0),
        }
        device_fence();
        self.is_broken || self.memory.load(self.layout.used_index()) == self.used_next
    }

    /// Asks for no interrupts. One may come all the same.
    pub fn disable_interrupts(&mut self) {
        match self.options.event_index {
            // An index that lies a whole round ahead.
            EventIndex::Negotiated => self.memory.store(self.layout.used_event(), self.used_next.wrapping_sub(1)),
            EventIndex::Absent => self.memory.store(self.layout.available(), AVAILABLE_NO_INTERRUPT),
        }
    }

    /// Whether the device broke the protocol.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Marks the device as not to be trusted any more.
    pub fn break_down(&mut self) -> QueueError {
        self.is_broken = true;
        QueueError::Broken
    }

    /// Puts the chain from `head` back on the free list.
    #[cfg_attr(feature = "network", inline(always))]
    fn release(&mut self, head: u16) -> u16 {
        let slot = &mut self.slots[usize::from(head)];
        let chain = core::mem::take(&mut slot.chain);
        let token = slot.token;
        let mut last = head;
        for _ in 1..chain {
            last = self.slots[usize::from(last)].next;
        }
        self.slots[usize::from(last)].next = self.free;
        self.free = head;
        self.free_count += chain;
        self.in_flight -= 1;
        token
    }
}

/// What the device may write.
fn writable_bytes(buffer: &Buffer) -> u32 {
    if buffer.direction == Direction::FromDevice { buffer.len_bytes } else { 0 }
}

fn describe(buffer: &Buffer, next: Option<u16>) -> Descriptor {
    let direction = if buffer.direction == Direction::FromDevice { FLAG_WRITE } else { 0 };
    let chained = if next.is_some() { FLAG_NEXT } else { 0 };
    Descriptor { address: buffer.start.0, len: buffer.len_bytes, flags: direction | chained, next: next.unwrap_or(0) }
}

#[cfg(test)]
pub(in crate::virtio) mod fake_device;
#[cfg(test)]
mod tests;
