//! Base address registers: where a function's registers are, and a place for those that the firmware left unset.

use super::{COMMAND, COMMAND_MEMORY, Config, Function};
use crate::registers::Registers;
use core::ops::Range;
use hal::addr::PhysAddr;
use hal::boot_info::MemoryKind;
use hal::sync::SpinLock;

const FIRST_BAR: u16 = 0x10;
const BAR_COUNT: u8 = 6;
const BAR_IS_PORT: u32 = 1;
const BAR_TYPE: u32 = 0b110;
const BAR_TYPE_64: u32 = 0b100;
const BAR_FLAGS: u64 = 0xf;
/// Longer windows are not for our devices.
const MAX_WINDOW_BYTES: u64 = 16 << 20;

/// What we give out of: in the hole below 4 GiB, clear of the usual places of ECAM, I/O APIC and flash.
const HOLE: Range<u64> = 0xc000_0000..0xe000_0000;
static NEXT_IN_HOLE: SpinLock<u64> = SpinLock::new(HOLE.start);

/// What a BAR register says.
#[derive(Clone, Copy)]
struct Bar {
    offset: u16,
    is_64_bit: bool,
    /// 0 if the firmware gave it none.
    start: u64,
}

impl Bar {
    /// `None` if the register does not exist or is for port space.
    fn read(config: Config, index: u8) -> Option<Self> {
        if index >= BAR_COUNT {
            return None;
        }
        let offset = FIRST_BAR + u16::from(index) * 4;
        let low = config.read_u32(offset);
        if low & BAR_IS_PORT != 0 {
            return None;
        }
        let is_64_bit = low & BAR_TYPE == BAR_TYPE_64 && index + 1 < BAR_COUNT;
        let bar = Self { offset, is_64_bit, start: 0 };
        Some(Self { start: bar.value(config) & !BAR_FLAGS, ..bar })
    }

    fn value(&self, config: Config) -> u64 {
        let high = if self.is_64_bit { config.read_u32(self.offset + 4) } else { 0 };
        u64::from(high) << 32 | u64::from(config.read_u32(self.offset))
    }

    fn set(&self, config: Config, value: u64) {
        config.write_u32(self.offset, value as u32);
        if self.is_64_bit {
            config.write_u32(self.offset + 4, (value >> 32) as u32);
        }
    }

    /// Finds a place for it. The size shows in which address bits stay 0; meanwhile the function must not decode.
    fn place(&mut self, config: Config) -> Option<()> {
        let command = config.read_u16(COMMAND);
        config.write_u16(COMMAND, command & !COMMAND_MEMORY);
        self.set(config, u64::MAX);
        let above = if self.is_64_bit { 0 } else { u64::MAX << 32 };
        let len_bytes = (self.value(config) & !BAR_FLAGS | above).wrapping_neg();
        let start = if len_bytes.is_power_of_two() && len_bytes >= 16 { take_from_hole(len_bytes) } else { None };
        self.set(config, start.unwrap_or(0));
        config.write_u16(COMMAND, command);
        self.start = start?;
        Some(())
    }
}

impl Function {
    /// Maps `len_bytes` at `offset` of memory BAR `index`, which gets an address if it has none.
    ///
    /// What the firmware placed is not measured again (each look rebuilds an emulator's memory map, about 2 ms); that
    /// the range lies where a device can be, outside memory, is what matters here.
    pub fn map_bar(&self, index: u8, offset: u64, len_bytes: u64) -> Option<Registers> {
        let mut bar = Bar::read(self.config(), index)?;
        if bar.start == 0 {
            bar.place(self.config())?;
        }
        let start = bar.start.checked_add(offset)?;
        let end = start.checked_add(len_bytes)?;
        if len_bytes > MAX_WINDOW_BYTES || is_memory(start, end) {
            return None;
        }
        Registers::map(PhysAddr(start), len_bytes as usize)
    }
}

/// Whether part of the range is listed as anything by the firmware that is not a hole or reserved.
fn is_memory(start: u64, end: u64) -> bool {
    hal::boot_info::get()
        .memory()
        .iter()
        .any(|region| region.kind != MemoryKind::Reserved && overlap(start..end, region.start.0, region.len))
}

fn overlap(range: Range<u64>, start: u64, len_bytes: u64) -> bool {
    range.start < start.saturating_add(len_bytes) && start < range.end
}

/// An aligned range for a BAR; `None` when the hole is used up or not a hole on this machine.
fn take_from_hole(len_bytes: u64) -> Option<u64> {
    let mut next = NEXT_IN_HOLE.lock();
    let start = next.checked_next_multiple_of(len_bytes)?;
    let end = start.checked_add(len_bytes)?;
    if end > HOLE.end {
        return None;
    }
    let memory = hal::boot_info::get().memory();
    let taken = memory.iter().any(|region| overlap(start..end, region.start.0, region.len));
    let ecam_bytes = |ecam: &hal::acpi::Ecam| (u64::from(ecam.last_bus) + 1) << 20;
    let configuration = hal::acpi::mcfg().is_some_and(|ecam| overlap(start..end, ecam.base.0, ecam_bytes(&ecam)));
    if taken || configuration {
        return None;
    }
    *next = end;
    Some(start)
}
