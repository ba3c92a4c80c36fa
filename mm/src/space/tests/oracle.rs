//! Random sequences of verbs against the simplest model there is: what each page allows and holds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Pages of the window that the verbs work on: three whole 2 MiB pieces and a bit.
const PAGES: u64 = 1600;
const BASE: u64 = 0x4000_0000 + 100 * PAGE_SIZE;
/// Pages of the file.
const FILE_PAGES: u64 = 600;

/// What a page shows.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Source {
    /// Its own byte.
    Own(u8),
    /// A page of the file; private mappings get a byte of their own when written.
    File { page: u64, shared: bool },
}

#[derive(Clone, Copy, Debug)]
struct Page {
    prot: Protection,
    source: Source,
    /// What `DontNeed` brings back.
    origin: Source,
}

#[derive(Clone, Debug)]
enum Op {
    Map { at: u64, len: u64, prot: u8 },
    MapFile { at: u64, len: u64, offset: u64, prot: u8, shared: bool },
    Unmap { at: u64, len: u64 },
    Protect { at: u64, len: u64, prot: u8 },
    Discard { at: u64, len: u64 },
    Huge { at: u64, len: u64, on: bool },
    Move { from: u64, to: u64, len: u64, new_len: u64 },
    Store { at: u64, value: u8 },
    Load { at: u64 },
    Populate { at: u64, len: u64 },
    Reclaim,
}

fn op() -> impl Strategy<Value = Op> {
    // Short ranges, long ones, and ones that end on the pieces' borders (page 412 is the first aligned one).
    // A few pages are hot, so that one page sees many verbs.
    let at =
        prop_oneof![1 => 0..PAGES, 1 => 0..64u64, 1 => Just(924), 1 => Just(1436), 2 => 400..430u64, 4 => 410..414u64];
    let len = prop_oneof![1..16u64, 1..700u64, Just(512), Just(1024), Just(1)];
    let prot = prop_oneof![3 => Just(3u8), 1 => Just(1u8), 1 => Just(0u8), 1 => Just(7u8)];
    prop_oneof![
        4 => (at.clone(), len.clone(), prot.clone()).prop_map(|(at, len, prot)| Op::Map { at, len, prot }),
        3 => (at.clone(), len.clone(), 0..FILE_PAGES, prot.clone(), any::<bool>())
            .prop_map(|(at, len, offset, prot, shared)| Op::MapFile { at, len, offset, prot, shared }),
        2 => (at.clone(), len.clone()).prop_map(|(at, len)| Op::Unmap { at, len }),
        4 => (at.clone(), len.clone(), prot).prop_map(|(at, len, prot)| Op::Protect { at, len, prot }),
        2 => (at.clone(), len.clone()).prop_map(|(at, len)| Op::Discard { at, len }),
        1 => (at.clone(), len.clone(), any::<bool>()).prop_map(|(at, len, on)| Op::Huge { at, len, on }),
        2 => (at.clone(), at.clone(), len.clone(), len.clone())
            .prop_map(|(from, to, len, new_len)| Op::Move { from, to, len, new_len }),
        10 => (at.clone(), 1..250u8).prop_map(|(at, value)| Op::Store { at, value }),
        5 => at.clone().prop_map(|at| Op::Load { at }),
        1 => (at, 1..64u64).prop_map(|(at, len)| Op::Populate { at, len }),
        1 => Just(Op::Reclaim),
    ]
}

struct Model {
    pages: BTreeMap<u64, Page>,
    file: BTreeMap<u64, u8>,
}

impl Model {
    fn byte(&self, source: Source) -> u8 {
        match source {
            Source::Own(byte) => byte,
            Source::File { page, .. } => self.file.get(&page).copied().unwrap_or(TestFile::initial(page)),
        }
    }

    fn load(&self, page: u64) -> Result<u8, FaultError> {
        let page = self.pages.get(&page).ok_or(FaultError::NotMapped)?;
        if page.prot.is_empty() {
            return Err(FaultError::Denied);
        }
        match page.source {
            Source::File { page, .. } if page >= FILE_PAGES => Err(FaultError::BeyondEnd),
            source => Ok(self.byte(source)),
        }
    }

    fn store(&mut self, page: u64, value: u8) -> Result<(), FaultError> {
        let page = self.pages.get_mut(&page).ok_or(FaultError::NotMapped)?;
        if !page.prot.contains(Protection::WRITE) {
            return Err(FaultError::Denied);
        }
        match page.source {
            Source::File { page, .. } if page >= FILE_PAGES => return Err(FaultError::BeyondEnd),
            Source::File { page, shared: true } => {
                self.file.insert(page, value);
            }
            _ => page.source = Source::Own(value),
        }
        Ok(())
    }

    fn is_whole(&self, pages: Range<u64>) -> bool {
        pages.clone().all(|page| self.pages.contains_key(&page))
    }
}

fn addr(page: u64) -> u64 {
    BASE + page * PAGE_SIZE
}

fn prot(bits: u8) -> Protection {
    Protection::from_bits_truncate(bits)
}

/// Where an area that holds `page` ends, as the space has it: `mremap` works within one area.
fn area_end(space: &AddressSpace, page: u64) -> Option<u64> {
    space.area_at(addr(page)).map(|area| (area.end - BASE) / PAGE_SIZE)
}

fn run(ops: &[Op], huge: HugePages, tracks: bool) {
    let space = AddressSpace::for_test();
    space.set_huge_pages(huge);
    let file = TestFile::new(FILE_PAGES, tracks);
    let mut model = Model { pages: BTreeMap::new(), file: BTreeMap::new() };
    for op in ops {
        step(&space, &file, &mut model, op);
    }
    for page in 0..FILE_PAGES {
        let expected = model.byte(Source::File { page, shared: true });
        assert_eq!(
            file.byte(page),
            expected,
            "page {page} of the file: a private write has leaked, or a shared one was lost"
        );
    }
    let mut expected_areas = 0;
    let mut mapped = 0;
    for page in 0..PAGES + 1100 {
        let expected = model.load(page);
        assert_eq!(space.load(addr(page)), expected, "page {page}");
        mapped += u64::from(model.pages.contains_key(&page));
    }
    let areas = space.areas().expect("memory");
    for pair in areas.windows(2) {
        assert!(pair[0].end <= pair[1].start, "areas overlap");
    }
    for area in &areas {
        expected_areas += (area.end - area.start) / PAGE_SIZE;
        for page in (area.start - BASE) / PAGE_SIZE..(area.end - BASE) / PAGE_SIZE {
            assert_eq!(model.pages[&page].prot, area.prot, "page {page}");
        }
    }
    assert_eq!(expected_areas, mapped);
    let usage = space.usage();
    assert_eq!(usage.virtual_bytes, mapped * PAGE_SIZE);
    let residence = space.residence(0..hal::addr::USER_END);
    assert_eq!((usage.resident, usage.resident - usage.resident_file), (residence.resident, residence.anonymous));
    space.clear();
    let usage = space.usage();
    assert_eq!((usage.resident, usage.page_tables, usage.virtual_bytes, usage.committed), (0, 0, 0, 0));
    assert!(file.mapped.lock().expect("no panic").values().all(|&count| count == 0));
    file.cache_all();
    assert_eq!(file.evict() as u64, FILE_PAGES, "a mapping's reference was lost");
}

fn step(space: &AddressSpace, file: &Arc<TestFile>, model: &mut Model, op: &Op) {
    match *op {
        Op::Map { at, len, prot: bits } => {
            space.at(addr(at), len * PAGE_SIZE, prot(bits));
            let fresh = Page { prot: prot(bits), source: Source::Own(0), origin: Source::Own(0) };
            (at..at + len).for_each(|page| {
                model.pages.insert(page, fresh);
            });
        }
        Op::MapFile { at, len, offset, prot: bits, shared } => {
            let sharing = if shared { Sharing::Shared } else { Sharing::Private };
            let request = MapRequest::object(file.clone(), offset * PAGE_SIZE, len * PAGE_SIZE, prot(bits), sharing);
            space.map(&request.at(Placement::Fixed(addr(at)))).expect("valid");
            for i in 0..len {
                let source = Source::File { page: offset + i, shared };
                model.pages.insert(at + i, Page { prot: prot(bits), source, origin: source });
            }
        }
        Op::Unmap { at, len } => {
            space.unmap(addr(at), len * PAGE_SIZE).expect("valid");
            (at..at + len).for_each(|page| {
                model.pages.remove(&page);
            });
        }
        Op::Protect { at, len, prot: bits } => {
            let result = space.protect(addr(at), len * PAGE_SIZE, prot(bits));
            for page in at..at + len {
                match model.pages.get_mut(&page) {
                    Some(page) => page.prot = prot(bits),
                    None => {
                        assert_eq!(result, Err(MapError::NotMapped));
                        return;
                    }
                }
            }
            assert_eq!(result, Ok(()));
        }
        Op::Discard { at, len } => {
            let whole = model.is_whole(at..at + len);
            let result = space.advise(addr(at), len * PAGE_SIZE, Advice::DontNeed);
            assert_eq!(result, if whole { Ok(()) } else { Err(MapError::NotMapped) });
            for (_, page) in model.pages.range_mut(at..at + len) {
                page.source = page.origin;
            }
        }
        Op::Huge { at, len, on } => {
            let advice = if on { Advice::HugePage } else { Advice::NoHugePage };
            let whole = model.is_whole(at..at + len);
            let result = space.advise(addr(at), len * PAGE_SIZE, advice);
            assert_eq!(result, if whole { Ok(()) } else { Err(MapError::NotMapped) });
        }
        Op::Move { from, to, len, new_len } => {
            let whole_area = area_end(space, from).is_some_and(|end| from + len.min(new_len) <= end);
            let overlap = from < to + new_len && to < from + len;
            let result = space.remap(addr(from), len * PAGE_SIZE, new_len * PAGE_SIZE, Remap::Fixed(addr(to)));
            if overlap {
                assert_eq!(result, Err(MapError::Invalid));
                return;
            }
            if !whole_area {
                assert_eq!(result, Err(MapError::NotMapped));
                return;
            }
            assert_eq!(result, Ok(addr(to)));
            let moved: Vec<Page> = (from..from + len).filter_map(|page| model.pages.remove(&page)).collect();
            for i in 0..new_len {
                let page = moved.get(i as usize).copied().unwrap_or_else(|| {
                    let first = moved[0];
                    let origin = match first.origin {
                        Source::File { page, shared } => Source::File { page: page + i, shared },
                        own => own,
                    };
                    Page { origin, source: origin, ..first }
                });
                model.pages.insert(to + i, page);
            }
        }
        Op::Store { at, value } => assert_eq!(space.store(addr(at), value), model.store(at, value), "page {at}"),
        Op::Load { at } => assert_eq!(space.load(addr(at)), model.load(at), "page {at}"),
        Op::Populate { at, len } => {
            let result = space.advise(addr(at), len * PAGE_SIZE, Advice::PopulateRead);
            let possible = (at..at + len).all(|page| model.load(page).is_ok());
            assert_eq!(result.is_ok(), possible, "{result:?}");
        }
        Op::Reclaim => {
            space.unmap_clean_pages(200);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]
    #[test]
    fn verbs_do_what_the_simple_model_does(
        ops in proptest::collection::vec(op(), 1..120),
        huge in prop_oneof![Just(HugePages::Never), Just(HugePages::Always)],
        tracks in any::<bool>(),
    ) {
        run(&ops, huge, tracks);
    }
}
