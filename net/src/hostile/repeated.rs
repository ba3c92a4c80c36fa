//! What peers say twice: to a connection that the server has closed, and to two vCPUs at once.

use super::{PORT, Random, SERVER, World, wire};
use crate::device::device;
use crate::inet::tcp::engine_head::{ACK, FIN, Head, RST, SYN};
use crate::inet::{Ip, ip};
use crate::socket::{ReceiveFlags, SendArguments, Socket};
use fs::{Blocking, FsError, SliceSink, SliceSource};
use std::vec::Vec;

/// Opens a connection of `from`'s; the head of its next segment.
pub(super) fn opened(world: &mut World, from: Ip, ports: (u16, u16)) -> Head {
    let syn = Head { seq: 9, flags: SYN, window: 60_000, mss: Some(1460), ..Head::default() };
    world.take(&wire::tcp(from, SERVER, ports, &syn, &[]), false);
    let (answer, _) = world.answers(from, ports).pop().expect("an answer to the first segment");
    Head { seq: 10, ack: answer.seq.wrapping_add(1), flags: ACK, window: 60_000, ..Head::default() }
}

#[test]
fn who_repeats_itself_when_the_server_has_closed_is_not_reset() {
    let (_turn, mut world) = World::new();
    let (from, ports) = (Ip::from_v4(0x0a00_0779), (5002, PORT));
    let mut head = opened(&mut world, from, ports);
    world.take(&wire::tcp(from, SERVER, ports, &head, b"request"), false);
    let socket = world.listener.accept(Blocking::Never).expect("a connection");
    let mut buffer = [0; 100];
    let got = socket.receive(&mut SliceSink::new(&mut buffer), ReceiveFlags::default(), Blocking::Never);
    assert_eq!(got.expect("bytes").count, 7);
    let sent = socket.send(&mut SliceSource::new(b"answer"), SendArguments::default(), Blocking::Never);
    assert_eq!(sent, Ok(6));
    socket.close();
    world.sent();
    // The acknowledgement was lost, and somebody guesses.
    world.take(&wire::tcp(from, SERVER, ports, &head, b"request"), false);
    let far = Head { seq: head.seq.wrapping_add(1 << 30), ..head };
    world.take(&wire::tcp(from, SERVER, ports, &far, b"guess"), false);
    let answers = world.answers(from, ports);
    assert!(!answers.is_empty() && answers.iter().all(|(head, _)| head.flags & RST == 0), "{answers:?}");
    // Nobody will ever read this.
    head.seq = head.seq.wrapping_add(7);
    world.take(&wire::tcp(from, SERVER, ports, &head, b"more"), false);
    assert!(world.answers(from, ports).iter().any(|(head, _)| head.flags & RST != 0));
}

/// Two vCPUs take `frames` at once.
fn take_at_once(frames: &[Vec<u8>; 2]) {
    let meet = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        for frame in frames {
            scope.spawn(|| {
                meet.wait();
                ip::input::frame(device().expect("there is one"), frame, false);
            });
        }
    });
}

#[test]
fn an_end_that_comes_twice_at_once_is_not_reset() {
    let (_turn, mut world) = World::new();
    for number in 0..3000 {
        let (from, ports) = (Ip::from_v4(0x0a00_6000 + number), (5005, PORT));
        let head = opened(&mut world, from, ports);
        world.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
        world.listener.accept(Blocking::Never).expect("a connection").close();
        world.sent();
        let end = Head { ack: head.ack.wrapping_add(1), flags: ACK | FIN, ..head };
        let frame = wire::tcp(from, SERVER, ports, &end, &[]);
        take_at_once(&[frame.clone(), frame]);
        let answers = world.answers(from, ports);
        assert!(!answers.is_empty() && answers.iter().all(|(head, _)| head.flags & RST == 0), "{number}: {answers:?}");
    }
}

#[test]
fn a_connection_that_two_vcpus_take_at_once_is_one() {
    let (_turn, mut world) = World::new();
    let mut random = Random(7);
    // The table of openings is full: cookies, which are good more than once.
    for _ in 0..5000 {
        let from = Ip::from_v4(0x0a00_8000 | random.below(0x7fff) as u32);
        let head = Head { seq: random.next() as u32, flags: SYN, window: 1000, ..Head::default() };
        world.take(&wire::tcp(from, SERVER, (random.next() as u16 | 1, PORT), &head, &[]), false);
    }
    world.sent();
    for number in 0..2000 {
        let (from, ports) = (Ip::from_v4(0x0a00_5000 + number), (5004, PORT));
        let head = opened(&mut world, from, ports);
        let frames = [&b""[..], b"hello"].map(|bytes| wire::tcp(from, SERVER, ports, &head, bytes));
        take_at_once(&frames);
        let answers = world.answers(from, ports);
        assert!(answers.iter().all(|(head, _)| head.flags & RST == 0), "number {number}: {answers:?}");
        let socket = world.listener.accept(Blocking::Never).expect("a connection");
        assert_eq!(socket.pending_bytes(), Ok(5), "number {number}");
        assert_eq!(world.listener.accept(Blocking::Never).err(), Some(FsError::WouldBlock), "number {number}");
        socket.close();
        world.sent();
    }
}
