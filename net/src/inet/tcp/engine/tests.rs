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
    fn send(&mut self, _: u64, head: &Head, data: &ByteQueue, offset: usize, len: usize, mss: usize) -> bool {
        assert!(len <= mss.max(MSS), "longer than the peer takes");
        let mut bytes = std::vec![0; head.len() + len];
        head.write((1, 2), &mut bytes[..head.len()]);
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
    /// Plain segments take the short way, after which nothing is sent; how many there were.
    is_short: bool,
    plain: usize,
}

fn rules(now_ns: u64) -> Rules {
    Rules { now_ns, no_delay: true, ..Rules::default() }
}

fn pattern(len: usize, seed: u64) -> Vec<u8> {
    (0..len).map(|n| (n as u64 * 31 + n as u64 / 251 + seed) as u8).collect()
}

/// A connection whose client has heard the answer, which its server does not know yet.
fn connected(seed: u64, start: u64, random: &mut Random) -> (End, End) {
    let iss = (u32::MAX - 20_000).wrapping_add(seed as u32);
    let mut client = End::new(Tcb::connect(iss, MSS, start));
    // The first segment is answered as `tcp/input.rs` does it, over a link that loses nothing.
    let mut first = Vec::new();
    client.tcb.output(&rules(start), &mut Link { now_ns: start, lose: 0, random, under_way: &mut first });
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
    assert!(!client.tcb.input(&answer, &[], &rules(start), &mut |_| 0));
    assert_eq!(client.tcb.stage, Stage::Established);
    (client, End::new(Tcb::accepted(77, MSS, &syn, start)))
}

/// Sends `len` bytes each way and closes; the time that it took. Ends in a panic if it does not end.
fn exchange(seed: u64, lose: u64, len: usize) -> u64 {
    let mut random = Random(seed | 1 << 40);
    let start = 1_000_000_000;
    let (mut client, mut server) = connected(seed, start, &mut random);
    (client.to_send, server.to_send) = (pattern(len, 1), pattern(len, 2));
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
    fn new(tcb: Tcb) -> Self {
        Self {
            tcb,
            to_send: Vec::new(),
            sent: 0,
            received: Vec::new(),
            under_way: Vec::new(),
            is_short: false,
            plain: 0,
        }
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

    /// Takes one segment; whether something may have to be sent then.
    fn take_one(&mut self, bytes: &[u8], now: u64) -> bool {
        let (_, _, head, payload) = Head::parse(bytes).expect("a segment");
        if self.is_short && self.tcb.is_plain(&head, payload.len()) {
            self.received.extend_from_slice(payload);
            self.tcb.input_plain(&head, payload.len(), now);
            self.plain += 1;
            return false;
        }
        let received = &mut self.received;
        self.tcb.input(&head, payload, &rules(now), &mut |bytes| {
            received.extend_from_slice(bytes);
            bytes.len()
        });
        true
    }

    /// Takes what has arrived.
    fn take(&mut self, from: &mut Vec<(u64, Vec<u8>)>, now: u64) -> bool {
        from.sort_by_key(|(at, _)| *at);
        let count = from.iter().take_while(|(at, _)| *at <= now).count();
        for (_, bytes) in from.drain(..count) {
            self.take_one(&bytes, now);
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

/// A dialogue of short messages: all segments that either end sent, with their times, and how many were plain ones.
fn talk(seed: u64, lose: u64, is_short: bool) -> (Vec<(u64, Vec<u8>)>, usize) {
    let mut random = Random(seed | 1 << 40);
    let mut lengths = Random(seed | 1 << 42);
    let start = 1_000_000_000;
    let (client, server) = connected(seed, start, &mut random);
    let mut ends = [client, server];
    for end in &mut ends {
        end.is_short = is_short;
    }
    let (mut now, mut all, mut said) = (start, Vec::new(), [0; 2]);
    let mut output = |ends: &mut [End; 2], which: usize, now: u64| {
        let end = &mut ends[which];
        let before = end.under_way.len();
        let mut link = Link { now_ns: now, lose, random: &mut random, under_way: &mut end.under_way };
        if end.tcb.deadline() <= now {
            end.tcb.on_timer(&rules(now), &mut link);
        }
        end.tcb.output(&rules(now), &mut link);
        all.extend_from_slice(&end.under_way[before..]);
    };
    // The server must know that the client has heard it.
    output(&mut ends, 0, now);
    for round in 0..600 {
        // Mostly they take turns.
        let from = if lengths.one_in(4) { lengths.next() as usize % 2 } else { round % 2 };
        let message = pattern(1 + lengths.next() as usize % 900, 3);
        let piece = Piece::fill(&mut SliceSource::new(&message), message.len()).expect("memory");
        ends[from].tcb.queue.push(piece);
        said[from] += message.len();
        output(&mut ends, from, now);
        let until_quiet = lengths.one_in(4);
        loop {
            let arrivals = ends.iter().flat_map(|end| &end.under_way).map(|(at, _)| *at);
            let next = arrivals.chain(ends.iter().map(|end| end.tcb.deadline())).min().unwrap_or(u64::MAX);
            let has_heard = ends[1 - from].received.len() == said[from];
            if next == u64::MAX || has_heard && !until_quiet {
                break;
            }
            now = now.max(next);
            for which in [0, 1] {
                let mut must_send = ends[which].tcb.deadline() <= now;
                let arrived: Vec<_> = ends[1 - which].under_way.extract_if(.., |(at, _)| *at <= now).collect();
                for (_, bytes) in arrived {
                    must_send |= ends[which].take_one(&bytes, now);
                }
                if must_send {
                    output(&mut ends, which, now);
                }
            }
        }
        assert_eq!(ends[1 - from].received.len(), said[from], "seed {seed}: all that was said is heard");
    }
    (all, ends[0].plain + ends[1].plain)
}

#[test]
fn the_short_way_of_plain_segments_changes_nothing_that_is_sent() {
    for seed in 1..60 {
        for lose in [0, 40, 8] {
            let (sent, plain) = talk(seed, lose, true);
            assert!(plain > 100, "seed {seed}: {plain} plain segments in 600 messages");
            assert!(talk(seed, lose, false) == (sent, 0), "seed {seed}, one of {lose} lost");
        }
    }
}

/// The acknowledgement of 4 GiB names the number that the connection began with.
#[test]
fn numbers_may_come_round_to_the_first_again() {
    let (mut client, _) = connected(1, 1, &mut Random(1));
    let iss = client.tcb.iss;
    for round in [iss, iss.wrapping_sub(1), iss.wrapping_add(1)] {
        (client.tcb.una, client.tcb.nxt, client.tcb.max) = (round, round, round);
        client.tcb.queue.push(Piece::fill(&mut SliceSource::new(b"abc"), 3).expect("memory"));
        let before = client.under_way.len();
        let mut random = Random(1);
        let mut link = Link { now_ns: 2, lose: 0, random: &mut random, under_way: &mut client.under_way };
        client.tcb.window = 1000;
        client.tcb.output(&rules(2), &mut link);
        let (_, _, head, payload) = Head::parse(&client.under_way[before].1).expect("a segment");
        assert_eq!((head.seq, payload), (round, &b"abc"[..]));
        let ack =
            Head { seq: client.tcb.rcv_nxt, ack: round.wrapping_add(3), flags: ACK, window: 9, ..Head::default() };
        client.tcb.input(&ack, &[], &rules(3), &mut |bytes| bytes.len());
        assert_eq!((client.tcb.queue.len(), client.tcb.una), (0, round.wrapping_add(3)));
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
