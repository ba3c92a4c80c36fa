use super::{FileCache, PAGE, PageSource, PageTree, copy_in, page_bytes};
use crate::block::BlockDevice;
use crate::{FsError, FsResult, SliceSource, VecSink};
use hal::hil::testing::{RamDisk, Writable};
use mm::{Backing, BackingError, FrameRef};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    Remove(u64),
    RemoveRange(u64, u64),
}

fn index() -> impl Strategy<Value = u64> {
    prop_oneof![0..200u64, Just(63), Just(64), 4090..4100u64, any::<u64>().prop_map(|index| index >> 12)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => index().prop_map(Step::Insert),
        2 => index().prop_map(Step::Remove),
        1 => (index(), index()).prop_map(|(a, b)| Step::RemoveRange(a.min(b), a.max(b))),
    ]
}

proptest! {
    #[test]
    fn a_tree_is_a_map(steps in proptest::collection::vec(step(), 1..80), probes in proptest::collection::vec(index(), 10)) {
        let mut tree = PageTree::new();
        let mut map = BTreeMap::new();
        for (stamp, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(at) => prop_assert_eq!(tree.insert(at, stamp), map.insert(at, stamp)),
                Step::Remove(at) => prop_assert_eq!(tree.remove(at), map.remove(&at)),
                Step::RemoveRange(from, end) => {
                    let mut gone = Vec::new();
                    while !tree.remove_range(from, end, 3, &mut |index, value| gone.push((index, value))) {}
                    let expected: Vec<_> = map.range(from..end).map(|(index, value)| (*index, *value)).collect();
                    map.retain(|index, _| !(from..end).contains(index));
                    prop_assert_eq!(gone, expected);
                }
            }
            prop_assert_eq!(tree.len(), map.len());
            for probe in &probes {
                prop_assert_eq!(tree.get(*probe), map.get(probe));
                prop_assert_eq!(tree.next(*probe), map.range(probe..).next().map(|(index, _)| *index));
                let within = probe.saturating_sub(70)..probe.saturating_add(70);
                let before = map.range(within.start..*probe).next_back().map_or(within.start, |(index, _)| index + 1);
                let behind = map.range(probe.saturating_add(1).min(within.end)..within.end).next();
                let free = before..behind.map_or(within.end, |(index, _)| *index);
                prop_assert_eq!(tree.free_around(within, *probe), free);
            }
        }
        let mut seen = Vec::new();
        tree.visit(0, &mut |index, value| { seen.push((index, *value)); true });
        prop_assert_eq!(seen, map.into_iter().collect::<Vec<_>>());
    }
}

/// Page n is filled with n; remembers what was asked for.
#[derive(Default)]
struct Numbers {
    asked: Mutex<Vec<(u64, usize)>>,
    fails: AtomicUsize,
}

impl PageSource for Numbers {
    fn fill(&self, first: u64, frames: &[FrameRef]) -> FsResult<()> {
        if self.fails.load(Ordering::Relaxed) > 0 {
            return Err(FsError::Io);
        }
        self.asked.lock().expect("no panic").push((first, frames.len()));
        for (index, frame) in frames.iter().enumerate() {
            copy_in(frame, 0, PAGE, &mut SliceSource::new(&[(first + index as u64) as u8; PAGE])).expect("a slice");
        }
        thread::yield_now();
        Ok(())
    }
    fn dev_ino(&self) -> (u64, u64) {
        (1, 2)
    }
}

fn asked(source: &Numbers) -> Vec<(u64, usize)> {
    core::mem::take(&mut source.asked.lock().expect("no panic"))
}

#[test]
fn windows_grow_while_access_goes_on_in_order() {
    let source = Arc::new(Numbers::default());
    let cache = FileCache::new(1000 * PAGE as u64 - 5, source.clone());
    for index in 0..300 {
        cache.page(index).expect("readable");
    }
    assert_eq!(asked(&source), [(0, 16), (16, 32), (48, 64), (112, 128), (240, 128)]);
    cache.page(777).expect("readable");
    assert_eq!(asked(&source), [(768, 16)]);
    // The window stops at what is there, and at the end; the last page's tail is clear.
    cache.page(767).expect("readable");
    assert_eq!(asked(&source), [(752, 16)]);
    let last = cache.page(999).expect("readable");
    assert_eq!(page_bytes(&last)[PAGE - 6..], [231, 0, 0, 0, 0, 0]);
    assert_eq!(cache.page(1000).err(), Some(FsError::Invalid));
    assert_eq!(cache.fault_page(1000, false).err(), Some(BackingError::BeyondEnd));
    let mut out = [const { None }; 40];
    cache.peek_pages(750, &mut out);
    let present: Vec<bool> = out.iter().map(Option::is_some).collect();
    assert_eq!(present.iter().position(|here| *here), Some(2));
    assert_eq!(present.iter().rposition(|here| *here), Some(33));
}

#[test]
fn a_long_read_is_one_request_and_errors_are_passed_on() {
    let source = Arc::new(Numbers::default());
    let cache = FileCache::new(100 * PAGE as u64, source.clone());
    let mut sink = VecSink::new(90 * PAGE);
    assert_eq!(cache.read_at(3 * PAGE as u64 + 1, &mut sink), Ok(90 * PAGE));
    assert_eq!(asked(&source), [(0, 94)]);
    assert!(sink.bytes[PAGE - 1..PAGE * 2 - 1].iter().all(|byte| *byte == 4));
    source.fails.store(1, Ordering::Relaxed);
    assert_eq!(cache.read_at(99 * PAGE as u64, &mut VecSink::new(1)), Err(FsError::Io));
    source.fails.store(0, Ordering::Relaxed);
    assert_eq!(cache.read_at(99 * PAGE as u64, &mut VecSink::new(1)), Ok(1));
}

#[test]
fn threads_share_what_is_being_read() {
    let source = Arc::new(Numbers::default());
    let cache = FileCache::new(2000 * PAGE as u64, source.clone());
    thread::scope(|scope| {
        for start in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                for step in 0..2000u64 {
                    let index = (step * 7 + start * 501) % 2000;
                    let frame = cache.page(index).expect("readable");
                    assert_eq!(page_bytes(&frame)[17], index as u8);
                }
            });
        }
    });
    let mut pages = vec![0; 2000];
    for (first, count) in asked(&source) {
        (first..first + count as u64).for_each(|index| pages[index as usize] += 1);
    }
    assert!(pages.iter().all(|count| *count == 1), "a page was read twice");
}

#[test]
fn clean_pages_are_given_back_by_second_chance() {
    let cache = FileCache::new(64 * PAGE as u64, Arc::new(Numbers::default()));
    let held = cache.page(0).expect("readable");
    (0..64).for_each(|index| drop(cache.page(index).expect("readable")));
    assert_eq!(cache.shrink(1000), 0, "all were used since the last round");
    drop(cache.page(5).expect("readable"));
    assert_eq!(cache.shrink(10), 10);
    assert!(cache.peek_page(5).is_some(), "it was used since, and gets a second chance");
    assert_eq!(cache.shrink(1000), 52, "one is held, one was used");
    assert!(cache.peek_page(0).is_some() && cache.peek_page(5).is_some() && cache.peek_page(6).is_none());
    assert_eq!(page_bytes(&held)[9], 0);
    assert_eq!(page_bytes(&cache.page(6).expect("readable"))[9], 6);
}

#[test]
fn a_device_may_end_inside_a_page() {
    let bytes: Vec<u8> = (0..PAGE as u32 * 3 + 1536).map(|at| (at / 100) as u8).collect();
    let device = BlockDevice::new(Arc::new(RamDisk::new("odd", bytes.clone(), Writable::No)));
    assert_eq!(device.len_bytes(), bytes.len() as u64);
    let mut sink = VecSink::new(usize::MAX);
    assert_eq!(device.pages().read_at(0, &mut sink), Ok(bytes.len()));
    assert!(sink.bytes == bytes);
    let last = device.pages().page(3).expect("readable");
    assert!(page_bytes(&last)[1536..].iter().all(|byte| *byte == 0));
    assert_eq!(device.read_pages(4, &[last]), Err(FsError::Io));
}
