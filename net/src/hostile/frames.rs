//! What strangers send.

use super::wire::{self, checked, ethernet, tcp, udp, v4, v6};
use super::{PORT, Random, SERVER, SERVER_V6, SLOW_PORT, World};
use crate::inet::Ip;
use crate::inet::ip;
use crate::inet::tcp::engine_head::{ACK, Head, SYN};
use std::vec::Vec;

/// A connection of a stranger's: both ports, and where it is.
#[derive(Clone, Copy)]
struct Known {
    from: Ip,
    ports: (u16, u16),
    seq: u32,
    ack: u32,
}

/// Sends frames by seed.
pub(super) struct Hostile {
    random: Random,
    known: Vec<Known>,
    /// A frame to be changed a little.
    last: Vec<u8>,
}

const KNOWN_MAX: usize = 200;

impl Hostile {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), known: Vec::new(), last: Vec::new() }
    }

    /// Looks at what came back: connections become known.
    pub(super) fn hear(&mut self, sent: &[Vec<u8>]) {
        for frame in sent {
            let Some((header, payload, _)) = frame.get(14..).and_then(ip::input::parse_v4) else { continue };
            let Some((from, to, head, _)) = Head::parse(payload).filter(|_| header.protocol == 6) else { continue };
            if head.flags & SYN != 0 {
                let known = Known { from: header.to, ports: (to, from), seq: head.ack, ack: head.seq.wrapping_add(1) };
                let at = self.random.below(KNOWN_MAX);
                if at < self.known.len() { self.known[at] = known } else { self.known.push(known) }
            } else if let Some(known) =
                self.known.iter_mut().find(|known| known.from == header.to && known.ports == (to, from))
            {
                (known.seq, known.ack) = (head.ack, head.seq);
            }
        }
    }

    /// One frame.
    pub(super) fn attack(&mut self, world: &mut World) {
        let frame = match self.random.below(22) {
            0 => {
                let len = self.random.below(1514);
                self.random.bytes(len)
            }
            1 => {
                let kind = [0x0800, 0x0806, 0x86dd][self.random.below(3)];
                let len = self.random.below(200);
                ethernet(kind, &self.random.bytes(len))
            }
            2..5 => self.changed(),
            5 => self.first(),
            6..14 => self.segment(),
            14 => self.address_question(),
            15 => self.extensions(),
            16 => self.icmp_error(),
            17 => self.discovery(),
            18 => self.datagram(),
            19 | 20 => self.part(),
            _ => self.configuration(),
        };
        // Some as if the device had found the checksum right, so that what is wrong gets further.
        let believed = self.random.one_in(3);
        world.take(&frame, believed);
        if self.random.one_in(10) {
            // Doubled.
            world.take(&frame, believed);
        }
        self.last = frame;
    }

    /// A part of a datagram that is never whole, or is too long, or overlaps itself.
    fn part(&mut self) -> Vec<u8> {
        let more = self.random.below(4) > 0;
        let offset = [0, 0, 1, 185, 370, 8000, 0x1fff][self.random.below(7)] as u16;
        let len = [8, 16, 1480, 1480, self.random.below(1480)][self.random.below(5)];
        let (id, bytes) = (self.random.below(600) as u16, self.random.bytes(len));
        let from = Ip::from_v4(0x0a00_2000 + self.random.below(3) as u32);
        if self.random.one_in(2) {
            let mut frame = v4(from, SERVER, 17, &bytes);
            frame[18..20].copy_from_slice(&id.to_be_bytes());
            frame[20..22].copy_from_slice(&(offset | u16::from(more) << 13).to_be_bytes());
            frame[24..26].fill(0);
            let check = !crate::inet::icmp::fold(crate::inet::icmp::sum(&frame[14..34], 0));
            frame[24..26].copy_from_slice(&check.to_be_bytes());
            return frame;
        }
        let mut body = [17, 0, 0, 0, 0, 0, 0, 0].to_vec();
        body[2..4].copy_from_slice(&(offset << 3 | u16::from(more)).to_be_bytes());
        body[6..8].copy_from_slice(&id.to_be_bytes());
        body.extend_from_slice(&bytes[..len.min(1400)]);
        v6(Ip(SERVER_V6.0 + 2 + u128::from(id % 3)), SERVER_V6, 44, 64, &body)
    }

    fn stranger(&mut self) -> Ip {
        match self.random.below(20) {
            0 => Ip::from_v4(self.random.next() as u32),
            1 => SERVER,
            2 => Ip::ANY_V4,
            3 => Ip::BROADCAST,
            4 => Ip::from_v4(0x0a00_ffff),
            _ => Ip::from_v4(0x0a00_2000 + self.random.below(4000) as u32),
        }
    }

    fn port(&mut self) -> u16 {
        [PORT, PORT, PORT, SLOW_PORT, 53, 9][self.random.below(6)]
    }

    fn changed(&mut self) -> Vec<u8> {
        let mut frame = self.last.clone();
        for _ in 0..1 + self.random.below(4) {
            if frame.is_empty() {
                break;
            }
            let at = self.random.below(frame.len().min(90));
            match self.random.below(4) {
                0 => frame.truncate(at),
                1 => frame.insert(at, self.random.next() as u8),
                2 => frame[at] ^= 1 << self.random.below(8),
                _ => frame[at] = [0, 1, 0x7f, 0x80, 0xff][self.random.below(5)],
            }
        }
        // The header's own checksum is right again, so that the rest is looked at.
        if frame.len() >= 34 && frame[12..14] == [8, 0] {
            frame[24..26].fill(0);
            let len = (usize::from(frame[14] & 0xf) * 4).clamp(20, frame.len() - 14);
            let check = !crate::inet::icmp::fold(crate::inet::icmp::sum(&frame[14..14 + len], 0));
            frame[24..26].copy_from_slice(&check.to_be_bytes());
        }
        frame
    }

    fn options(&mut self, head: &mut Head) {
        if self.random.one_in(2) {
            head.stamp = Some((self.random.next() as u32, self.random.next() as u32));
        }
        if head.flags & SYN != 0 {
            head.mss = [None, Some(0), Some(1), Some(1460), Some(65_535)][self.random.below(5)];
            head.scale = [None, Some(0), Some(14), Some(7)][self.random.below(4)];
            head.sack_permitted = self.random.one_in(2);
        } else if self.random.one_in(3) {
            head.sack_count = 1 + self.random.below(3);
            for block in &mut head.sacks {
                let from = head.ack.wrapping_add(self.random.below(5000) as u32);
                *block = (from, from.wrapping_add(self.random.below(3000) as u32));
            }
        }
    }

    fn first(&mut self) -> Vec<u8> {
        let mut head = Head {
            seq: self.random.next() as u32,
            flags: SYN,
            window: [0, 1, 1000, 65_535][self.random.below(4)],
            ..Head::default()
        };
        self.options(&mut head);
        head.sack_count = 0;
        let from = self.stranger();
        let ports = (self.random.next() as u16, self.port());
        tcp(from, SERVER, ports, &head, &[])
    }

    /// A segment of a connection that there is, or was: right, nearly right, or not at all.
    fn segment(&mut self) -> Vec<u8> {
        if self.known.is_empty() {
            return self.first();
        }
        let at = self.random.below(self.known.len());
        let known = self.known[at];
        let near = |random: &mut Random, number: u32| match random.below(8) {
            0 => number.wrapping_add(random.below(70_000) as u32),
            1 => number.wrapping_sub(random.below(70_000) as u32),
            2 => random.next() as u32,
            3 => number.wrapping_add(random.below(3000) as u32),
            _ => number,
        };
        let len = [0, 0, 1, 100, 1400][self.random.below(5)];
        let mut head = Head {
            seq: near(&mut self.random, known.seq),
            ack: near(&mut self.random, known.ack),
            flags: if self.random.one_in(4) { self.random.next() as u8 & 0x3f } else { ACK },
            window: [0, 1, 10, 500, 65_535][self.random.below(5)],
            ..Head::default()
        };
        if self.random.one_in(3) {
            self.options(&mut head);
        }
        tcp(known.from, SERVER, known.ports, &head, &self.random.bytes(len))
    }

    fn address_question(&mut self) -> Vec<u8> {
        let operation = self.random.below(4) as u8;
        let mac = [self.random.next() as u8, 2, 3, 4, 5, self.random.next() as u8];
        let (from, to) = (self.stranger(), if self.random.one_in(2) { SERVER } else { self.stranger() });
        wire::arp(operation, mac, from, to)
    }

    fn stranger_v6(&mut self) -> Ip {
        match self.random.below(6) {
            0 => Ip(u128::from(self.random.next()) << 64 | u128::from(self.random.next())),
            1 => Ip::ANY_V6,
            2 => Ip(0xfe80 << 112 | u128::from(self.random.next())),
            _ => Ip(SERVER_V6.0 + 2 + self.random.below(4000) as u128),
        }
    }

    /// Chains of extension headers, whose lengths are true or not, before a segment or noise.
    fn extensions(&mut self) -> Vec<u8> {
        let from = self.stranger_v6();
        let head = Head { seq: self.random.next() as u32, flags: SYN, window: 100, ..Head::default() };
        let mut body = std::vec![0; head.len()];
        head.write((self.random.next() as u16, self.port()), &mut body);
        let mut payload = checked(from, SERVER_V6, 6, 16, body);
        let mut next = 6;
        for _ in 0..self.random.below(30) {
            let units = self.random.below(3);
            let mut header = self.random.bytes(8 + 8 * units);
            (header[0], header[1]) =
                (next, if self.random.one_in(10) { self.random.next() as u8 } else { units as u8 });
            payload = [header, payload].concat();
            next = [0, 43, 60, 44, 51, 59][self.random.below(6)];
        }
        payload.truncate(1400);
        v6(from, SERVER_V6, next, 64, &payload)
    }

    /// An error about a packet that the machine sent, or not.
    fn icmp_error(&mut self) -> Vec<u8> {
        let known = if self.known.is_empty() { None } else { Some(self.known[self.random.below(self.known.len())]) };
        let (to, ports, seq) = known.map_or((SERVER, (1, 2), 3), |known| (known.from, known.ports, known.ack));
        let head = Head { seq, ..Head::default() };
        let inner = tcp(SERVER, to, (ports.1, ports.0), &head, &[]);
        let cut = self.random.below(inner.len() - 14);
        let mut body = [self.random.below(20) as u8, self.random.below(20) as u8, 0, 0, 0, 0].to_vec();
        if self.random.one_in(2) {
            (body[0], body[1]) = (3, self.random.below(5) as u8);
        }
        body.extend_from_slice(&(self.random.next() as u16 >> self.random.below(16)).to_be_bytes());
        body.extend_from_slice(&inner[14..14 + cut]);
        let from = self.stranger();
        v4(from, SERVER, 1, &checked(from, SERVER, 1, 2, body))
    }

    fn discovery(&mut self) -> Vec<u8> {
        let from = self.stranger_v6();
        let mut body = [[133, 134, 135, 136, 137, 128, 2, 1, 3][self.random.below(9)], 0, 0, 0].to_vec();
        body.extend(self.random.bytes(4));
        body.extend_from_slice(&if self.random.one_in(2) { SERVER_V6 } else { self.stranger_v6() }.bytes());
        for _ in 0..self.random.below(5) {
            let units = self.random.below(4) as u8;
            let mut option = self.random.bytes(usize::from(units.max(1)) * 8);
            (option[0], option[1]) = (self.random.below(6) as u8, units);
            body.extend(option);
        }
        let to = if self.random.one_in(3) { Ip(0xff02 << 112 | 1) } else { SERVER_V6 };
        v6(from, to, 58, if self.random.one_in(5) { 64 } else { 255 }, &checked(from, to, 58, 2, body))
    }

    fn datagram(&mut self) -> Vec<u8> {
        let len = self.random.below(1400);
        let bytes = self.random.bytes(len);
        let ports = (self.random.next() as u16, [53, 53, 9, 68, 5353][self.random.below(5)]);
        if self.random.one_in(2) {
            let from = self.stranger_v6();
            return udp(from, SERVER_V6, ports, &bytes);
        }
        let to = [SERVER, Ip::BROADCAST, Ip::from_v4(0xe000_00fb), Ip::from_v4(0x0a00_ffff)][self.random.below(4)];
        let from = self.stranger();
        udp(from, to, ports, &bytes)
    }

    /// DHCP and router advertisements, with options that end in the middle.
    fn configuration(&mut self) -> Vec<u8> {
        if self.random.one_in(2) {
            let from = Ip(0xfe80 << 112 | u128::from(self.random.next()));
            let to = Ip(0xff02 << 112 | 1);
            let mut body = [134, 0, 0, 0, 64, 0, 0, self.random.next() as u8].to_vec();
            body.extend(self.random.bytes(8));
            for _ in 0..self.random.below(6) {
                let units = self.random.below(6) as u8;
                let mut option = self.random.bytes(usize::from(units.max(1)) * 8);
                (option[0], option[1]) = ([1, 3, 5, 25, 31][self.random.below(5)], units);
                body.extend(option);
            }
            return v6(from, to, 58, 255, &checked(from, to, 58, 2, body));
        }
        let mut message = std::vec![0; 240];
        (message[0], message[1], message[2]) = (2, 1, 6);
        message[28..34].copy_from_slice(&super::nic::MAC);
        message[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        for _ in 0..self.random.below(12) {
            let len = self.random.below(20);
            message.push([53, 54, 51, 1, 3, 6, 15, 26, 121, 0, 255][self.random.below(11)]);
            message.push(if self.random.one_in(8) { self.random.next() as u8 } else { len as u8 });
            message.extend(self.random.bytes(len));
        }
        let from = self.stranger();
        udp(from, Ip::BROADCAST, (67, 68), &message)
    }
}
