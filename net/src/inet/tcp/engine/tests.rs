//! Two state machines over a link that loses, swaps and doubles segments, by seed; and headers made of noise.

use super::head::{ACK, Head, SYN};
use super::{Rules, Stage, Tcb, Wire};
use crate::inet::queue::{ByteQueue, Piece};
use fs::SliceSource;
use std::vec::Vec;

const MSS: usize = 1460;
const DELAY_NS: u64 = 5_000_000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.next().is_multiple_of(n)
    }
}

/// Segments under way, with the times at which they arrive.
struct Link<'a> {
    now_ns: u64,
    lose: u64,
    random: &'a mut Random,
    under_way: &'a mut Vec<(u64, Vec<u8>)>,
}

impl Wire for Link<'_> {
    fn send(&mut self, head: &Head, data: &ByteQueue, offset: usize, len: usize, mss: usize) -> bool {
        assert!(len <= mss.max(MSS), "longer than the peer takes");
        let mut bytes = std::vec![0; head.len() + len];
        head.write((1, 2), &mut bytes);
        assert_eq!(data.peek(offset, &mut bytes[head.len()..]), len, "bytes that are not there");
        if self.random.one_in(self.lose) {
            return true;
        }
        let copies = 1 + usize::from(self.lose > 0 && self.random.one_in(50));
        for _ in 0..copies {
            let late = if self.lose > 0 && self.random.one_in(10) { 3 * DELAY_NS } else { 0 };
            self.under_way.push((self.now_ns + DELAY_NS + late, bytes.clone()));
        }
        true
    }
}

struct End {
    tcb: Tcb,
    to_send: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    under_way: Vec<(u64, Vec<u8>)>,
}

fn rules(now_ns: u64) -> Rules {
    Rules { now_ns, no_delay: true, ..Rules::default() }
}

fn pattern(len: usize, seed: u64) -> Vec<u8> {
    (0..len).map(|n| (n as u64 * 31 + n as u64 / 251 + seed) as u8).collect()
}

/// Sends `len` bytes each way and closes; the time that it took. Ends in a panic if it does not end.
fn exchange(seed: u64, lose: u64, len: usize) -> u64 {
    let mut random = Random(seed | 1 << 40);
    let start = 1_000_000_000;
    let iss = (u32::MAX - 20_000).wrapping_add(seed as u32);
    let mut client = End::new(Tcb::connect(iss, MSS, start), pattern(len, 1));
    // The first segment is answered as `tcp/input.rs` does it, over a link that loses nothing.
    let mut first = Vec::new();
    client.tcb.output(&rules(start), &mut Link { now_ns: start, lose: 0, random: &mut random, under_way: &mut first });
    let (_, _, syn, _) = Head::parse(&first[0].1).expect("a segment");
    let answer = Head {
        seq: 77,
        ack: syn.seq.wrapping_add(1),
        flags: SYN | ACK,
        window: 65_535,
        mss: Some(MSS as u16),
        scale: Some(7),
        sack_permitted: true,
        stamp: syn.stamp.map(|(value, _)| (5, value)),
        ..Head::default()
    };
    let mut server = End::new(Tcb::accepted(77, MSS, &syn, start), pattern(len, 2));
    assert!(!client.tcb.input(&answer, &[], &rules(start), &mut |_| 0));
    assert_eq!(client.tcb.stage, Stage::Established);
    let mut now = start;
    for _ in 0..2_000_000 {
        client.step(now, lose, &mut random);
        server.step(now, lose, &mut random);
        if server.take(&mut client.under_way, now) | client.take(&mut server.under_way, now) {
            continue;
        }
        let over = |end: &End| matches!(end.tcb.stage, Stage::TimeWait | Stage::Closed);
        if over(&client) && over(&server) {
            assert!(client.received == pattern(len, 2), "seed {seed}: the client's bytes");
            assert!(server.received == pattern(len, 1), "seed {seed}: the server's bytes");
            return now - start;
        }
        let arrivals = client.under_way.iter().chain(&server.under_way).map(|(at, _)| *at).min();
        let next = arrivals.unwrap_or(u64::MAX).min(client.tcb.deadline()).min(server.tcb.deadline());
        assert_ne!(
            next,
            u64::MAX,
            "seed {seed}: nothing will ever happen: {:?} {:?}",
            client.tcb.stage,
            server.tcb.stage
        );
        now = next.max(now);
    }
    panic!("seed {seed}: no end: {:?} {:?}", client.tcb.stage, server.tcb.stage);
}

impl End {
    fn new(tcb: Tcb, to_send: Vec<u8>) -> Self {
        Self { tcb, to_send, sent: 0, received: Vec::new(), under_way: Vec::new() }
    }

    /// Gives the machine bytes while it has few, lets it do what is due, and send.
    fn step(&mut self, now: u64, lose: u64, random: &mut Random) {
        let rules = rules(now);
        assert!(self.tcb.effects.failed.is_none(), "failed: {:?}", self.tcb.effects.failed);
        while self.tcb.is_synchronised() && self.sent < self.to_send.len() && self.tcb.queue.len() < 256 << 10 {
            let count = (self.to_send.len() - self.sent).min(8000);
            let bytes = &self.to_send[self.sent..self.sent + count];
            self.tcb.queue.push(Piece::fill(&mut SliceSource::new(bytes), count).expect("memory"));
            self.sent += count;
        }
        self.tcb.fin_queued |= self.sent == self.to_send.len() && self.tcb.is_synchronised();
        let mut link = Link { now_ns: now, lose, random, under_way: &mut self.under_way };
        if self.tcb.deadline() <= now {
            self.tcb.on_timer(&rules, &mut link);
        }
        self.tcb.output(&rules, &mut link);
    }

    /// Takes what has arrived.
    fn take(&mut self, from: &mut Vec<(u64, Vec<u8>)>, now: u64) -> bool {
        from.sort_by_key(|(at, _)| *at);
        let count = from.iter().take_while(|(at, _)| *at <= now).count();
        for (_, bytes) in from.drain(..count) {
            let (_, _, head, payload) = Head::parse(&bytes).expect("a segment");
            let received = &mut self.received;
            self.tcb.input(&head, payload, &rules(now), &mut |bytes| {
                received.extend_from_slice(bytes);
                bytes.len()
            });
        }
        count > 0
    }
}

#[test]
fn bytes_and_ends_cross_a_good_link() {
    exchange(1, 0, 3_000_000);
}

#[test]
fn bytes_arrive_over_links_that_lose_swap_and_double() {
    for seed in 1..40 {
        exchange(seed, 30, 200_000);
        exchange(seed, 6, 20_000);
    }
}

#[test]
fn nothing_to_say_ends_too() {
    exchange(5, 0, 0);
    exchange(6, 4, 0);
}

#[test]
fn what_is_written_is_read() {
    let head = Head {
        seq: 1,
        ack: 2,
        flags: SYN | ACK,
        window: 3,
        mss: Some(1460),
        scale: Some(7),
        sack_permitted: true,
        stamp: Some((4, 5)),
        ..Head::default()
    };
    check(head);
    check(Head {
        mss: None,
        scale: None,
        sack_permitted: false,
        sacks: [(6, 7), (8, 9), (0, 0)],
        sack_count: 2,
        ..head
    });
}

fn check(head: Head) {
    let mut bytes = std::vec![0; head.len()];
    head.write((10, 11), &mut bytes);
    assert_eq!(Head::parse(&bytes), Some((10, 11, head, &[][..])));
}

#[test]
fn noise_is_refused_or_read_but_never_a_panic() {
    let mut random = Random(99);
    for _ in 0..20_000 {
        let len = random.next() as usize % 80;
        let bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        let _ = Head::parse(&bytes);
        let _ = crate::inet::ip::input::parse_v4(&bytes);
        let _ = crate::inet::ip::input::parse_v6(&bytes);
    }
    // Any segment in any stage.
    for seed in 0..3000 {
        let mut random = Random(seed | 1 << 41);
        let syn = Head { seq: 5, scale: Some(7), sack_permitted: true, ..Head::default() };
        let mut tcb = Tcb::accepted(100, MSS, &syn, 1);
        for _ in 0..30 {
            let near = |random: &mut Random, base: u32| base.wrapping_add(random.next() as u32 % 64).wrapping_sub(16);
            let mut head = Head {
                seq: near(&mut random, tcb.rcv_nxt),
                ack: near(&mut random, tcb.nxt),
                flags: random.next() as u8 & 0x3f,
                window: random.next() as u16,
                ..Head::default()
            };
            head.sacks[0] = (near(&mut random, tcb.una), near(&mut random, tcb.una));
            head.sack_count = 1;
            let payload = pattern(random.next() as usize % 40, 0);
            tcb.queue.push(Piece::fill(&mut SliceSource::new(&payload), payload.len()).expect("memory"));
            tcb.fin_queued |= random.one_in(20);
            tcb.input(&head, &payload, &rules(random.next() % 1000), &mut |bytes| bytes.len());
            let mut out = Vec::new();
            let mut noise = Random(7);
            tcb.output(&rules(2000), &mut Link { now_ns: 0, lose: 0, random: &mut noise, under_way: &mut out });
        }
    }
}
