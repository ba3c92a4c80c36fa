//! TCP_DEFER_ACCEPT with peers of the network.

use super::{PORT, SERVER, World, wire};
use crate::inet::tcp::engine_head::{ACK, FIN, Head, PSH, SYN};
use crate::inet::tcp::opening;
use crate::inet::{Ip, Setting, repetitions};
use crate::socket::Socket;
use fs::{Blocking, FsError};

#[test]
fn who_says_nothing_is_not_accepted_yet() {
    let (_turn, mut world) = World::new();
    // Floods of other tests have filled the table of openings: without a record there is nothing to defer.
    for seconds in [2, 4, 8, 16, 32, 64, 128] {
        opening::run(hal::clock::now_ns() + seconds * 1_000_000_000);
    }
    assert_eq!(opening::count(), 0);
    world.sent();
    world.listener.settings().expect("it has some").set(Setting::DeferAccept, 7);
    for (number, flags, bytes) in [(1, ACK | PSH, &b"hello"[..]), (2, ACK | FIN, &[])] {
        let (from, ports) = (Ip::from_v4(0x0a00_0900 + number), (5003, PORT));
        let mut head = Head { seq: 9, flags: SYN, window: 60_000, mss: Some(1460), ..Head::default() };
        world.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
        let (answer, _) = world.answers(from, ports).pop().expect("an answer to the first segment");
        head = Head { seq: 10, ack: answer.seq.wrapping_add(1), flags: ACK, window: 60_000, ..Head::default() };
        world.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
        assert_eq!(world.listener.accept(Blocking::Never).err(), Some(FsError::WouldBlock));
        assert!(world.answers(from, ports).is_empty(), "it is not refused either");
        head.flags = flags;
        world.take(&wire::tcp(from, SERVER, ports, &head, bytes), false);
        let socket = world.listener.accept(Blocking::Never).expect("it has spoken");
        assert_eq!(socket.pending_bytes(), Ok(bytes.len()));
        socket.close();
    }
}

#[test]
fn times_are_those_of_repetitions() {
    assert_eq!([-1, 0, 1, 2, 7, 8, 128].map(repetitions), [(0, 0), (0, 0), (1, 1), (2, 3), (3, 7), (4, 15), (8, 247)]);
}
