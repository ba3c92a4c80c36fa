//! The FADT: registers for sleeping, reset and the power-management timer (ACPI 6.5 section 5.2.9, chapter 4.8).

use super::{bytes::Bytes, list::List};
use crate::addr::PhysAddr;

const FLAG_RESET_REGISTER: u32 = 1 << 10;
const FLAG_TIMER_IS_32_BIT: u32 = 1 << 8;
const FLAG_HARDWARE_REDUCED: u32 = 1 << 20;
/// Sleep enable in PM1 control; the sleep type stands in bits 12:10.
const PM1_SLEEP_ENABLE: u32 = 1 << 13;
/// Sleep enable in the sleep control register; the type stands in bits 4:2.
const SLEEP_CONTROL_ENABLE: u32 = 1 << 5;
/// Sleep type of S5 where the DSDT does not say: QEMU's q35 has 0, its generic event device (microvm) has 5.
const DEFAULT_S5_PM1: u8 = 0;
const DEFAULT_S5_REDUCED: u8 = 5;

/// Where a register lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressSpace {
    /// Physical memory.
    #[default]
    Memory,
    /// x86 port input and output.
    Port,
}

/// A register by ACPI's generic address structure (section 5.2.3.2); only spaces that we can reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Register {
    /// Where it lives.
    pub space: AddressSpace,
    /// Its address there; not 0.
    pub address: u64,
    /// How wide an access is, in bits: 8, 16 or 32.
    pub access_bits: u8,
}

impl Register {
    /// The structure at `at`; `None` for the null register and for spaces that we cannot reach.
    pub(super) fn parse(table: Bytes<'_>, at: usize) -> Option<Self> {
        let space = match table.u8(at)? {
            0 => AddressSpace::Memory,
            1 => AddressSpace::Port,
            _ => return None,
        };
        // The access size is 1 (byte) to 4 (quad); 0 is undefined, and then the register's width counts.
        let access_bits = match (table.u8(at + 3)?, table.u8(at + 1)?) {
            (1, _) => 8,
            (2, _) => 16,
            (3, _) => 32,
            (_, 0..=8) => 8,
            (_, 9..=16) => 16,
            _ => 32,
        };
        let address = table.u64(at + 4)?;
        let reachable = address != 0 && (space == AddressSpace::Memory || address <= u64::from(u16::MAX));
        reachable.then_some(Self { space, address, access_bits })
    }

    fn port(address: u32, access_bits: u8) -> Option<Self> {
        let reachable = address != 0 && address <= u32::from(u16::MAX);
        reachable.then_some(Self { space: AddressSpace::Port, address: u64::from(address), access_bits })
    }
}

/// A value that has to go into a register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegisterWrite {
    /// Where.
    pub register: Register,
    /// What; fits the register's width.
    pub value: u32,
}

/// What the FADT says.
#[derive(Clone, Debug, Default)]
pub struct Fadt {
    /// The table with the machine's AML.
    pub dsdt: PhysAddr,
    /// PM1a control: sleeping on ordinary machines.
    pub pm1a_control: Option<Register>,
    /// PM1b control: a second half that few machines have.
    pub pm1b_control: Option<Register>,
    /// Sleep control of hardware-reduced machines.
    pub sleep_control: Option<Register>,
    /// Resets the machine.
    pub reset: Option<RegisterWrite>,
    /// Counts at 3,579,545 Hz.
    pub pm_timer: Option<Register>,
    /// Bits that the timer counts in, 24 or 32.
    pub pm_timer_bits: u8,
    /// System control interrupt (a global system interrupt), for the power button.
    pub sci_gsi: u16,
    /// Turns ACPI mode on where the firmware has not: a value for a port.
    pub acpi_enable: Option<RegisterWrite>,
    /// Whether the machine is hardware-reduced: no PM1, no timer, no SCI.
    pub hardware_reduced: bool,
}

impl Fadt {
    /// Parses a table of any revision; what an old or short one lacks is absent.
    pub(super) fn parse(table: &[u8]) -> Self {
        let table = Bytes(table);
        let flags = table.u32(112).unwrap_or(0);
        // An extended field counts if it is there and not null, else the old one.
        let extended = |at| Register::parse(table, at);
        let old = |at, bits| table.u32(at).and_then(|address| Register::port(address, bits));
        let extended_dsdt = table.u64(140).filter(|address| *address != 0);
        let reset = if flags & FLAG_RESET_REGISTER != 0 { extended(116) } else { None };
        let smi_command = old(48, 8);
        let enable_value = table.u8(52).filter(|value| *value != 0);
        let hardware_reduced = flags & FLAG_HARDWARE_REDUCED != 0;
        Self {
            dsdt: PhysAddr(extended_dsdt.unwrap_or_else(|| u64::from(table.u32(40).unwrap_or(0)))),
            pm1a_control: extended(172).or_else(|| old(64, 16)),
            pm1b_control: extended(184).or_else(|| old(68, 16)),
            sleep_control: extended(244),
            reset: reset
                .zip(table.u8(128))
                .map(|(register, value)| RegisterWrite { register, value: u32::from(value) }),
            pm_timer: if hardware_reduced { None } else { extended(208).or_else(|| old(76, 32)) },
            pm_timer_bits: if flags & FLAG_TIMER_IS_32_BIT != 0 { 32 } else { 24 },
            sci_gsi: table.u16(46).unwrap_or(0),
            acpi_enable: smi_command
                .zip(enable_value)
                .map(|(register, value)| RegisterWrite { register, value: u32::from(value) }),
            hardware_reduced,
        }
    }

    /// The writes that put the machine into S5 (off). `sleep_type` comes from [`s5_sleep_type`].
    pub fn power_off_writes(&self, sleep_type: Option<u8>) -> List<RegisterWrite, 2> {
        let mut writes = List::default();
        if self.hardware_reduced {
            let sleep_type = u32::from(sleep_type.unwrap_or(DEFAULT_S5_REDUCED) & 7);
            if let Some(register) = self.sleep_control {
                writes.push(RegisterWrite { register, value: sleep_type << 2 | SLEEP_CONTROL_ENABLE });
            }
            return writes;
        }
        let sleep_type = u32::from(sleep_type.unwrap_or(DEFAULT_S5_PM1) & 7);
        for register in [self.pm1a_control, self.pm1b_control].into_iter().flatten() {
            writes.push(RegisterWrite { register, value: sleep_type << 10 | PM1_SLEEP_ENABLE });
        }
        writes
    }
}

/// The sleep type of S5 by the usual scan of the AML: `Name (\_S5, Package () { type, ... })` is the bytes
/// 08 [5c] "_S5_" 12 PkgLength NumElements element. Nothing is interpreted.
pub fn s5_sleep_type(aml: &[u8]) -> Option<u8> {
    const NAME: &[u8; 4] = b"_S5_";
    let at = aml.windows(NAME.len()).enumerate().position(|(at, window)| {
        let named = match aml.get(at.wrapping_sub(1)) {
            Some(b'\\') => aml.get(at.wrapping_sub(2)) == Some(&8),
            before => before == Some(&8),
        };
        window == NAME && named && aml.get(at + NAME.len()) == Some(&0x12)
    })?;
    let package = aml.get(at + NAME.len() + 1..)?;
    // The two top bits of the first length byte say how many more follow.
    let length_bytes = 1 + usize::from(*package.first()? >> 6);
    let elements = package.get(length_bytes + 1..)?;
    match *elements.first()? {
        small @ (0 | 1) => Some(small),
        0x0a => elements.get(1).copied(),
        _ => None,
    }
}
