//! Datagrams that are longer than a packet (RFC 791, 3.2; RFC 8200, 4.5): cut on sending, put together on receiving.
//!
//! What waits for the rest of a datagram is bounded in bytes, in number and in time; pieces that overlap end their datagram
//! (RFC 5722, and Linux for IPv4 too), the same piece twice does not.

use super::input::Header;
use super::{Packet, send};
use crate::inet::address::Ip;
use crate::interface::Path;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use hal::sync::SpinLock;

/// The protocol number of IPv6's fragment header, and its length.
pub(crate) const FRAGMENT_V6: u8 = 44;
const HEADER_V6: usize = 8;
/// Most bytes that all pieces take (net.ipv4.ipfrag_high_thresh), and what a piece counts beside its bytes.
const BYTES_MAX: usize = 4 << 20;
const PIECE_COST: usize = 128;
/// Most datagrams, and most pieces of one: 64 KiB over the smallest MTU that a path of today has.
const DATAGRAMS_MAX: usize = 256;
const PIECES_MAX: usize = 128;
/// How long the first piece waits for the last (net.ipv4.ipfrag_time).
const WAIT_NS: u64 = 30_000_000_000;
/// Most bytes of a datagram, its IP header left out.
const DATAGRAM_MAX: usize = 65_535;

/// Which part of a datagram a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub id: u32,
    /// Bytes before it.
    pub offset: usize,
    /// It is not the last.
    pub more: bool,
}

impl Part {
    /// From the identification and the word with flags and offset of an IPv4 header; `None`: the packet is whole.
    pub(crate) fn of_v4(id: u16, word: u16) -> Option<Self> {
        let part = Self { id: id.into(), offset: usize::from(word & 0x1fff) * 8, more: word & 0x2000 != 0 };
        (part.more || part.offset > 0).then_some(part)
    }

    /// From IPv6's fragment header; also the protocol of what follows it.
    pub(crate) fn of_v6(header: &[u8; HEADER_V6]) -> (Self, u8) {
        let word = u16::from_be_bytes([header[2], header[3]]);
        let id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        (Self { id, offset: usize::from(word & 0xfff8), more: word & 1 != 0 }, header[0])
    }
}

/// Sends `datagram` (all that is behind the IP header, its checksum filled in) in as many packets as it needs; false if
/// the device has no room.
pub(crate) fn send_cut(path: &Path, packet: &Packet, datagram: &[u8]) -> bool {
    /// Identifies datagrams; where it starts is chance (RFC 7739).
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if NEXT.load(Ordering::Relaxed) == 0 {
        NEXT.store(hal::random::next_u64() as u32 | 1, Ordering::Relaxed);
    }
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let v4 = packet.to.is_v4();
    let own = if v4 { 0 } else { HEADER_V6 };
    // All but the last hold a multiple of 8 bytes.
    let step = (path.mtu as usize).saturating_sub(packet.header_len() + own) & !7;
    if step == 0 {
        return false;
    }
    let mut offset = 0;
    for chunk in datagram.chunks(step) {
        let more = offset + chunk.len() < datagram.len();
        let sent = if v4 {
            let word = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
            let part = Packet { len: chunk.len(), checksum: None, part: Some((id as u16, word)), ..*packet };
            send(path, &part, &mut |body| body.copy_from_slice(chunk))
        } else {
            let part = Packet { protocol: FRAGMENT_V6, len: own + chunk.len(), checksum: None, part: None, ..*packet };
            let word = offset as u16 | u16::from(more);
            send(path, &part, &mut |body| {
                body[..2].copy_from_slice(&[packet.protocol, 0]);
                body[2..4].copy_from_slice(&word.to_be_bytes());
                body[4..own].copy_from_slice(&id.to_be_bytes());
                body[own..].copy_from_slice(chunk);
            })
        };
        if !sent {
            return false;
        }
        offset += chunk.len();
    }
    true
}

/// A datagram of which parts have arrived.
struct Datagram {
    from: Ip,
    to: Ip,
    protocol: u8,
    id: u32,
    until_ns: u64,
    /// Sorted by their offsets, none over another.
    pieces: Vec<(usize, Vec<u8>)>,
    /// Its length, once the last part is here.
    len: Option<usize>,
    /// What it counts of [`BYTES_MAX`].
    cost: usize,
}

/// What became of a part.
enum Fate {
    Waits,
    /// The datagram is as it cannot be.
    Wrong,
    Whole,
}

impl Datagram {
    fn is_of(&self, header: &Header, part: &Part) -> bool {
        (self.from, self.to, self.protocol, self.id) == (header.from, header.to, header.protocol, part.id)
    }

    fn add(&mut self, part: &Part, bytes: &[u8]) -> Fate {
        let end = part.offset + bytes.len();
        if self.len.is_some_and(|len| end > len || !part.more && end != len) || self.pieces.len() >= PIECES_MAX {
            return Fate::Wrong;
        }
        let at = self.pieces.partition_point(|(offset, _)| *offset < part.offset);
        if let Some((offset, known)) = self.pieces.get(at)
            && (*offset, known.len()) == (part.offset, bytes.len())
        {
            return Fate::Waits;
        }
        let overlaps = |(offset, known): &(usize, Vec<u8>)| *offset < end && part.offset < offset + known.len();
        let is_last_before_others = !part.more && at < self.pieces.len();
        if self.pieces[at.saturating_sub(1)..].iter().take(2).any(overlaps) || is_last_before_others {
            return Fate::Wrong;
        }
        let mut copy = Vec::new();
        if copy.try_reserve_exact(bytes.len()).is_err() || self.pieces.try_reserve(1).is_err() {
            return Fate::Wrong;
        }
        copy.extend_from_slice(bytes);
        self.pieces.insert(at, (part.offset, copy));
        self.cost += bytes.len() + PIECE_COST;
        if !part.more {
            self.len = Some(end);
        }
        let have: usize = self.pieces.iter().map(|(_, bytes)| bytes.len()).sum();
        if self.len == Some(have) { Fate::Whole } else { Fate::Waits }
    }
}

/// Datagrams that wait, in the order in which their first parts came, and what they count in all.
struct Waiting {
    datagrams: Vec<Datagram>,
    cost: usize,
}

/// Puts datagrams together.
pub(super) struct Reassembly(SpinLock<Waiting>);

/// The machine's.
pub(super) static REASSEMBLY: Reassembly = Reassembly::new();

impl Waiting {
    fn remove(&mut self, at: usize) -> Datagram {
        let gone = self.datagrams.remove(at);
        self.cost -= gone.cost;
        gone
    }

    /// Takes out what has waited too long, and the oldest while there is too much.
    fn make_room(&mut self, now_ns: u64, bytes: usize) -> Vec<Datagram> {
        let mut gone = Vec::new();
        while let Some(first) = self.datagrams.first()
            && (first.until_ns <= now_ns
                || self.cost + bytes + PIECE_COST > BYTES_MAX
                || self.datagrams.len() >= DATAGRAMS_MAX)
        {
            gone.push(self.remove(0));
        }
        gone
    }
}

impl Reassembly {
    const fn new() -> Self {
        Self(SpinLock::new(Waiting { datagrams: Vec::new(), cost: 0 }))
    }

    /// A part has arrived; the whole datagram if it was the one that was missing.
    pub(super) fn arrived(&self, header: &Header, part: &Part, bytes: &[u8]) -> Option<Vec<u8>> {
        let is_odd = part.more && !bytes.len().is_multiple_of(8);
        if bytes.is_empty() || is_odd || part.offset + bytes.len() > DATAGRAM_MAX {
            return None;
        }
        let now_ns = hal::clock::now_ns();
        let (done, _gone) = {
            let mut waiting = self.0.lock();
            let mut gone = waiting.make_room(now_ns, bytes.len());
            let known = waiting.datagrams.iter().position(|datagram| datagram.is_of(header, part));
            let at = match known {
                Some(at) => at,
                None => {
                    if waiting.datagrams.try_reserve(1).is_err() {
                        return None;
                    }
                    waiting.datagrams.push(Datagram {
                        from: header.from,
                        to: header.to,
                        protocol: header.protocol,
                        id: part.id,
                        until_ns: now_ns + WAIT_NS,
                        pieces: Vec::new(),
                        len: None,
                        cost: 0,
                    });
                    waiting.datagrams.len() - 1
                }
            };
            let before = waiting.datagrams[at].cost;
            let fate = waiting.datagrams[at].add(part, bytes);
            waiting.cost += waiting.datagrams[at].cost - before;
            match fate {
                Fate::Waits => (None, gone),
                Fate::Whole => (Some(waiting.remove(at)), gone),
                Fate::Wrong => {
                    gone.push(waiting.remove(at));
                    (None, gone)
                }
            }
        };
        let done = done?;
        let mut whole = Vec::new();
        whole.try_reserve_exact(done.len?).ok()?;
        done.pieces.iter().for_each(|(_, bytes)| whole.extend_from_slice(bytes));
        Some(whole)
    }
}

/// Datagrams that wait, and what they count.
#[cfg(test)]
pub(crate) fn counts() -> (usize, usize) {
    let waiting = REASSEMBLY.0.lock();
    (waiting.datagrams.len(), waiting.cost)
}

/// The bounds of [`counts`].
#[cfg(test)]
pub(crate) const BOUNDS: (usize, usize) = (DATAGRAMS_MAX, BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    fn header(id: u8) -> Header {
        let ip = |last: u8| Ip::from_v4(0x0a09_0000 | u32::from(last));
        Header { from: ip(id), to: ip(0), protocol: 17, ttl: 64, tos: 0 }
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 7 + n / 256) as u8).collect()
    }

    proptest! {
        #[test]
        fn parts_in_any_order_and_twice_make_the_datagram(
            len in 9usize..20_000, step in 1usize..180, order in any::<u64>(), twice in any::<bool>()
        ) {
            let (datagram, all) = (bytes(len), Reassembly::new());
            let step = (step * 8).max(len.div_ceil(100).next_multiple_of(8));
            let mut parts: Vec<Part> = (0..len)
                .step_by(step)
                .map(|offset| Part { id: order as u32, offset, more: offset + step < len })
                .collect();
            let last = parts.len() - 1;
            let mut random = order | 1;
            for at in (1..parts.len()).rev() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                parts.swap(at, (random >> 33) as usize % (at + 1));
            }
            for (number, part) in parts.iter().enumerate() {
                let piece = &datagram[part.offset..len.min(part.offset + step)];
                let whole = all.arrived(&header(1), part, piece);
                prop_assert_eq!(whole.as_ref(), (number == last).then_some(&datagram));
                if twice && number < last {
                    prop_assert_eq!(all.arrived(&header(1), part, piece), None);
                }
            }
        }
    }

    #[test]
    fn an_overlap_ends_the_datagram() {
        let all = Reassembly::new();
        let part = |offset, more| Part { id: 9, offset, more };
        assert_eq!(all.arrived(&header(2), &part(0, true), &[1; 16]), None);
        assert_eq!(all.arrived(&header(2), &part(8, true), &[2; 16]), None);
        // What is left of it is not enough any more.
        assert_eq!(all.arrived(&header(2), &part(16, false), &[3; 4]), None);
        assert_eq!(all.arrived(&header(2), &part(0, true), &[4; 16]), Some([vec![4; 16], vec![3; 4]].concat()));
    }

    #[test]
    fn parts_that_cannot_be_are_not_kept() {
        let all = Reassembly::new();
        let part = |offset, more| Part { id: 10, offset, more };
        assert_eq!(all.arrived(&header(3), &part(0, true), &[1; 7]), None);
        assert_eq!(all.arrived(&header(3), &part(65_528, false), &[1; 8]), None);
        assert_eq!(all.arrived(&header(3), &part(8, false), &[]), None);
        assert!(all.0.lock().datagrams.is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let all = Reassembly::new();
        for id in 0..20_000 {
            for offset in [0, 1480, 2960] {
                assert_eq!(all.arrived(&header(4), &Part { id, offset, more: true }, &[0; 1480]), None);
            }
            let waiting = all.0.lock();
            assert!(waiting.datagrams.len() <= DATAGRAMS_MAX && waiting.cost <= BYTES_MAX);
            assert_eq!(waiting.cost, waiting.datagrams.iter().map(|datagram| datagram.cost).sum());
        }
        // The newest is still there.
        let whole = all.arrived(&header(4), &Part { id: 19_999, offset: 4440, more: false }, &[0; 4]);
        assert_eq!(whole.map(|bytes| bytes.len()), Some(4444));
    }

    #[test]
    fn words_of_headers_are_understood() {
        assert_eq!(Part::of_v4(7, 0x4000), None);
        assert_eq!(Part::of_v4(7, 0x2000), Some(Part { id: 7, offset: 0, more: true }));
        assert_eq!(Part::of_v4(7, 0x0002), Some(Part { id: 7, offset: 16, more: false }));
        assert_eq!(Part::of_v6(&[6, 0, 0, 17, 0, 0, 1, 0]), (Part { id: 256, offset: 16, more: true }, 6));
    }
}
