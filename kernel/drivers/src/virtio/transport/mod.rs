//! How a virtio device's registers are reached: PCI (`pci`) or memory-mapped (`mmio`).

#[cfg(test)]
pub(super) mod fake;
pub(super) mod mmio;
pub(super) mod pci;

use super::VirtioError;
use crate::interrupts::Service;
use crate::registers::Registers;
use alloc::sync::Arc;
use hal::addr::PhysAddr;

/// The entry number of an interrupt that may be for any queue.
pub(crate) const ANY_ENTRY: u16 = u16::MAX;

/// Device status bits (section 2.1).
pub(crate) mod status {
    pub const ACKNOWLEDGE: u8 = 1;
    pub const DRIVER: u8 = 2;
    pub const DRIVER_OK: u8 = 4;
    pub const FEATURES_OK: u8 = 8;
    pub const FAILED: u8 = 128;
}

/// Where a queue's notifications go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doorbell {
    pub(super) register: Registers,
    pub(super) queue: u16,
    pub(super) width: DoorbellWidth,
}

/// How a doorbell is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum DoorbellWidth {
    Bits16,
    Bits32,
}

impl Doorbell {
    /// Tells the device that the queue has something new.
    pub(crate) fn ring(&self) {
        match self.width {
            DoorbellWidth::Bits16 => self.register.write_u16(0, self.queue),
            DoorbellWidth::Bits32 => self.register.write_u32(0, u32::from(self.queue)),
        }
    }
}

/// Where the parts of a queue are, and which interrupt it uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueuePlacement {
    /// Number of the queue.
    pub queue: u16,
    /// Descriptors.
    pub size: u16,
    /// Descriptor table, available ring, used ring.
    pub addresses: (PhysAddr, PhysAddr, PhysAddr),
    /// Interrupt entry, below what [`Transport::entries`] returned.
    pub entry: u16,
}

/// A device's registers. Configuration fields outside the device's space read as all ones.
pub(crate) trait Transport: Send + Sync {
    /// `device_type::*`.
    fn device_type(&self) -> u32;
    /// Features that the device offers.
    fn offered_features(&self) -> u64;
    /// Tells the device which features we use.
    fn accept_features(&self, features: u64);
    /// Device status.
    fn status(&self) -> u8;
    /// Sets the device status; 0 resets.
    fn set_status(&self, status: u8);
    /// Largest size of a queue; 0 if there is no such queue.
    fn queue_max_size(&self, queue: u16) -> u16;
    /// Makes a queue known to the device and turns it on.
    fn activate_queue(&self, placement: &QueuePlacement) -> Result<Doorbell, VirtioError>;
    /// How many different interrupts the device can have, of `wanted` (1 or more).
    fn entries(&self, wanted: u16) -> u16;
    /// Connects interrupts 0 to `count` (from [`Transport::entries`]) to `service`. Interrupts for which the transport
    /// cannot say which queue they are for have the entry [`ANY_ENTRY`].
    fn connect(&self, name: &'static str, service: Arc<dyn Service>, count: u16) -> Result<(), VirtioError>;
    /// A 16-bit field of the device's configuration.
    fn config_u16(&self, offset: usize) -> u16;
    /// A 32-bit field of the device's configuration.
    fn config_u32(&self, offset: usize) -> u32;
    /// Changes whenever the configuration does.
    fn config_generation(&self) -> u32;

    /// A 64-bit field of the device's configuration, in one piece although it is read in two.
    fn config_u64(&self, offset: usize) -> u64 {
        let mut value = 0;
        // A device that changes for ever does not hold us for ever.
        for _ in 0..16 {
            let before = self.config_generation();
            value = u64::from(self.config_u32(offset)) | u64::from(self.config_u32(offset + 4)) << 32;
            if self.config_generation() == before {
                break;
            }
        }
        value
    }
}
