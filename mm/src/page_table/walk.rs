//! Walking the four levels. Level 1 entries map 4 KiB, level 2 entries name a table or map 2 MiB.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::*};

use hal::addr::{PAGE_SIZE, PhysAddr};
use hal::paging::ADDR_MASK;

use super::entry::{self, TABLE};
use crate::frame;
use crate::machine::{Pfn, pfn_phys};

/// One table, in the direct map.
#[derive(Clone, Copy)]
pub(crate) struct Table(*const [AtomicU64; 512]);

impl Table {
    /// The table at a physical address that a root or an entry named.
    #[inline]
    pub(crate) fn at(phys: PhysAddr) -> Self {
        Table(hal::phys_to_virt(phys).cast_const().cast())
    }

    /// The table that a non-leaf entry names.
    #[inline]
    pub(crate) fn below(entry: u64) -> Self {
        Table::at(PhysAddr(entry & ADDR_MASK))
    }

    /// The entry at `index` (below 512).
    #[inline]
    pub(crate) fn entry(self, index: usize) -> &'static AtomicU64 {
        // SAFETY: a table is a whole frame, in use as a table as long as the caller holds the address-space lock (see
        // the module's header; kernel tables are never freed), and entries are atomics.
        unsafe { &(&(*self.0))[index] }
    }

    /// The entries with these indices (below 512).
    #[inline]
    fn entries(self, indices: Range<usize>) -> &'static [AtomicU64] {
        // SAFETY: as above.
        unsafe { &(&(*self.0))[indices] }
    }
}

/// Bytes that one entry of a level covers.
#[inline]
pub(crate) const fn span(level: u8) -> u64 {
    1 << (12 + 9 * (level as u32 - 1))
}

/// Index of `addr` in a table of a level.
#[inline]
pub(crate) const fn index(addr: u64, level: u8) -> usize {
    (addr >> (12 + 9 * (level as u32 - 1))) as usize & 511
}

/// An entry that may map memory, and its level (1 or 2).
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub entry: &'static AtomicU64,
    pub level: u8,
}

/// The page tables of the application's half.
pub(crate) struct Tables {
    root: PhysAddr,
    /// Table frames in use, the root not counted.
    count: AtomicU64,
}

impl Tables {
    pub(crate) const fn new(root: PhysAddr) -> Self {
        Tables { root, count: AtomicU64::new(0) }
    }

    /// Table frames in use.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// A table has left the tree.
    pub(super) fn forget_one(&self) {
        self.count.fetch_sub(1, Relaxed);
    }

    /// The slot for `addr` at level `target` (1 or 2), with the tables above it made if need be; a 2 MiB mapping on
    /// the way is returned instead. None: no memory.
    #[inline]
    pub(crate) fn slot(&self, addr: u64, target: u8) -> Option<Slot> {
        let mut table = Table::at(self.root);
        let mut level = 4;
        loop {
            let entry = table.entry(index(addr, level));
            if level == target {
                return Some(Slot { entry, level });
            }
            let mut value = entry.load(Acquire);
            if value == 0 {
                value = self.grow(entry)?;
            }
            if entry::is_huge(value) {
                return Some(Slot { entry, level });
            }
            table = Table::below(value);
            level -= 1;
        }
    }

    /// Hangs a new table under an empty entry, unless another vCPU was faster. Returns the entry's value.
    #[cold]
    fn grow(&self, entry: &AtomicU64) -> Option<u64> {
        let frame = frame::alloc_table()?;
        let value = frame.phys().0 | TABLE;
        match entry.compare_exchange(0, value, AcqRel, Acquire) {
            Ok(_) => {
                frame.into_pfn();
                self.count.fetch_add(1, Relaxed);
                Some(value)
            }
            Err(other) => Some(other),
        }
    }

    /// Puts a ready-made table under an entry that the caller has emptied, with the lock held exclusively.
    pub(super) fn hang(&self, entry: &AtomicU64, table: Pfn) {
        self.count.fetch_add(1, Relaxed);
        entry.store(pfn_phys(table).0 | TABLE, Release);
    }

    /// The occupied slot that maps `addr`, if any.
    #[inline]
    pub(crate) fn find(&self, addr: u64) -> Option<Slot> {
        let mut table = Table::at(self.root);
        let mut level = 4;
        loop {
            let entry = table.entry(index(addr, level));
            let value = entry.load(Acquire);
            if value == 0 {
                return None;
            }
            if level == 1 || entry::is_huge(value) {
                return Some(Slot { entry, level });
            }
            table = Table::below(value);
            level -= 1;
        }
    }

    /// The level 2 entry of `addr` if it is occupied: a table's or a 2 MiB mapping's.
    pub(super) fn find_level_2(&self, addr: u64) -> Option<&'static AtomicU64> {
        let mut table = Table::at(self.root);
        for level in (2..=4).rev() {
            let entry = table.entry(index(addr, level));
            let value = entry.load(Acquire);
            if value == 0 {
                return None;
            }
            if level == 2 {
                return Some(entry);
            }
            table = Table::below(value);
        }
        None
    }

    /// The level 1 slot of `addr`, occupied or not, if its table exists.
    pub(crate) fn find_small(&self, addr: u64) -> Option<Slot> {
        let mut table = Table::at(self.root);
        for level in (2..=4).rev() {
            let value = table.entry(index(addr, level)).load(Acquire);
            if value == 0 || entry::is_huge(value) {
                return None;
            }
            table = Table::below(value);
        }
        Some(Slot { entry: table.entry(index(addr, 1)), level: 1 })
    }

    /// Shows every occupied slot in the range to the visitor, in order of address. Empty upper levels are skipped.
    pub(crate) fn visit(&self, range: Range<u64>, visitor: &mut impl Visitor) {
        if range.start < range.end {
            visit_table(Table::at(self.root), 4, range.start, range.end, visitor);
        }
    }
}

/// Who looks at slots.
pub(crate) trait Visitor {
    /// An occupied slot; `addr` is the first address it maps. A 2 MiB slot may reach beyond the range.
    fn leaf(&mut self, slot: Slot, addr: u64);

    /// All slots of the table under `entry`, which covers `span` bytes from `addr`, have been shown as far as they lie
    /// in the range.
    fn table_done(&mut self, entry: &'static AtomicU64, addr: u64, span: u64) {
        let _ = (entry, addr, span);
    }
}

fn visit_table(table: Table, level: u8, start: u64, end: u64, visitor: &mut impl Visitor) {
    if level == 1 {
        return visit_small(table, start, end, visitor);
    }
    let span = span(level);
    let mut addr = start;
    let mut i = index(start, level);
    while addr < end {
        let entry = table.entry(i);
        let value = entry.load(Acquire);
        let base = addr & !(span - 1);
        let next = base + span;
        if entry::is_huge(value) {
            visitor.leaf(Slot { entry, level }, base);
        } else if value != 0 {
            visit_table(Table::below(value), level - 1, addr, next.min(end), visitor);
            visitor.table_done(entry, base, span);
        }
        addr = next;
        i += 1;
    }
}

/// The last level, where most entries of a large area are empty: as few instructions an entry as there can be.
fn visit_small(table: Table, start: u64, end: u64, visitor: &mut impl Visitor) {
    let first = index(start, 1);
    let count = (end.div_ceil(PAGE_SIZE) - start / PAGE_SIZE) as usize;
    let mut addr = start & !(PAGE_SIZE - 1);
    for entry in table.entries(first..first + count) {
        if entry.load(Acquire) != 0 {
            visitor.leaf(Slot { entry, level: 1 }, addr);
        }
        addr += PAGE_SIZE;
    }
}
