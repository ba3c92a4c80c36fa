use super::support::{read, tmp_namespace, write};
use crate::pipe::{PIPE_ATOMIC, PIPE_CAPACITY, pipe};
use crate::{FsError, NewNode, OpenFlags, Readiness, StatusFlags};
use std::thread;
use std::time::Duration;

#[test]
fn bytes_arrive_in_order_through_a_small_pipe() {
    let (reader, writer) = pipe(StatusFlags::empty());
    let sent: Vec<u8> = (0..1_000_000u32).map(|value| ((value * 7) >> 3) as u8).collect();
    let to_send = sent.clone();
    let sender = thread::spawn(move || {
        for piece in to_send.chunks(70_001) {
            assert_eq!(write(&writer, piece), Ok(piece.len()));
        }
    });
    let mut got = Vec::new();
    loop {
        let piece = read(&reader, 3000).expect("open");
        if piece.is_empty() {
            break;
        }
        got.extend(piece);
    }
    sender.join().expect("no panic");
    assert!(got == sent);
}

#[test]
fn small_writes_are_not_mixed() {
    let (reader, writer) = pipe(StatusFlags::empty());
    let writers: Vec<_> = (0..4u8)
        .map(|id| {
            let writer = writer.clone();
            thread::spawn(move || {
                for _ in 0..200 {
                    assert_eq!(write(&writer, &[id; 1000]), Ok(1000));
                }
            })
        })
        .collect();
    drop(writer);
    let mut all = Vec::new();
    loop {
        let piece = read(&reader, 999).expect("open");
        if piece.is_empty() {
            break;
        }
        all.extend(piece);
    }
    writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
    assert_eq!(all.len(), 800_000);
    assert!(all.chunks(1000).all(|piece| piece.iter().all(|byte| *byte == piece[0])));
}

#[test]
fn a_full_pipe_takes_no_small_write_in_part() {
    let (reader, writer) = pipe(StatusFlags::NONBLOCK);
    assert_eq!(read(&reader, 10), Err(FsError::WouldBlock));
    assert_eq!(write(&writer, &vec![1; PIPE_CAPACITY - 100]), Ok(PIPE_CAPACITY - 100));
    assert_eq!(write(&writer, &[2; 101]), Err(FsError::WouldBlock));
    assert!(!writer.file().poll().contains(Readiness::WRITE));
    assert_eq!(write(&writer, &[2; PIPE_ATOMIC + 1]), Ok(1));
    assert_eq!(reader.file().pending_bytes(), Ok(PIPE_CAPACITY - 99));
    assert_eq!(read(&reader, PIPE_ATOMIC).map(|bytes| bytes.len()), Ok(PIPE_ATOMIC));
    assert!(writer.file().poll().contains(Readiness::WRITE));
}

/// As on Linux a pipe has pages, not bytes: what does not fit behind the last write begins a page.
#[test]
fn a_pipe_of_half_filled_pages_is_full() {
    let (reader, writer) = pipe(StatusFlags::NONBLOCK);
    for _ in 0..PIPE_CAPACITY / PIPE_ATOMIC {
        assert!(writer.file().poll().contains(Readiness::WRITE));
        assert_eq!(write(&writer, &[1; 2049]), Ok(2049));
    }
    assert!(!writer.file().poll().contains(Readiness::WRITE));
    assert_eq!(write(&writer, &[2; 2048]), Err(FsError::WouldBlock));
    assert_eq!(write(&writer, &[3; 2047]), Ok(2047));
    // 904 bytes that do not fit behind the last, and a page.
    assert_eq!(write(&writer, &[4; 5000]), Err(FsError::WouldBlock));
    assert_eq!(read(&reader, 2048).map(|bytes| bytes.len()), Ok(2048));
    assert!(!writer.file().poll().contains(Readiness::WRITE));
    assert_eq!(read(&reader, 1), Ok(vec![1]));
    assert_eq!(write(&writer, &[5; 5000]), Ok(4096));
}

#[test]
fn the_ends_notice_each_other() {
    let (reader, writer) = pipe(StatusFlags::empty());
    assert_eq!(reader.file().poll(), Readiness::empty());
    assert_eq!(write(&writer, b"last"), Ok(4));
    drop(writer);
    assert_eq!(reader.file().poll(), Readiness::READ | Readiness::HANGUP);
    assert_eq!(read(&reader, 10), Ok(b"last".to_vec()));
    assert_eq!(read(&reader, 10), Ok(vec![]));
    let (reader, writer) = pipe(StatusFlags::empty());
    let blocked = thread::spawn({
        let writer = writer.clone();
        move || write(&writer, &vec![0; 2 * PIPE_CAPACITY])
    });
    thread::sleep(Duration::from_millis(30));
    drop(reader);
    assert_eq!(blocked.join().expect("no panic"), Ok(PIPE_CAPACITY));
    assert_eq!(write(&writer, b"x"), Err(FsError::BrokenPipe));
    assert!(writer.file().poll().contains(Readiness::ERROR));
}

#[test]
fn a_named_pipe_waits_for_its_other_side() {
    let space = tmp_namespace(100);
    space.create(space.root(), b"fifo", NewNode::Fifo, 0o600).expect("new");
    let nonblock = StatusFlags::WRITE | StatusFlags::NONBLOCK;
    let refused = space.open(space.root(), b"fifo", OpenFlags::empty(), nonblock, 0);
    assert_eq!(refused.err(), Some(FsError::NoSuchAddress));
    let reading = thread::spawn({
        let space = space.clone();
        move || {
            let file = space.open(space.root(), b"fifo", OpenFlags::empty(), StatusFlags::READ, 0).expect("opens");
            read(&file, 10)
        }
    });
    thread::sleep(Duration::from_millis(20));
    let writer = space.open(space.root(), b"fifo", OpenFlags::empty(), StatusFlags::WRITE, 0).expect("opens");
    assert_eq!(write(&writer, b"hello"), Ok(5));
    assert_eq!(reading.join().expect("no panic"), Ok(b"hello".to_vec()));
}
