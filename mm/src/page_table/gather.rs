//! What a verb takes out of the page tables. Frames and tables go back only after every vCPU has dropped its
//! translations of them.

use core::sync::atomic::{AtomicU64, Ordering::*};

use super::entry::{self, ACCESSED, CACHED, OWNED, PRESENT, ZERO};
use super::walk::{Slot, Tables, Visitor};
use crate::frame::meta::NONE;
use crate::frame::{self, FrameRef, HUGE_PAGES, HugeRef, MAX_ORDER, cache};
use crate::machine::Pfn;
use crate::space::shootdown::{self, Flush};
use core::ops::Range;

/// Resident pages of the address space.
#[derive(Default)]
pub(crate) struct Resident {
    /// Owned pages.
    pub anonymous: AtomicU64,
    /// Pages of objects.
    pub object: AtomicU64,
    /// Of `anonymous`: in 2 MiB mappings.
    pub huge_anonymous: AtomicU64,
    /// Of `object`: in 2 MiB mappings.
    pub huge_object: AtomicU64,
}

impl Resident {
    pub(crate) const fn new() -> Self {
        Resident {
            anonymous: AtomicU64::new(0),
            object: AtomicU64::new(0),
            huge_anonymous: AtomicU64::new(0),
            huge_object: AtomicU64::new(0),
        }
    }

    /// 2 MiB of anonymous memory have been mapped at once.
    pub(crate) fn add_huge_anonymous(&self) {
        self.anonymous.fetch_add(HUGE_PAGES, Relaxed);
        self.huge_anonymous.fetch_add(HUGE_PAGES, Relaxed);
    }

    /// 2 MiB of an object have been mapped at once.
    pub(crate) fn add_huge_object(&self) {
        self.object.fetch_add(HUGE_PAGES, Relaxed);
        self.huge_object.fetch_add(HUGE_PAGES, Relaxed);
    }

    /// A 2 MiB mapping of anonymous memory is 512 of 4 KiB now, or has gone.
    pub(super) fn forget_huge_anonymous(&self) {
        self.huge_anonymous.fetch_sub(HUGE_PAGES, Relaxed);
    }
}

/// Counted frames that one gather holds before it flushes early.
const SHARED: usize = 64;

/// Collects; [`Gather::finish`] or the drop flushes and frees.
pub(crate) struct Gather<'a> {
    tables: &'a Tables,
    resident: &'a Resident,
    /// Chains through the frames' metadata: nobody else uses it while we own the frame.
    owned: Pfn,
    owned_huge: Pfn,
    old_tables: Pfn,
    shared: [(Pfn, u8); SHARED],
    shared_count: usize,
    anonymous: u64,
    object: u64,
    flush: Flush,
}

impl<'a> Gather<'a> {
    pub(crate) fn new(tables: &'a Tables, resident: &'a Resident) -> Self {
        Gather {
            tables,
            resident,
            owned: NONE,
            owned_huge: NONE,
            old_tables: NONE,
            shared: [(0, 0); SHARED],
            shared_count: 0,
            anonymous: 0,
            object: 0,
            flush: Flush::NOTHING,
        }
    }

    /// Takes over what an emptied slot held.
    #[inline]
    pub(crate) fn add(&mut self, old: u64, addr: u64, level: u8) {
        self.note_change(old, addr, level);
        if old & ZERO != 0 {
            return;
        }
        let pfn = entry::pfn(old);
        let pages = if level == 2 { HUGE_PAGES } else { 1 };
        if old & OWNED != 0 {
            self.anonymous += pages;
            let chain = if level == 2 {
                self.resident.forget_huge_anonymous();
                &mut self.owned_huge
            } else {
                &mut self.owned
            };
            frame::table().get(pfn).next.store(*chain, Relaxed);
            *chain = pfn;
        } else {
            self.object += pages;
            if level == 2 {
                self.resident.huge_object.fetch_sub(HUGE_PAGES, Relaxed);
            }
            if self.shared_count == SHARED {
                self.release();
            }
            self.shared[self.shared_count] = (pfn, level);
            self.shared_count += 1;
        }
    }

    /// An entry has lost rights or its frame: translations made from it must go. One that was never accessed is in no
    /// translation cache (Intel SDM volume 3, section 4.10.2.3).
    #[inline]
    pub(crate) fn note_change(&mut self, old: u64, addr: u64, level: u8) {
        if old & PRESENT != 0 && old & (ACCESSED | CACHED) != 0 {
            self.flush.add(addr, level);
        }
    }

    /// A 2 MiB mapping of anonymous memory is 512 small ones now.
    pub(crate) fn note_split(&self) {
        self.resident.forget_huge_anonymous();
    }

    /// Something larger has changed.
    pub(crate) fn flush_everything(&mut self) {
        self.flush.everything();
    }

    /// Takes over a table that holds nothing any more.
    pub(crate) fn add_table(&mut self, entry: u64) {
        let pfn = entry::pfn(entry);
        frame::table().get(pfn).next.store(self.old_tables, Relaxed);
        self.old_tables = pfn;
        self.tables.forget_one();
        // Translation caches hold upper levels too.
        self.flush.everything();
    }

    /// Flushes, then frees. May be used again afterwards.
    fn release(&mut self) {
        shootdown::flush(core::mem::replace(&mut self.flush, Flush::NOTHING));
        for chain in [&mut self.owned, &mut self.old_tables] {
            free_chain(chain, cache::give);
        }
        free_chain(&mut self.owned_huge, |pfn| frame::give_order(pfn, MAX_ORDER));
        for &(pfn, level) in &self.shared[..self.shared_count] {
            if level == 2 {
                // SAFETY: the entry that held this reference is empty and flushed.
                drop(unsafe { HugeRef::from_pfn(pfn) });
            } else {
                // SAFETY: as above.
                drop(unsafe { FrameRef::from_pfn(pfn) });
            }
        }
        self.shared_count = 0;
        self.resident.anonymous.fetch_sub(core::mem::take(&mut self.anonymous), Relaxed);
        self.resident.object.fetch_sub(core::mem::take(&mut self.object), Relaxed);
    }

    /// Flushes and frees now.
    pub(crate) fn finish(self) {}
}

impl Drop for Gather<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

fn free_chain(chain: &mut Pfn, free: impl Fn(Pfn)) {
    let mut pfn = core::mem::replace(chain, NONE);
    while pfn != NONE {
        let next = frame::table().get(pfn).next.load(Relaxed);
        free(pfn);
        pfn = next;
    }
}

/// Empties slots.
struct Zap<'g, 'a> {
    gather: &'g mut Gather<'a>,
    gap: Range<u64>,
}

impl Visitor for Zap<'_, '_> {
    fn leaf(&mut self, slot: Slot, addr: u64) {
        let old = slot.entry.swap(0, AcqRel);
        self.gather.add(old, addr, slot.level);
    }

    fn table_done(&mut self, entry: &'static AtomicU64, addr: u64, span: u64) {
        if self.gap.start <= addr && addr + span <= self.gap.end {
            let old = entry.swap(0, AcqRel);
            self.gather.add_table(old);
        }
    }
}

impl Tables {
    /// Empties all slots in `range`, whose edges cut no 2 MiB mapping, and takes the tables away that lie in `gap` (which contains `range` and
    /// in which nothing else is mapped). The lock is held exclusively.
    pub(crate) fn zap(&self, range: Range<u64>, gap: Range<u64>, gather: &mut Gather) {
        self.visit(range, &mut Zap { gather, gap });
    }
}
