//! Virtio 1.x devices: how they are found, reached (`transport`), talked to (`queue`), and what they do.
//!
//! The crate `virtio-drivers` is not used: its queue takes one owner and polls, its transports know no MSI-X, and the
//! slow devices (console, entropy) would need a second queue, DMA and transport layer beside ours for a few hundred lines.
//!
//! Specification: Virtual I/O Device (VIRTIO) Version 1.2.

mod block;
mod console;
mod discovery;
mod entropy;
mod net;
pub mod queue;
mod start;
mod transport;

pub use discovery::probe_all;

use core::fmt;
use queue::QueueError;

/// Device types (section 5).
mod device_type {
    pub const NET: u32 = 1;
    pub const BLOCK: u32 = 2;
    pub const CONSOLE: u32 = 3;
    pub const ENTROPY: u32 = 4;
}

/// Feature bits that are not a device's own (section 6).
mod feature {
    pub const INDIRECT_DESCRIPTORS: u64 = 1 << 28;
    pub const EVENT_INDEX: u64 = 1 << 29;
    pub const VERSION_1: u64 = 1 << 32;
    pub const ACCESS_PLATFORM: u64 = 1 << 33;
    pub const ORDER_PLATFORM: u64 = 1 << 36;
}

/// Why a device is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VirtioError {
    /// Only the interface from before virtio 1.0.
    Legacy,
    /// Its registers are missing, or lie outside their BAR.
    NoRegisters,
    /// It did not become idle when it was reset.
    ResetTimedOut,
    /// It does not accept the features that we chose from its offer.
    FeaturesRefused,
    /// It has no queue of this number, or an odd one.
    NoQueue(u16),
    /// Memory is out.
    NoMemory,
    /// No interrupt vector or line could be had.
    NoInterrupt,
    /// Its configuration makes no sense.
    BadConfiguration,
    /// It did not answer the first request.
    NoAnswer,
    /// A queue call failed.
    Queue(QueueError),
}

impl From<QueueError> for VirtioError {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

impl fmt::Display for VirtioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Legacy => f.write_str("device is not virtio 1.0 (QEMU: disable-legacy=on, force-legacy=false)"),
            Self::NoRegisters => f.write_str("device registers are missing"),
            Self::ResetTimedOut => f.write_str("device does not reset"),
            Self::FeaturesRefused => f.write_str("device refuses its own features"),
            Self::NoQueue(queue) => write!(f, "device has no usable queue {queue}"),
            Self::NoMemory => f.write_str("no memory for the device"),
            Self::NoInterrupt => f.write_str("no interrupt for the device"),
            Self::BadConfiguration => f.write_str("device configuration makes no sense"),
            Self::NoAnswer => f.write_str("device does not answer"),
            Self::Queue(QueueError::Full) => f.write_str("device queue is full"),
            Self::Queue(QueueError::BadRequest) => f.write_str("device queue is too small"),
            Self::Queue(QueueError::Broken) => f.write_str("device breaks the protocol"),
        }
    }
}
