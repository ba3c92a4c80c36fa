//! Strangers who send as fast as they can.

use crate::crowd::frame::{
    self, ACK, ARP, End, FIN, GUEST, ICMP, IPV4, PORT, RST, Random, SYN, TCP, UDP, seal_ipv4, seal_transport,
};
use crate::crowd::transport::{Interface, Transport};
use anyhow::Result;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x66];
const IPV6: u16 = 0x86dd;
const MORE_PARTS: u16 = 0x2000;
/// Frames between two looks at what else there is.
const TURN: u64 = 256;
/// Where a connection that is being used has surely not come to by then, and where its window surely still is.
const AHEAD: u32 = 1000;
const WINDOW: usize = 20_000;

/// A connection whose numbers the strangers know.
#[derive(Clone, Copy)]
pub struct Target {
    pub end: End,
    /// The next number of its peer's, and of the guest's.
    pub seq: u32,
    pub ack: u32,
    /// It may die: its peer is nobody who wants to be served.
    pub is_victim: bool,
}

/// What they send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// First segments from anywhere.
    Openings,
    /// What is wrong, in every layer.
    Noise,
    /// Resets, right ones to victims and forged ones to all.
    Resets,
}

/// What they have sent.
#[derive(Clone, Copy, Default)]
pub struct Sent {
    pub frames: u64,
    pub time: Duration,
}

/// Sends until told to stop.
pub fn attack(
    name: &str,
    mac: [u8; 6],
    kind: Kind,
    targets: &Mutex<Vec<Target>>,
    must_stop: &AtomicBool,
) -> Result<Sent> {
    let mut way = Interface::deaf(name)?;
    let mut stranger = Stranger { mac, random: Random(0x9e37_79b9_7f4a_7c15 ^ kind as u64), targets: Vec::new() };
    let (start, mut frames) = (Instant::now(), 0);
    while !must_stop.load(Ordering::Relaxed) {
        stranger.targets = targets.lock().map(|targets| targets.clone()).unwrap_or_default();
        for _ in 0..TURN {
            let frame = match kind {
                Kind::Openings => stranger.opening(),
                Kind::Noise => stranger.noise(),
                Kind::Resets => stranger.reset(),
            };
            way.send(&frame)?;
        }
        frames += TURN;
    }
    Ok(Sent { frames, time: start.elapsed() })
}

struct Stranger {
    mac: [u8; 6],
    random: Random,
    targets: Vec<Target>,
}

impl Stranger {
    fn below(&mut self, limit: usize) -> usize {
        self.random.below(limit)
    }

    fn frame(&self, kind: u16, body: &[u8]) -> Vec<u8> {
        frame::ethernet(self.mac, MAC, kind, body)
    }

    fn packet(&self, from: u32, protocol: u8, payload: &[u8]) -> Vec<u8> {
        self.frame(IPV4, &frame::ipv4(from, protocol, (0, 0x4000), payload))
    }

    fn segment(&self, end: End, seq: u32, ack: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
        self.packet(end.0, TCP, &frame::tcp(end, seq, ack, (flags, 1000), bytes))
    }

    /// Somebody of the guest's network, or of any.
    fn anybody(&mut self) -> End {
        let ip = self.random.next();
        let ip = if self.below(4) == 0 { ip } else { 0x0a00_8000 | ip & 0x7fff };
        (ip, self.random.next() as u16)
    }

    fn target(&mut self) -> Target {
        let any = Target { end: self.anybody(), seq: self.random.next(), ack: self.random.next(), is_victim: true };
        // Now and then one that is no connection.
        match self.targets.len() {
            count if count > 0 && self.below(8) > 0 => self.targets[self.random.below(count)],
            _ => any,
        }
    }

    fn opening(&mut self) -> Vec<u8> {
        let (end, seq) = (self.anybody(), self.random.next());
        self.segment(end, seq, 0, SYN, &[])
    }

    fn noise(&mut self) -> Vec<u8> {
        match self.below(9) {
            0 => self.garbage(),
            1 => self.spoilt_ip(),
            2 => self.spoilt_tcp(),
            3 => self.forged(),
            4 => self.overlap(),
            5 => self.icmp_error(),
            6 => self.part(),
            7 => self.small_talk(),
            _ => self.opening(),
        }
    }

    fn garbage(&mut self) -> Vec<u8> {
        let kind = [IPV4, ARP, IPV6, 0x1234][self.below(4)];
        let len = 1 + self.below(1400);
        let mut body = self.random.bytes(len);
        body[0] = [0x45, 0x60, 0, body[0]][self.below(4)];
        self.frame(kind, &body)
    }

    /// A packet for a live connection, whose IP header is wrong: without its mistake it would be heard.
    fn spoilt_ip(&mut self) -> Vec<u8> {
        let target = self.target();
        let segment = frame::tcp(target.end, target.seq, target.ack, (ACK, 1000), b"evil.");
        let mut packet = frame::ipv4(target.end.0, TCP, (0, 0x4000), &segment);
        match self.below(5) {
            // Shorter than itself, and longer than the packet.
            0 => packet[0] = 0x40 | self.below(5) as u8,
            1 => packet[0] = 0x4f,
            // The length: more than there is, less than the header, between the two.
            2 => packet[2..4].copy_from_slice(&(60 + self.below(60_000) as u16).to_be_bytes()),
            3 => packet[2..4].copy_from_slice(&(self.below(20) as u16).to_be_bytes()),
            _ => packet[2..4].copy_from_slice(&(20 + self.below(20) as u16).to_be_bytes()),
        }
        seal_ipv4(&mut packet);
        if self.below(6) == 0 {
            packet = frame::ipv4(target.end.0, TCP, (0, 0x4000), &segment);
            packet[10] ^= 0x55;
        }
        self.frame(IPV4, &packet)
    }

    /// A segment for a live connection that is wrong in itself.
    fn spoilt_tcp(&mut self) -> Vec<u8> {
        let target = self.target();
        let mut segment = frame::tcp(target.end, target.seq, target.ack, (ACK, 1000), b"evil, evil, evil, evil.");
        match self.below(4) {
            // Where its bytes begin: within the header, behind the end.
            0 => segment[12] = (self.below(5) as u8) << 4,
            1 => segment[12] = 0xf0,
            2 => segment.truncate(18 + self.below(2)),
            _ => {}
        }
        if segment.len() < 20 || segment[12] != 0x50 {
            seal_transport(target.end.0, TCP, &mut segment, 16);
        } else {
            segment[16] ^= 0x55;
        }
        self.packet(target.end.0, TCP, &segment)
    }

    /// A right segment with a number that only the peer does not choose: RFC 5961 says what does no harm.
    fn forged(&mut self) -> Vec<u8> {
        let Target { end, seq, ack, .. } = self.target();
        let ahead = seq.wrapping_add(AHEAD + self.below(WINDOW) as u32);
        let far = seq.wrapping_add(1 << 30);
        match self.below(8) {
            0 => self.segment(end, far, ack, RST, &[]),
            1 => self.segment(end, ahead, ack, RST, &[]),
            2 => self.segment(end, ahead, ack, RST | ACK, &[]),
            3 => self.segment(end, ahead, ack, SYN, &[]),
            4 => self.segment(end, far, ack, ACK, b"evil."),
            5 => self.segment(end, far, ack, FIN | ACK, &[]),
            // It acknowledges what was never said, and what was said long ago.
            6 => self.segment(end, seq, ack.wrapping_add(1 << 30), ACK, b"evil."),
            _ => self.segment(end, seq, ack.wrapping_sub(1 << 30), ACK, b"evil."),
        }
    }

    /// Bytes that overlap and leave gaps, and options without sense, for connections that may take harm; forged ones for others.
    fn overlap(&mut self) -> Vec<u8> {
        let Target { end, seq, ack, is_victim } = self.target();
        if !is_victim {
            return self.forged();
        }
        let seq = seq.wrapping_add(self.below(30_000) as u32).wrapping_sub(self.below(3000) as u32);
        let len = self.below(1400);
        // No capital letter: they have a meaning for the server.
        let bytes: Vec<u8> = self.random.bytes(len).into_iter().map(|byte| byte & 0x3f).collect();
        let mut segment = frame::tcp(end, seq, ack, (ACK, 1000), &bytes);
        if self.below(2) == 0 && len >= 40 {
            segment[12] = 0x50 + (self.below(10) as u8) * 0x10;
            seal_transport(end.0, TCP, &mut segment, 16);
        }
        self.packet(end.0, TCP, &segment)
    }

    /// An ICMP error about a segment of the guest's, with the right number or any.
    fn icmp_error(&mut self) -> Vec<u8> {
        let target = self.target();
        let (kind, code) = [(3, self.below(16) as u8), (3, 4), (4, 0), (11, 0), (12, 0), (5, 1)][self.below(6)];
        let mtu = [0, 68, 552, 1400, 1500, 9000, self.random.next() as u16][self.below(7)];
        let seq = if self.below(2) == 0 { target.ack } else { self.random.next() };
        let mut message = vec![kind, code, 0, 0, 0, 0];
        message.extend_from_slice(&mtu.to_be_bytes());
        message.extend_from_slice(&[0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, TCP, 0, 0]);
        message.extend_from_slice(&GUEST.to_be_bytes());
        message.extend_from_slice(&target.end.0.to_be_bytes());
        seal_ipv4(&mut message[8..]);
        message.extend_from_slice(&PORT.to_be_bytes());
        message.extend_from_slice(&target.end.1.to_be_bytes());
        message.extend_from_slice(&seq.to_be_bytes());
        if self.below(8) == 0 {
            message.truncate(8 + self.below(28));
        }
        seal_transport(0, ICMP, &mut message, 2);
        let from = self.anybody().0;
        self.packet(from, ICMP, &message)
    }

    /// A part of a datagram that never becomes whole.
    fn part(&mut self) -> Vec<u8> {
        let (from, number) = (self.anybody().0, self.random.next() as u16);
        let part = match self.below(3) {
            0 => MORE_PARTS,
            1 => MORE_PARTS | self.below(0x2000) as u16,
            // The last one, often behind the longest datagram.
            _ => self.below(0x2000) as u16,
        };
        let len = 8 * (1 + self.below(180));
        let payload = self.random.bytes(len);
        let protocol = [TCP, UDP, ICMP][self.below(3)];
        self.frame(IPV4, &frame::ipv4(from, protocol, (number, part), &payload))
    }

    /// Right packets that want an answer: echoes, datagrams to nobody, questions for addresses, segments to no connection.
    fn small_talk(&mut self) -> Vec<u8> {
        let end = self.anybody();
        let len = 8 + self.below(1400);
        let mut bytes = self.random.bytes(len);
        match self.below(4) {
            0 => {
                bytes[..2].copy_from_slice(&[8, 0]);
                seal_transport(end.0, ICMP, &mut bytes, 2);
                self.packet(end.0, ICMP, &bytes)
            }
            1 => {
                bytes[4..6].copy_from_slice(&(len as u16).to_be_bytes());
                seal_transport(end.0, UDP, &mut bytes, 6);
                self.packet(end.0, UDP, &bytes)
            }
            2 => self.frame(ARP, &frame::arp(1, (MAC, end.0), ([0; 6], GUEST))),
            _ => self.segment(end, len as u32, 1, ACK, &bytes[..8]),
        }
    }

    fn reset(&mut self) -> Vec<u8> {
        let Target { end, seq, ack, is_victim } = self.target();
        match self.below(8) {
            0 => self.opening(),
            1..4 if is_victim => self.segment(end, seq, ack, RST, &[]),
            4 if is_victim => self.segment(end, seq, ack, RST | ACK, &[]),
            _ => self.forged(),
        }
    }
}
