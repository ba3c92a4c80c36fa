//! Where drivers and the layers above them meet: one trait a kind of device, and the registry of what was found.
//!
//! `drivers` implements the traits and registers; `fs`, `jvm-host` and `random` look up. Neither sees the other.
//!
//! Locks: each registry has one spin lock, held only for a look-up or an insertion, never over a call into a device.
//! Interrupt-context rule: [`block::Completion::complete`] and a port's notify hook run with interrupts off. They may wake
//! wait queues and take spin locks; they must not sleep, touch application memory or submit another request.

pub mod block;
pub mod entropy;
pub mod frame;
pub mod nic;
pub mod port;
#[cfg(not(feature = "bare"))]
pub mod testing;

pub use block::{Block, BlockError, BlockRequest, Completion, Operation, SECTOR_SIZE, Segment};
pub use entropy::{Entropy, EntropyError};
pub use frame::{ReceivedFrame, TransmitBuffer};
pub use nic::{Nic, NicError, NicEvents, NicInfo};
pub use port::{Notify, Port, PortError, PortReadiness};

use crate::sync::SpinLock;
use alloc::{string::String, sync::Arc, vec::Vec};

/// A block device and the name that it was registered under (`vda`, `vdb`, ... in the order of discovery).
#[derive(Clone)]
pub struct NamedBlock {
    /// The device's name, unique.
    pub name: String,
    /// The device.
    pub device: Arc<dyn Block>,
}

static BLOCKS: SpinLock<Vec<NamedBlock>> = SpinLock::new(Vec::new());
static PORTS: SpinLock<Vec<Arc<dyn Port>>> = SpinLock::new(Vec::new());
static ENTROPY: SpinLock<Option<Arc<dyn Entropy>>> = SpinLock::new(None);
static NICS: SpinLock<Vec<&'static dyn Nic>> = SpinLock::new(Vec::new());

/// Adds a block device. A second device of the same name takes the first one's place.
pub fn register_block(name: &str, device: Arc<dyn Block>) {
    let entry = NamedBlock { name: String::from(name), device };
    // What is replaced is dropped after the lock.
    let _previous = {
        let mut blocks = BLOCKS.lock();
        match blocks.iter_mut().find(|known| known.name == name) {
            Some(known) => Some(core::mem::replace(known, entry)),
            None => {
                blocks.push(entry);
                None
            }
        }
    };
}

/// All block devices, in the order of registration.
pub fn blocks() -> Vec<NamedBlock> {
    BLOCKS.lock().clone()
}

/// The block device whose own identity string (virtio serial) is `identity`.
pub fn block_by_identity(identity: &str) -> Option<Arc<dyn Block>> {
    BLOCKS.lock().iter().find(|known| known.device.identity() == identity).map(|known| known.device.clone())
}

/// Adds a byte-stream port; it is found by [`Port::name`]. A second port of the same name takes the first one's place.
pub fn register_port(port: Arc<dyn Port>) {
    let _previous = {
        let mut ports = PORTS.lock();
        match ports.iter_mut().find(|known| known.name() == port.name()) {
            Some(known) => Some(core::mem::replace(known, port)),
            None => {
                ports.push(port);
                None
            }
        }
    };
}

/// The port called `name`, for example `demitasse.stdout`.
pub fn port(name: &str) -> Option<Arc<dyn Port>> {
    PORTS.lock().iter().find(|known| known.name() == name).cloned()
}

/// All ports, in the order of registration.
pub fn ports() -> Vec<Arc<dyn Port>> {
    PORTS.lock().clone()
}

/// Sets the source of true randomness. A later one takes the first one's place.
pub fn register_entropy(device: Arc<dyn Entropy>) {
    let _previous = ENTROPY.lock().replace(device);
}

/// The entropy device, if the machine has one.
pub fn entropy() -> Option<Arc<dyn Entropy>> {
    ENTROPY.lock().clone()
}

/// Adds a network interface, not yet started.
pub fn register_nic(device: &'static dyn Nic) {
    NICS.lock().push(device);
}

/// All network interfaces, in the order of registration.
pub fn nics() -> Vec<&'static dyn Nic> {
    NICS.lock().clone()
}

#[cfg(test)]
mod tests;
