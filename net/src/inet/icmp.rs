//! ICMP and ICMPv6 (RFC 792, RFC 4443): echoes, and what raw sockets send and get.

use super::address::{Endpoint, Ip};
use super::udp::deliver::{Arrival, deliver_raw};
use crate::socket::PacketInfo;
use alloc::vec::Vec;

/// ICMP's protocol number.
pub const ICMP: u8 = 1;
/// ICMPv6's.
pub const ICMP_V6: u8 = 58;

const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// The sum of RFC 1071, not inverted, over `bytes` and what was summed before.
#[inline]
pub(crate) fn sum(bytes: &[u8], before: u64) -> u64 {
    before + u64::from(u16::from_be_bytes(own_sum(bytes).to_ne_bytes()))
}

/// The sum of an IPv4 header. Nearly all have no options: for that length the compiler needs no loop.
#[inline]
pub(crate) fn header_sum(header: &[u8]) -> u16 {
    let Some(plain) = header.as_array::<20>() else { return fold(sum(header, 0)) };
    let (words, _) = plain.as_chunks::<4>();
    let own: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    u16::from_be_bytes(fold_own(own).to_ne_bytes())
}

/// The folded sum in the machine's own byte order, 8 bytes at a time, carries added at the end: its bytes only change places
/// (RFC 1071, 2 (A) to (C)).
fn own_sum(bytes: &[u8]) -> u16 {
    let mut own = 0u128;
    let mut rest = bytes;
    // Unrolled by hand: this crate is built for size.
    while let Some((block, behind)) = rest.split_first_chunk::<32>() {
        if let [a, b, c, d] = block.as_chunks::<8>().0 {
            own += u128::from(u64::from_ne_bytes(*a));
            own += u128::from(u64::from_ne_bytes(*b));
            own += u128::from(u64::from_ne_bytes(*c));
            own += u128::from(u64::from_ne_bytes(*d));
        }
        rest = behind;
    }
    // No loop, which the compiler would unroll, with questions before it.
    if let Some((block, behind)) = rest.split_first_chunk::<16>() {
        if let [a, b] = block.as_chunks::<8>().0 {
            own += u128::from(u64::from_ne_bytes(*a));
            own += u128::from(u64::from_ne_bytes(*b));
        }
        rest = behind;
    }
    if let Some((word, behind)) = rest.split_first_chunk::<8>() {
        own += u128::from(u64::from_ne_bytes(*word));
        rest = behind;
    }
    if !rest.is_empty() {
        own += u128::from(last_word(bytes, rest));
    }
    let (low, high) = (own as u64, (own >> 64) as u64);
    let (sum, carry) = low.overflowing_add(high);
    fold_own(sum + u64::from(carry))
}

/// The last bytes, `rest` of `bytes`, less than 8, as a word with zeros behind them.
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    if cfg!(target_endian = "little")
        && let Some((_, last)) = bytes.split_last_chunk::<8>()
    {
        // One load over bytes that are summed already, which are shifted out.
        return u64::from_ne_bytes(*last) >> (64 - 8 * rest.len());
    }
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    u64::from_ne_bytes(word)
}

/// The 16 bits of a sum, carries added, without a branch: the upper half of a number and its halves swapped is their sum
/// with the carry.
#[inline]
fn fold_own(sum: u64) -> u16 {
    let sum = (sum.wrapping_add(sum.rotate_right(32)) >> 32) as u32;
    (sum.wrapping_add(sum.rotate_right(16)) >> 16) as u16
}

/// The 16 bits of a sum.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of a pseudo header (RFC 9293, 3.1; RFC 8200, 8.1).
pub(crate) fn pseudo_sum(protocol: u8, from: Ip, to: Ip, len: usize) -> u64 {
    let rest = u64::from(protocol) + len as u64;
    if to.is_v4() {
        let (from, to) = (from.0 as u32, to.0 as u32);
        return u64::from(from >> 16) + u64::from(from & 0xffff) + u64::from(to >> 16) + u64::from(to & 0xffff) + rest;
    }
    sum(&from.bytes(), sum(&to.bytes(), rest))
}

/// Fills in the checksum that the kernel owes a raw socket: of ICMPv6 always, of others where IPV6_CHECKSUM says.
pub(crate) fn fill_checksum(protocol: u8, place: i32, from: Ip, to: Ip, bytes: &mut [u8]) {
    let place = match (to.is_v4(), protocol) {
        (true, _) => return,
        (false, ICMP_V6) => 2,
        _ if place >= 0 => place as usize,
        _ => return,
    };
    if let Some([high, low]) = bytes.get(place..place + 2) {
        let _ = (high, low);
        bytes[place..place + 2].fill(0);
        let total = sum(bytes, pseudo_sum(protocol, from, to, bytes.len()));
        bytes[place..place + 2].copy_from_slice(&(!fold(total)).to_be_bytes());
    }
}

/// A packet has arrived: raw sockets get it, and an echo request its answer. `reply` sends the answer.
pub(crate) fn arrived_with(protocol: u8, arrival: &Arrival<'_>, reply: &mut dyn FnMut(&Arrival<'_>)) {
    deliver_raw(protocol, arrival);
    let Some(&kind) = arrival.bytes.first() else { return };
    let answer = match (protocol, kind) {
        (ICMP, ECHO) => ECHO_REPLY,
        (ICMP_V6, ECHO_V6) => ECHO_REPLY_V6,
        _ => return,
    };
    if arrival.bytes.len() < 8 || arrival.to.ip.is_multicast() || arrival.to.ip.is_broadcast() {
        return;
    }
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(arrival.bytes.len()).is_err() {
        return;
    }
    bytes.extend_from_slice(arrival.bytes);
    bytes[0] = answer;
    bytes[2..4].fill(0);
    let (from, to) = (arrival.to.ip, arrival.from.ip);
    let before = if protocol == ICMP { 0 } else { pseudo_sum(protocol, from, to, bytes.len()) };
    let check = !fold(sum(&bytes, before));
    bytes[2..4].copy_from_slice(&check.to_be_bytes());
    let info = PacketInfo { address: to, ttl: 64, ..arrival.info };
    reply(&Arrival { from: Endpoint::new(from, 0), to: Endpoint::new(to, 0), info, bytes: &bytes });
}

/// As [`arrived_with`], within the machine.
pub(crate) fn arrived(protocol: u8, arrival: &Arrival<'_>) {
    arrived_with(protocol, arrival, &mut |answer| deliver_raw(protocol, answer));
}

#[cfg(test)]
mod tests {
    use super::{Ip, fold, pseudo_sum, sum};

    #[test]
    fn sums_are_those_of_16_bit_words_for_every_length() {
        let bytes: alloc::vec::Vec<u8> = (0..200u32).map(|n| (n * 151 + 97) as u8).collect();
        for len in 0..bytes.len() {
            let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
            let expected: u64 = 12_345 + bytes[..len].chunks(2).map(word).sum::<u64>();
            assert_eq!(fold(sum(&bytes[..len], 12_345)), fold(expected), "{len} bytes");
        }
        assert_eq!(fold(sum(&[0xff; 64], 0)), 0xffff);
    }

    #[test]
    fn pseudo_headers_are_summed_as_their_bytes() {
        for (from, to) in
            [(Ip::from_v4(0xc0a8_fffe), Ip::from_v4(0x0a00_020f)), (Ip(0xfe80 << 112 | 7), Ip(u128::MAX - 9))]
        {
            let front = if to.is_v4() { 12 } else { 0 };
            let bytes = [&from.bytes()[front..], &to.bytes()[front..], &[0, 6, 0x12, 0x34]].concat();
            assert_eq!(fold(pseudo_sum(6, from, to, 0x1234)), fold(sum(&bytes, 0)));
        }
    }
}
