//! Private mappings of files that never change: 2 MiB of them become one copy when most are in use.

use super::*;

const BASE: u64 = 0x4000_0000;
const PAGES: u64 = HUGE_PAGE_SIZE / PAGE_SIZE;
/// No multiple of 2 MiB: what is copied need not lie in the file as it lies in memory.
const OFFSET: u64 = 3;

/// A space that maps 4 MiB of `file` at [`BASE`].
fn space_with(file: &Arc<TestFile>, prot: Protection, sharing: Sharing) -> AddressSpace {
    let space = AddressSpace::for_test();
    space.set_huge_pages(HugePages::Always);
    let request = MapRequest::object(file.clone(), OFFSET * PAGE_SIZE, 2 * HUGE_PAGE_SIZE, prot, sharing);
    space.map(&request.at(Placement::Fixed(BASE))).expect("free");
    space
}

/// Looks at the first `pages` pages of the first 2 MiB.
fn look(space: &AddressSpace, pages: u64) {
    for page in 0..pages {
        assert_eq!(space.load(BASE + page * PAGE_SIZE), Ok(TestFile::initial(OFFSET + page)), "page {page}");
    }
}

fn leave(space: &AddressSpace) {
    space.unmap(BASE, 2 * HUGE_PAGE_SIZE).expect("mapped");
    assert_eq!(space.usage().resident, 0);
}

#[test]
fn most_of_2_mib_in_use_become_one_page() {
    let file = TestFile::constant(2 * PAGES + OFFSET);
    let space = space_with(&file, RO, Sharing::Private);
    look(&space, 383);
    assert_eq!(space.level_at(BASE), Some(1), "too few");
    look(&space, PAGES);
    assert_eq!(space.level_at(BASE), Some(2));
    look(&space, PAGES);
    let usage = space.usage();
    assert_eq!((usage.huge_anonymous, usage.resident, usage.resident_file), (HUGE_PAGE_SIZE, HUGE_PAGE_SIZE, 0));
    assert_eq!(space.store(BASE, 1), Err(FaultError::Denied));
    assert_eq!(file.evict() as u64, PAGES, "no page of the file is mapped any more");

    // A part goes, the rest still shows the file.
    space.unmap(BASE + HUGE_PAGE_SIZE / 2, HUGE_PAGE_SIZE / 2).expect("mapped");
    look(&space, PAGES / 2);
    space.advise(BASE, PAGE_SIZE, Advice::DontNeed).expect("mapped");
    look(&space, PAGES / 2);
    leave(&space);
}

#[test]
fn written_pages_stay_as_they_are() {
    let file = TestFile::constant(2 * PAGES + OFFSET);
    let space = space_with(&file, RW, Sharing::Private);
    space.store(BASE + 7 * PAGE_SIZE, 99).expect("writable");
    for page in (0..PAGES).filter(|page| *page != 7) {
        assert_eq!(space.load(BASE + page * PAGE_SIZE), Ok(TestFile::initial(OFFSET + page)));
    }
    assert_eq!(space.level_at(BASE), Some(2));
    assert_eq!(space.load(BASE + 7 * PAGE_SIZE), Ok(99));
    space.store(BASE + 8 * PAGE_SIZE, 98).expect("writable");
    assert_eq!((space.load(BASE + 8 * PAGE_SIZE), file.byte(OFFSET + 8)), (Ok(98), TestFile::initial(OFFSET + 8)));
    assert_eq!(space.unmap_clean_pages(usize::MAX), 0, "what was written is nowhere else");
    leave(&space);
}

#[test]
fn few_written_pages_are_enough() {
    let file = TestFile::constant(2 * PAGES + OFFSET);
    let space = space_with(&file, RW, Sharing::Private);
    let store = |page: u64| space.store(BASE + page * PAGE_SIZE, 99).expect("writable");
    (0..48).for_each(store);
    assert_eq!(space.level_at(BASE), Some(1), "a look at one window of four");
    store(48);
    assert_eq!(space.level_at(BASE), Some(2));
    assert_eq!(
        (space.load(BASE + 47 * PAGE_SIZE), space.load(BASE + 47 * PAGE_SIZE + 1)),
        (Ok(99), Ok(TestFile::initial(50)))
    );
    assert_eq!(space.load(BASE + 49 * PAGE_SIZE), Ok(TestFile::initial(OFFSET + 49)));
    leave(&space);
}

#[test]
fn clean_copies_are_given_back_when_memory_is_short() {
    let file = TestFile::constant(2 * PAGES + OFFSET);
    let space = space_with(&file, RO, Sharing::Private);
    look(&space, PAGES);
    assert_eq!(space.level_at(BASE), Some(2));
    assert_eq!(space.unmap_clean_pages(1) as u64, PAGES);
    assert_eq!(space.usage().resident, 0);
    look(&space, 8);
    leave(&space);
}

#[test]
fn what_may_change_or_runs_stays_in_small_pages() {
    let exec = RO | Protection::EXEC;
    let constant = TestFile::constant(2 * PAGES + OFFSET);
    let changes = TestFile::new(2 * PAGES + OFFSET, true);
    for (file, prot, sharing) in
        [(&constant, exec, Sharing::Private), (&constant, RO, Sharing::Shared), (&changes, RO, Sharing::Private)]
    {
        let space = space_with(file, prot, sharing);
        look(&space, PAGES);
        assert_eq!(space.level_at(BASE), Some(1), "{prot:?} {sharing:?}");
        leave(&space);
    }
}

#[test]
fn the_end_of_a_file_stays_in_small_pages() {
    let file = TestFile::constant(PAGES + OFFSET - 1);
    let space = space_with(&file, RO, Sharing::Private);
    look(&space, PAGES - 1);
    assert_eq!(space.level_at(BASE), Some(1));
    assert_eq!(space.load(BASE + (PAGES - 1) * PAGE_SIZE), Err(FaultError::BeyondEnd));
    leave(&space);
}
