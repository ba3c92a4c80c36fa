//! Where mappings go.

use super::*;

const BASE: u64 = 0x4000_0000;

fn any(space: &AddressSpace, pages: u64) -> u64 {
    let request = MapRequest { stack: true, ..MapRequest::anonymous(pages * PAGE_SIZE, RW) };
    space.map(&request).expect("room")
}

#[test]
fn mappings_go_down_from_the_base_and_fill_the_highest_hole_that_fits() {
    let space = AddressSpace::for_test();
    let base = space.mmap_base();
    let places: Vec<u64> = (0..6).map(|_| any(&space, 4)).collect();
    assert_eq!(places, (1..=6).map(|i| base - i * 4 * PAGE_SIZE).collect::<Vec<_>>());
    space.unmap(places[1], 4 * PAGE_SIZE).expect("valid");
    space.unmap(places[3], 4 * PAGE_SIZE).expect("valid");
    assert_eq!(any(&space, 8), places[5] - 8 * PAGE_SIZE);
    assert_eq!(any(&space, 1), places[1] + 3 * PAGE_SIZE);
    assert_eq!(any(&space, 4), places[3]);
    assert_eq!(any(&space, 3), places[1]);
    space.unmap(places[4], 4 * PAGE_SIZE).expect("valid");
    space.unmap(places[3], 4 * PAGE_SIZE).expect("valid");
    assert_eq!(any(&space, 8), places[4], "two holes have become one");
}

#[test]
fn hints_are_honoured_exactly_when_free() {
    let space = AddressSpace::for_test();
    let hint = |addr| MapRequest::anonymous(4096, NONE).at(Placement::Hint(addr));
    assert_eq!(space.map(&hint(0x1000)), Ok(0x1000), "Shenandoah's collection set");
    assert_ne!(space.map(&hint(0x1000)), Ok(0x1000));
    assert_eq!(space.map(&hint(1)), Ok(space.mmap_base() - 2 * 4096), "0x1000 is taken");
    assert_eq!(space.map(&hint(0x400_0000_0000)), Ok(0x400_0000_0000));
    assert_eq!(space.map(&hint(0xe000_0123)), Ok(0xe000_1000), "rounded up");
    assert!(space.map(&hint(1 << 50)).expect("elsewhere") < 1 << 47);
}

#[test]
fn fixed_places_are_checked() {
    let space = AddressSpace::for_test();
    let at = |placement| space.map(&MapRequest::anonymous(4096, NONE).at(placement));
    assert_eq!(at(Placement::Fixed(0)), Err(MapError::Permission));
    assert_eq!(at(Placement::Fixed(BASE + 1)), Err(MapError::Invalid));
    assert_eq!(at(Placement::Fixed(hal::addr::USER_END)), Err(MapError::NoMemory));
    assert_eq!(at(Placement::FixedNoReplace(BASE)), Ok(BASE));
    assert_eq!(at(Placement::FixedNoReplace(BASE)), Err(MapError::Exists));
    assert_eq!(at(Placement::Fixed(BASE)), Ok(BASE));
    assert_eq!(space.map(&MapRequest::anonymous(0, NONE)), Err(MapError::Invalid));
    assert_eq!(space.map(&MapRequest::anonymous(u64::MAX, NONE)), Err(MapError::NoMemory));
}

#[test]
fn large_anonymous_mappings_are_aligned_for_large_pages() {
    let space = AddressSpace::for_test();
    any(&space, 3);
    let addr = space.map(&MapRequest::anonymous(64 << 20, NONE)).expect("room");
    assert_eq!(addr % HUGE_PAGE_SIZE, 0);
}

#[test]
fn random_bases_differ_and_fixed_ones_do_not() {
    let space = AddressSpace::for_test();
    let base = space.mmap_base();
    space.clear();
    assert_eq!((space.mmap_base(), space.random_offset(1000)), (base, 0));
    let root = frame::alloc_zeroed().expect("memory");
    let random = AddressSpace::new(crate::machine::pfn_phys(root.into_pfn()));
    let mut bases = std::collections::BTreeSet::new();
    for _ in 0..8 {
        random.clear();
        bases.insert(random.mmap_base());
        assert!(random.mmap_base() < random.stack_top() && random.stack_top() <= hal::addr::USER_END);
    }
    assert!(bases.len() > 4);
}
