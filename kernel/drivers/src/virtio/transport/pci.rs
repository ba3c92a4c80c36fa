//! Virtio over PCI, modern interface (section 4.1).

use super::{Doorbell, DoorbellWidth, QueuePlacement, Transport, VirtioError};
use crate::interrupts::{self, Service};
use crate::pci::{CAPABILITY_VENDOR, Function, MsiX};
use crate::registers::Registers;
use alloc::sync::Arc;
use hal::irq;

/// Red Hat's vendor id, which virtio devices have.
pub(crate) const VENDOR: u16 = 0x1af4;
/// PCI device ids of modern devices start here: plus the device type.
const FIRST_MODERN_DEVICE: u16 = 0x1040;
/// Transitional devices have ids from 0x1000 to 0x103f, which say the type by a table.
const TRANSITIONAL: [(u16, u32); 4] = [(0x1000, 1), (0x1001, 2), (0x1003, 3), (0x1005, 4)];

/// Kinds of capability (section 4.1.4).
const KIND_COMMON: u8 = 1;
const KIND_NOTIFY: u8 = 2;
const KIND_DEVICE: u8 = 4;

/// Common configuration (section 4.1.4.3).
mod common {
    pub const DEVICE_FEATURE_SELECT: usize = 0;
    pub const DEVICE_FEATURE: usize = 4;
    pub const DRIVER_FEATURE_SELECT: usize = 8;
    pub const DRIVER_FEATURE: usize = 12;
    pub const CONFIG_VECTOR: usize = 16;
    pub const DEVICE_STATUS: usize = 20;
    pub const CONFIG_GENERATION: usize = 21;
    pub const QUEUE_SELECT: usize = 22;
    pub const QUEUE_SIZE: usize = 24;
    pub const QUEUE_VECTOR: usize = 26;
    pub const QUEUE_ENABLE: usize = 28;
    pub const QUEUE_NOTIFY_OFFSET: usize = 30;
    pub const QUEUE_TABLE: usize = 32;
    pub const QUEUE_AVAILABLE: usize = 40;
    pub const QUEUE_USED: usize = 48;
    pub const BYTES: u64 = 56;
}
const NO_VECTOR: u16 = 0xffff;

/// A virtio device on PCI. Selector registers make set-up single-threaded; the drivers' probe is.
pub(crate) struct PciTransport {
    device_type: u32,
    common: Registers,
    notify: Registers,
    notify_multiplier: u32,
    device: Option<Registers>,
    msix: MsiX,
}

impl PciTransport {
    /// The device type of a function that is a virtio device.
    pub(crate) fn recognise(function: &Function) -> Option<u32> {
        if function.vendor != VENDOR {
            return None;
        }
        if function.device >= FIRST_MODERN_DEVICE {
            return Some(u32::from(function.device - FIRST_MODERN_DEVICE));
        }
        TRANSITIONAL.iter().find(|(id, _)| *id == function.device).map(|(_, device_type)| *device_type)
    }

    /// Maps the function's registers.
    pub(crate) fn new(function: &Function) -> Result<Self, VirtioError> {
        let device_type = Self::recognise(function).ok_or(VirtioError::NoRegisters)?;
        // Place unset BARs before the function decodes.
        let windows = Windows::find(function)?;
        function.enable();
        let msix = function.msix().ok_or(VirtioError::NoInterrupt)?;
        Ok(Self {
            device_type,
            common: windows.common,
            notify: windows.notify,
            notify_multiplier: windows.notify_multiplier,
            device: windows.device,
            msix,
        })
    }

    fn select(&self, queue: u16) {
        self.common.write_u16(common::QUEUE_SELECT, queue);
    }

    fn write_u64(&self, offset: usize, value: u64) {
        self.common.write_u32(offset, value as u32);
        self.common.write_u32(offset + 4, (value >> 32) as u32);
    }
}

struct Windows {
    common: Registers,
    notify: Registers,
    notify_multiplier: u32,
    device: Option<Registers>,
}

impl Windows {
    fn find(function: &Function) -> Result<Self, VirtioError> {
        let config = function.config();
        let (mut common, mut notify, mut device) = (None, None, None);
        let mut notify_multiplier = 0;
        for (_, at) in function.capabilities().filter(|(id, _)| *id == CAPABILITY_VENDOR) {
            let (kind, bar) = (config.read_u8(at + 3), config.read_u8(at + 4));
            let (offset, len) = (u64::from(config.read_u32(at + 8)), u64::from(config.read_u32(at + 12)));
            // The first of a kind that we can reach is the one to use.
            let window = |wanted: u64| function.map_bar(bar, offset, wanted.min(len));
            match kind {
                KIND_COMMON if common.is_none() && len >= common::BYTES => common = window(common::BYTES),
                KIND_NOTIFY if notify.is_none() => {
                    notify = window(len);
                    notify_multiplier = config.read_u32(at + 16);
                }
                // Our devices' configuration is short; a huge window would only cost page tables.
                KIND_DEVICE if device.is_none() => device = window(4096),
                _ => {}
            }
        }
        match (common, notify) {
            (Some(common), Some(notify)) => Ok(Self { common, notify, notify_multiplier, device }),
            (None, None) => Err(VirtioError::Legacy),
            _ => Err(VirtioError::NoRegisters),
        }
    }
}

impl Transport for PciTransport {
    fn device_type(&self) -> u32 {
        self.device_type
    }
    fn offered_features(&self) -> u64 {
        let half = |select: u32| {
            self.common.write_u32(common::DEVICE_FEATURE_SELECT, select);
            u64::from(self.common.read_u32(common::DEVICE_FEATURE))
        };
        half(0) | half(1) << 32
    }
    fn accept_features(&self, features: u64) {
        for (select, half) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.common.write_u32(common::DRIVER_FEATURE_SELECT, select);
            self.common.write_u32(common::DRIVER_FEATURE, half);
        }
    }
    fn status(&self) -> u8 {
        self.common.read_u8(common::DEVICE_STATUS)
    }
    fn set_status(&self, status: u8) {
        self.common.write_u8(common::DEVICE_STATUS, status);
    }
    fn queue_max_size(&self, queue: u16) -> u16 {
        self.select(queue);
        self.common.read_u16(common::QUEUE_SIZE)
    }
    fn activate_queue(&self, placement: &QueuePlacement) -> Result<Doorbell, VirtioError> {
        let missing = VirtioError::NoQueue(placement.queue);
        self.select(placement.queue);
        let max_size = self.common.read_u16(common::QUEUE_SIZE);
        if max_size < placement.size || self.common.read_u16(common::QUEUE_ENABLE) != 0 {
            return Err(missing);
        }
        self.common.write_u16(common::QUEUE_SIZE, placement.size);
        self.common.write_u16(common::QUEUE_VECTOR, placement.entry);
        if self.common.read_u16(common::QUEUE_VECTOR) != placement.entry {
            return Err(VirtioError::NoInterrupt);
        }
        let (table, available, used) = placement.addresses;
        self.write_u64(common::QUEUE_TABLE, table.0);
        self.write_u64(common::QUEUE_AVAILABLE, available.0);
        self.write_u64(common::QUEUE_USED, used.0);
        let notify_offset = usize::from(self.common.read_u16(common::QUEUE_NOTIFY_OFFSET));
        let register =
            notify_offset.checked_mul(self.notify_multiplier as usize).and_then(|at| self.notify.part(at, 2));
        let doorbell = Doorbell {
            register: register.ok_or(VirtioError::NoRegisters)?,
            queue: placement.queue,
            width: DoorbellWidth::Bits16,
        };
        self.common.write_u16(common::QUEUE_ENABLE, 1);
        Ok(doorbell)
    }
    fn entries(&self, wanted: u16) -> u16 {
        wanted.min(self.msix.entry_count())
    }
    fn connect(&self, name: &'static str, service: Arc<dyn Service>, count: u16) -> Result<(), VirtioError> {
        // No driver of ours waits for configuration changes.
        self.common.write_u16(common::CONFIG_VECTOR, NO_VECTOR);
        for entry in 0..count {
            let vector = interrupts::attach(name, service.clone(), entry).ok_or(VirtioError::NoInterrupt)?;
            self.msix.set(entry, irq::msi_message(vector, service.cpu(entry)));
        }
        Ok(())
    }
    fn config_u16(&self, offset: usize) -> u16 {
        self.device.map_or(u16::MAX, |device| device.read_u16(offset))
    }
    fn config_u32(&self, offset: usize) -> u32 {
        self.device.map_or(u32::MAX, |device| device.read_u32(offset))
    }
    fn config_generation(&self) -> u32 {
        u32::from(self.common.read_u8(common::CONFIG_GENERATION))
    }
}
