//! Configuration space: by memory (ECAM) where the MCFG table says so, else by ports 0xcf8 and 0xcfc.

use crate::registers::Registers;
use core::fmt;
use hal::acpi::{self, Ecam};
use hal::addr::PhysAddr;
use hal::pio;
use hal::sync::SpinLock;

const PORT_ADDRESS: u16 = 0xcf8;
const PORT_DATA: u16 = 0xcfc;
const ADDRESS_ENABLE: u32 = 1 << 31;
/// Configuration bytes of a function by ECAM, and of all 256 functions of a bus.
const FUNCTION_BYTES: usize = 4096;
const BUS_BYTES: u64 = 256 * FUNCTION_BYTES as u64;

/// The address and data ports are one register pair for the whole machine.
static PORTS: SpinLock<()> = SpinLock::new(());

/// Where a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Bus.
    pub bus: u8,
    /// Device on the bus, 0 to 31.
    pub device: u8,
    /// Function of the device, 0 to 7.
    pub function: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus, self.device, self.function)
    }
}

/// How configuration space is reached on this machine.
pub(super) enum ConfigSpace {
    Memory(Ecam),
    Ports,
}

impl ConfigSpace {
    /// `None` on a machine without PCI.
    pub(super) fn detect() -> Option<Self> {
        match acpi::mcfg() {
            Some(ecam) => Some(Self::Memory(ecam)),
            None => has_ports().then_some(Self::Ports),
        }
    }

    pub(super) fn first_bus(&self) -> u8 {
        match self {
            Self::Memory(ecam) => ecam.first_bus,
            Self::Ports => 0,
        }
    }

    /// `None` for a bus that does not decode.
    pub(super) fn bus(&self, bus: u8) -> Option<Bus> {
        match self {
            Self::Memory(ecam) if (ecam.first_bus..=ecam.last_bus).contains(&bus) => {
                Some(Bus::Memory(ecam.base.offset(u64::from(bus) * BUS_BYTES)))
            }
            Self::Memory(_) => None,
            Self::Ports => Some(Bus::Ports),
        }
    }
}

/// A bus's configuration space.
pub(super) enum Bus {
    /// By memory from here on.
    Memory(PhysAddr),
    Ports,
}

impl Bus {
    /// A function's space, of which only the page is mapped: most of a bus is empty.
    pub(super) fn config(&self, address: Address) -> Option<Config> {
        let slot = u32::from(address.device & 31) << 3 | u32::from(address.function & 7);
        match self {
            Self::Memory(bus) => {
                let start = bus.offset(u64::from(slot) * FUNCTION_BYTES as u64);
                Registers::map(start, FUNCTION_BYTES).map(Config::Memory)
            }
            Self::Ports => Some(Config::Ports { selector: u32::from(address.bus) << 16 | slot << 8 }),
        }
    }
}

/// Configuration space of one function.
#[derive(Clone, Copy, Debug)]
pub enum Config {
    /// By memory.
    Memory(Registers),
    /// By the two ports.
    Ports {
        /// Bus, device and function, in the place where the address port has them.
        selector: u32,
    },
}

macro_rules! access {
    ($read:ident, $write:ident, $ty:ty) => {
        /// Reads at `offset`; by ports only the first 256 bytes exist.
        pub fn $read(self, offset: u16) -> $ty {
            match self {
                Self::Memory(registers) => registers.$read(usize::from(offset)),
                Self::Ports { selector } => by_port(selector, offset, <$ty>::MAX, |port| {
                    // SAFETY: the address port was set and the lock is held; reading configuration space has no effects.
                    unsafe { pio::$read(port) }
                }),
            }
        }

        /// Writes at `offset`; by ports only the first 256 bytes exist.
        pub fn $write(self, offset: u16, value: $ty) {
            match self {
                Self::Memory(registers) => registers.$write(usize::from(offset), value),
                Self::Ports { selector } => by_port(selector, offset, (), |port| {
                    // SAFETY: the address port was set and the lock is held; this crate owns PCI's configuration.
                    unsafe { pio::$write(port, value) }
                }),
            }
        }
    };
}

impl Config {
    access!(read_u8, write_u8, u8);
    access!(read_u16, write_u16, u16);
    access!(read_u32, write_u32, u32);
}

fn by_port<R>(selector: u32, offset: u16, absent: R, access: impl FnOnce(u16) -> R) -> R {
    if offset > 0xff {
        return absent;
    }
    let _pair = PORTS.lock();
    // SAFETY: selecting a configuration address has no effect by itself, and the lock keeps it until `access` is done.
    unsafe { pio::write_u32(PORT_ADDRESS, ADDRESS_ENABLE | selector | u32::from(offset & 0xfc)) };
    access(PORT_DATA + (offset & 3))
}

/// The address port keeps what is written to it, and nothing else on a PC does at this place.
fn has_ports() -> bool {
    let _pair = PORTS.lock();
    // SAFETY: as in `by_port`; where there is no PCI, nobody listens.
    unsafe { pio::write_u32(PORT_ADDRESS, ADDRESS_ENABLE) };
    // SAFETY: as above.
    unsafe { pio::read_u32(PORT_ADDRESS) == ADDRESS_ENABLE }
}
