//! Choosing addresses as Linux does: from the top down, below the stack, with random bases
//! (`arch_pick_mmap_layout`, `vm_unmapped_area` in Linux).

use core::ops::Range;

use hal::addr::{HUGE_PAGE_SIZE, PAGE_SIZE, USER_END};

use super::Limits;
use super::policy::Policy;
use super::tree::Tree;

/// Lowest address that may be mapped (vm.mmap_min_addr): page 0 faults.
pub(super) const LOWEST: u64 = 4096;
/// Pages by which the stack's top may move: 16 GiB.
const STACK_RANDOM_PAGES: u64 = 0x3f_ffff;
/// Pages by which the base of mappings may move: 28 bits.
const MMAP_RANDOM_PAGES: u64 = (1 << 28) - 1;
/// Free space below the stack, at least and at most.
const STACK_GAP: (u64, u64) = (128 << 20, USER_END / 6 * 5);

/// Where searches begin, and what earlier ones have learnt.
pub(super) struct Placer {
    /// First byte behind the highest address of the stack.
    pub stack_top: u64,
    /// Searches go down from here.
    pub mmap_base: u64,
    /// Every gap whose end lies above `cursor` (and below `mmap_base`) has at most `skipped` bytes.
    cursor: u64,
    skipped: u64,
}

impl Placer {
    pub(super) const fn new() -> Self {
        Placer { stack_top: USER_END, mmap_base: 0, cursor: 0, skipped: 0 }
    }

    /// Chooses new bases for a new process.
    pub(super) fn choose_bases(&mut self, policy: &Policy, limits: &Limits) {
        self.stack_top = USER_END - policy.random_pages(STACK_RANDOM_PAGES) * PAGE_SIZE;
        // Linux's gap also leaves room for the stack's random displacement and its guard.
        let room = (STACK_RANDOM_PAGES + 256) * PAGE_SIZE;
        let random_room = if policy.is_random() { room } else { 256 * PAGE_SIZE };
        let gap = limits.stack_bytes.saturating_add(random_room).clamp(STACK_GAP.0, STACK_GAP.1);
        let base = USER_END - gap - policy.random_pages(MMAP_RANDOM_PAGES) * PAGE_SIZE;
        self.mmap_base = base & !(PAGE_SIZE - 1);
        self.cursor = self.mmap_base;
        self.skipped = 0;
    }

    /// A free range of `len` bytes, its start a multiple of 2 MiB if `aligned`.
    pub(super) fn search(&mut self, tree: &Tree, len: u64, alignment: Alignment) -> Option<u64> {
        if len > USER_END {
            return None;
        }
        if alignment == Alignment::Huge
            && let Some(addr) = self.search_down(tree, len, HUGE_PAGE_SIZE)
        {
            return Some(addr);
        }
        self.search_down(tree, len, PAGE_SIZE)
            // Nothing below the base: Linux then looks above it too.
            .or_else(|| scan(tree, LOWEST..USER_END, len, PAGE_SIZE, &mut 0))
    }

    fn search_down(&mut self, tree: &Tree, len: u64, align: u64) -> Option<u64> {
        let top = if len > self.skipped {
            self.cursor
        } else {
            self.cursor = self.mmap_base;
            self.skipped = 0;
            self.mmap_base
        };
        let found = scan(tree, LOWEST..top, len, align, &mut self.skipped);
        // What lies above the place found has been looked at. Without a place the cursor must not move.
        if let Some(addr) = found {
            self.cursor = (addr + len).max(LOWEST);
        }
        found
    }

    /// `gap` has become free (with what was free around it).
    pub(super) fn freed(&mut self, gap: &Range<u64>) {
        let end = gap.end.min(self.mmap_base);
        if end > self.cursor && end > gap.start {
            self.cursor = end;
        }
    }
}

/// How a range should lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Alignment {
    /// Page-aligned.
    Page,
    /// On 2 MiB if there is such a place.
    Huge,
}

/// The highest free range below `within.end`. `skipped` grows to the largest gap that was passed over.
fn scan(tree: &Tree, within: Range<u64>, len: u64, align: u64, skipped: &mut u64) -> Option<u64> {
    let mut top = within.end;
    // Alignment may leave a gap above the place.
    let fit = |low: u64, top: u64, skipped: &mut u64| {
        let addr = top.checked_sub(len)? & !(align - 1);
        if addr < low || addr < within.start {
            return None;
        }
        *skipped = (*skipped).max(top - (addr + len));
        Some(addr)
    };
    for (start, end) in tree.downwards_from(within.end) {
        if end < top {
            if let Some(addr) = fit(end, top, skipped) {
                return Some(addr);
            }
            *skipped = (*skipped).max(top - end);
        }
        top = top.min(start);
    }
    fit(within.start, top, skipped)
}
