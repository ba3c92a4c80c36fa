//! PCI: finding functions, their registers (BARs), capabilities and message-signalled interrupts.
//!
//! Only buses that exist are walked: bus 0 and what bridges lead to. BARs are left as the firmware set them; one that
//! it left unset gets an address from the 32-bit hole (machines without firmware that knows PCI).
//!
//! Specification: PCI Local Bus 3.0 chapter 6 (6.8 for MSI-X), PCI Express 5.0 section 7.2 (ECAM).

mod bar;
mod config;
mod msix;

pub use config::{Address, Config};
pub use msix::MsiX;

use alloc::vec::Vec;
use config::ConfigSpace;

const VENDOR_ID: u16 = 0x00;
const COMMAND: u16 = 0x04;
const STATUS: u16 = 0x06;
const CLASS: u16 = 0x0a;
const HEADER_TYPE: u16 = 0x0e;
const SECONDARY_BUS: u16 = 0x19;
const CAPABILITIES: u16 = 0x34;

const COMMAND_MEMORY: u16 = 1 << 1;
const COMMAND_MASTER: u16 = 1 << 2;
const COMMAND_NO_INTX: u16 = 1 << 10;
const STATUS_CAPABILITIES: u16 = 1 << 4;
const CLASS_PCI_BRIDGE: u16 = 0x0604;
/// A capability takes 4 bytes at least and the list lies in the 192 bytes behind the header: longer means a loop.
const MAX_CAPABILITIES: usize = 48;
/// Bridges lie at most this deep: more means a loop.
const MAX_DEPTH: usize = 8;

/// Capability id of a vendor's own, which virtio uses.
pub const CAPABILITY_VENDOR: u8 = 0x09;
/// Capability id of MSI-X.
pub const CAPABILITY_MSIX: u8 = 0x11;

/// A function of a device on the bus.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Where it is.
    pub address: Address,
    /// Who made it.
    pub vendor: u16,
    /// Which product it is.
    pub device: u16,
    config: Config,
}

impl Function {
    /// Its configuration space.
    pub fn config(&self) -> Config {
        self.config
    }

    /// Lets it answer memory accesses, write to memory and send messages, but not use interrupt lines.
    pub fn enable(&self) {
        let command = self.config.read_u16(COMMAND);
        let wanted = command | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX;
        if wanted != command {
            self.config.write_u16(COMMAND, wanted);
        }
    }

    /// Its capabilities: (id, offset in configuration space).
    pub fn capabilities(&self) -> impl Iterator<Item = (u8, u16)> + use<> {
        let config = self.config;
        let listed = config.read_u16(STATUS) & STATUS_CAPABILITIES != 0;
        let first = if listed { config.read_u8(CAPABILITIES) } else { 0 };
        core::iter::successors(next_capability(first), move |offset| next_capability(config.read_u8(offset + 1)))
            .take(MAX_CAPABILITIES)
            .map(move |offset| (config.read_u8(offset), offset))
    }
}

fn next_capability(pointer: u8) -> Option<u16> {
    let offset = u16::from(pointer & !3);
    (offset >= 0x40).then_some(offset)
}

/// All functions of the machine; empty without PCI.
pub fn functions() -> Vec<Function> {
    let mut found = Vec::new();
    if let Some(space) = ConfigSpace::detect() {
        walk_bus(&space, space.first_bus(), 0, &mut found);
    }
    found
}

fn walk_bus(space: &ConfigSpace, bus: u8, depth: usize, found: &mut Vec<Function>) {
    let Some(space_of_bus) = space.bus(bus) else { return };
    for device in 0..32 {
        for number in 0..8 {
            let address = Address { bus, device, function: number };
            let Some(config) = space_of_bus.config(address) else { break };
            let id = config.read_u32(VENDOR_ID);
            if id as u16 == 0xffff || id as u16 == 0 {
                if number == 0 {
                    break;
                }
                continue;
            }
            found.push(Function { address, vendor: id as u16, device: (id >> 16) as u16, config });
            if config.read_u16(CLASS) == CLASS_PCI_BRIDGE && depth < MAX_DEPTH {
                // A bridge without a bus behind it says 0. Numbers grow away from the root.
                let secondary = config.read_u8(SECONDARY_BUS);
                if secondary > bus {
                    walk_bus(space, secondary, depth + 1, found);
                }
            }
            if number == 0 && config.read_u8(HEADER_TYPE) & 0x80 == 0 {
                break;
            }
        }
    }
}
