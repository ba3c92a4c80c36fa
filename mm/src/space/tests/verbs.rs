//! Each verb by itself, on anonymous memory.

use super::*;

const BASE: u64 = 0x4000_0000;
const KIB: u64 = 1024;
const MIB: u64 = 1 << 20;

fn ranges(space: &AddressSpace) -> Vec<(u64, u64, Protection)> {
    space.areas().expect("memory").iter().map(|area| (area.start, area.end, area.prot)).collect()
}

#[test]
fn untouched_memory_reads_as_zeros_and_keeps_what_is_written() {
    let space = AddressSpace::for_test();
    space.at(BASE, 64 * KIB, RW);
    assert_eq!(space.load(BASE + 5), Ok(0));
    assert_eq!(space.usage().resident, 0, "the shared page of zeros is nobody's");
    assert_eq!(space.store(BASE + 5, 9), Ok(()));
    assert_eq!(space.load(BASE + 5), Ok(9));
    assert_eq!(space.load(BASE + 4096 + 5), Ok(0));
    assert_eq!(space.usage().resident, 4096);
}

#[test]
fn faults_say_why_they_fail() {
    let space = AddressSpace::for_test();
    space.at(BASE, 8 * KIB, RO);
    assert_eq!(space.fault(0, READ), Err(FaultError::NotMapped));
    assert_eq!(space.fault(BASE - 1, READ), Err(FaultError::NotMapped));
    assert_eq!(space.fault(BASE, WRITE), Err(FaultError::Denied));
    assert_eq!(space.fault(BASE, FETCH), Err(FaultError::Denied));
    assert_eq!(space.fault(u64::MAX, READ), Err(FaultError::NotMapped));
    space.protect(BASE, 4096, NONE).expect("mapped");
    assert_eq!(space.fault(BASE, READ), Err(FaultError::Denied));
}

#[test]
fn an_arena_grows_by_small_steps_without_more_areas() {
    let space = AddressSpace::for_test();
    space.at(BASE, 64 * MIB, NONE);
    for step in 1..=40 {
        space.protect(BASE, step * 32 * KIB, RW).expect("mapped");
        let end = BASE + step * 32 * KIB;
        assert_eq!(ranges(&space), [(BASE, end, RW), (end, BASE + 64 * MIB, NONE)]);
    }
    // In steps beside the writable part, too, as glibc does it.
    space.protect(BASE + 1280 * KIB, 32 * KIB, RW).expect("mapped");
    assert_eq!(ranges(&space).len(), 2);
    assert_eq!(space.usage().committed, 1312 * KIB);
}

#[test]
fn commit_and_uncommit_by_fixed_maps_free_frames_and_merge() {
    let space = AddressSpace::for_test();
    let reserve = MapRequest { no_reserve: true, ..MapRequest::anonymous(16 * MIB, NONE) };
    space.map(&reserve.clone().at(Placement::Fixed(BASE))).expect("free");
    for i in 0..8 {
        space.at(BASE + i * MIB, MIB, RW);
        space.store(BASE + i * MIB, 1).expect("writable");
    }
    assert_eq!(ranges(&space).len(), 2);
    assert_eq!(space.usage().resident, 8 * 4096);
    for i in (0..8).rev() {
        let part = MapRequest { len: MIB, ..reserve.clone() };
        space.map(&part.at(Placement::Fixed(BASE + i * MIB))).expect("valid");
    }
    assert_eq!(ranges(&space), [(BASE, BASE + 16 * MIB, NONE)]);
    assert_eq!(space.usage().resident, 0);
    assert_eq!(space.usage().committed, 0);
}

#[test]
fn protection_keeps_contents_and_stops_accesses() {
    let space = AddressSpace::for_test();
    space.at(BASE, 16 * KIB, RW);
    for page in 0..4 {
        space.store(BASE + page * 4096, page as u8 + 1).expect("writable");
    }
    space.protect(BASE + 4096, 8192, NONE).expect("mapped");
    assert_eq!(space.load(BASE + 4096), Err(FaultError::Denied));
    assert_eq!(space.load(BASE), Ok(1));
    space.protect(BASE, 16 * KIB, RO).expect("mapped");
    assert_eq!(space.store(BASE + 8192, 0), Err(FaultError::Denied));
    assert_eq!(space.load(BASE + 8192), Ok(3));
    space.protect(BASE, 16 * KIB, RW).expect("mapped");
    space.store(BASE + 8192, 7).expect("writable");
    assert_eq!(ranges(&space).len(), 1);
    assert_eq!(space.protect(BASE, 32 * KIB, RO), Err(MapError::NotMapped));
    assert_eq!(space.store(BASE, 0), Err(FaultError::Denied), "what lies before the hole is changed");
}

#[test]
fn unmapping_gives_frames_and_tables_back() {
    let space = AddressSpace::for_test();
    space.at(BASE, 64 * MIB, RW);
    for i in 0..64 {
        space.store(BASE + i * MIB, 1).expect("writable");
    }
    assert!(space.usage().page_tables >= 34 * 4096);
    space.unmap(BASE + MIB, 62 * MIB).expect("valid");
    assert_eq!(space.usage().resident, 2 * 4096);
    assert_eq!(space.usage().page_tables, 4 * 4096, "PDPT, directory, and the tables at both ends");
    assert_eq!(space.load(BASE + 5 * MIB), Err(FaultError::NotMapped));
    assert_eq!(space.load(BASE), Ok(1));
    space.unmap(BASE, 64 * MIB).expect("holes are no error");
    assert_eq!(
        space.usage(),
        Usage {
            resident_peak: 64 * 4096,
            virtual_peak: 64 * MIB,
            commit_limit: space.usage().commit_limit,
            ..Usage::default()
        }
    );
}

#[test]
fn discarded_pages_read_as_zeros_again() {
    let space = AddressSpace::for_test();
    space.at(BASE, MIB, RW);
    space.store(BASE, 1).expect("writable");
    space.store(BASE + 4096, 2).expect("writable");
    space.advise(BASE + 4096, 4096, Advice::DontNeed).expect("mapped");
    assert_eq!((space.load(BASE), space.load(BASE + 4096)), (Ok(1), Ok(0)));
    space.advise(BASE, MIB, Advice::Free).expect("anonymous");
    assert_eq!(space.load(BASE), Ok(0));
    assert_eq!(space.advise(BASE, 2 * MIB, Advice::DontNeed), Err(MapError::NotMapped));
    assert_eq!(space.advise(BASE + 1, 4096, Advice::DontNeed), Err(MapError::Invalid));
    assert_eq!(space.advise(0, 0, Advice::PopulateWrite), Ok(()), "the JVM's probe");
}

#[test]
fn populate_fills_everything_at_once() {
    let space = AddressSpace::for_test();
    space.at(BASE, 64 * KIB, RW);
    space.advise(BASE, 32 * KIB, Advice::PopulateWrite).expect("writable");
    assert_eq!(space.usage().resident, 32 * KIB);
    let flags = space.resident(BASE, 64 * KIB).expect("mapped");
    assert_eq!(flags, [vec![true; 8], vec![false; 8]].concat());
    space.protect(BASE, 64 * KIB, RO).expect("mapped");
    assert_eq!(space.advise(BASE, 64 * KIB, Advice::PopulateWrite), Err(MapError::Invalid));
    let request = MapRequest { populate: true, ..MapRequest::anonymous(16 * KIB, RW) };
    let addr = space.map(&request).expect("room");
    assert_eq!(space.resident(addr, 16 * KIB), Ok(vec![true; 4]));
}

#[test]
fn large_pages_serve_whole_aligned_pieces_and_are_split_when_cut() {
    let space = AddressSpace::for_test();
    space.set_huge_pages(HugePages::Always);
    space.at(BASE + MIB, 4 * MIB, RW);
    space.store(BASE + MIB, 1).expect("writable");
    space.store(BASE + 3 * MIB, 3).expect("writable");
    assert_eq!(space.level_at(BASE + MIB), Some(1), "the area does not cover this piece");
    assert_eq!(space.level_at(BASE + 3 * MIB), Some(2));
    assert_eq!(space.usage().resident, 4096 + 2 * MIB);
    assert_eq!(space.residence(BASE..BASE + 8 * MIB).huge, 2 * MIB);
    space.store(BASE + 3 * MIB + 4096, 4).expect("writable");
    space.advise(BASE + 3 * MIB, 4096, Advice::DontNeed).expect("mapped");
    assert_eq!(space.level_at(BASE + 3 * MIB + 4096), Some(1));
    assert_eq!((space.load(BASE + 3 * MIB), space.load(BASE + 3 * MIB + 4096)), (Ok(0), Ok(4)));
    let stack = MapRequest { stack: true, ..MapRequest::anonymous(4 * MIB, RW) };
    let stack = space.map(&stack.at(Placement::Fixed(BASE + 16 * MIB))).expect("free");
    space.store(stack + 2 * MIB, 1).expect("writable");
    assert_eq!(space.level_at(stack + 2 * MIB), Some(1), "stacks have small pages");
}

#[test]
fn the_end_of_a_process_gives_everything_back() {
    let space = AddressSpace::for_test();
    for huge in [HugePages::Never, HugePages::Always] {
        space.set_huge_pages(huge);
        for i in 0..20 {
            let addr = space.map(&MapRequest::anonymous(4 * MIB, RW)).expect("room");
            space.store(addr + i * 8192, 1).expect("writable");
        }
        space.clear();
        assert_eq!(space.areas().expect("memory").len(), 0);
        let usage = space.usage();
        assert_eq!((usage.resident, usage.page_tables, usage.virtual_bytes, usage.committed), (0, 0, 0, 0));
    }
}

#[test]
fn remap_grows_in_place_moves_and_shrinks() {
    let space = AddressSpace::for_test();
    space.at(BASE, 8 * KIB, RW);
    space.store(BASE, 1).expect("writable");
    space.store(BASE + 4096, 2).expect("writable");
    assert_eq!(space.remap(BASE, 8 * KIB, 16 * KIB, Remap::InPlace), Ok(BASE));
    space.at(BASE + 16 * KIB, 4096, RO);
    assert_eq!(space.remap(BASE, 16 * KIB, 32 * KIB, Remap::InPlace), Err(MapError::NoMemory));
    let moved = space.remap(BASE, 16 * KIB, 32 * KIB, Remap::MayMove).expect("room");
    assert_ne!(moved, BASE);
    assert_eq!((space.load(moved), space.load(moved + 4096), space.load(moved + 28 * KIB)), (Ok(1), Ok(2), Ok(0)));
    assert_eq!(space.load(BASE), Err(FaultError::NotMapped));
    assert_eq!(space.remap(moved, 32 * KIB, 4096, Remap::MayMove), Ok(moved));
    assert_eq!(space.load(moved + 4096), Err(FaultError::NotMapped));
    let fixed = space.remap(moved, 4096, 8192, Remap::Fixed(BASE + 16 * KIB)).expect("replaces");
    assert_eq!((space.load(fixed), space.load(fixed + 4096)), (Ok(1), Ok(0)));
    let other = space.remap(fixed, 8192, 8192, Remap::KeepOld(Placement::Any)).expect("room");
    assert_eq!((space.load(fixed), space.load(other)), (Ok(0), Ok(1)));
    assert_eq!(space.remap(BASE + 64 * MIB, 4096, 8192, Remap::MayMove), Err(MapError::NotMapped));
}

#[test]
fn remap_moves_large_pages() {
    let space = AddressSpace::for_test();
    space.set_huge_pages(HugePages::Always);
    space.at(BASE, 4 * MIB, RW);
    (0..4).for_each(|i| space.store(BASE + i * MIB, i as u8 + 1).expect("writable"));
    space.at(BASE + 4 * MIB, 4096, RO);
    let moved = space.remap(BASE, 4 * MIB, 6 * MIB, Remap::MayMove).expect("room");
    (0..4).for_each(|i| assert_eq!(space.load(moved + i * MIB), Ok(i as u8 + 1)));
    assert_eq!(space.usage().resident, 4 * MIB);
    space.clear();
    assert_eq!(space.usage().resident, 0);
}

#[test]
fn many_threads_fault_at_once() {
    let space = AddressSpace::for_test();
    space.at(BASE, 4 * MIB, RW);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let space = &space;
            scope.spawn(move || {
                for page in 0..1024u64 {
                    space.store(BASE + page * 4096 + thread, thread as u8 + 1).expect("writable");
                }
            });
        }
    });
    assert_eq!(space.usage().resident, 4 * MIB);
    for page in (0..1024).step_by(97) {
        (0..4).for_each(|thread| assert_eq!(space.load(BASE + page * 4096 + thread), Ok(thread as u8 + 1)));
    }
}

#[test]
fn limits_hold() {
    let space = AddressSpace::for_test();
    space.set_limits(Limits { address_space_bytes: MIB, areas: 4, ..Limits::DEFAULT });
    assert_eq!(space.map(&MapRequest::anonymous(2 * MIB, RW)), Err(MapError::NoMemory));
    space.at(BASE, MIB, RW);
    assert_eq!(space.map(&MapRequest::anonymous(4096, RW)), Err(MapError::NoMemory));
    space.at(BASE, 4096, RO);
    space.at(BASE + 8192, 4096, RO);
    assert_eq!(space.areas().expect("memory").len(), 4);
    assert_eq!(space.protect(BASE + 16384, 4096, RO), Err(MapError::NoMemory));
    assert_eq!(space.unmap(BASE + 16384, 4096), Err(MapError::NoMemory));
    let huge = 1 << 46;
    space.set_limits(Limits::DEFAULT);
    assert_eq!(space.map(&MapRequest::anonymous(huge, RW)), Err(MapError::NoMemory));
    let lazy = MapRequest { stack: true, ..MapRequest::anonymous(huge, NONE) };
    let addr = space.map(&lazy).expect("reserving is free");
    assert_eq!(space.protect(addr, huge, RW), Err(MapError::NoMemory), "a thread stack of 2^46 bytes");
}
