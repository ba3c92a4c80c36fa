//! The buddy allocator by itself, on metadata of its own; the caches and counted frames on the host's arena.

use core::sync::atomic::Ordering::Relaxed;
use std::collections::BTreeMap;

use hal::addr::PhysAddr;
use hal::boot_info::{BootInfo, MemoryKind, MemoryRegion};
use proptest::prelude::*;

use super::global::{add_all, table};
use super::meta::MetaTable;
use super::zone::{MAX_ORDER, REGION, Zone};
use crate::machine::Pfn;

/// A zone whose metadata is there from the start, as far as `end`; the pages are touched only where it is used.
fn zone(end_bytes: u64) -> Zone {
    let bytes = (end_bytes >> 12) as usize * 16;
    let layout = std::alloc::Layout::from_size_align(bytes, 16).expect("a layout");
    // SAFETY: the layout has a size. The block leaks: metadata is for ever.
    let base = unsafe { std::alloc::alloc_zeroed(layout) };
    assert!(!base.is_null());
    // Each page of metadata takes a frame, as on the real machine (page tables for it aside).
    Zone::new(MetaTable::new(base), |_, take| take().is_some())
}

fn usable(start: u64, len: u64) -> MemoryRegion {
    MemoryRegion { start: PhysAddr(start), len, kind: MemoryKind::Usable }
}

fn zone_of(regions: &[MemoryRegion], kernel: core::ops::Range<u64>) -> Zone {
    let mut info = BootInfo::new("", None, PhysAddr(kernel.start)..PhysAddr(kernel.end));
    let mut end = 0;
    for region in regions {
        assert!(info.push(*region));
        end = end.max(region.start.0 + region.len);
    }
    let mut zone = zone(end.next_multiple_of(2 << 20));
    add_all(&mut zone, &info);
    zone
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

#[test]
fn q35_with_64_mib_leaves_nearly_all_of_it() {
    let zone = zone_of(&[usable(0, 0x9fc00), usable(MIB, 63 * MIB - 0x20000)], 2 * MIB..3 * MIB);
    let given = (62 * MIB - 0x20000) / 4096;
    assert_eq!(zone.total_frames(), given);
    assert!(zone.free_frames() >= given - 10 - 2 * 34 - 1, "{} of {given}", zone.free_frames());
}

#[test]
fn a_tebibyte_costs_nothing_until_it_is_used() {
    let mut zone = zone_of(&[usable(MIB, 2 * GIB - MIB), usable(4 * GIB, 1020 * GIB)], 2 * MIB..4 * MIB);
    assert!(zone.wild_frames() > zone.total_frames() - 2048);
    let before = zone.wild_frames();
    let pfn = zone.take(0).expect("plenty");
    assert!(before - zone.wild_frames() <= u64::from(REGION), "one step at a time");
    zone.give(pfn, 0);
    let mut last = 0;
    for _ in 0..1100 {
        last = zone.take(MAX_ORDER).expect("plenty");
    }
    assert!(last >= ((4 * GIB) >> 12) as Pfn, "memory above the hole is used too");
}

#[test]
fn regions_that_join_do_not_look_like_a_loss() {
    let mut zone = zone(256 * MIB);
    zone.add(100 * 8, 65536 - 77);
    let start = zone.free_frames();
    let mut taken = Vec::new();
    for _ in 0..100 {
        taken.push(zone.take(MAX_ORDER).expect("plenty"));
        assert_eq!(zone.free_frames() + 512 * taken.len() as u64, start);
    }
    taken.iter().for_each(|&pfn| zone.give(pfn, MAX_ORDER));
    assert_eq!(zone.free_frames(), start);
}

#[test]
fn the_kernel_and_reserved_memory_are_never_given_out() {
    let reserved = MemoryRegion { start: PhysAddr(8 * MIB), len: MIB, kind: MemoryKind::Acpi };
    let mut zone = zone_of(&[usable(MIB, 7 * MIB), reserved, usable(9 * MIB, 7 * MIB)], 2 * MIB..5 * MIB + 0x3000);
    let mut seen = 0;
    while let Some(pfn) = zone.take(0) {
        let phys = u64::from(pfn) << 12;
        assert!(
            (MIB..2 * MIB).contains(&phys)
                || (5 * MIB + 0x3000..8 * MIB).contains(&phys)
                || (9 * MIB..16 * MIB).contains(&phys)
        );
        seen += 1;
    }
    assert_eq!(zone.free_frames(), 0);
    assert!(seen > 2500);
}

#[test]
fn adjacent_regions_can_be_had_from_the_wilderness_and_from_freed_ones() {
    let mut zone = zone(64 * MIB);
    zone.add(REGION, 16 * REGION);
    let free = zone.free_frames();
    let first = zone.take_contiguous(4).expect("untouched memory");
    (0..4).for_each(|i| zone.give(first + i * REGION, MAX_ORDER));
    while zone.wild_frames() > 0 {
        let pfn = zone.take_contiguous(1).expect("untouched memory");
        if zone.wild_frames() == 0 {
            zone.give(pfn, MAX_ORDER);
        }
    }
    assert_eq!(zone.take_contiguous(4), None, "single regions only are left");
    assert!(free > zone.free_frames());
}

#[test]
fn many_singles_come_at_once_and_join_again() {
    let mut zone = zone(64 * MIB);
    zone.add(REGION, 8 * REGION);
    let mut out = [0; 64];
    let mut all = Vec::new();
    for _ in 0..20 {
        let count = zone.take_singles(&mut out);
        all.extend_from_slice(&out[..count]);
    }
    let mut sorted = all.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), all.len());
    all.iter().for_each(|&pfn| zone.give(pfn, 0));
    // All whole regions have come together again; the first one gave frames to the pool and stays cut.
    assert!(zone.block_counts()[MAX_ORDER as usize] >= 2);
}

#[derive(Clone, Debug)]
enum Op {
    Take(u8),
    Give(usize),
    Singles(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..=MAX_ORDER).prop_map(Op::Take),
        4 => any::<usize>().prop_map(Op::Give),
        1 => (1..70usize).prop_map(Op::Singles),
    ]
}

proptest! {
    /// Blocks never overlap, are aligned, stay inside; when all are back everything has joined.
    #[test]
    fn blocks_never_overlap_and_always_join(
        ranges in proptest::collection::vec((0..3000u32, 16..3000u32), 1..4),
        ops in proptest::collection::vec(op(), 0..200),
    ) {
        let mut zone = zone(64 * MIB);
        let mut base = REGION;
        let mut given = Vec::new();
        for (gap, len) in ranges {
            let (start, end) = (base + gap, base + gap + len);
            if end > 16000 { break; }
            zone.add(start, end);
            given.push(start..end);
            base = end + 1;
        }
        let full = zone.free_frames();
        let mut used: BTreeMap<Pfn, u8> = BTreeMap::new();
        let add = |used: &mut BTreeMap<Pfn, u8>, pfn: Pfn, order: u8| {
            let end = pfn + (1 << order);
            assert_eq!(pfn % (1 << order), 0);
            assert!(given.iter().any(|range| range.start <= pfn && end <= range.end));
            if let Some((&before, &o)) = used.range(..end).next_back() {
                assert!(before + (1 << o) <= pfn, "overlap at {pfn:#x}");
            }
            used.insert(pfn, order);
        };
        for op in ops {
            match op {
                Op::Take(order) => {
                    if let Some(pfn) = zone.take(order) {
                        add(&mut used, pfn, order);
                    }
                }
                Op::Singles(count) => {
                    let mut out = vec![0; count];
                    let taken = zone.take_singles(&mut out);
                    assert!(taken == count || zone.free_frames() == 0);
                    out[..taken].iter().for_each(|&pfn| add(&mut used, pfn, 0));
                }
                Op::Give(which) => {
                    if !used.is_empty() {
                        let pfn = *used.keys().nth(which % used.len()).expect("in range");
                        let order = used.remove(&pfn).expect("just seen");
                        zone.give(pfn, order);
                    }
                }
            }
            let in_use: u64 = used.values().map(|&o| 1u64 << o).sum();
            // The pool takes a few frames when a region joins.
            // What was kept for page tables of metadata is given up with the last region.
            prop_assert!(zone.free_frames() + in_use <= full + 3);
        }
        for (pfn, order) in core::mem::take(&mut used) {
            zone.give(pfn, order);
        }
        // No two free buddies are left: taking the largest possible blocks empties the zone.
        let rest = zone.free_frames();
        let mut taken = 0;
        for order in (0..=MAX_ORDER).rev() {
            while let Some(pfn) = zone.take(order) {
                taken += 1u64 << order;
                let buddy = pfn ^ (1 << order);
                let buddy_is_free_too = order < MAX_ORDER && zone.take(order).is_some_and(|other| {
                    zone.give(other, order);
                    other == buddy
                });
                prop_assert!(!buddy_is_free_too, "buddies {pfn:#x} did not join");
            }
        }
        // A frame a span is kept back for page tables of the metadata, which these zones do not have.
        prop_assert!(taken >= rest && taken <= rest + 3);
    }
}

#[test]
fn counted_frames_go_back_with_the_last_reference() {
    let frame = super::alloc_zeroed().expect("memory").into_shared();
    let pfn = crate::machine::phys_pfn(frame.phys());
    let other = frame.clone();
    assert_eq!(frame.count(), 2);
    drop(frame);
    assert_eq!(other.count(), 1);
    drop(other);
    assert_eq!(table().get(pfn).count.load(Relaxed), 0);
}

#[test]
fn blocks_of_every_order_can_be_had() {
    for order in 0..=MAX_ORDER {
        let mut frame = super::alloc_order(order).expect("memory");
        assert_eq!(frame.len(), 4096 << order);
        assert!(frame.phys().is_aligned(4096 << order));
        frame.zero();
    }
    assert!(super::alloc_order(MAX_ORDER + 1).is_none());
    let stats = super::stats();
    assert!(stats.free <= stats.total && stats.cached <= stats.free);
}

/// Idle vCPUs clear blocks up to the bound; a fault on a large page takes one, and short memory takes the others back.
#[test]
fn blocks_are_cleared_ahead() {
    use super::zeroed;
    let before = super::stats();
    let dirty: Vec<_> = (0..16).filter_map(|_| super::alloc_huge()).collect();
    for frame in &dirty {
        // SAFETY: the frame is this test's.
        unsafe { frame.as_ptr().write_bytes(0xa5, frame.len()) };
    }
    drop(dirty);
    // What others of these tests use at the same time moves the counts, so only what is held here is compared.
    let mut pieces = 0;
    while super::zero_ahead() {
        pieces += 1;
    }
    let held = zeroed::frames();
    assert!(held > 0 && held <= before.total / 128, "{held} of {} after {pieces} pieces", before.total);
    assert_eq!(pieces, held / 16);
    let frame = super::alloc_huge().expect("memory");
    assert_eq!(zeroed::frames(), held - u64::from(REGION));
    // SAFETY: the frame is this test's.
    let bytes = unsafe { core::slice::from_raw_parts(frame.as_ptr(), frame.len()) };
    assert!(bytes.iter().all(|&byte| byte == 0));
    zeroed::drain();
    assert_eq!(zeroed::frames(), 0);
}
