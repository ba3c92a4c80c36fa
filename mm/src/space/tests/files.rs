//! Mappings of objects.

use super::*;

const BASE: u64 = 0x4000_0000;

fn map(space: &AddressSpace, file: &Arc<TestFile>, offset: u64, pages: u64, prot: Protection, sharing: Sharing) -> u64 {
    let request = MapRequest::object(file.clone(), offset * PAGE_SIZE, pages * PAGE_SIZE, prot, sharing);
    space.map(&request.at(Placement::Fixed(BASE))).expect("free")
}

#[test]
fn a_fault_maps_what_is_in_memory_around_it() {
    let space = AddressSpace::for_test();
    let file = TestFile::new(40, true);
    map(&space, &file, 0, 40, RO, Sharing::Shared);
    assert_eq!(space.load(BASE), Ok(TestFile::initial(0)));
    assert_eq!(space.usage().resident, 4096, "the others are not in memory");
    file.cache_all();
    assert_eq!(space.load(BASE + 5 * PAGE_SIZE), Ok(TestFile::initial(5)));
    assert_eq!(space.usage().resident, 16 * 4096);
    assert_eq!(space.load(BASE + 39 * PAGE_SIZE), Ok(TestFile::initial(39)));
    assert_eq!(space.usage().resident, 24 * 4096, "clipped by the end of the area");
    assert_eq!(space.usage().resident_file, 24 * 4096);
}

#[test]
fn private_mappings_copy_on_write() {
    let space = AddressSpace::for_test();
    let file = TestFile::new(8, true);
    map(&space, &file, 2, 4, RW, Sharing::Private);
    assert_eq!(space.load(BASE), Ok(TestFile::initial(2)));
    space.store(BASE, 99).expect("writable");
    space.store(BASE + PAGE_SIZE, 98).expect("writable");
    assert_eq!((space.load(BASE), space.load(BASE + 1)), (Ok(99), Ok(TestFile::initial(2))));
    assert_eq!((file.byte(2), file.byte(3)), (TestFile::initial(2), TestFile::initial(3)));
    assert!(file.dirtied.lock().expect("no panic").is_empty());
    // RELRO: read-only and back keeps the copies private and the originals safe.
    space.protect(BASE, 4 * PAGE_SIZE, RO).expect("mapped");
    space.protect(BASE, 4 * PAGE_SIZE, RW).expect("mapped");
    space.store(BASE + 2 * PAGE_SIZE, 97).expect("writable");
    space.store(BASE, 96).expect("writable");
    assert_eq!(file.byte(4), TestFile::initial(4));
    // The same for a page that is mapped, but not copied yet, while the right to write comes back.
    assert_eq!(space.load(BASE + 3 * PAGE_SIZE), Ok(TestFile::initial(5)));
    space.protect(BASE, 4 * PAGE_SIZE, RO).expect("mapped");
    space.protect(BASE, 4 * PAGE_SIZE, RW).expect("mapped");
    space.store(BASE + 3 * PAGE_SIZE, 95).expect("writable");
    assert_eq!(file.byte(5), TestFile::initial(5));
    space.advise(BASE, 4 * PAGE_SIZE, Advice::DontNeed).expect("mapped");
    assert_eq!(space.load(BASE), Ok(TestFile::initial(2)), "the file shows again");
}

#[test]
fn shared_writes_reach_the_file_and_are_announced() {
    let space = AddressSpace::for_test();
    let file = TestFile::new(8, true);
    map(&space, &file, 0, 8, RW, Sharing::Shared);
    assert_eq!(space.load(BASE), Ok(TestFile::initial(0)));
    space.store(BASE, 5).expect("writable");
    space.store(BASE, 6).expect("writable");
    space.store(BASE + PAGE_SIZE, 7).expect("writable");
    assert_eq!((file.byte(0), file.byte(1)), (6, 7));
    assert_eq!(*file.dirtied.lock().expect("no panic"), [0, 1]);
    space.write_protect(file.id(), 0..1);
    space.store(BASE, 8).expect("writable");
    assert_eq!(*file.dirtied.lock().expect("no panic"), [0, 1, 0], "announced again after writeback");
}

#[test]
fn memory_files_are_writable_at_once() {
    let space = AddressSpace::for_test();
    let file = TestFile::new(4, false);
    file.cache_all();
    map(&space, &file, 0, 4, RW, Sharing::Shared);
    assert_eq!(space.load(BASE), Ok(TestFile::initial(0)));
    let slot = space.tables.find(BASE + PAGE_SIZE).expect("mapped around");
    assert!(entry::allows(slot.entry.load(SeqCst), true, false));
    space.store(BASE, 1).expect("writable");
    assert_eq!(file.byte(0), 1);
}

#[test]
fn pages_behind_the_end_are_bus_errors() {
    let space = AddressSpace::for_test();
    let file = TestFile::new(4, true);
    map(&space, &file, 0, 8, RW, Sharing::Private);
    assert_eq!(space.load(BASE + 4 * PAGE_SIZE), Err(FaultError::BeyondEnd));
    space.store(BASE + 2 * PAGE_SIZE, 1).expect("writable");
    assert_eq!(space.load(BASE), Ok(TestFile::initial(0)));
    file.truncate(1, &space);
    assert_eq!(space.load(BASE + 2 * PAGE_SIZE), Err(FaultError::BeyondEnd), "private copies go, too");
    assert_eq!(space.load(BASE), Ok(TestFile::initial(0)));
}

#[test]
fn one_file_at_three_addresses_shows_the_same_pages() {
    let space = AddressSpace::for_test();
    let file = TestFile::new(4, false);
    for view in [0x400_0000_0000, 0x800_0000_0000, 0x1000_0000_0000] {
        let request = MapRequest::object(file.clone(), 0, 4 * PAGE_SIZE, RW, Sharing::Shared);
        space.map(&request.at(Placement::Fixed(view))).expect("free");
    }
    space.store(0x400_0000_0000, 42).expect("writable");
    assert_eq!((space.load(0x800_0000_0000), space.load(0x1000_0000_0000)), (Ok(42), Ok(42)));
    assert_eq!(space.backing_at(0x800_0000_1008), Some((file.id(), 0x1008)));
}

#[test]
fn clean_pages_are_unmapped_under_pressure() {
    let space = AddressSpace::for_test();
    let file = TestFile::new(64, true);
    file.cache_all();
    map(&space, &file, 0, 64, RW, Sharing::Private);
    (0..64).for_each(|i| assert_eq!(space.load(BASE + i * PAGE_SIZE), Ok(TestFile::initial(i))));
    space.store(BASE, 1).expect("writable");
    assert_eq!(file.evict(), 1, "all others are mapped");
    assert!(space.unmap_clean_pages(1000) >= 63);
    assert_eq!(file.evict(), 63);
    assert_eq!(space.load(BASE), Ok(1), "the private copy stays");
    assert_eq!(space.load(BASE + 7 * PAGE_SIZE), Ok(TestFile::initial(7)));
}

#[test]
fn shared_anonymous_memory_is_an_object() {
    let space = AddressSpace::for_test();
    let request = MapRequest { sharing: Sharing::Shared, ..MapRequest::anonymous(8 * PAGE_SIZE, RW) };
    let addr = space.map(&request).expect("room");
    space.store(addr, 3).expect("writable");
    space.advise(addr, PAGE_SIZE, Advice::DontNeed).expect("mapped");
    assert_eq!(space.load(addr), Ok(3), "the object keeps it");
    assert!(space.backing_at(addr).is_some());
    let twin = space.remap(addr, 0, 8 * PAGE_SIZE, Remap::MayMove).expect("shared");
    assert_eq!(space.load(twin), Ok(3));
}

#[test]
fn the_object_is_told_how_often_its_pages_are_mapped() {
    let space = AddressSpace::for_test();
    let file = TestFile::new(16, true);
    map(&space, &file, 0, 16, RO, Sharing::Private);
    space.unmap(BASE + 4 * PAGE_SIZE, 4 * PAGE_SIZE).expect("valid");
    space.protect(BASE, 2 * PAGE_SIZE, RW).expect("mapped");
    space.remap(BASE + 8 * PAGE_SIZE, 8 * PAGE_SIZE, 8 * PAGE_SIZE, Remap::Fixed(BASE << 1)).expect("free");
    let expected = |page: u64| i64::from(!(4..8).contains(&page));
    (0..16).for_each(|page| assert_eq!(file.mapped.lock().expect("no panic")[&page], expected(page)));
    space.clear();
    assert!(file.mapped.lock().expect("no panic").values().all(|&count| count == 0));
}
