use super::*;
use crate::SocketFile;
use crate::socket::Ancillary;
use fs::{SliceSink, SliceSource, StatusFlags};
use std::thread;
use std::time::Duration;
use std::vec::Vec;

const ME: Credentials = Credentials { pid: 7, uid: 0, gid: 0 };

fn send(socket: &UnixSocket, bytes: &[u8], blocking: Blocking) -> FsResult<usize> {
    socket.send(&mut SliceSource::new(bytes), SendArguments::default(), blocking)
}

fn receive(socket: &UnixSocket, len: usize) -> FsResult<Vec<u8>> {
    receive_with(socket, len, ReceiveFlags::default(), Blocking::Never)
}

fn receive_with(socket: &UnixSocket, len: usize, flags: ReceiveFlags, blocking: Blocking) -> FsResult<Vec<u8>> {
    let mut buffer = std::vec![0; len];
    let count = socket.receive(&mut SliceSink::new(&mut buffer), flags, blocking)?.count;
    buffer.truncate(count);
    Ok(buffer)
}

fn named(name: &str) -> Address {
    Address::Unix(UnixAddress::Abstract(name.as_bytes().to_vec()))
}

#[test]
fn a_stream_pair_carries_bytes_both_ways_and_ends() {
    let [a, b] = UnixSocket::pair(Kind::Stream, ME);
    assert_eq!(receive(&a, 4), Err(FsError::WouldBlock));
    assert_eq!(send(&a, b"hello ", Blocking::Never), Ok(6));
    assert_eq!(send(&a, b"world", Blocking::Never), Ok(5));
    assert!(b.poll().contains(Readiness::READ));
    assert_eq!(b.pending_bytes(), Ok(11));
    let peek = ReceiveFlags { peek: true, ..ReceiveFlags::default() };
    assert_eq!(receive_with(&b, 3, peek, Blocking::Never).unwrap(), b"hel");
    assert_eq!(receive(&b, 8).unwrap(), b"hello wo");
    assert_eq!(receive(&b, 8).unwrap(), b"rld");
    assert_eq!(a.peer_credentials(), Some(ME));
    a.close();
    assert_eq!(receive(&b, 8).unwrap(), b"");
    assert_eq!(send(&b, b"x", Blocking::Never), Err(FsError::BrokenPipe));
    assert!(b.poll().contains(Readiness::HANGUP | Readiness::READ_HANGUP));
}

#[test]
fn unread_bytes_make_a_reset() {
    let [a, b] = UnixSocket::pair(Kind::Stream, ME);
    send(&a, b"x", Blocking::Never).unwrap();
    b.close();
    assert!(a.poll().contains(Readiness::ERROR));
    assert_eq!(send(&a, b"y", Blocking::Never), Err(FsError::BrokenPipe));
    assert_eq!(receive(&a, 1), Err(FsError::ConnectionReset));
    assert_eq!(receive(&a, 1).unwrap(), b"");
}

#[test]
fn a_full_peer_blocks_and_a_reader_frees_the_writer() {
    let [a, b] = UnixSocket::pair(Kind::Stream, ME);
    let mut sent = 0;
    while let Ok(count) = send(&a, &[1; 10_000], Blocking::Never) {
        sent += count;
    }
    // Each counts 12,544, and the last goes over the end (as on Linux).
    assert_eq!(sent, 170_000);
    assert!(!a.poll().contains(Readiness::WRITE));
    let writer = thread::spawn({
        let a = a.clone();
        move || send(&a, &[2; 100_000], Blocking::Wait)
    });
    let mut got = 0;
    while got < sent + 100_000 {
        got += receive_with(&b, 7000, ReceiveFlags::default(), Blocking::Wait).unwrap().len();
    }
    assert_eq!(writer.join().unwrap(), Ok(100_000));
    assert!(a.poll().contains(Readiness::WRITE));
}

#[test]
fn closing_ends_a_blocked_writer() {
    let [a, b] = UnixSocket::pair(Kind::Stream, ME);
    while send(&a, &[0; 50_000], Blocking::Never).is_ok() {}
    let writer = thread::spawn(move || send(&a, b"more", Blocking::Wait));
    thread::sleep(Duration::from_millis(50));
    b.close();
    assert!(matches!(writer.join().unwrap(), Err(FsError::BrokenPipe | FsError::ConnectionReset)));
}

#[test]
fn a_listener_hands_out_connections() {
    let listener = UnixSocket::new(Kind::Stream, ME);
    assert_eq!(listener.listen(1, ME), Err(FsError::Invalid));
    listener.bind(&named("listener")).unwrap();
    listener.listen(1, ME).unwrap();
    assert_eq!(listener.accept(Blocking::Never).err(), Some(FsError::WouldBlock));
    assert_eq!(UnixSocket::new(Kind::Stream, ME).bind(&named("listener")), Err(FsError::AddressInUse));
    let client = UnixSocket::new(Kind::Stream, ME);
    let other = Credentials { pid: 8, ..ME };
    client.connect(&named("listener"), other, Blocking::Never).unwrap();
    assert_eq!(client.connect(&named("listener"), other, Blocking::Never), Err(FsError::AlreadyConnected));
    assert!(listener.poll().contains(Readiness::READ));
    let server = listener.accept(Blocking::Never).unwrap();
    assert_eq!(server.peer_credentials(), Some(other));
    assert_eq!(client.peer_credentials(), Some(ME));
    assert!(matches!(client.peer_address(), Ok(Address::Unix(UnixAddress::Abstract(name))) if name == b"listener"));
    send(&client, b"ping", Blocking::Never).unwrap();
    let mut buffer = [0; 8];
    let got = server.receive(&mut SliceSink::new(&mut buffer), ReceiveFlags::default(), Blocking::Never).unwrap();
    assert_eq!(&buffer[..got.count], b"ping");
}

#[test]
fn the_backlog_is_a_limit_and_a_closed_listener_resets() {
    let listener = UnixSocket::new(Kind::Stream, ME);
    listener.bind(&named("full")).unwrap();
    listener.listen(0, ME).unwrap();
    let first = UnixSocket::new(Kind::Stream, ME);
    first.connect(&named("full"), ME, Blocking::Never).unwrap();
    let second = UnixSocket::new(Kind::Stream, ME);
    assert_eq!(second.connect(&named("full"), ME, Blocking::Never), Err(FsError::WouldBlock));
    let waiting = thread::spawn(move || second.connect(&named("full"), ME, Blocking::Wait));
    thread::sleep(Duration::from_millis(50));
    listener.close();
    assert_eq!(waiting.join().unwrap(), Err(FsError::ConnectionRefused));
    assert_eq!(receive(&first, 1), Err(FsError::ConnectionReset));
    assert_eq!(
        UnixSocket::new(Kind::Stream, ME).connect(&named("full"), ME, Blocking::Never),
        Err(FsError::ConnectionRefused)
    );
}

#[test]
fn datagrams_keep_their_borders_and_their_sender() {
    let server = UnixSocket::new(Kind::Datagram, ME);
    server.bind(&named("dgram")).unwrap();
    let client = UnixSocket::new(Kind::Datagram, ME);
    client.bind(&Address::Unix(UnixAddress::Unnamed)).unwrap();
    let to = || SendArguments { to: Some(named("dgram")), ..SendArguments::default() };
    for text in [&b"one"[..], b"", b"three"] {
        assert_eq!(client.send(&mut SliceSource::new(text), to(), Blocking::Never), Ok(text.len()));
    }
    let mut buffer = [0; 2];
    let got = server.receive(&mut SliceSink::new(&mut buffer), ReceiveFlags::default(), Blocking::Never).unwrap();
    assert_eq!((got.count, got.full_len, &buffer), (2, 3, b"on"));
    assert!(matches!(got.from, Some(Address::Unix(UnixAddress::Abstract(name))) if name.len() == 5));
    assert_eq!(receive(&server, 9).unwrap(), b"");
    assert_eq!(receive(&server, 9).unwrap(), b"three");
    assert_eq!(receive(&server, 9), Err(FsError::WouldBlock));
    server.close();
    assert_eq!(client.send(&mut SliceSource::new(b"x"), to(), Blocking::Never), Err(FsError::ConnectionRefused));
}

#[test]
fn a_full_datagram_queue_refuses_strangers() {
    let server = UnixSocket::new(Kind::Datagram, ME);
    server.bind(&named("queue")).unwrap();
    let [first, second] = [UnixSocket::new(Kind::Datagram, ME), UnixSocket::new(Kind::Datagram, ME)];
    first.connect(&named("queue"), ME, Blocking::Never).unwrap();
    second.connect(&named("queue"), ME, Blocking::Never).unwrap();
    for _ in 0..11 {
        assert!(second.poll().contains(Readiness::WRITE));
        assert_eq!(send(&first, b"m", Blocking::Never), Ok(1));
    }
    assert_eq!(send(&first, b"m", Blocking::Never), Err(FsError::WouldBlock));
    // Of those in the queue none is the second's; it learns of the room all the same.
    assert!(!second.poll().contains(Readiness::WRITE));
    let writer = thread::spawn({
        let second = second.clone();
        move || send(&second, b"n", Blocking::Wait)
    });
    thread::sleep(Duration::from_millis(20));
    receive(&server, 1).unwrap();
    assert_eq!(writer.join().unwrap(), Ok(1));
    receive(&server, 1).unwrap();
    assert!(second.poll().contains(Readiness::WRITE));
}

/// Two that have chosen each other are bounded by their own buffers alone.
#[test]
fn a_pair_of_datagram_sockets_fills_the_senders_buffer() {
    let [a, b] = UnixSocket::pair(Kind::Datagram, ME);
    let mut sent = 0;
    while send(&a, b"m", Blocking::Never).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, (a.options().send_buffer() as usize).div_ceil(768));
    for _ in 0..sent * 3 / 4 {
        assert!(!a.poll().contains(Readiness::WRITE));
        receive(&b, 1).unwrap();
    }
    receive(&b, 1).unwrap();
    assert!(a.poll().contains(Readiness::WRITE));
}

/// SIOCOUTQ of Linux 6.18 on x86_64 after one send.
#[test]
fn messages_cost_what_they_cost_on_linux() {
    let messages = [(0, 768), (100, 768), (300, 1280), (1000, 2304), (5000, 8448), (8000, 16_640), (40_000, 41_216)];
    for (len, cost) in messages {
        assert_eq!(charge::cost(Kind::Datagram, len), cost, "a message of {len}");
    }
    for (len, cost) in [(1, 768), (2000, 4352), (4000, 4864), (5000, 6400), (32_768, 33_536), (36_000, 37_120)] {
        assert_eq!(charge::cost(Kind::Stream, len), cost, "{len} bytes of a stream");
    }
}

#[test]
fn a_name_that_comes_late_is_seen() {
    let [a, b] = UnixSocket::pair(Kind::Stream, ME);
    send(&a, b"x", Blocking::Never).unwrap();
    a.bind(&named("late")).unwrap();
    let is_late = |address| matches!(address, Address::Unix(UnixAddress::Abstract(name)) if name == b"late");
    let mut buffer = [0; 1];
    let got = b.receive(&mut SliceSink::new(&mut buffer), ReceiveFlags::default(), Blocking::Never).unwrap();
    assert!(is_late(got.from.unwrap()));
    a.close();
    assert!(is_late(b.peer_address().unwrap()));
}

#[test]
fn a_destination_that_is_gone_takes_the_queue_with_it() {
    let [a, b] = UnixSocket::pair(Kind::Datagram, ME);
    send(&b, b"lost", Blocking::Never).unwrap();
    b.close();
    assert_eq!(send(&a, b"x", Blocking::Never), Err(FsError::ConnectionRefused));
    assert_eq!(send(&a, b"x", Blocking::Never), Err(FsError::NotConnected));
    assert_eq!(receive(&a, 9), Err(FsError::WouldBlock));
}

#[test]
fn descriptions_travel_with_the_first_byte() {
    let [a, b] = UnixSocket::pair(Kind::Stream, ME);
    let [passed, other] = UnixSocket::pair(Kind::Stream, ME);
    let file = SocketFile::open(passed, StatusFlags::empty());
    send(&a, b"before", Blocking::Never).unwrap();
    let arguments = SendArguments {
        ancillary: Ancillary { files: std::vec![file], credentials: None, packet: None },
        ..SendArguments::default()
    };
    a.send(&mut SliceSource::new(b"with"), arguments, Blocking::Never).unwrap();
    send(&a, b"after", Blocking::Never).unwrap();
    let mut buffer = [0; 99];
    let got = b.receive(&mut SliceSink::new(&mut buffer), ReceiveFlags::default(), Blocking::Never).unwrap();
    assert_eq!((&buffer[..got.count], got.ancillary.files.len()), (&b"beforewith"[..], 1));
    assert_eq!(receive(&b, 99).unwrap(), b"after");
    drop(got);
    // The description was the last of its socket.
    assert_eq!(receive(&other, 1).unwrap(), b"");
}

#[test]
fn each_part_of_a_message_tells_who_sent_it() {
    let [a, b] = UnixSocket::pair(Kind::Stream, ME);
    let said = Some(Credentials { uid: 1234, ..ME });
    let ancillary = Ancillary { credentials: said, ..Ancillary::default() };
    let arguments = SendArguments { ancillary, ..SendArguments::default() };
    a.send(&mut SliceSource::new(b"parts"), arguments, Blocking::Never).unwrap();
    for _ in 0..2 {
        let got = b.receive(&mut SliceSink::new(&mut [0; 2]), ReceiveFlags::default(), Blocking::Never).unwrap();
        assert_eq!((got.count, got.ancillary.credentials), (2, said));
    }
}

#[test]
fn shutdown_closes_one_direction() {
    let [a, b] = UnixSocket::pair(Kind::SeqPacket, ME);
    send(&a, b"last", Blocking::Never).unwrap();
    a.shutdown(Shutdown { read: false, write: true }).unwrap();
    assert_eq!(send(&a, b"x", Blocking::Never), Err(FsError::BrokenPipe));
    assert_eq!(receive(&b, 9).unwrap(), b"last");
    assert_eq!(receive(&b, 9).unwrap(), b"");
    assert_eq!(send(&b, b"back", Blocking::Never), Ok(4));
    assert_eq!(receive(&a, 9).unwrap(), b"back");
    let fresh = UnixSocket::new(Kind::Stream, ME);
    assert_eq!(fresh.shutdown(Shutdown { read: true, write: true }), Ok(()));
}

#[test]
fn a_receive_timeout_ends_a_wait() {
    let [a, _b] = UnixSocket::pair(Kind::Stream, ME);
    a.options().set_receive_timeout_ns(20_000_000);
    assert_eq!(receive_with(&a, 1, ReceiveFlags::default(), Blocking::Wait), Err(FsError::WouldBlock));
}

#[test]
fn wait_all_fills_the_buffer() {
    let [a, b] = UnixSocket::pair(Kind::Stream, ME);
    let reader = thread::spawn(move || {
        receive_with(&b, 10, ReceiveFlags { wait_all: true, ..ReceiveFlags::default() }, Blocking::Wait)
    });
    for _ in 0..5 {
        send(&a, b"ab", Blocking::Never).unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(reader.join().unwrap().unwrap(), b"ababababab");
}
