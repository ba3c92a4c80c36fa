use super::support::{RW, open, read, tmp_namespace, write};
use crate::anonymous::metadata;
use crate::pipe::pipe;
use crate::{
    Epoll, EpollEvent, EpollInterest, EpollMode, EventFd, File, FsError, Metadata, OpenFile, OpenFlags, PollRequest,
    PollSource, Readiness, StatusFlags, poll,
};
use std::any::Any;
use std::string::String;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

fn wait(epoll: &Epoll, max: usize) -> Vec<(Readiness, u64)> {
    let mut events = Vec::new();
    epoll.wait(max, Some(0), &mut |event: EpollEvent| events.push((event.ready, event.data))).expect("no signal");
    events
}

fn interest(events: Readiness, data: u64, mode: EpollMode) -> EpollInterest {
    EpollInterest { events, mode, data }
}

use crate::event::CounterMode::All as CounterAll;

const LEVEL: EpollMode = EpollMode { edge: false, one_shot: false, exclusive: false };

#[test]
fn level_triggered_items_are_reported_until_they_are_served() {
    let epoll = Epoll::new();
    let (reader, writer) = pipe(StatusFlags::empty());
    epoll.add(5, &reader, interest(Readiness::READ, 77, LEVEL)).expect("new");
    assert_eq!(epoll.add(5, &reader, interest(Readiness::READ, 77, LEVEL)), Err(FsError::Exists));
    assert_eq!(wait(&epoll, 10), []);
    write(&writer, b"ab").expect("room");
    assert_eq!(wait(&epoll, 10), [(Readiness::READ, 77)]);
    assert_eq!(wait(&epoll, 10), [(Readiness::READ, 77)]);
    read(&reader, 10).expect("bytes");
    assert_eq!(wait(&epoll, 10), []);
    drop(writer);
    assert_eq!(wait(&epoll, 10), [(Readiness::HANGUP, 77)]);
    epoll.remove(5, &reader).expect("there");
    assert_eq!(epoll.remove(5, &reader), Err(FsError::NotFound));
    assert_eq!(wait(&epoll, 10), []);
}

#[test]
fn edge_triggered_items_are_reported_once_a_change() {
    let epoll = Epoll::new();
    let (reader, writer) = pipe(StatusFlags::empty());
    let edge = EpollMode { edge: true, ..LEVEL };
    epoll.add(1, &reader, interest(Readiness::READ, 1, edge)).expect("new");
    write(&writer, b"a").expect("room");
    assert_eq!(wait(&epoll, 10).len(), 1);
    assert_eq!(wait(&epoll, 10).len(), 0);
    write(&writer, b"b").expect("room");
    assert_eq!(wait(&epoll, 10).len(), 1);
    assert_eq!(wait(&epoll, 10).len(), 0);
}

#[test]
fn one_shot_items_go_mute_until_they_are_modified() {
    let epoll = Epoll::new();
    let (reader, writer) = pipe(StatusFlags::empty());
    let once = EpollMode { one_shot: true, ..LEVEL };
    write(&writer, b"a").expect("room");
    epoll.add(1, &reader, interest(Readiness::READ, 1, once)).expect("new");
    assert_eq!(wait(&epoll, 10).len(), 1);
    write(&writer, b"b").expect("room");
    assert_eq!(wait(&epoll, 10).len(), 0);
    epoll.modify(1, &reader, interest(Readiness::READ, 2, once)).expect("there");
    assert_eq!(wait(&epoll, 10), [(Readiness::READ, 2)]);
}

#[test]
fn closing_the_last_descriptor_takes_the_item_out() {
    let epoll = Epoll::new();
    let (reader, writer) = pipe(StatusFlags::empty());
    write(&writer, b"a").expect("room");
    epoll.add(1, &reader, interest(Readiness::READ, 1, LEVEL)).expect("new");
    let second = reader.clone();
    drop(reader);
    assert_eq!(wait(&epoll, 10).len(), 1);
    drop(second);
    assert_eq!(wait(&epoll, 10).len(), 0);
    write(&writer, b"b").expect_err("no reader is left");
}

#[test]
fn regular_files_are_refused_and_so_are_cycles() {
    let space = tmp_namespace(10);
    let file = open(&space, "/f", OpenFlags::CREATE, RW).expect("new");
    let epoll = Epoll::new();
    assert_eq!(epoll.add(1, &file, EpollInterest::default()), Err(FsError::Permission));
    let as_file = |epoll: &Arc<Epoll>| OpenFile::anonymous(epoll.clone(), StatusFlags::READ);
    let own = as_file(&epoll);
    assert_eq!(epoll.add(2, &own, EpollInterest::default()), Err(FsError::Invalid));
    let outer = Epoll::new();
    let outer_file = as_file(&outer);
    outer.add(3, &own, interest(Readiness::READ, 3, LEVEL)).expect("nests");
    assert_eq!(epoll.add(4, &outer_file, EpollInterest::default()), Err(FsError::Loop));
    let mut chain = vec![as_file(&Epoll::new())];
    loop {
        let next = Epoll::new();
        match next.add(1, chain.last().expect("never empty"), interest(Readiness::READ, 0, LEVEL)) {
            Ok(()) => chain.push(as_file(&next)),
            Err(error) => {
                assert_eq!(error, FsError::Loop);
                break;
            }
        }
    }
    assert_eq!(chain.len(), 5);
}

#[test]
fn an_epoll_inside_an_epoll_tells_the_outer_one() {
    let (inner, outer) = (Epoll::new(), Epoll::new());
    let inner_file = OpenFile::anonymous(inner.clone(), StatusFlags::READ);
    outer.add(1, &inner_file, interest(Readiness::READ, 11, LEVEL)).expect("nests");
    let (reader, writer) = pipe(StatusFlags::empty());
    inner.add(2, &reader, interest(Readiness::READ, 22, LEVEL)).expect("new");
    assert_eq!(wait(&outer, 10), []);
    write(&writer, b"x").expect("room");
    assert_eq!(wait(&outer, 10), [(Readiness::READ, 11)]);
    assert_eq!(wait(&inner, 10), [(Readiness::READ, 22)]);
    read(&reader, 10).expect("bytes");
    assert_eq!(wait(&outer, 10), []);
    assert_eq!(inner.poll(), Readiness::empty());
}

#[test]
fn an_exclusive_event_wakes_one_of_two() {
    let (reader, writer) = pipe(StatusFlags::empty());
    let exclusive = EpollMode { exclusive: true, ..LEVEL };
    let epolls = [Epoll::new(), Epoll::new()];
    for epoll in &epolls {
        epoll.add(1, &reader, interest(Readiness::READ, 1, exclusive)).expect("new");
        assert_eq!(epoll.modify(1, &reader, EpollInterest::default()), Err(FsError::Invalid));
    }
    let threads: Vec<_> = epolls
        .iter()
        .cloned()
        .map(|epoll| {
            thread::spawn(move || {
                let deadline = hal::clock::now_ns() + 2_000_000_000;
                epoll.wait(1, Some(deadline), &mut |_| ()).expect("no signal")
            })
        })
        .collect();
    // Both must sleep by now: an epoll that nobody waits on does not count as woken, as on Linux.
    thread::sleep(Duration::from_millis(500));
    write(&writer, b"x").expect("room");
    let woken: usize = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
    assert_eq!(woken, 1);
}

#[test]
fn a_waiting_thread_is_woken_and_ten_thousand_idle_items_cost_nothing() {
    let epoll = Epoll::new();
    let counters: Vec<_> = (0..10_000).map(|_| EventFd::open(0, CounterAll, StatusFlags::empty())).collect();
    for (index, counter) in counters.iter().enumerate() {
        epoll.add(index as u32, counter, interest(Readiness::READ, index as u64, LEVEL)).expect("new");
    }
    let waiting = thread::spawn({
        let epoll = epoll.clone();
        move || {
            let mut got = Vec::new();
            epoll.wait(64, None, &mut |event| got.push(event.data)).expect("no signal");
            got
        }
    });
    thread::sleep(Duration::from_millis(20));
    write(&counters[4321], &1u64.to_ne_bytes()).expect("room");
    assert_eq!(waiting.join().expect("no panic"), [4321]);
}

#[test]
fn max_events_leaves_the_rest_for_the_next_wait() {
    let epoll = Epoll::new();
    let counters: Vec<_> = (0..5).map(|_| EventFd::open(1, CounterAll, StatusFlags::empty())).collect();
    for (index, counter) in counters.iter().enumerate() {
        epoll.add(index as u32, counter, interest(Readiness::READ, index as u64, LEVEL)).expect("new");
    }
    let mut seen: Vec<u64> = [wait(&epoll, 3), wait(&epoll, 2)].concat().iter().map(|event| event.1).collect();
    seen.sort();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

#[test]
fn poll_waits_for_the_first_of_several() {
    let (reader, writer) = pipe(StatusFlags::empty());
    let idle = EventFd::open(0, CounterAll, StatusFlags::empty());
    let request = |file: &Arc<OpenFile>| PollRequest {
        file: Some(file.clone()),
        interest: Readiness::READ,
        ready: Readiness::empty(),
    };
    let mut requests = vec![request(&idle), request(&reader)];
    assert_eq!(poll(&mut requests, Some(0)), Ok(0));
    assert_eq!(poll(&mut requests, Some(hal::clock::now_ns() + 10_000_000)), Ok(0));
    let waiting = thread::spawn(move || {
        let count = poll(&mut requests, None);
        (count, requests[1].ready)
    });
    thread::sleep(Duration::from_millis(20));
    write(&writer, b"x").expect("room");
    assert_eq!(waiting.join().expect("no panic"), (Ok(1), Readiness::READ));
}

/// An object that counts how often it is asked what it is ready for.
#[derive(Default)]
struct Asked {
    source: PollSource,
    ready: AtomicU32,
    asked: AtomicUsize,
}

impl Asked {
    /// How often it was asked since the last call.
    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
    /// Becomes ready for `what`.
    fn become_ready(&self, what: Readiness) {
        self.ready.fetch_or(what.bits(), Ordering::Relaxed);
        self.source.notify(what);
    }
    /// All is read.
    fn drain(&self) {
        self.ready.fetch_and(!Readiness::READ.bits(), Ordering::Relaxed);
        self.source.drained(|| self.ready.load(Ordering::Relaxed) & Readiness::READ.bits() == 0);
    }
}

impl File for Asked {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        metadata(1)
    }
    fn poll(&self) -> Readiness {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Readiness::from_bits_truncate(self.ready.load(Ordering::Relaxed))
    }
    fn wait_source(&self) -> Option<&PollSource> {
        Some(&self.source)
    }
    fn label(&self) -> String {
        String::from("asked")
    }
}

#[test]
fn drained_objects_are_not_asked_but_their_ends_are_seen() {
    let object = Arc::new(Asked::default());
    let file = OpenFile::anonymous(object.clone(), StatusFlags::READ);
    let epoll = Epoll::new();
    epoll.add(1, &file, interest(Readiness::READ, 1, LEVEL)).expect("new");
    object.asked();
    for _ in 0..3 {
        object.become_ready(Readiness::READ);
        assert_eq!((wait(&epoll, 9).len(), wait(&epoll, 9).len(), object.asked()), (1, 1, 2));
        object.drain();
        assert_eq!((wait(&epoll, 9).len(), object.asked()), (0, 0), "it is known to be empty");
    }
    // Who made it readable again was quicker than the reader that says that it is empty.
    object.become_ready(Readiness::READ);
    object.source.drained(|| false);
    assert_eq!(wait(&epoll, 9).len(), 1);

    // Who wants to write has to ask.
    epoll.modify(1, &file, interest(Readiness::READ | Readiness::WRITE, 1, LEVEL)).expect("there");
    object.become_ready(Readiness::WRITE);
    object.drain();
    assert_eq!(wait(&epoll, 9), [(Readiness::WRITE, 1)]);
    epoll.modify(1, &file, interest(Readiness::READ, 1, LEVEL)).expect("there");
    assert_eq!(wait(&epoll, 9).len(), 0);

    // An end stays, whatever was read before or is said after.
    object.become_ready(Readiness::READ | Readiness::READ_HANGUP);
    object.source.drained(|| true);
    assert_eq!(wait(&epoll, 9), [(Readiness::READ, 1)]);
    assert_eq!(wait(&epoll, 9), [(Readiness::READ, 1)]);
}

#[test]
fn no_event_is_lost_between_a_reader_and_a_writer() {
    const ROUNDS: u64 = 50_000;
    let counter = EventFd::open(0, CounterAll, StatusFlags::NONBLOCK);
    let epoll = Epoll::new();
    epoll.add(1, &counter, interest(Readiness::READ, 1, LEVEL)).expect("new");
    let seen = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (counter, seen) = (counter.clone(), seen.clone());
        thread::spawn(move || {
            let mut written = 0;
            // The last write of each round may come while the one before is read; nothing comes after it until it was seen.
            for round in 0..ROUNDS {
                for number in 0..2 {
                    write(&counter, &1_u64.to_ne_bytes()).expect("room");
                    for _ in 0..round % 64 * number {
                        core::hint::spin_loop();
                    }
                }
                written += 2;
                while seen.load(Ordering::Acquire) < written {
                    thread::yield_now();
                }
            }
        })
    };
    let all = 2 * ROUNDS as usize;
    while seen.load(Ordering::Relaxed) < all {
        let deadline = hal::clock::now_ns() + 20_000_000_000;
        let count = epoll.wait(9, Some(deadline), &mut |_| {}).expect("no signal");
        assert_eq!(count, 1, "nothing was reported after {seen:?} of {all}");
        if let Ok(bytes) = read(&counter, 8) {
            seen.fetch_add(u64::from_ne_bytes(bytes.try_into().expect("8 bytes")) as usize, Ordering::Release);
        }
    }
    writer.join().expect("it ends");
    assert_eq!(wait(&epoll, 9), []);
}
