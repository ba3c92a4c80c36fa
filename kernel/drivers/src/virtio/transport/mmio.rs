//! Virtio over memory-mapped registers, version 2 (section 4.2). One interrupt line for everything.

use super::{ANY_ENTRY, Doorbell, DoorbellWidth, QueuePlacement, Transport, VirtioError};
use crate::interrupts::{self, Service};
use crate::registers::Registers;
use alloc::sync::Arc;
use hal::addr::PhysAddr;
use hal::irq::{self, Trigger};

/// Register offsets (section 4.2.2).
mod register {
    pub const MAGIC: usize = 0x00;
    pub const VERSION: usize = 0x04;
    pub const DEVICE_ID: usize = 0x08;
    pub const DEVICE_FEATURES: usize = 0x10;
    pub const DEVICE_FEATURES_SELECT: usize = 0x14;
    pub const DRIVER_FEATURES: usize = 0x20;
    pub const DRIVER_FEATURES_SELECT: usize = 0x24;
    pub const QUEUE_SELECT: usize = 0x30;
    pub const QUEUE_MAX_SIZE: usize = 0x34;
    pub const QUEUE_SIZE: usize = 0x38;
    pub const QUEUE_READY: usize = 0x44;
    pub const QUEUE_NOTIFY: usize = 0x50;
    pub const INTERRUPT_STATUS: usize = 0x60;
    pub const INTERRUPT_ACKNOWLEDGE: usize = 0x64;
    pub const STATUS: usize = 0x70;
    pub const QUEUE_TABLE: usize = 0x80;
    pub const QUEUE_AVAILABLE: usize = 0x90;
    pub const QUEUE_USED: usize = 0xa0;
    pub const CONFIG_GENERATION: usize = 0xfc;
    pub const CONFIG: usize = 0x100;
}
/// "virt".
const MAGIC: u32 = 0x7472_6976;
/// Most register blocks that a machine says it has are 512 bytes.
const MIN_BYTES: u64 = 0x200;
const MAX_BYTES: u64 = 0x1000;

/// Where a device is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MmioPlace {
    pub start: PhysAddr,
    pub len_bytes: u64,
    /// Global system interrupt, and how it signals.
    pub gsi: u32,
    pub trigger: Trigger,
}

/// A memory-mapped virtio device.
pub(crate) struct MmioTransport {
    registers: Registers,
    device_type: u32,
    gsi: u32,
    trigger: Trigger,
}

impl MmioTransport {
    /// Looks at a place; `Ok(None)` if no device is there (an empty slot, device type 0).
    pub(crate) fn new(place: &MmioPlace) -> Result<Option<Self>, VirtioError> {
        if place.len_bytes < MIN_BYTES {
            return Err(VirtioError::NoRegisters);
        }
        let len_bytes = place.len_bytes.min(MAX_BYTES) as usize;
        let registers = Registers::map(place.start, len_bytes).ok_or(VirtioError::NoRegisters)?;
        if registers.read_u32(register::MAGIC) != MAGIC {
            return Err(VirtioError::NoRegisters);
        }
        let device_type = registers.read_u32(register::DEVICE_ID);
        if device_type == 0 {
            return Ok(None);
        }
        if registers.read_u32(register::VERSION) != 2 {
            return Err(VirtioError::Legacy);
        }
        Ok(Some(Self { registers, device_type, gsi: place.gsi, trigger: place.trigger }))
    }

    fn write_u64(&self, offset: usize, value: u64) {
        self.registers.write_u32(offset, value as u32);
        self.registers.write_u32(offset + 4, (value >> 32) as u32);
    }
}

/// Between the line and the driver: takes the interrupt back first, so that a later cause raises the line again.
struct Acknowledge {
    registers: Registers,
    service: Arc<dyn Service>,
}

impl Service for Acknowledge {
    fn interrupt(&self, entry: u16) {
        let causes = self.registers.read_u32(register::INTERRUPT_STATUS);
        self.registers.write_u32(register::INTERRUPT_ACKNOWLEDGE, causes);
        self.service.interrupt(entry);
    }
}

impl Transport for MmioTransport {
    fn device_type(&self) -> u32 {
        self.device_type
    }
    fn offered_features(&self) -> u64 {
        let half = |select: u32| {
            self.registers.write_u32(register::DEVICE_FEATURES_SELECT, select);
            u64::from(self.registers.read_u32(register::DEVICE_FEATURES))
        };
        half(0) | half(1) << 32
    }
    fn accept_features(&self, features: u64) {
        for (select, half) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.registers.write_u32(register::DRIVER_FEATURES_SELECT, select);
            self.registers.write_u32(register::DRIVER_FEATURES, half);
        }
    }
    fn status(&self) -> u8 {
        self.registers.read_u32(register::STATUS) as u8
    }
    fn set_status(&self, status: u8) {
        self.registers.write_u32(register::STATUS, u32::from(status));
    }
    fn queue_max_size(&self, queue: u16) -> u16 {
        self.registers.write_u32(register::QUEUE_SELECT, u32::from(queue));
        u16::try_from(self.registers.read_u32(register::QUEUE_MAX_SIZE)).unwrap_or(u16::MAX)
    }
    fn activate_queue(&self, placement: &QueuePlacement) -> Result<Doorbell, VirtioError> {
        if self.queue_max_size(placement.queue) < placement.size || self.registers.read_u32(register::QUEUE_READY) != 0
        {
            return Err(VirtioError::NoQueue(placement.queue));
        }
        self.registers.write_u32(register::QUEUE_SIZE, u32::from(placement.size));
        let (table, available, used) = placement.addresses;
        self.write_u64(register::QUEUE_TABLE, table.0);
        self.write_u64(register::QUEUE_AVAILABLE, available.0);
        self.write_u64(register::QUEUE_USED, used.0);
        self.registers.write_u32(register::QUEUE_READY, 1);
        let register = self.registers.part(register::QUEUE_NOTIFY, 4).ok_or(VirtioError::NoRegisters)?;
        Ok(Doorbell { register, queue: placement.queue, width: DoorbellWidth::Bits32 })
    }
    fn entries(&self, _wanted: u16) -> u16 {
        1
    }
    fn connect(&self, name: &'static str, service: Arc<dyn Service>, _count: u16) -> Result<(), VirtioError> {
        let acknowledge = Arc::new(Acknowledge { registers: self.registers, service });
        let vector = interrupts::attach(name, acknowledge, ANY_ENTRY).ok_or(VirtioError::NoInterrupt)?;
        if irq::route_gsi(self.gsi, vector, self.trigger) { Ok(()) } else { Err(VirtioError::NoInterrupt) }
    }
    fn config_u16(&self, offset: usize) -> u16 {
        self.registers.read_u16(register::CONFIG + offset)
    }
    fn config_u32(&self, offset: usize) -> u32 {
        self.registers.read_u32(register::CONFIG + offset)
    }
    fn config_generation(&self) -> u32 {
        self.registers.read_u32(register::CONFIG_GENERATION)
    }
}
