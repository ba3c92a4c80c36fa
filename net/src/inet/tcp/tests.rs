//! Two sockets of this machine, an epoll and two threads.

use super::TcpSocket;
use crate::file::SocketFile;
use crate::inet::address::{Endpoint, Ip};
use crate::socket::{Address, Credentials, InetAddress, Socket};
use fs::{Blocking, Epoll, EpollInterest, EpollMode, Readiness, SliceSource, StatusFlags, VecSink};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const WHO: Credentials = Credentials { pid: 1, uid: 0, gid: 0 };

/// Two ends of a connection over the loopback.
fn ends() -> (Arc<TcpSocket>, Arc<dyn Socket>) {
    let listener = TcpSocket::new(false);
    let any = Address::Inet(InetAddress { v6: false, at: Endpoint::new(Ip::LOOPBACK_V4, 0) });
    listener.bind(&any).expect("a free port");
    listener.listen(1, WHO).expect("it listens");
    let client = TcpSocket::new(false);
    client.connect(&listener.local_address(), WHO, Blocking::Wait).expect("somebody listens");
    let server = listener.accept(Blocking::Wait).expect("somebody came");
    listener.close();
    (client, server)
}

/// The last bytes of each round may come while those before are read, and nothing comes after them until they were seen.
#[test]
fn epoll_loses_no_bytes_between_a_reader_and_a_sender() {
    const ROUNDS: usize = 20_000;
    let (client, server) = ends();
    let file = SocketFile::open(server, StatusFlags::NONBLOCK);
    let epoll = Epoll::new();
    epoll
        .add(1, &file, EpollInterest { events: Readiness::READ, mode: EpollMode::default(), data: 1 })
        .expect("a new item");
    let seen = Arc::new(AtomicUsize::new(0));
    let sender = {
        let seen = seen.clone();
        thread::spawn(move || {
            for round in 0..ROUNDS {
                for number in 0..2 {
                    let sent = client.write(&mut SliceSource::new(b"abc"), Blocking::Wait);
                    assert_eq!(sent, Ok(3));
                    for _ in 0..round % 512 * number {
                        core::hint::spin_loop();
                    }
                }
                while seen.load(Ordering::Acquire) < (round + 1) * 6 {
                    thread::yield_now();
                }
            }
            client.close();
        })
    };
    let wait = || {
        let deadline = hal::clock::now_ns() + 20_000_000_000;
        epoll.wait(1, Some(deadline), &mut |_| {}).expect("no signal")
    };
    while seen.load(Ordering::Relaxed) < ROUNDS * 6 {
        assert_eq!(wait(), 1, "nothing was reported after {seen:?} bytes");
        // Sometimes not all that is there.
        let mut sink = VecSink::new(if seen.load(Ordering::Relaxed).is_multiple_of(5) { 2 } else { 100 });
        if let Ok(count) = file.read(&mut sink) {
            seen.fetch_add(count, Ordering::Release);
        }
    }
    sender.join().expect("it ends");
    assert_eq!((wait(), file.read(&mut VecSink::new(9))), (1, Ok(0)), "the end is reported");
    assert_eq!(wait(), 1, "and again");
}
