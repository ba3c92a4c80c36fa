//! The control queue (section 5.1.6.5): how many pairs of queues are used. One command at start, waited for by polling.

use super::ring;
use crate::virtio::VirtioError;
use crate::virtio::queue::{Buffer, Direction, SharedMemory, VirtQueue};
use crate::virtio::transport::{Doorbell, Transport};
use mm::dma::DmaBuffer;

const CLASS_MULTIQUEUE: u8 = 4;
const SET_PAIRS: u8 = 0;
const ACKNOWLEDGED: u8 = 0;
const TIMEOUT_NS: u64 = 1_000_000_000;

pub(super) struct Control {
    queue: VirtQueue,
    bell: Doorbell,
    memory: SharedMemory,
}

impl Control {
    pub(super) fn start(transport: &dyn Transport, agreed: u64, number: u16) -> Result<Self, VirtioError> {
        let (mut queue, bell) = ring(transport, agreed, number, 4, 3, 0)?;
        queue.disable_interrupts();
        let memory = DmaBuffer::new(16).ok_or(VirtioError::NoMemory)?;
        // SAFETY: leaked just below and used through this only.
        let shared = unsafe { SharedMemory::of(&memory) }.ok_or(VirtioError::NoMemory)?;
        core::mem::forget(memory);
        Ok(Self { queue, bell, memory: shared })
    }

    pub(super) fn set_pairs(mut self, pairs: u16) -> Result<(), VirtioError> {
        self.memory.write(0, &[CLASS_MULTIQUEUE, SET_PAIRS]);
        self.memory.write(2, &pairs.to_le_bytes());
        self.memory.write(4, &[!ACKNOWLEDGED]);
        let part =
            |offset, len_bytes, direction| Buffer { start: self.memory.phys().offset(offset), len_bytes, direction };
        let command =
            [part(0, 2, Direction::ToDevice), part(2, 2, Direction::ToDevice), part(4, 1, Direction::FromDevice)];
        self.queue.add(&command, 0)?;
        if self.queue.needs_notify() {
            self.bell.ring();
        }
        let deadline_ns = hal::clock::now_ns().saturating_add(TIMEOUT_NS);
        while self.queue.pop()?.is_none() {
            if hal::clock::now_ns() > deadline_ns {
                return Err(VirtioError::NoAnswer);
            }
            sched::yield_now();
        }
        let mut answer = [!ACKNOWLEDGED];
        self.memory.read(4, &mut answer);
        if answer == [ACKNOWLEDGED] { Ok(()) } else { Err(VirtioError::BadConfiguration) }
    }
}
