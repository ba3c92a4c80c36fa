//! MSI-X: interrupts as memory writes, one vector a queue.

use super::{CAPABILITY_MSIX, Config, Function};
use crate::registers::Registers;
use hal::irq::MsiMessage;

const CONTROL: u16 = 2;
const TABLE: u16 = 4;
const CONTROL_ENABLE: u16 = 1 << 15;
const CONTROL_MASK_ALL: u16 = 1 << 14;
const ENTRY_BYTES: usize = 16;
const ENTRY_MASKED: u32 = 1;

/// A function's MSI-X table. All entries are masked until they are set.
#[derive(Clone, Copy, Debug)]
pub struct MsiX {
    config: Config,
    capability: u16,
    table: Registers,
    len: u16,
}

impl Function {
    /// Maps the MSI-X table, turns all entries off and the mechanism on. `None` without one.
    pub fn msix(&self) -> Option<MsiX> {
        let (_, capability) = self.capabilities().find(|(id, _)| *id == CAPABILITY_MSIX)?;
        let config = self.config();
        let len = (config.read_u16(capability + CONTROL) & 0x7ff) + 1;
        let place = config.read_u32(capability + TABLE);
        let table = self.map_bar((place & 7) as u8, u64::from(place & !7), u64::from(len) * ENTRY_BYTES as u64)?;
        let msix = MsiX { config, capability, table, len };
        let control = config.read_u16(capability + CONTROL);
        config.write_u16(capability + CONTROL, control | CONTROL_ENABLE | CONTROL_MASK_ALL);
        for entry in 0..usize::from(len) {
            table.write_u32(entry * ENTRY_BYTES + 12, ENTRY_MASKED);
        }
        config.write_u16(capability + CONTROL, control & !CONTROL_MASK_ALL | CONTROL_ENABLE);
        Some(msix)
    }
}

impl MsiX {
    /// Number of entries.
    pub fn entry_count(&self) -> u16 {
        self.len
    }

    /// Entry `entry` sends `message` from now on; nothing happens if there is no such entry.
    pub fn set(&self, entry: u16, message: MsiMessage) {
        if entry >= self.len {
            return;
        }
        let at = usize::from(entry) * ENTRY_BYTES;
        self.table.write_u32(at + 12, ENTRY_MASKED);
        self.table.write_u32(at, message.address as u32);
        self.table.write_u32(at + 4, (message.address >> 32) as u32);
        self.table.write_u32(at + 8, message.data);
        self.table.write_u32(at + 12, 0);
    }

    /// Turns the mechanism off.
    pub fn disable(&self) {
        let control = self.config.read_u16(self.capability + CONTROL);
        self.config.write_u16(self.capability + CONTROL, control & !CONTROL_ENABLE);
    }
}
