//! I/O APICs: lines of devices that cannot send messages (virtio-mmio).

use super::{apic, paging};
use crate::irq::{Trigger, Vector};
use crate::sync::SpinLock;

const REGISTER_SELECT: usize = 0;
const REGISTER_WINDOW: usize = 0x10;
const REG_VERSION: u32 = 1;
const REG_REDIRECTION: u32 = 0x10;
/// Fixmap slots 1.. hold the I/O APICs.
const FIRST_SLOT: u64 = 1;
const MAX_IO_APICS: usize = 8;

/// Register windows by the order of the MADT, mapped at first use.
static WINDOWS: SpinLock<[usize; MAX_IO_APICS]> = SpinLock::new([0; MAX_IO_APICS]);

fn write(window: usize, register: u32, value: u32) {
    // SAFETY: a mapped I/O APIC; the lock of WINDOWS is held.
    unsafe {
        ((window + REGISTER_SELECT) as *mut u32).write_volatile(register);
        ((window + REGISTER_WINDOW) as *mut u32).write_volatile(value);
    }
}

fn read(window: usize, register: u32) -> u32 {
    // SAFETY: as in `write`.
    unsafe {
        ((window + REGISTER_SELECT) as *mut u32).write_volatile(register);
        ((window + REGISTER_WINDOW) as *const u32).read_volatile()
    }
}

/// See `crate::irq::route_gsi`.
pub fn route_gsi(gsi: u32, vector: Vector, trigger: Trigger) -> bool {
    let Some(madt) = crate::acpi::madt() else { return false };
    let mut windows = WINDOWS.lock();
    for (index, io_apic) in madt.io_apics.iter().enumerate().take(MAX_IO_APICS) {
        if gsi < io_apic.first_gsi {
            continue;
        }
        if windows[index] == 0 {
            windows[index] = paging::map_device(FIRST_SLOT + index as u64, io_apic.base.0) as usize;
        }
        let window = windows[index];
        let pins = (read(window, REG_VERSION) >> 16 & 0xff) + 1;
        let pin = gsi - io_apic.first_gsi;
        if pin >= pins {
            continue;
        }
        let mode = match trigger {
            Trigger::EdgeHigh => 0,
            Trigger::LevelHigh => 1 << 15,
            Trigger::LevelLow => 1 << 15 | 1 << 13,
        };
        write(window, REG_REDIRECTION + 2 * pin + 1, apic::id_of(0) << 24);
        write(window, REG_REDIRECTION + 2 * pin, mode | u32::from(vector.0));
        return true;
    }
    false
}
