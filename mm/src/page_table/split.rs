//! Turning a 2 MiB mapping into 512 of 4 KiB, when a verb ends in its middle.

use core::sync::atomic::Ordering::*;

use super::entry::{self, HUGE, OWNED};
use super::gather::Gather;
use super::walk::{Slot, Table, Tables};
use crate::frame;
use crate::machine::pfn_phys;
use hal::addr::HUGE_PAGE_SIZE;

/// There is no frame for a table.
#[derive(Debug)]
pub(crate) struct NoTable;

impl Tables {
    /// Makes sure that no 2 MiB mapping crosses `start` or `end`, with the lock held exclusively. One of anonymous
    /// memory is split; one of an object is taken out (its pages fault in again).
    pub(crate) fn split_edges(&self, start: u64, end: u64, gather: &mut Gather) -> Result<(), NoTable> {
        for edge in [start, end] {
            if !edge.is_multiple_of(HUGE_PAGE_SIZE)
                && let Some(slot) = self.find(edge)
                && slot.level == 2
            {
                self.split(slot, edge & !(HUGE_PAGE_SIZE - 1), gather)?;
            }
        }
        Ok(())
    }

    /// Makes sure that `addr` is not mapped by 2 MiB, even if it is the first byte of such a mapping.
    pub(crate) fn split_at(&self, addr: u64, gather: &mut Gather) -> Result<(), NoTable> {
        match self.find(addr) {
            Some(slot) if slot.level == 2 => self.split(slot, addr & !(HUGE_PAGE_SIZE - 1), gather),
            _ => Ok(()),
        }
    }

    fn split(&self, slot: Slot, addr: u64, gather: &mut Gather) -> Result<(), NoTable> {
        if slot.entry.load(Relaxed) & OWNED == 0 {
            let old = slot.entry.swap(0, AcqRel);
            gather.add(old, addr, 2);
            return Ok(());
        }
        let table = frame::alloc_table().ok_or(NoTable)?;
        // The CPU may set accessed and dirty until the swap; a fault on another vCPU waits for the lock.
        let old = slot.entry.swap(0, AcqRel);
        gather.note_split();
        let first = entry::pfn(old);
        frame::split_used(first);
        let pages = Table::at(table.phys());
        for i in 0..512u32 {
            pages.entry(i as usize).store((old & !HUGE) + pfn_phys(i).0, Relaxed);
        }
        self.hang(slot.entry, table.into_pfn());
        gather.flush_everything();
        Ok(())
    }
}
