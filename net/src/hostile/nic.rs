//! A device whose frames a test takes and makes.
#![allow(unsafe_code, reason = "buffers of a device are lent by unsafe contract")]

use hal::hil::frame::FrameMemory;
use hal::hil::nic::{NicStatistics, Offloads, TransmitOffload};
use hal::hil::{Nic, NicError, NicEvents, NicInfo, ReceivedFrame, TransmitBuffer};
use hal::sync::SpinLock;
use std::boxed::Box;
use std::ptr::NonNull;
use std::vec::Vec;

const SLOTS: usize = 64;
const SLOT_BYTES: usize = 2048;
pub(super) const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

pub(super) struct TestNic {
    memory: &'static SpinLock<[[u8; SLOT_BYTES]; SLOTS]>,
    start: usize,
    free: SpinLock<Vec<u16>>,
    sent: SpinLock<Vec<Vec<u8>>>,
}

impl TestNic {
    pub(super) fn new() -> &'static Self {
        let memory = Box::leak(Box::new(SpinLock::new([[0; SLOT_BYTES]; SLOTS])));
        let start = memory.lock().as_mut_ptr() as usize;
        let free = SpinLock::new((0..SLOTS as u16).collect());
        Box::leak(Box::new(Self { memory, start, free, sent: SpinLock::new(Vec::new()) }))
    }

    pub(super) fn info() -> NicInfo {
        let offloads = Offloads::default();
        NicInfo { mac: MAC, mtu_bytes: 1500, queues: 1, offloads, max_transmit_bytes: 1514 }
    }

    /// The frames that were sent since the last call.
    pub(super) fn take_sent(&self) -> Vec<Vec<u8>> {
        core::mem::take(&mut *self.sent.lock())
    }

    fn at(&self, slot: u16) -> NonNull<u8> {
        NonNull::new((self.start + usize::from(slot) * SLOT_BYTES) as *mut u8).expect("in the memory")
    }
}

impl FrameMemory for TestNic {
    fn next_piece(&self, _queue: u16, _slot: u16) -> Option<(u16, NonNull<u8>, usize)> {
        None
    }
    fn recycle(&self, _queue: u16, _slot: u16) {}
    fn discard(&self, _queue: u16, slot: u16) {
        self.free.lock().push(slot);
    }
}

impl Nic for TestNic {
    fn start(&'static self, _max_queues: usize, _events: &'static dyn NicEvents) -> Result<NicInfo, NicError> {
        Ok(Self::info())
    }
    fn receive(&'static self, _queue: usize) -> Option<ReceivedFrame> {
        None
    }
    fn enable_receive_interrupt(&self, _queue: usize) -> bool {
        true
    }
    fn disable_receive_interrupt(&self, _queue: usize) {}
    fn transmit_buffer(&'static self, _queue: usize, len_bytes: usize) -> Option<TransmitBuffer> {
        assert!(len_bytes <= 1514, "a frame of {len_bytes} bytes");
        let slot = self.free.lock().pop()?;
        // SAFETY: the slot is nobody else's until it is given back, and has room.
        Some(unsafe { TransmitBuffer::new(self, (0, slot), (self.at(slot), len_bytes as u32)) })
    }
    fn transmit(&self, buffer: TransmitBuffer, _offload: TransmitOffload) {
        let bytes = buffer.to_vec();
        let (_, slot, _) = buffer.into_parts();
        self.free.lock().push(slot);
        self.sent.lock().push(bytes);
    }
    fn kick(&self, _queue: usize) {}
    fn link_is_up(&self) -> bool {
        self.memory.lock().len() == SLOTS
    }
    fn statistics(&self) -> NicStatistics {
        NicStatistics::default()
    }
}
