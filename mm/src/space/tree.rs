//! The areas in order of address: an interval tree of disjoint intervals, so a B-tree by start address will do.
//!
//! Areas grow and shrink by small steps all the time (malloc arenas, heap commit), so the start of an area is an atomic
//! inside its key: it is moved in place as long as the order of the areas stays the same.

use alloc::collections::BTreeMap;
use core::cmp::Ordering;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::area::Area;
use super::totals::Totals;

/// Start of an area.
pub(super) struct Start(AtomicU64);

impl Start {
    fn new(addr: u64) -> Self {
        Start(AtomicU64::new(addr))
    }

    /// The address.
    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Moves the start. The area keeps its place in the order: the new start lies between the end of the area before
    /// and the end of this one.
    fn set(&self, addr: u64) {
        self.0.store(addr, Relaxed);
    }
}

impl PartialEq for Start {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}
impl Eq for Start {}
impl PartialOrd for Start {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Start {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.get().cmp(&other.get())
    }
}

/// All areas, and sums over them.
pub(super) struct Tree {
    map: BTreeMap<Start, Area>,
    pub totals: Totals,
}

impl Tree {
    pub(super) const fn new() -> Self {
        Tree { map: BTreeMap::new(), totals: Totals::ZERO }
    }

    /// Number of areas.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// The area that holds `addr`, with its start.
    #[inline]
    pub(super) fn find(&self, addr: u64) -> Option<(u64, &Area)> {
        let (start, area) = self.map.range(..=Start::new(addr)).next_back()?;
        (addr < area.end).then(|| (start.get(), area))
    }

    /// Areas that overlap the range, in order.
    pub(super) fn overlapping(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &Area)> {
        let first = self.find(range.start).map_or(range.start, |(start, _)| start);
        self.map.range(Start::new(first)..Start::new(range.end.max(first))).map(|(start, area)| (start.get(), area))
    }

    /// All areas from the top down.
    pub(super) fn downwards_from(&self, addr: u64) -> impl Iterator<Item = (u64, u64)> {
        self.map.range(..Start::new(addr)).rev().map(|(start, area)| (start.get(), area.end))
    }

    /// All areas in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Area)> {
        self.map.iter().map(|(start, area)| (start.get(), area))
    }

    /// Whether nothing overlaps the range.
    pub(super) fn is_free(&self, range: Range<u64>) -> bool {
        self.map.range(..Start::new(range.end)).next_back().is_none_or(|(_, area)| area.end <= range.start)
    }

    /// The free space around a free range: from the end of the area before to the start of the
    /// one behind, or `limits`.
    pub(super) fn gap_around(&self, range: Range<u64>, limits: Range<u64>) -> Range<u64> {
        let before = self.map.range(..Start::new(range.start)).next_back().map_or(limits.start, |(_, area)| area.end);
        let behind = self.map.range(Start::new(range.end)..).next().map_or(limits.end, |(start, _)| start.get());
        before..behind
    }

    /// Takes the part of the lowest area that overlaps `range` out of the tree: its start and the part. What sticks
    /// out on either side stays.
    pub(super) fn carve(&mut self, range: Range<u64>) -> Option<(u64, Area)> {
        // The area that starts at or before the range, or the first inside it.
        let at_start = self.map.range_mut(..=Start::new(range.start)).next_back();
        let (from, cut) = match at_start.filter(|(_, area)| area.end > range.start) {
            Some((start, area)) => (range.start, cut(start, area, &range)),
            None => {
                let (start, area) = self.map.range_mut(Start::new(range.start)..Start::new(range.end)).next()?;
                (start.get(), cut(start, area, &range))
            }
        };
        let part = match cut {
            Cut::Whole => self.map.remove(&Start::new(from))?,
            Cut::Edge(part) => part,
            Cut::Middle(part, behind) => {
                self.map.insert(Start::new(range.end), behind);
                part
            }
        };
        self.totals.subtract(from, &part);
        Some((from, part))
    }

    /// Puts an area where nothing is. It becomes one with its neighbours if they are alike.
    pub(super) fn insert(&mut self, start: u64, mut area: Area) {
        debug_assert!(start < area.end && self.is_free(start..area.end));
        self.totals.add(start, &area);
        let mut behind = self.map.range_mut(Start::new(area.end)..);
        let joins_behind = match behind.next() {
            Some((next_start, next)) if next_start.get() == area.end && area.joins(start, next) => {
                // The next area starts earlier now. Its object's offset moves with it.
                let old = next_start.get();
                next_start.set(start);
                next.trim_head(old, start);
                true
            }
            _ => false,
        };
        let mut before = self.map.range_mut(..Start::new(start));
        if let Some((prev_start, prev)) = before.next_back()
            && prev.end == start
            && prev.joins(prev_start.get(), &area)
        {
            prev.end = area.end;
            if joins_behind {
                // `start` is the next area's key now; it is swallowed whole.
                let next = self.map.remove(&Start::new(start)).expect("its start was set above");
                area.end = next.end;
                self.extend_before(start, area.end);
            }
            return;
        }
        if !joins_behind {
            self.map.insert(Start::new(start), area);
        }
    }

    fn extend_before(&mut self, start: u64, end: u64) {
        if let Some((_, prev)) = self.map.range_mut(..Start::new(start)).next_back() {
            prev.end = end;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.map.clear();
        self.totals = Totals::ZERO;
    }
}

/// What is cut out of an area.
enum Cut {
    /// All of it: it is to be removed.
    Whole,
    /// Its head or its tail; the rest stays.
    Edge(Area),
    /// Its middle; the head stays, and the second is to be inserted behind the range.
    Middle(Area, Area),
}

/// Cuts what `range` covers out of an area that overlaps it.
fn cut(start: &Start, area: &mut Area, range: &Range<u64>) -> Cut {
    let (first, end) = (start.get(), area.end);
    let from = range.start.max(first);
    if from == first && end <= range.end {
        return Cut::Whole;
    }
    let mut part = area.tail(first, from);
    part.end = end.min(range.end);
    if from == first {
        // The head goes; the area starts later.
        start.set(range.end);
        area.trim_head(first, range.end);
        return Cut::Edge(part);
    }
    if end <= range.end {
        area.end = from;
        return Cut::Edge(part);
    }
    let behind = area.tail(first, range.end);
    area.end = from;
    Cut::Middle(part, behind)
}
