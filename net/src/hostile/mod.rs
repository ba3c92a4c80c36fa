//! A hostile network, within a test: a real device's frames go through the real stack, strangers send whatever they like,
//! and every so often somebody who behaves must still be served. All by seed.
//!
//! `HOSTILE_FRAMES=1000000 cargo test --release -p net hostile` runs more; `HOSTILE_SEED` another sequence.

mod addresses;
mod deferral;
mod frames;
mod nic;
mod repeated;
mod wire;

use crate::config::Client;
use crate::device::{self, device};
use crate::inet::tcp::engine_head::{ACK, FIN, Head, PSH, SYN};
use crate::inet::tcp::{TcpSocket, memory, opening, time_wait, timer};
use crate::inet::udp::UdpSocket;
use crate::inet::{Endpoint, Ip, Setting, connections, ip};
use crate::interface::{InterfaceAddress, Route};
use crate::socket::{Address, Credentials, InetAddress, ReceiveFlags, SendArguments, Socket};
use fs::{Blocking, FsError, SliceSink, SliceSource};
use nic::TestNic;
use repeated::opened;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::vec::Vec;

const SERVER: Ip = Ip::from_v4(0x0a00_0001);
const SERVER_V6: Ip = Ip(0xfd00 << 112 | 1);
const PORT: u16 = 80;
/// Nobody takes connections from this one.
const SLOW_PORT: u16 = 81;
/// Connections that the application holds; it closes the oldest.
const HELD_MAX: usize = 500;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 8) as usize % limit.max(1)
    }
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 16) as u8).collect()
    }
}

/// The machine, and its application: it sends back what it receives.
struct World {
    nic: &'static TestNic,
    client: Client,
    listener: Arc<TcpSocket>,
    slow: Arc<TcpSocket>,
    udp: Arc<UdpSocket>,
    held: VecDeque<Arc<dyn Socket>>,
    /// Addresses that have been used by peers who behave.
    peers: u32,
}

/// The machine's tables are one for the process: tests take turns.
static TURN: Mutex<Option<&'static TestNic>> = Mutex::new(None);

fn listener(port: u16) -> Arc<TcpSocket> {
    let socket = TcpSocket::new(true);
    let at = InetAddress { v6: true, at: Endpoint::new(Ip::ANY_V6, port) };
    socket.options().reuse_address.store(true, core::sync::atomic::Ordering::Relaxed);
    socket.bind(&Address::Inet(at)).expect("a free port");
    socket.listen(128, Credentials { pid: 1, uid: 0, gid: 0 }).expect("it listens");
    socket
}

impl World {
    fn new() -> (MutexGuard<'static, Option<&'static TestNic>>, Self) {
        let mut turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let nic = *turn.get_or_insert_with(|| {
            let nic = TestNic::new();
            let gateway = |network, ip| Route { interface: 0, network, prefix: 0, gateway: Some(ip) };
            let routes = [gateway(Ip::ANY_V4, Ip::from_v4(0x0a00_00fe)), gateway(Ip::ANY_V6, Ip(SERVER_V6.0 + 0xfe))];
            let addresses =
                [InterfaceAddress { ip: SERVER, prefix: 16 }, InterfaceAddress { ip: SERVER_V6, prefix: 64 }];
            device::attach(nic, TestNic::info(), &addresses, &routes);
            nic
        });
        let udp = UdpSocket::new(true);
        let at = InetAddress { v6: true, at: Endpoint::new(Ip::ANY_V6, 53) };
        udp.bind(&Address::Inet(at)).expect("a free port");
        let client = Client::new(nic::MAC, 7, hal::clock::now_ns());
        let world = Self {
            nic,
            client,
            listener: listener(PORT),
            slow: listener(SLOW_PORT),
            udp,
            held: VecDeque::new(),
            peers: 0,
        };
        (turn, world)
    }

    /// The machine takes a frame in.
    fn take(&mut self, frame: &[u8], checked: bool) {
        let Some(device) = device() else { panic!("there is a device") };
        if Client::wants(frame) {
            self.client.receive(frame, checked, hal::clock::now_ns());
        } else {
            ip::input::frame(device, frame, checked);
        }
    }

    /// The application runs: it accepts, and sends back what came.
    fn serve(&mut self) {
        while let Ok(socket) = self.listener.accept(Blocking::Never) {
            self.held.push_back(socket);
        }
        let mut over = Vec::new();
        for (index, socket) in self.held.iter().enumerate() {
            let mut buffer = [0; 2048];
            match socket.receive(&mut SliceSink::new(&mut buffer), ReceiveFlags::default(), Blocking::Never) {
                Ok(received) if received.count > 0 => {
                    let bytes = &buffer[..received.count];
                    let _ = socket.send(&mut SliceSource::new(bytes), SendArguments::default(), Blocking::Never);
                }
                Err(FsError::WouldBlock) => {}
                _ => over.push(index),
            }
        }
        for index in over.into_iter().rev() {
            self.held.remove(index).expect("it is there").close();
        }
        while self.held.len() > HELD_MAX {
            self.held.pop_front().expect("it is there").close();
        }
        let mut buffer = [0; 2048];
        while self.udp.receive(&mut SliceSink::new(&mut buffer), ReceiveFlags::default(), Blocking::Never).is_ok() {}
        timer::run(hal::clock::now_ns());
    }

    /// What the machine sent since; questions for addresses of the network are answered.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for _ in 0..3 {
            let frames = self.nic.take_sent();
            for frame in &frames {
                if let [.., 0, 1, 8, 0, 6, 4, 0, 1, _, _, _, _, _, _, a, b, c, d, _, _, _, _, _, _, e, f, g, h] =
                    frame[..]
                    && frame.len() == 42
                {
                    let (own, asked) = (Ip::from_v4_bytes([a, b, c, d]), Ip::from_v4_bytes([e, f, g, h]));
                    self.take(&wire::arp(2, wire::PEER_MAC, asked, own), false);
                }
            }
            all.extend(frames);
        }
        all
    }

    /// A peer who behaves opens a connection, sends a request, gets it back, and closes.
    fn is_served(&mut self) -> Result<(), &'static str> {
        self.peers += 1;
        let from = Ip::from_v4(0x0a00_1000 + self.peers);
        let ports = (10_000 + (self.peers % 50_000) as u16, PORT);
        self.serve();
        self.sent();
        let mut head = Head {
            seq: self.peers.wrapping_mul(77_777),
            flags: SYN,
            window: 60_000,
            mss: Some(1460),
            scale: Some(7),
            sack_permitted: true,
            stamp: Some((1000, 0)),
            ..Head::default()
        };
        let mut answered = None;
        for _ in 0..3 {
            self.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
            answered = self.answers(from, ports).into_iter().find(|(head, _)| head.flags == SYN | ACK);
            if answered.is_some() {
                break;
            }
        }
        let (answer, _) = answered.ok_or("no answer to the first segment")?;
        if answer.ack != head.seq.wrapping_add(1) {
            return Err("a wrong acknowledgement");
        }
        let echo = answer.stamp.map(|(value, _)| (1001, value));
        head = Head {
            seq: answer.ack,
            ack: answer.seq.wrapping_add(1),
            flags: ACK | PSH,
            window: 60_000,
            stamp: echo,
            ..Head::default()
        };
        let request = b"somebody who behaves";
        self.take(&wire::tcp(from, SERVER, ports, &head, request), false);
        self.serve();
        let got: Vec<u8> = self.answers(from, ports).into_iter().flat_map(|(_, bytes)| bytes).collect();
        if got != request {
            return Err("no answer to the request");
        }
        head.seq = head.seq.wrapping_add(request.len() as u32);
        head.ack = head.ack.wrapping_add(request.len() as u32);
        head.flags = ACK | FIN;
        self.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
        self.serve();
        let ends = self.answers(from, ports);
        if !ends.iter().any(|(head, _)| head.flags & FIN != 0) {
            return Err("no end");
        }
        head.seq = head.seq.wrapping_add(1);
        head.ack = head.ack.wrapping_add(1);
        head.flags = ACK;
        self.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
        Ok(())
    }

    /// Segments that went to a peer.
    fn answers(&mut self, to: Ip, ports: (u16, u16)) -> Vec<(Head, Vec<u8>)> {
        let mut all = Vec::new();
        for frame in self.sent() {
            let Some((header, payload, _)) = frame.get(14..).and_then(ip::input::parse_v4) else { continue };
            if header.protocol == 6
                && header.to == to
                && let Some((from_port, to_port, head, bytes)) = Head::parse(payload)
                && (to_port, from_port) == ports
            {
                all.push((head, bytes.to_vec()));
            }
        }
        all
    }

    /// Every table is within its bounds.
    fn check_bounds(&self) {
        let counts =
            [opening::count(), time_wait::count(), ip::neighbour::count(), connections::all().len(), timer::count()];
        assert!(counts[0] <= 4096, "openings: {counts:?}");
        assert!(counts[1] <= 16_384, "records of TIME_WAIT: {counts:?}");
        assert!(counts[2] <= 1024, "neighbours: {counts:?}");
        // Those of the application, in both backlogs, and that nobody holds.
        assert!(counts[3] <= HELD_MAX + 2 * 129 + 8192, "connections: {counts:?}");
        assert!(counts[4] <= counts[3], "deadlines: {counts:?}");
        let (parts, bounds) = (ip::fragment::counts(), ip::fragment::BOUNDS);
        assert!(parts.0 <= bounds.0 && parts.1 <= bounds.1, "datagrams in parts: {parts:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for socket in self.held.drain(..) {
            socket.close();
        }
        self.listener.close();
        self.slow.close();
        self.udp.close();
    }
}

/// Bytes of memory that the process has.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("statm has numbers") * 4096
}

fn number_of(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Seeds that are always run; those that once found a fault stay.
const SEEDS: &[u64] = &[1, 2, 3, 20_261_128];

#[test]
fn whatever_strangers_send_others_are_served() {
    let (_turn, mut world) = World::new();
    let count = number_of("HOSTILE_FRAMES", 120_000);
    let mut before = 0;
    let own = number_of("HOSTILE_SEED", 0);
    for &seed in SEEDS.iter().chain((own != 0).then_some(&own)) {
        let mut hostile = frames::Hostile::new(seed);
        for number in 0..count / SEEDS.len() as u64 {
            hostile.attack(&mut world);
            if number % 64 == 0 {
                world.serve();
                let sent = world.sent();
                hostile.hear(&sent);
            }
            if number % 1000 == 999 {
                world.check_bounds();
                if let Err(what) = world.is_served() {
                    panic!("seed {seed}, frame {number}: {what}");
                }
            }
        }
        if before == 0 {
            before = resident();
        }
    }
    let after = resident();
    assert!(after < before + (256 << 20), "memory: {before} bytes, then {after}");
}

#[test]
fn a_flood_of_first_segments_keeps_nobody_out() {
    let (_turn, mut world) = World::new();
    let mut random = Random(5);
    for round in 0..20 {
        for _ in 0..2000 {
            let from = Ip::from_v4(0x0a00_8000 | random.below(0x7fff) as u32);
            let head = Head { seq: random.next() as u32, flags: SYN, window: 1000, ..Head::default() };
            world.take(&wire::tcp(from, SERVER, (random.next() as u16 | 1, PORT), &head, &[]), false);
        }
        world.nic.take_sent();
        assert_eq!(world.is_served(), Ok(()), "round {round}");
        world.check_bounds();
    }
    assert_eq!(opening::count(), 4096, "the flood has filled the table, and cookies did the rest");
}

/// Opens a connection to `port` and sends full segments until `bytes` are acknowledged, or no more are.
fn fill(world: &mut World, from: Ip, port: u16, bytes: usize) {
    let ports = (5000, port);
    let mut head = Head { seq: 9, flags: SYN, window: 60_000, mss: Some(1460), ..Head::default() };
    world.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
    let Some((answer, _)) = world.answers(from, ports).pop() else { return };
    head = Head { seq: 10, ack: answer.seq.wrapping_add(1), flags: ACK, window: 60_000, ..Head::default() };
    world.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
    let segment = [7; 1400];
    while (head.seq as usize) < bytes {
        world.take(&wire::tcp(from, SERVER, ports, &head, &segment), false);
        timer::run(hal::clock::now_ns());
        head.seq += 1400;
    }
    world.nic.take_sent();
}

#[test]
fn who_sends_what_nobody_reads_takes_a_part_of_memory_only() {
    let (_turn, mut world) = World::new();
    // Connections of the tests before, which nobody holds and whose peers are silent.
    let before = memory::used();
    for number in 0..129 {
        fill(&mut world, Ip::from_v4(0x0a00_4000 + number), SLOW_PORT, 64_000);
    }
    let (used, limit) = (memory::used(), memory::limit());
    assert!(used > limit / 4 * 3, "they fill {used} bytes of {limit}, not enough for this test");
    assert!(used < limit + 129 * memory::LEAST, "{used} bytes of {limit}");
    assert_eq!(world.is_served(), Ok(()));
    drop(world);
    assert!(memory::used() <= before, "what the connections had is not given back");
}

#[test]
fn connections_one_after_another_leave_nothing() {
    let (_turn, mut world) = World::new();
    for _ in 0..50 {
        assert_eq!(world.is_served(), Ok(()));
    }
    let (connections, deadlines) = (connections::all().len(), timer::count());
    for _ in 0..5000 {
        assert_eq!(world.is_served(), Ok(()));
    }
    assert_eq!((connections::all().len(), timer::count()), (connections, deadlines));
}

/// Sends a datagram from `udp` and gives the frames back to it as if the peer had answered with the same.
fn echo_of(world: &mut World, to: Ip, len: usize) -> Vec<u8> {
    let datagram: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
    let to = Address::Inet(InetAddress { v6: true, at: Endpoint::new(to, 4000) });
    let arguments = SendArguments { to: Some(to), ..SendArguments::default() };
    let sent = world.udp.send(&mut SliceSource::new(&datagram), arguments, Blocking::Never);
    assert_eq!(sent, Ok(len));
    let mut frames = world.sent();
    frames.retain(|frame| frame[12..14] == [8, 0] && frame[..6] == wire::PEER_MAC);
    assert_eq!(frames.len(), len.div_ceil(1480 - 8), "each packet is full");
    // The last first.
    for frame in frames.iter_mut().rev() {
        frame[..6].copy_from_slice(&nic::MAC);
        frame[6..12].copy_from_slice(&wire::PEER_MAC);
        let (from, to): (Vec<u8>, Vec<u8>) = (frame[26..30].into(), frame[30..34].into());
        frame[26..30].copy_from_slice(&to);
        frame[30..34].copy_from_slice(&from);
        if frame[20..22] == [0x20, 0] {
            // The datagram's own header: the ports change places, the sum stays.
            let ports = [frame[36], frame[37], frame[34], frame[35]];
            frame[34..38].copy_from_slice(&ports);
        }
        world.take(frame, false);
    }
    let mut buffer = vec![0; 70_000];
    let got = world.udp.receive(&mut SliceSink::new(&mut buffer), ReceiveFlags::default(), Blocking::Never);
    buffer.truncate(got.expect("a datagram").count);
    assert!(buffer == datagram, "{} bytes of {len}", buffer.len());
    buffer
}

#[test]
fn a_datagram_longer_than_a_packet_goes_and_comes_in_parts() {
    let (_turn, mut world) = World::new();
    for len in [1473, 2000, 8192, 40_000, 65_507] {
        assert_eq!(echo_of(&mut world, Ip::from_v4(0x0a00_0777), len).len(), len);
    }
    // Who forbids it is told.
    world.udp.settings().expect("it has some").set(Setting::MtuDiscover, 2);
    let to = Address::Inet(InetAddress { v6: true, at: Endpoint::new(Ip::from_v4(0x0a00_0777), 4000) });
    let arguments = SendArguments { to: Some(to), ..SendArguments::default() };
    let sent = world.udp.send(&mut SliceSource::new(&[0; 2000]), arguments, Blocking::Never);
    assert_eq!(sent, Err(FsError::MessageTooLong));
}

#[test]
fn close_lingers_until_the_peer_has_everything() {
    let (_turn, mut world) = World::new();
    let (from, ports) = (Ip::from_v4(0x0a00_0778), (5001, PORT));
    let mut head = opened(&mut world, from, ports);
    world.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
    let socket = world.listener.accept(Blocking::Never).expect("a connection");
    socket.options().set_linger(true, 1000);
    let sent = socket.send(&mut SliceSource::new(&[1; 1000]), SendArguments::default(), Blocking::Never);
    assert_eq!(sent, Ok(1000));
    let closing = std::thread::spawn(move || socket.close());
    // Its bytes, and then its end, which nobody acknowledges yet.
    let mut ends = 0;
    while ends == 0 {
        ends = world.answers(from, ports).iter().filter(|(head, _)| head.flags & FIN != 0).count();
        std::thread::yield_now();
    }
    assert!(!closing.is_finished(), "nothing has been acknowledged");
    head.ack = head.ack.wrapping_add(1000);
    world.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
    assert!(!closing.is_finished(), "the end has not been acknowledged");
    head.ack = head.ack.wrapping_add(1);
    world.take(&wire::tcp(from, SERVER, ports, &head, &[]), false);
    closing.join().expect("close returns");
}

/// The messages of multicast membership among frames: type and group.
fn memberships(frames: &[Vec<u8>]) -> Vec<(u8, Ip)> {
    let of = |frame: &Vec<u8>| {
        let v4 = frame[12..14] == [8, 0] && frame[23] == 2;
        let v6 = frame.len() == 86 && frame[12..14] == [0x86, 0xdd] && frame[54] == 58;
        let group = |bytes: &[u8]| bytes.try_into().map(Ip::from_bytes).expect("16 bytes");
        match (v4, v6) {
            (true, _) => Some((frame[38], Ip::from_v4_bytes([frame[42], frame[43], frame[44], frame[45]]))),
            (_, true) => Some((frame[62], group(&frame[70..86]))),
            _ => None,
        }
    };
    frames.iter().filter_map(of).collect()
}

#[test]
fn routers_hear_of_multicast_groups() {
    let (_turn, mut world) = World::new();
    let (v4, v6) = (Ip::from_v4(0xef01_0203), Ip(0xff05 << 112 | 0x1234));
    let after = |seconds: u64| {
        ip::membership::run(hal::clock::now_ns() + seconds * 1_000_000_000);
    };
    let query = wire::checked_v4_query(Ip::ANY_V4);
    let query_v6 = |group: Ip| {
        let mut body = [130, 0, 0, 0, 3, 0xe8, 0, 0].to_vec();
        body.extend_from_slice(&group.bytes());
        let (from, to) = (Ip(0xfe80 << 112 | 9), Ip(0xff02 << 112 | 1));
        wire::v6(from, to, 58, 1, &wire::checked(from, to, 58, 2, body))
    };
    for (group, kinds) in [(v4, (0x16, 0x17)), (v6, (131, 132))] {
        world.udp.membership(true, group, 0).expect("joined");
        assert!(memberships(&world.sent()).contains(&(kinds.0, group)), "the first report");
        after(11);
        assert!(memberships(&world.sent()).contains(&(kinds.0, group)), "the second");
        after(11);
        assert_eq!(memberships(&world.sent()), [], "and no more");
        let ask = if group == v4 { query.clone() } else { query_v6(Ip::ANY_V6) };
        world.take(&ask, false);
        after(2);
        assert!(memberships(&world.sent()).contains(&(kinds.0, group)), "the answer to a question for all");
        if group == v6 {
            world.take(&query_v6(v6), false);
            after(2);
            assert_eq!(memberships(&world.sent()), [(kinds.0, group)], "the answer to a question for it");
        }
        world.udp.membership(false, group, 0).expect("left");
        assert_eq!(memberships(&world.sent()), [(kinds.1, group)]);
        world.take(&ask, false);
        after(2);
        assert!(!memberships(&world.sent()).iter().any(|(_, known)| *known == group), "it is left");
    }
}
