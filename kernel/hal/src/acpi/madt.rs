//! The MADT: CPUs, I/O APICs and where ISA interrupts really arrive (ACPI 6.5 section 5.2.12).

use super::{bytes::Bytes, list::List};
use crate::addr::PhysAddr;
use crate::cpu::MAX_CPUS;
use crate::irq::Trigger;

/// CPU flag: usable now. The other, "may be plugged in later", is not for us.
const CPU_ENABLED: u32 = 1;

/// One I/O APIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoApic {
    /// Its own number.
    pub id: u8,
    /// Register block.
    pub base: PhysAddr,
    /// Global system interrupt of its first pin.
    pub first_gsi: u32,
}

/// An ISA interrupt that is not the global system interrupt of the same number, edge-triggered and active high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// ISA interrupt.
    pub isa_irq: u8,
    /// Where it arrives.
    pub gsi: u32,
    /// How it signals.
    pub trigger: Trigger,
}

impl Default for Override {
    fn default() -> Self {
        Self { isa_irq: 0, gsi: 0, trigger: Trigger::EdgeHigh }
    }
}

/// What the MADT says.
#[derive(Clone, Debug, Default)]
pub struct Madt {
    /// Register block of the local APICs.
    pub local_apic: PhysAddr,
    /// (x2)APIC ids of the usable CPUs, in the table's order; each once. CPUs beyond [`MAX_CPUS`] are left out.
    pub cpus: List<u32, MAX_CPUS>,
    /// I/O APICs.
    pub io_apics: List<IoApic, 8>,
    /// ISA overrides.
    pub overrides: List<Override, 16>,
    /// Whether the machine also has two 8259s, which then must be masked.
    pub has_8259: bool,
}

impl Madt {
    /// Parses a table; stops at the first entry that makes no sense.
    pub(super) fn parse(table: &[u8]) -> Self {
        let header = Bytes(table);
        let mut madt = Self {
            local_apic: PhysAddr(u64::from(header.u32(36).unwrap_or(0))),
            has_8259: header.u32(40).unwrap_or(0) & 1 != 0,
            ..Self::default()
        };
        let mut rest = table.get(44..).unwrap_or_default();
        while let [_, len, ..] = *rest {
            let len = usize::from(len);
            if len < 2 || len > rest.len() {
                break;
            }
            let (entry, after) = rest.split_at(len);
            // An entry that is too short for its type is left out.
            let _complete = madt.take(Bytes(entry));
            rest = after;
        }
        madt
    }

    /// How and where ISA interrupt `irq` arrives.
    pub fn isa_route(&self, irq: u8) -> (u32, Trigger) {
        let found = self.overrides.iter().find(|known| known.isa_irq == irq);
        found.map_or((u32::from(irq), Trigger::EdgeHigh), |known| (known.gsi, known.trigger))
    }

    fn take(&mut self, entry: Bytes<'_>) -> Option<()> {
        match entry.u8(0)? {
            0 => self.add_cpu(u32::from(entry.u8(3)?), entry.u32(4)?),
            9 => self.add_cpu(entry.u32(4)?, entry.u32(8)?),
            1 => self.io_apics.push(IoApic {
                id: entry.u8(2)?,
                base: PhysAddr(u64::from(entry.u32(4)?)),
                first_gsi: entry.u32(8)?,
            }),
            2 => self.overrides.push(Override {
                isa_irq: entry.u8(3)?,
                gsi: entry.u32(4)?,
                trigger: trigger(entry.u16(8)?),
            }),
            5 => self.local_apic = PhysAddr(entry.u64(4)?),
            _ => {}
        }
        Some(())
    }

    fn add_cpu(&mut self, apic_id: u32, flags: u32) {
        // The broadcast ids are no CPU's, and firmware may list a CPU in both formats.
        let is_real = apic_id != u32::MAX && flags & CPU_ENABLED != 0;
        if is_real && !self.cpus.contains(&apic_id) {
            self.cpus.push(apic_id);
        }
    }
}

/// MPS INTI flags: bits 1:0 polarity (3 is active low), bits 3:2 trigger mode (3 is level); 0 conforms to ISA.
fn trigger(flags: u16) -> Trigger {
    match (flags >> 2 & 3, flags & 3) {
        (3, 3) => Trigger::LevelLow,
        (3, _) => Trigger::LevelHigh,
        _ => Trigger::EdgeHigh,
    }
}
