//! Frames that the client sends and reads: headers of Ethernet, IPv4 with UDP, and IPv6 with ICMPv6.

use core::net::{Ipv4Addr, Ipv6Addr};

pub(super) const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const IPV6_BYTES: usize = 40;
const TYPE_IPV4: [u8; 2] = [0x08, 0x00];
const TYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_ICMPV6: u8 = 58;
pub(super) const BROADCAST: [u8; 6] = [0xff; 6];
const PORT_SERVER: u16 = 67;
const PORT_CLIENT: u16 = 68;
/// Room for the longest frame that the client sends.
const MAX_BYTES: usize = 600;

/// RFC 1071's sum of `parts`, each of even length but the last; not yet inverted.
pub(super) fn sum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words.map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// `N` bytes of `bytes` from `at` on.
pub(super) fn bytes<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

pub(super) fn be16(from: &[u8], at: usize) -> Option<u16> {
    bytes(from, at).map(u16::from_be_bytes)
}

pub(super) fn be32(from: &[u8], at: usize) -> Option<u32> {
    bytes(from, at).map(u32::from_be_bytes)
}

/// Sender's Ethernet address, and DHCP message, of a frame from a DHCP server. The UDP checksum is not looked at: what a
/// server on the same host sends has none yet, and the transaction's number protects well enough.
pub(super) fn dhcp_message(frame: &[u8]) -> Option<([u8; 6], &[u8])> {
    // Asked of every frame that arrives: what most of them are goes first.
    if *frame.get(ETHERNET_BYTES + 9)? != PROTOCOL_UDP {
        return None;
    }
    let (source, kind) = (bytes::<6>(frame, 6)?, bytes::<2>(frame, 12)?);
    let ip = frame.get(ETHERNET_BYTES..)?;
    let ip = ip.get(..usize::from(be16(ip, 2)?))?;
    let header: [u8; IPV4_BYTES] = bytes(ip, 0)?;
    let header_bytes = usize::from(header[0] & 15) * 4;
    // No fragments: the offset and "more" are 0.
    let is_whole_udp = header[0] >> 4 == 4 && be16(&header, 6)? & 0x3fff == 0 && header[9] == PROTOCOL_UDP;
    if kind != TYPE_IPV4 || header_bytes < IPV4_BYTES || !is_whole_udp || sum(&[ip.get(..header_bytes)?]) != 0xffff {
        return None;
    }
    let udp = ip.get(header_bytes..)?;
    let is_for_client = (be16(udp, 0)?, be16(udp, 2)?) == (PORT_SERVER, PORT_CLIENT);
    let message = udp.get(UDP_BYTES..usize::from(be16(udp, 4)?))?;
    is_for_client.then_some((source, message))
}

/// Sender and ICMPv6 message of a frame that carries one of type `kind` from a neighbour (hop limit 255).
pub(super) fn neighbour_message(frame: &[u8], kind: u8, is_checked: bool) -> Option<(Ipv6Addr, &[u8])> {
    let ip = frame.get(ETHERNET_BYTES..)?;
    let len_bytes = usize::from(be16(ip, 4)?);
    let message = ip.get(IPV6_BYTES..)?.get(..len_bytes)?;
    let is_one = bytes::<2>(frame, 12)? == TYPE_IPV6
        && ip[0] >> 4 == 6
        && ip[6..8] == [PROTOCOL_ICMPV6, 255]
        && message.get(..2)? == [kind, 0];
    let is_right = || {
        let len = (len_bytes as u32).to_be_bytes();
        sum(&[&ip[8..IPV6_BYTES], &len, &[0, PROTOCOL_ICMPV6], message]) == 0xffff
    };
    (is_one && (is_checked || is_right()))
        .then(|| (bytes::<16>(ip, 8).map(Ipv6Addr::from), message))
        .and_then(|(source, message)| Some((source?, message)))
}

/// Puts a UDP datagram of a DHCP client around `message` and hands the frame to `send`.
pub(super) fn send_dhcp(
    mac: [u8; 6],
    to: ([u8; 6], Ipv4Addr),
    from: Ipv4Addr,
    message: &[u8],
    send: &mut dyn FnMut(&[u8]),
) {
    let mut frame = [0; MAX_BYTES];
    let udp_bytes = UDP_BYTES + message.len();
    let total = ETHERNET_BYTES + IPV4_BYTES + udp_bytes;
    let Some(frame) = frame.get_mut(..total) else { return };
    ethernet(frame, to.0, mac, TYPE_IPV4);
    let (ip, udp) = frame[ETHERNET_BYTES..].split_at_mut(IPV4_BYTES);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((IPV4_BYTES + udp_bytes) as u16).to_be_bytes());
    (ip[6], ip[8], ip[9]) = (0x40, 64, PROTOCOL_UDP);
    ip[12..16].copy_from_slice(&from.octets());
    ip[16..20].copy_from_slice(&to.1.octets());
    let check = !sum(&[ip]);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    udp[0..2].copy_from_slice(&PORT_CLIENT.to_be_bytes());
    udp[2..4].copy_from_slice(&PORT_SERVER.to_be_bytes());
    let len = (udp_bytes as u16).to_be_bytes();
    udp[4..6].copy_from_slice(&len);
    udp[UDP_BYTES..].copy_from_slice(message);
    let check = !sum(&[&ip[12..20], &[0, PROTOCOL_UDP], &len, udp]);
    // 0 would mean that there is none.
    udp[6..8].copy_from_slice(&if check == 0 { 0xffff } else { check }.to_be_bytes());
    send(frame);
}

/// Asks all routers of the link (RFC 4861 section 4.1).
pub(super) fn send_router_solicitation(mac: [u8; 6], send: &mut dyn FnMut(&[u8])) {
    const MESSAGE_BYTES: usize = 16;
    let mut frame = [0; ETHERNET_BYTES + IPV6_BYTES + MESSAGE_BYTES];
    ethernet(&mut frame, [0x33, 0x33, 0, 0, 0, 2], mac, TYPE_IPV6);
    let (ip, message) = frame[ETHERNET_BYTES..].split_at_mut(IPV6_BYTES);
    ip[0] = 0x60;
    ip[4..8].copy_from_slice(&[0, MESSAGE_BYTES as u8, PROTOCOL_ICMPV6, 255]);
    ip[8..24].copy_from_slice(&super::link_local(mac).octets());
    ip[24..40].copy_from_slice(&Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2).octets());
    message[0] = 133;
    // Source link-layer address: kind, length in units of 8 bytes.
    message[8..10].copy_from_slice(&[1, 1]);
    message[10..].copy_from_slice(&mac);
    let check = !sum(&[&ip[8..], &[0, MESSAGE_BYTES as u8, 0, PROTOCOL_ICMPV6], message]);
    message[2..4].copy_from_slice(&check.to_be_bytes());
    send(&frame);
}

fn ethernet(frame: &mut [u8], to: [u8; 6], from: [u8; 6], kind: [u8; 2]) {
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&from);
    frame[12..14].copy_from_slice(&kind);
}
