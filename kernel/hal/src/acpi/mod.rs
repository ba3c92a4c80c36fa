//! ACPI's static tables: CPUs, interrupt controllers, PCI's configuration window, timers and the way to switch off.
//!
//! There is no AML interpreter. Everything here is pure parsing over bytes that a reader closure provides, so that
//! made-up and truncated tables can be tested on the host; nothing allocates (CPUs are counted before there is a heap)
//! and nothing panics: what does not fit is left out, and a table that is cut short gives what stands before the cut.
//!
//! Specification: ACPI 6.5 chapter 5; MCFG in the PCI Firmware Specification 3.2, HPET in Intel's HPET 1.0a.

mod bytes;
mod fadt;
mod list;
mod madt;

pub use fadt::{AddressSpace, Fadt, Register, RegisterWrite, s5_sleep_type};
pub use list::List;
pub use madt::{IoApic, Madt, Override};

use crate::addr::PhysAddr;
use crate::sync::Once;
use bytes::Bytes;
use core::fmt;

/// Longest table that is looked at, in bytes.
const MAX_TABLE_BYTES: usize = 1 << 20;
/// Entries of the root table that are looked at.
const MAX_TABLES: usize = 256;
/// Bytes before a table's own contents.
const HEADER_BYTES: usize = 36;

/// Why there are no tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcpiError {
    /// Nobody passed a root pointer and none was found.
    NoRootPointer,
    /// The root pointer is unreadable, unsigned or fails its checksum.
    BadRootPointer(PhysAddr),
    /// The root table (XSDT or RSDT) is unreadable, unsigned or fails its checksum.
    BadRootTable(PhysAddr),
}

impl fmt::Display for AcpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRootPointer => f.write_str("no ACPI root pointer"),
            Self::BadRootPointer(at) => write!(f, "bad ACPI root pointer at {at}"),
            Self::BadRootTable(at) => write!(f, "bad ACPI root table at {at}"),
        }
    }
}

/// PCI's memory-mapped configuration space for some buses of segment group 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecam {
    /// Where bus 0 of the segment group would be (not `first_bus`).
    pub base: PhysAddr,
    /// First bus that decodes.
    pub first_bus: u8,
    /// Last bus that decodes.
    pub last_bus: u8,
}

/// The high-precision event timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hpet {
    /// Register block, 1 KiB.
    pub base: PhysAddr,
}

/// What the tables say.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// CPUs and interrupt controllers.
    pub madt: Option<Madt>,
    /// PCI configuration space by memory.
    pub ecam: Option<Ecam>,
    /// Power management.
    pub fadt: Option<Fadt>,
    /// Event timer.
    pub hpet: Option<Hpet>,
    /// Contents of the DSDT (AML), for [`s5_sleep_type`].
    pub dsdt: Option<&'static [u8]>,
}

static TABLES: Once<Tables> = Once::new();

/// Parses the tables and keeps the result for [`get`]. `rsdp` is the loader's root pointer; without one the BIOS area
/// is searched. `read` gives `len` bytes of physical memory, or `None` where there is none. Later calls change nothing.
pub fn init(rsdp: Option<PhysAddr>, read: impl Fn(PhysAddr, usize) -> Option<&'static [u8]>) -> Result<(), AcpiError> {
    let rsdp = rsdp.or_else(|| find_root_pointer(&read)).ok_or(AcpiError::NoRootPointer)?;
    let tables = parse(rsdp, &read)?;
    TABLES.call_once(|| tables);
    Ok(())
}

/// The tables of this machine; `None` before [`init`] or without ACPI.
pub fn get() -> Option<&'static Tables> {
    TABLES.get()
}

/// CPUs and interrupt controllers of this machine.
pub fn madt() -> Option<&'static Madt> {
    get()?.madt.as_ref()
}

/// PCI's configuration window of this machine.
pub fn mcfg() -> Option<Ecam> {
    get()?.ecam
}

/// The writes that switch this machine off (ACPI state S5): to be done in order, the first that works is the last.
pub fn power_off_writes() -> List<RegisterWrite, 2> {
    match get() {
        Some(Tables { fadt: Some(fadt), dsdt, .. }) => fadt.power_off_writes(dsdt.and_then(s5_sleep_type)),
        _ => List::default(),
    }
}

/// Searches the BIOS area for the root pointer, where PCs without UEFI keep it (ACPI 6.5 section 5.2.5.1).
pub fn find_root_pointer(read: impl Fn(PhysAddr, usize) -> Option<&'static [u8]>) -> Option<PhysAddr> {
    let search = |start: u64, len: usize| {
        let area = read(PhysAddr(start), len)?;
        let found = area.chunks_exact(16).position(|chunk| chunk.starts_with(b"RSD PTR "))?;
        Some(PhysAddr(start + found as u64 * 16))
    };
    let extended_bios = || {
        // The BIOS data area holds the segment of the extended one.
        let segment = u64::from(Bytes(read(PhysAddr(0x40e), 2)?).u16(0)?);
        if segment == 0 { None } else { search(segment << 4, 1024) }
    };
    extended_bios().or_else(|| search(0xe_0000, 0x2_0000))
}

/// Parses the tables that hang from the root pointer at `rsdp`.
pub fn parse(rsdp: PhysAddr, read: impl Fn(PhysAddr, usize) -> Option<&'static [u8]>) -> Result<Tables, AcpiError> {
    let (root, entry_bytes) = root_table(rsdp, &read)?;
    let mut tables = Tables::default();
    for entry in root.get(HEADER_BYTES..).unwrap_or_default().chunks_exact(entry_bytes).take(MAX_TABLES) {
        let entry = Bytes(entry);
        let address = if entry_bytes == 8 { entry.u64(0) } else { entry.u32(0).map(u64::from) };
        let Some(table) = address.and_then(|address| read_table(PhysAddr(address), &read)) else { continue };
        match &table[..4] {
            b"APIC" if checksum_holds(table) => tables.madt = Some(Madt::parse(table)),
            b"MCFG" if checksum_holds(table) => tables.ecam = parse_mcfg(table),
            b"HPET" if checksum_holds(table) => tables.hpet = parse_hpet(table),
            b"FACP" if checksum_holds(table) => {
                let fadt = Fadt::parse(table);
                // The checksum of the DSDT is not looked at: it is the one long table, and only scanned for a name.
                tables.dsdt = read_table(fadt.dsdt, &read)
                    .filter(|dsdt| dsdt.starts_with(b"DSDT"))
                    .and_then(|dsdt| dsdt.get(HEADER_BYTES..));
                tables.fadt = Some(fadt);
            }
            _ => {}
        }
    }
    Ok(tables)
}

/// The root table and the size of its entries: the XSDT if there is one, else the RSDT.
fn root_table(
    rsdp: PhysAddr,
    read: &impl Fn(PhysAddr, usize) -> Option<&'static [u8]>,
) -> Result<(&'static [u8], usize), AcpiError> {
    let bad = AcpiError::BadRootPointer(rsdp);
    let pointer = read(rsdp, 20).ok_or(bad)?;
    if !pointer.starts_with(b"RSD PTR ") || !checksum_holds(pointer) {
        return Err(bad);
    }
    let revision = Bytes(pointer).u8(15).ok_or(bad)?;
    let rsdt = u64::from(Bytes(pointer).u32(16).ok_or(bad)?);
    let extended = if revision >= 2 { read(rsdp, 36).filter(|extended| checksum_holds(extended)) } else { None };
    let xsdt = extended.and_then(|extended| Bytes(extended).u64(24)).unwrap_or(0);
    let mut last = PhysAddr(rsdt);
    for (address, signature, entry_bytes) in [(xsdt, b"XSDT", 8), (rsdt, b"RSDT", 4)] {
        if address == 0 {
            continue;
        }
        last = PhysAddr(address);
        match read_table(last, read) {
            Some(table) if table.starts_with(signature) && checksum_holds(table) => return Ok((table, entry_bytes)),
            _ => {}
        }
    }
    Err(AcpiError::BadRootTable(last))
}

/// The table at `address` by its own length, at least a header long.
fn read_table(address: PhysAddr, read: &impl Fn(PhysAddr, usize) -> Option<&'static [u8]>) -> Option<&'static [u8]> {
    if address.0 == 0 {
        return None;
    }
    let len = Bytes(read(address, HEADER_BYTES)?).u32(4)? as usize;
    if !(HEADER_BYTES..=MAX_TABLE_BYTES).contains(&len) {
        return None;
    }
    read(address, len).filter(|table| table.len() >= HEADER_BYTES)
}

fn checksum_holds(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

fn parse_mcfg(table: &[u8]) -> Option<Ecam> {
    table.get(44..)?.chunks_exact(16).find_map(|entry| {
        let entry = Bytes(entry);
        let ecam = Ecam { base: PhysAddr(entry.u64(0)?), first_bus: entry.u8(10)?, last_bus: entry.u8(11)? };
        let sound = entry.u16(8)? == 0 && ecam.base.0 != 0 && ecam.base.is_aligned(1 << 20);
        (sound && ecam.first_bus <= ecam.last_bus).then_some(ecam)
    })
}

fn parse_hpet(table: &[u8]) -> Option<Hpet> {
    let register = Register::parse(Bytes(table), 40)?;
    (register.space == AddressSpace::Memory).then_some(Hpet { base: PhysAddr(register.address) })
}

#[cfg(test)]
mod tests;
