//! 2 MiB frames of an object: one mapping for all, and small ones where a view or a verb cuts them.

use super::*;
use crate::backing::Hole;
use crate::frame::{HUGE_PAGES, HugeRef};

/// An object of 2 MiB frames.
struct HugeFile {
    chunks: Mutex<BTreeMap<u64, HugeRef>>,
}

impl HugeFile {
    fn new() -> Arc<Self> {
        Arc::new(HugeFile { chunks: Mutex::default() })
    }

    fn references(&self, chunk: u64) -> u32 {
        self.chunks.lock().expect("no panic")[&chunk].count()
    }

    fn fill(&self, chunk: u64) {
        let frame = frame::alloc_huge().expect("memory").into_huge();
        self.chunks.lock().expect("no panic").entry(chunk).or_insert(frame);
    }
}

impl Backing for HugeFile {
    fn id(&self) -> u64 {
        u64::MAX
    }
    fn size(&self) -> u64 {
        1 << 30
    }
    fn fault_page(&self, index: u64, _write: bool) -> Result<FrameRef, BackingError> {
        self.fill(index / HUGE_PAGES);
        self.peek_page(index).ok_or(BackingError::NoMemory)
    }
    fn peek_page(&self, index: u64) -> Option<FrameRef> {
        Some(self.chunks.lock().expect("no panic").get(&(index / HUGE_PAGES))?.part(index % HUGE_PAGES))
    }
    fn fault_huge(&self, index: u64, hole: Hole) -> Option<HugeRef> {
        if hole == Hole::MayBeFilled {
            self.fill(index / HUGE_PAGES);
        }
        self.chunks.lock().expect("no panic").get(&(index / HUGE_PAGES)).cloned()
    }
    fn tracks_dirty(&self) -> bool {
        false
    }
    fn dev_ino(&self) -> (u64, u64) {
        (1, 1)
    }
    fn path(&self) -> String {
        String::new()
    }
    fn writable_shared(&self) -> bool {
        true
    }
}

const A: u64 = 0x1000_0000;
const B: u64 = 0x2000_0000;

fn view(space: &AddressSpace, file: &Arc<HugeFile>, at: u64, offset: u64, len: u64) {
    let request = MapRequest::object(file.clone(), offset, len, RW, Sharing::Shared);
    space.map(&request.at(Placement::Fixed(at))).expect("free");
}

#[test]
fn views_share_a_frame_by_large_entries_and_by_small_ones() {
    let space = AddressSpace::for_test();
    let file = HugeFile::new();
    file.fill(0);
    file.fill(1);
    view(&space, &file, A, 0, 2 * HUGE_PAGE_SIZE);
    view(&space, &file, B + PAGE_SIZE, 0, 2 * HUGE_PAGE_SIZE);
    space.store(A + 5 * PAGE_SIZE, 7).expect("writable");
    assert_eq!(space.level_at(A), Some(2));
    assert_eq!(file.references(0), 2, "the file's, the mapping's");
    assert_eq!(space.load(B + 6 * PAGE_SIZE), Ok(7), "not aligned: small pages of the same frame");
    assert_eq!(space.level_at(B + 6 * PAGE_SIZE), Some(1));
    assert!(file.references(0) > 2);
    let usage = space.usage();
    assert_eq!((usage.huge_object, usage.huge_anonymous), (HUGE_PAGE_SIZE, 0));

    // A protection in the middle: the large entry goes, small ones come, the bytes stay.
    space.protect(A + 5 * PAGE_SIZE, PAGE_SIZE, RO).expect("mapped");
    assert_eq!(space.load(A + 5 * PAGE_SIZE), Ok(7));
    assert_eq!(space.store(A + 5 * PAGE_SIZE, 1), Err(FaultError::Denied));
    space.store(A + 4 * PAGE_SIZE, 8).expect("writable");
    assert_eq!(space.load(B + 5 * PAGE_SIZE), Ok(8));
    assert_eq!(space.usage().huge_object, 0);

    // Half of the other one is unmapped.
    space.store(A + HUGE_PAGE_SIZE, 9).expect("writable");
    assert_eq!(space.level_at(A + HUGE_PAGE_SIZE), Some(2));
    space.unmap(A + HUGE_PAGE_SIZE + HUGE_PAGE_SIZE / 2, HUGE_PAGE_SIZE / 2).expect("mapped");
    assert_eq!(space.load(A + HUGE_PAGE_SIZE), Ok(9));
    assert_eq!(space.load(A + HUGE_PAGE_SIZE + HUGE_PAGE_SIZE / 2), Err(FaultError::NotMapped));
    space.unmap(A, 2 * HUGE_PAGE_SIZE).expect("mapped");
    space.unmap(B, 3 * HUGE_PAGE_SIZE).expect("mapped");
    assert_eq!((file.references(0), file.references(1)), (1, 1), "all mappings have given back");
    assert_eq!(space.usage().resident, 0);
}

#[test]
fn a_hole_is_filled_by_2_mib_only_when_asked_for() {
    let space = AddressSpace::for_test();
    let file = HugeFile::new();
    space.set_huge_pages(HugePages::Auto);
    view(&space, &file, A, 0, 2 * HUGE_PAGE_SIZE);
    space.store(A, 1).expect("writable");
    assert_eq!(space.level_at(A), Some(1));
    space.advise(A, 2 * HUGE_PAGE_SIZE, Advice::HugePage).expect("mapped");
    space.store(A + HUGE_PAGE_SIZE, 1).expect("writable");
    assert_eq!(space.level_at(A + HUGE_PAGE_SIZE), Some(2));
    space.unmap(A, 2 * HUGE_PAGE_SIZE).expect("mapped");
}

#[test]
fn a_frame_taken_to_pieces_frees_each_page_by_itself() {
    let alone = frame::alloc_huge().expect("memory").into_huge();
    let mut pages = Vec::new();
    alone.split(&mut |page| pages.push(page));
    assert!(pages.len() == 512 && pages.iter().all(|page| page.count() == 1));
    let shared = frame::alloc_huge().expect("memory").into_huge();
    let other = shared.clone();
    let mut parts = Vec::new();
    shared.split(&mut |page| parts.push(page));
    assert_eq!(parts[3].count(), 513);
    parts.truncate(1);
    assert_eq!(other.count(), 2);
    drop(parts);
    // The last reference of all may be a part.
    let last = other.part(0);
    drop(other);
    assert_eq!(last.count(), 1);
}

#[test]
fn steps_that_fill_2_mib_become_large_and_keep_their_bytes() {
    const STEP: u64 = 64 << 10;
    /// Other tests use frames at the same time, thousands at most.
    const ROUNDS: u64 = 32;
    let space = AddressSpace::for_test();
    let fill = |from: u64, step_from: u64| {
        for step in (step_from..HUGE_PAGE_SIZE).step_by(STEP as usize) {
            space.at(from + step, STEP, RW);
            space.store(from + step, (step / STEP) as u8 + 1).expect("writable");
            space.advise(from + step, STEP, Advice::PopulateWrite).expect("writable");
        }
    };
    space.at(A, HUGE_PAGE_SIZE, NONE);
    fill(A, 0);
    assert_eq!(space.level_at(A), Some(1), "the policy is against it");
    space.set_huge_pages(HugePages::Always);
    let before = frame::stats().free;
    for _ in 0..ROUNDS {
        space.at(B, HUGE_PAGE_SIZE, NONE);
        fill(B, 0);
        assert_eq!(space.level_at(B), Some(2));
        assert_eq!(space.usage().huge_anonymous, HUGE_PAGE_SIZE);
        assert_eq!(space.usage().resident, 2 * HUGE_PAGE_SIZE);
        for step in 0..31 {
            assert_eq!(space.load(B + step * STEP), Ok(step as u8 + 1));
            assert_eq!(space.load(B + step * STEP + PAGE_SIZE), Ok(0));
        }
        space.unmap(B, HUGE_PAGE_SIZE).expect("mapped");
    }
    let lost = before.saturating_sub(frame::stats().free);
    assert!(lost < ROUNDS / 2 * HUGE_PAGES, "{lost} frames have not come back");
    space.unmap(A, HUGE_PAGE_SIZE).expect("mapped");
    assert_eq!(space.usage().resident, 0);
}

#[test]
fn touches_that_half_fill_2_mib_make_them_large() {
    let space = AddressSpace::for_test();
    space.set_huge_pages(HugePages::Always);
    space.at(A, HUGE_PAGE_SIZE, NONE);
    let half = HUGE_PAGE_SIZE / 2;
    space.at(A, half, RW);
    space.store(A, 1).expect("writable");
    // Nearly nothing was there when the rest came.
    space.at(A + half, half, RW);
    assert_eq!(space.level_at(A), Some(1));
    for page in 1..255 {
        space.store(A + page * PAGE_SIZE, page as u8).expect("writable");
    }
    assert_eq!(space.level_at(A), Some(1));
    space.store(A + 255 * PAGE_SIZE, 255).expect("writable");
    assert_eq!(space.level_at(A), Some(2));
    assert!((1..=255).all(|page| space.load(A + page * PAGE_SIZE) == Ok(page as u8)));
    assert_eq!((space.load(A), space.load(A + 300 * PAGE_SIZE)), (Ok(1), Ok(0)));
    assert_eq!(space.usage().resident, HUGE_PAGE_SIZE);
}

#[test]
fn collapse_makes_large_what_it_can_and_says_what_it_cannot() {
    let space = AddressSpace::for_test();
    space.set_huge_pages(HugePages::Auto);
    space.at(A, 2 * HUGE_PAGE_SIZE, RW);
    space.advise(A, 2 * HUGE_PAGE_SIZE, Advice::NoHugePage).expect("mapped");
    space.store(A + 3 * PAGE_SIZE, 7).expect("writable");
    assert_eq!(space.load(A + 4 * PAGE_SIZE), Ok(0));
    assert_eq!(space.advise(A, HUGE_PAGE_SIZE, Advice::Collapse), Err(MapError::Invalid), "the area is against it");
    space.advise(A, 2 * HUGE_PAGE_SIZE, Advice::HugePage).expect("mapped");
    assert_eq!(space.advise(A, 2 * HUGE_PAGE_SIZE, Advice::Collapse), Err(MapError::Invalid), "nothing in the second");
    assert_eq!((space.level_at(A), space.level_at(A + HUGE_PAGE_SIZE)), (Some(2), None));
    assert_eq!((space.load(A + 3 * PAGE_SIZE), space.load(A + 4 * PAGE_SIZE)), (Ok(7), Ok(0)));
    space.advise(A, HUGE_PAGE_SIZE, Advice::Collapse).expect("it is large");
    space.at(B, 4 * PAGE_SIZE, RW);
    assert_eq!(space.advise(B, 4 * PAGE_SIZE, Advice::Collapse), Err(MapError::Invalid), "too small an area");
    assert_eq!(space.advise(B, 8 * PAGE_SIZE, Advice::Collapse), Err(MapError::Invalid));
    let file = TestFile::new(1024, true);
    space.map(&MapRequest::object(file, 0, 4 << 20, RO, Sharing::Private).at(Placement::Fixed(B))).expect("free");
    assert_eq!(space.load(B), Ok(TestFile::initial(0)));
    assert_eq!(space.advise(B, 4 << 20, Advice::Collapse), Err(MapError::Invalid));
    space.unmap(A, 2 * HUGE_PAGE_SIZE).expect("mapped");
    space.unmap(B, 4 << 20).expect("mapped");
}
