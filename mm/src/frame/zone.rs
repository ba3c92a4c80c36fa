//! The buddy allocator: blocks of 1 to 512 frames, and untouched memory that joins it in steps of 2 MiB.
//!
//! A *region* is an aligned 2 MiB. No block is larger, so looking at a block's buddy never leaves its region, and a
//! region's metadata (8 KiB) is made present when the region joins. Memory that has not joined is the *wilderness*: a
//! few spans of whole regions, with nothing touched and no work done for them, be it 60 MiB or 1 TiB.

use core::sync::atomic::Ordering::Relaxed;

use super::meta::{Kind, MetaTable, NONE};
use crate::machine::Pfn;

/// Log2 of the frames in the largest block: 2 MiB.
pub(crate) const MAX_ORDER: u8 = 9;
/// Frames in a region.
pub(crate) const REGION: Pfn = 1 << MAX_ORDER;
/// At most this many spans of wilderness (hal keeps 64 regions of memory, of which the kernel may cut one in two).
const MAX_SPANS: usize = 65;
/// Frames kept aside for metadata and its page tables: enough to let any two regions join, each with new tables.
const POOL: usize = 10;

/// Frames of metadata for a region.
const METADATA_FRAMES: u64 = 2;
/// Regions whose metadata one page table maps.
const TABLE_REGIONS: u64 = 256;

/// Makes one page of metadata present; the closure gives frames for it.
pub(crate) type MapMetadata = fn(page: *mut u8, take: &mut dyn FnMut() -> Option<Pfn>) -> bool;

/// Untouched whole regions from `next` to `end`; `first` is where `next` began.
#[derive(Clone, Copy)]
struct Span {
    first: Pfn,
    next: Pfn,
    end: Pfn,
}

/// Free blocks of one order.
#[derive(Clone, Copy)]
struct List {
    head: Pfn,
    blocks: u32,
}

/// All memory that mm was given. Lives in a spin lock.
pub(crate) struct Zone {
    table: MetaTable,
    map_metadata: MapMetadata,
    lists: [List; MAX_ORDER as usize + 1],
    spans: [Span; MAX_SPANS],
    span_count: usize,
    current_span: usize,
    pool: [Pfn; POOL],
    pool_count: usize,
    free: u64,
    wild: u64,
    /// Of `wild`: what its metadata will take when it joins, so that joining does not look like a loss.
    owed: u64,
    total: u64,
}

impl Zone {
    pub(crate) const fn new(table: MetaTable, map_metadata: MapMetadata) -> Self {
        const EMPTY: Span = Span { first: 0, next: 0, end: 0 };
        Zone {
            table,
            map_metadata,
            lists: [List { head: NONE, blocks: 0 }; MAX_ORDER as usize + 1],
            spans: [EMPTY; MAX_SPANS],
            span_count: 0,
            current_span: 0,
            pool: [0; POOL],
            pool_count: 0,
            free: 0,
            wild: 0,
            owed: 0,
            total: 0,
        }
    }

    /// Free frames, wilderness included, without what the wilderness needs for its own metadata.
    pub(crate) fn free_frames(&self) -> u64 {
        self.free + self.wild - self.owed
    }

    /// Frames never used.
    pub(crate) fn wild_frames(&self) -> u64 {
        self.wild
    }

    /// Frames given to the zone.
    pub(crate) fn total_frames(&self) -> u64 {
        self.total
    }

    /// Free frames in whole regions.
    pub(crate) fn huge_frames(&self) -> u64 {
        u64::from(self.lists[MAX_ORDER as usize].blocks) * u64::from(REGION) + self.wild
    }

    /// Adds the frames `start .. end`, which nobody uses. The parts of regions at both ends join at once.
    pub(crate) fn add(&mut self, start: Pfn, end: Pfn) {
        if end.saturating_sub(start) < 2 * POOL as Pfn {
            return;
        }
        self.total += u64::from(end - start);
        let mut start = start;
        while self.pool_count < POOL {
            self.pool[self.pool_count] = start;
            self.pool_count += 1;
            start += 1;
        }
        let first = start.next_multiple_of(REGION);
        let last = end & !(REGION - 1);
        if first > last {
            self.add_edge(start, end);
            return;
        }
        self.add_edge(start, first);
        self.add_edge(last, end);
        if first < last && self.span_count < MAX_SPANS {
            self.spans[self.span_count] = Span { first, next: first, end: last };
            self.span_count += 1;
            self.wild += u64::from(last - first);
            let (first, regions) = (u64::from(first / REGION), u64::from((last - first) / REGION));
            let tables = (first + regions - 1) / TABLE_REGIONS - first / TABLE_REGIONS + 1;
            self.owed += METADATA_FRAMES * regions + tables;
        }
    }

    /// Adds frames of one region.
    fn add_edge(&mut self, mut start: Pfn, end: Pfn) {
        if start >= end || !self.populate(start & !(REGION - 1)) {
            return;
        }
        while start < end {
            let aligned = start.trailing_zeros().min(u32::from(MAX_ORDER)) as u8;
            let fits = (end - start).ilog2() as u8;
            let order = aligned.min(fits);
            self.free_block(start, order);
            start += 1 << order;
        }
        self.fill_pool();
    }

    /// Makes a region's metadata present.
    fn populate(&mut self, region: Pfn) -> bool {
        let page = self.table.address(region);
        let Zone { pool, pool_count, map_metadata, .. } = self;
        let mut take = || {
            *pool_count = pool_count.checked_sub(1)?;
            Some(pool[*pool_count])
        };
        map_metadata(page, &mut take) && map_metadata(page.wrapping_add(4096), &mut take)
    }

    /// Keeps enough frames aside for the next regions. When nothing but wilderness is left, a region joins for it: whoever takes only
    /// whole regions leaves no single frames.
    fn fill_pool(&mut self) {
        while self.pool_count < POOL {
            let Some(pfn) = self.take_free(0) else {
                let Some(region) = self.take_wild() else { return };
                self.free_block(region, MAX_ORDER);
                continue;
            };
            self.pool[self.pool_count] = pfn;
            self.pool_count += 1;
        }
    }

    /// Takes the next region out of the wilderness. Its metadata says `Used`.
    fn take_wild(&mut self) -> Option<Pfn> {
        while self.current_span < self.span_count {
            let span = &mut self.spans[self.current_span];
            if span.next == span.end {
                self.current_span += 1;
                continue;
            }
            let region = span.next;
            let pool = self.pool_count;
            if !self.populate(region) {
                return None;
            }
            self.spans[self.current_span].next += REGION;
            self.wild -= u64::from(REGION);
            // The pool is filled up again from the region itself.
            let taken = (pool - self.pool_count) as u64;
            self.owed = if self.wild == 0 { 0 } else { self.owed.saturating_sub(taken).min(self.wild) };
            return Some(region);
        }
        None
    }

    /// Takes a block out of the free lists, splitting a larger one if need be.
    fn take_free(&mut self, order: u8) -> Option<Pfn> {
        let from = (order..=MAX_ORDER).find(|&o| self.lists[o as usize].head != NONE)?;
        let pfn = self.lists[from as usize].head;
        self.unlink(pfn, from);
        self.split(pfn, from, order);
        self.free -= 1u64 << order;
        Some(pfn)
    }

    /// Gives the upper halves of a block back until `order` is left.
    fn split(&mut self, pfn: Pfn, from: u8, order: u8) {
        for o in (order..from).rev() {
            self.link(pfn + (1 << o), o);
        }
    }

    /// Takes a block of `1 << order` frames. It is `Used`.
    pub(crate) fn take(&mut self, order: u8) -> Option<Pfn> {
        let pfn = match self.take_free(order) {
            Some(pfn) => pfn,
            None => {
                let region = self.take_wild()?;
                self.split(region, MAX_ORDER, order);
                self.free += u64::from(REGION) - (1u64 << order);
                self.table.get(region).set(Kind::Used, order);
                self.fill_pool();
                return Some(region);
            }
        };
        self.table.get(pfn).set(Kind::Used, order);
        Some(pfn)
    }

    /// Takes up to `out.len()` single frames, in rising order as far as they come in runs. Returns how many.
    pub(crate) fn take_singles(&mut self, out: &mut [Pfn]) -> usize {
        let mut taken = 0;
        while taken < out.len() {
            let wanted = (out.len() - taken).ilog2().min(5) as u8;
            let Some((pfn, order)) = self.take_at_most(wanted) else { break };
            for i in 0..1u32 << order {
                self.table.get(pfn + i).set(Kind::Used, 0);
                out[taken] = pfn + i;
                taken += 1;
            }
        }
        taken
    }

    /// A block of `order`, or a smaller one when small ones lie about (they are used up before a larger one is split).
    fn take_at_most(&mut self, order: u8) -> Option<(Pfn, u8)> {
        for o in (0..order).rev() {
            if self.lists[o as usize].blocks > 4 {
                return Some((self.take(o)?, o));
            }
        }
        if let Some(pfn) = self.take(order) {
            return Some((pfn, order));
        }
        let smaller = (0..order).rev().find(|&o| self.lists[o as usize].head != NONE)?;
        Some((self.take(smaller)?, smaller))
    }

    /// Takes `regions` physically adjacent regions.
    pub(crate) fn take_contiguous(&mut self, regions: u32) -> Option<Pfn> {
        let run = self.free_run(regions);
        if let Some(first) = run {
            for i in 0..regions {
                let pfn = first + i * REGION;
                self.unlink(pfn, MAX_ORDER);
                self.free -= u64::from(REGION);
                self.table.get(pfn).set(Kind::Used, MAX_ORDER);
            }
            return run;
        }
        // Their metadata must come from elsewhere, or it would tear the run.
        while self.free < u64::from(regions) * 3 + POOL as u64 {
            let region = self.take_wild()?;
            self.free_block(region, MAX_ORDER);
            self.fill_pool();
        }
        while self.current_span < self.span_count {
            let span = self.spans[self.current_span];
            if (span.end - span.next) / REGION < regions {
                // The span is too short for this; later ones may do, but only the current one may be cut.
                let region = self.take_wild()?;
                self.free_block(region, MAX_ORDER);
                continue;
            }
            for i in 0..regions {
                let region = self.take_wild()?;
                debug_assert_eq!(region, span.next + i * REGION);
                self.table.get(region).set(Kind::Used, MAX_ORDER);
                self.fill_pool();
            }
            return Some(span.next);
        }
        None
    }

    /// The first of `regions` adjacent free regions. Walks the list of free regions: for rare, large requests.
    fn free_run(&self, regions: u32) -> Option<Pfn> {
        let mut pfn = self.lists[MAX_ORDER as usize].head;
        while pfn != NONE {
            if (1..regions)
                .all(|i| self.has_joined(pfn + i * REGION) && self.table.get(pfn + i * REGION).is_free(MAX_ORDER))
            {
                return Some(pfn);
            }
            pfn = self.table.get(pfn).next.load(Relaxed);
        }
        None
    }

    /// Whether a whole region has left the wilderness.
    fn has_joined(&self, region: Pfn) -> bool {
        self.spans[..self.span_count].iter().any(|span| span.first <= region && region < span.next)
    }

    /// Gives a block back. It joins with its buddies.
    pub(crate) fn give(&mut self, pfn: Pfn, order: u8) {
        debug_assert!(self.table.get(pfn).is_used(), "frame {pfn:#x} freed twice");
        self.free_block(pfn, order);
    }

    fn free_block(&mut self, mut pfn: Pfn, mut order: u8) {
        self.free += 1u64 << order;
        while order < MAX_ORDER {
            let buddy = pfn ^ (1 << order);
            if !self.table.get(buddy).is_free(order) {
                break;
            }
            self.unlink(buddy, order);
            self.table.get(pfn | (1 << order)).set(Kind::Other, 0);
            pfn &= !(1 << order);
            order += 1;
        }
        self.link(pfn, order);
    }

    fn link(&mut self, pfn: Pfn, order: u8) {
        let list = &mut self.lists[order as usize];
        let meta = self.table.get(pfn);
        meta.set(Kind::Free, order);
        meta.prev.store(NONE, Relaxed);
        meta.next.store(list.head, Relaxed);
        if list.head != NONE {
            self.table.get(list.head).prev.store(pfn, Relaxed);
        }
        list.head = pfn;
        list.blocks += 1;
    }

    fn unlink(&mut self, pfn: Pfn, order: u8) {
        let list = &mut self.lists[order as usize];
        let meta = self.table.get(pfn);
        let (next, prev) = (meta.next.load(Relaxed), meta.prev.load(Relaxed));
        if prev == NONE {
            list.head = next;
        } else {
            self.table.get(prev).next.store(next, Relaxed);
        }
        if next != NONE {
            self.table.get(next).prev.store(prev, Relaxed);
        }
        meta.set(Kind::Other, 0);
        list.blocks -= 1;
    }

    /// Free blocks of each order, for tests and `/proc/buddyinfo`.
    pub(crate) fn block_counts(&self) -> [u32; MAX_ORDER as usize + 1] {
        self.lists.map(|list| list.blocks)
    }
}
