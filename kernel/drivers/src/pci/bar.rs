//! Base address registers: where a function's registers are, and a place for those that the firmware left unset.

use super::{COMMAND, COMMAND_MEMORY, Function};
use crate::registers::Registers;
use hal::addr::PhysAddr;
use hal::sync::SpinLock;

const FIRST_BAR: u16 = 0x10;
const BAR_COUNT: u8 = 6;
const BAR_IS_PORT: u32 = 1;
const BAR_TYPE: u32 = 0b110;
const BAR_TYPE_64: u32 = 0b100;
const BAR_FLAGS: u64 = 0xf;

/// What we give out of: in the hole below 4 GiB, clear of the usual places of ECAM, I/O APIC and flash.
const HOLE: core::ops::Range<u64> = 0xc000_0000..0xe000_0000;
static NEXT_IN_HOLE: SpinLock<u64> = SpinLock::new(HOLE.start);

/// A range of a function's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// First byte.
    pub start: PhysAddr,
    /// Length in bytes.
    pub len_bytes: u64,
}

impl Function {
    /// Memory BAR `index` (0 to 5), given an address if it has none. `None` if it does not exist, is in port space, or
    /// finds no room.
    pub fn bar(&self, index: u8) -> Option<Bar> {
        if index >= BAR_COUNT {
            return None;
        }
        let config = self.config();
        let offset = FIRST_BAR + u16::from(index) * 4;
        let low = config.read_u32(offset);
        if low & BAR_IS_PORT != 0 {
            return None;
        }
        let is_64_bit = low & BAR_TYPE == BAR_TYPE_64 && index + 1 < BAR_COUNT;
        let write = |value: u64| {
            config.write_u32(offset, value as u32);
            if is_64_bit {
                config.write_u32(offset + 4, (value >> 32) as u32);
            }
        };
        let read = || {
            let high = if is_64_bit { config.read_u32(offset + 4) } else { 0 };
            u64::from(high) << 32 | u64::from(config.read_u32(offset))
        };
        let value = read();
        // The size shows in which address bits stay 0; meanwhile the function must not decode.
        let command = config.read_u16(COMMAND);
        config.write_u16(COMMAND, command & !COMMAND_MEMORY);
        write(u64::MAX);
        let mask = read() & !BAR_FLAGS | if is_64_bit { 0 } else { 0xffff_ffff_0000_0000 };
        write(value);
        config.write_u16(COMMAND, command);
        let len_bytes = mask.wrapping_neg();
        if mask as u32 == 0 && !is_64_bit || !len_bytes.is_power_of_two() || len_bytes < 16 {
            return None;
        }
        let mut start = value & !BAR_FLAGS;
        if start == 0 {
            start = take_from_hole(len_bytes)?;
            write(start);
        }
        start.checked_add(len_bytes)?;
        Some(Bar { start: PhysAddr(start), len_bytes })
    }

    /// Maps `len_bytes` at `offset` of BAR `index`; `None` if they are not inside.
    pub fn map_bar(&self, index: u8, offset: u64, len_bytes: u64) -> Option<Registers> {
        let bar = self.bar(index)?;
        if offset.checked_add(len_bytes)? > bar.len_bytes {
            return None;
        }
        Registers::map(bar.start.offset(offset), usize::try_from(len_bytes).ok()?)
    }
}

/// An aligned range for a BAR; `None` when the hole is used up or not a hole on this machine.
fn take_from_hole(len_bytes: u64) -> Option<u64> {
    let mut next = NEXT_IN_HOLE.lock();
    let start = next.checked_next_multiple_of(len_bytes)?;
    let end = start.checked_add(len_bytes)?;
    if end > HOLE.end {
        return None;
    }
    let overlaps = |from: u64, to: u64| start < to && from < end;
    let memory = hal::boot_info::get().memory();
    let taken = memory.iter().any(|region| overlaps(region.start.0, region.start.0.saturating_add(region.len)));
    let configuration = hal::acpi::mcfg()
        .is_some_and(|ecam| overlaps(ecam.base.0, ecam.base.0 + ((u64::from(ecam.last_bus) + 1) << 20)));
    if taken || configuration {
        return None;
    }
    *next = end;
    Some(start)
}
