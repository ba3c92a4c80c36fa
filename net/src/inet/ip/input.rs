//! What arrives. Every length and checksum is looked at before anything is believed; what is wrong is dropped.

use super::fragment::{self, Part};
use super::{ARP, IPV4, IPV6, Packet, membership, neighbour, send, usual};
use crate::device::Device;
use crate::inet::address::{Endpoint, Ip};
use crate::inet::icmp::{self, ICMP, ICMP_V6};
use crate::inet::udp::deliver::{Arrival, deliver, deliver_raw};
use crate::inet::udp::{UDP, UdpSocket};
use crate::inet::{ports, tcp};
use crate::interface;
use crate::socket::PacketInfo;
use fs::FsError;
use hal::hil::nic::ETHERNET_HEADER_BYTES;
use hal::sync::SpinLock;

const TCP: u8 = 6;

/// The header of a packet, as far as the transports care.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub from: Ip,
    pub to: Ip,
    pub protocol: u8,
    pub ttl: u8,
    pub tos: u8,
}

/// Whether a frame has TCP over IPv4 in it, as most do: nobody but [`frame`] need look at it.
#[inline]
pub(crate) fn is_tcp_v4(frame: &[u8]) -> bool {
    const PROTOCOL: usize = ETHERNET_HEADER_BYTES + 9;
    frame.len() > PROTOCOL && frame[12..14] == IPV4.to_be_bytes() && frame[PROTOCOL] == TCP
}

/// A frame of the device. `checked`: the transport's checksum is right.
pub(crate) fn frame(device: &Device, frame: &[u8], checked: bool) {
    if usual::take(device, frame, checked) {
        return;
    }
    let Some((ethernet, body)) = frame.split_at_checked(ETHERNET_HEADER_BYTES) else { return };
    let to: &[u8] = &ethernet[..6];
    if to[0] & 1 == 0 && to != device.info.mac {
        return;
    }
    let parsed = match u16::from_be_bytes([ethernet[12], ethernet[13]]) {
        ARP => return neighbour::arp_arrived(device, body),
        IPV4 => parse_v4(body),
        IPV6 => parse_v6(body),
        _ => None,
    };
    let Some((header, payload, part)) = parsed else { return };
    let (from, ip) = (header.from, header.to);
    if from.is_loopback() || ip.is_loopback() || from.is_multicast() || from.is_broadcast() {
        return;
    }
    let is_for_us = || is_for_us(device, &header, to[0] & 1 != 0, payload, part.is_some());
    let Some(part) = part else { return transport(device, &header, payload, checked, &is_for_us) };
    if !is_for_us() {
        return;
    }
    let Some(whole) = fragment::REASSEMBLY.arrived(&header, &part, payload) else { return };
    let rest = if ip.is_v4() { Some((header.protocol, &whole[..])) } else { skip_extensions(header.protocol, &whole) };
    let Some((protocol, payload)) = rest else { return };
    transport(device, &Header { protocol, ..header }, payload, false, &|| true);
}

/// Whether a packet is meant for this machine, and comes from another. `to_group`: so is its frame.
pub(super) fn is_for_us(device: &Device, header: &Header, to_group: bool, payload: &[u8], is_part: bool) -> bool {
    let (from_us, to_us) = interface::are_own(header.from, header.to);
    // Own addresses are no sender's (RFC 1122, 3.2.1.3): the answers would go round within the machine. But another machine
    // that has one of them says so from it.
    let is_claim = || header.protocol == ICMP_V6 && header.ttl == 255 && payload.first() == Some(&136) && !is_part;
    if from_us && !is_claim() {
        return false;
    }
    let ip = header.to;
    to_us || ip.is_multicast() || ip.is_broadcast() || to_group && neighbour::is_network_broadcast(device, ip)
}

/// Header and payload of an IPv4 packet that is whole, and which part of its datagram it is.
pub(crate) fn parse_v4(bytes: &[u8]) -> Option<(Header, &[u8], Option<Part>)> {
    let first = *bytes.first()?;
    let header_len = usize::from(first & 0xf) * 4;
    let header = bytes.get(..header_len).filter(|header| header.len() >= 20 && first >> 4 == 4)?;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if icmp::header_sum(header) != 0xffff {
        return None;
    }
    let ip = |at: usize| Ip::from_v4_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let parsed = Header { from: ip(12), to: ip(16), protocol: header[9], ttl: header[8], tos: header[1] };
    Some((parsed, bytes.get(header_len..total)?, Part::of_v4(half(4), half(6))))
}

/// The protocol and the bytes behind hop-by-hop, routing and destination options.
fn skip_extensions(mut protocol: u8, mut payload: &[u8]) -> Option<(u8, &[u8])> {
    while matches!(protocol, 0 | 43 | 60) {
        let len = 8 + usize::from(*payload.get(1)?) * 8;
        protocol = *payload.first()?;
        payload = payload.get(len..)?;
    }
    Some((protocol, payload))
}

/// Header and payload of an IPv6 packet, extension headers skipped, and which part of its datagram it is.
pub(crate) fn parse_v6(bytes: &[u8]) -> Option<(Header, &[u8], Option<Part>)> {
    let (header, rest) = bytes.split_at_checked(40)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let payload = rest.get(..usize::from(u16::from_be_bytes([header[4], header[5]])))?;
    let (mut protocol, mut payload) = skip_extensions(header[6], payload)?;
    let mut part = None;
    if protocol == fragment::FRAGMENT_V6 {
        let (head, rest) = payload.split_first_chunk()?;
        let (found, next) = Part::of_v6(head);
        (protocol, payload) = (next, rest);
        // A datagram in one part is whole (RFC 6946).
        if found.more || found.offset > 0 {
            part = Some(found);
        } else {
            (protocol, payload) = skip_extensions(protocol, payload)?;
        }
    }
    let ip = |at: usize| Some(Ip::from_bytes(header[at..at + 16].try_into().ok()?));
    let (from, to) = (ip(8)?, ip(24)?);
    // An IPv4 address in an IPv6 packet is a lie.
    if from.is_v4() || to.is_v4() {
        return None;
    }
    Some((Header { from, to, protocol, ttl: header[7], tos: header[0] << 4 | header[1] >> 4 }, payload, part))
}

/// What is behind the IP header of a whole packet. `checked`: its checksum is right.
fn transport(device: &Device, header: &Header, payload: &[u8], checked: bool, is_for_us: &dyn Fn() -> bool) {
    let right = |pseudo: bool| {
        let before = if pseudo { icmp::pseudo_sum(header.protocol, header.from, header.to, payload.len()) } else { 0 };
        icmp::fold(icmp::sum(payload, before)) == 0xffff
    };
    if header.protocol == TCP {
        // Most of what arrives belongs to a connection, which is looked for first.
        if checked || right(true) {
            tcp::input::segment(header, payload, is_for_us);
        }
        return;
    }
    if !is_for_us() {
        return;
    }
    let about = || PacketInfo {
        address: header.to,
        interface: device.index,
        ttl: i32::from(header.ttl),
        tos: i32::from(header.tos),
        time_ns: hal::clock::realtime_ns(),
    };
    let scope = |ip: Ip| if ip.is_link_local() { device.index } else { 0 };
    let end = |ip: Ip, port: u16| Endpoint { ip, port, scope: scope(ip) };
    match header.protocol {
        UDP => {
            let Some((head, _)) = payload.split_at_checked(8) else { return };
            let len = usize::from(u16::from_be_bytes([head[4], head[5]]));
            let unchecked = head[6..8] == [0, 0] && header.to.is_v4();
            let Some(bytes) = payload.get(8..len) else { return };
            if len != payload.len() || !(checked || unchecked || right(true)) {
                return;
            }
            let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
            let (from, to) = (end(header.from, port(0)), end(header.to, port(2)));
            if !deliver(&Arrival { from, to, info: about(), bytes }) {
                unreachable(device, header, payload);
            }
        }
        ICMP if header.to.is_v4() && right(false) => icmp_arrived(device, header, payload, about()),
        ICMP_V6 if !header.to.is_v4() && right(true) => match payload.first() {
            Some(135 | 136) if header.ttl == 255 => neighbour::discovery_arrived(device, header.from, payload),
            Some(&kind) => {
                if kind == membership::QUERY_V6 && header.ttl == 1 {
                    membership::mld_arrived(device, payload);
                }
                icmp_arrived(device, header, payload, about());
            }
            None => {}
        },
        ICMP | ICMP_V6 => {}
        protocol => {
            if protocol == membership::IGMP && header.to.is_v4() {
                membership::igmp_arrived(device, payload);
            }
            let (from, to) = (end(header.from, 0), end(header.to, 0));
            deliver_raw(protocol, &Arrival { from, to, info: about(), bytes: payload });
        }
    }
}

fn icmp_arrived(device: &Device, header: &Header, payload: &[u8], info: PacketInfo) {
    let (from, to) = (Endpoint::new(header.from, 0), Endpoint::new(header.to, 0));
    let arrival = Arrival { from, to, info, bytes: payload };
    icmp::arrived_with(header.protocol, &arrival, &mut |answer| {
        reply(answer.from.ip, answer.to.ip, header.protocol, answer.bytes);
    });
    let _ = device;
    error_arrived(header.protocol, payload);
}

/// Sends a packet that answers another.
fn reply(from: Ip, to: Ip, protocol: u8, bytes: &[u8]) {
    let Ok(path) = interface::table().path(to, 0) else { return };
    let packet =
        Packet { from, to, protocol, ttl: 64, tos: 0, len: bytes.len(), checksum: None, cut: None, part: None };
    if packet.header_len() + packet.len > path.mtu as usize {
        fragment::send_cut(&path, &packet, bytes);
    } else {
        send(&path, &packet, &mut |body| body.copy_from_slice(bytes));
    }
}

/// An ICMP error that names a packet of ours goes to its socket.
fn error_arrived(protocol: u8, message: &[u8]) {
    let Some((head, inner)) = message.split_at_checked(8) else { return };
    let too_big = u32::from_be_bytes([0, 0, head[6], head[7]]);
    let (error, mtu) = match (protocol, head[0], head[1]) {
        (ICMP, 3, 4) => (FsError::MessageTooLong, Some(too_big)),
        (ICMP, 3, 2 | 3) => (FsError::ConnectionRefused, None),
        (ICMP, 3, 0 | 6 | 11) => (FsError::NetworkUnreachable, None),
        (ICMP, 3, _) | (ICMP_V6, 1, 0 | 3) => (FsError::HostUnreachable, None),
        (ICMP_V6, 1, 4) => (FsError::ConnectionRefused, None),
        (ICMP_V6, 2, _) => (FsError::MessageTooLong, Some(u32::from_be_bytes([head[4], head[5], head[6], head[7]]))),
        _ => return,
    };
    // The inner packet is cut short, so its lengths say nothing.
    let (from, to, inner_protocol, rest) = if protocol == ICMP {
        let len = usize::from(inner.first().copied().unwrap_or(0) & 0xf) * 4;
        let Some((ip, rest)) = inner.split_at_checked(len.max(20)) else { return };
        let address = |at: usize| Ip::from_v4_bytes([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
        (address(12), address(16), ip[9], rest)
    } else {
        let Some((ip, rest)) = inner.split_at_checked(40) else { return };
        let mut ends = [[0; 16]; 2];
        ends[0].copy_from_slice(&ip[8..24]);
        ends[1].copy_from_slice(&ip[24..40]);
        (Ip::from_bytes(ends[0]), Ip::from_bytes(ends[1]), ip[6], rest)
    };
    if rest.len() < 8 {
        return;
    }
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    let (own, other) = (Endpoint::new(from, port(0)), Endpoint::new(to, port(2)));
    match inner_protocol {
        TCP => {
            let seq = u32::from_be_bytes([rest[4], rest[5], rest[6], rest[7]]);
            tcp::input::icmp_error(own, other, seq, error, mtu);
        }
        UDP => {
            let mut found: alloc::vec::Vec<alloc::sync::Arc<UdpSocket>> = alloc::vec::Vec::new();
            ports::UDP.each(own.port, own.ip, &mut |holder, _| {
                if let ports::Holder::Udp(socket) = holder {
                    found.extend(socket.upgrade());
                }
            });
            // Of a datagram nothing shows that it was sent; that somebody could have sent it must do.
            if let (Some(mtu), false) = (mtu, found.is_empty()) {
                super::path_mtu::learn(other.ip, mtu);
            }
            for socket in found.iter().filter(|socket| socket.is_connected_to(other)) {
                socket.report(error);
            }
        }
        _ => {}
    }
}

/// Errors that are sent in a second at most (net.ipv4.icmp_msgs_per_sec): a flood is not answered by another.
const ERRORS_PER_SECOND: u64 = 1000;

/// Whether one more error may be sent.
fn may_complain() -> bool {
    /// The second, and the errors that were sent in it.
    static SENT: SpinLock<(u64, u64)> = SpinLock::new((0, 0));
    let second = hal::clock::now_ns() / 1_000_000_000;
    let mut sent = SENT.lock();
    if sent.0 != second {
        *sent = (second, 0);
    }
    sent.1 += 1;
    sent.1 <= ERRORS_PER_SECOND
}

/// Nobody has the port of a datagram (RFC 1122, 3.2.2.1).
fn unreachable(device: &Device, header: &Header, payload: &[u8]) {
    if !may_complain() || header.to.is_multicast() || header.to.is_broadcast() || header.from.is_any() {
        return;
    }
    let _ = device;
    // The header of the packet and the first 8 bytes behind it are enough for its sender.
    let mut bytes = alloc::vec![0; 8];
    let protocol = if header.to.is_v4() { ICMP } else { ICMP_V6 };
    (bytes[0], bytes[1]) = if protocol == ICMP { (3, 3) } else { (1, 4) };
    let len = payload.len();
    let cut = Packet {
        from: header.from,
        to: header.to,
        protocol: header.protocol,
        ttl: header.ttl,
        tos: header.tos,
        len,
        checksum: None,
        cut: None,
        part: None,
    };
    let mut ip = [0; 40];
    super::ip_header(&mut ip[..cut.header_len()], &cut);
    bytes.extend_from_slice(&ip[..cut.header_len()]);
    bytes.extend_from_slice(&payload[..len.min(8)]);
    let before = if protocol == ICMP { 0 } else { icmp::pseudo_sum(protocol, header.to, header.from, bytes.len()) };
    let check = !icmp::fold(icmp::sum(&bytes, before));
    bytes[2..4].copy_from_slice(&check.to_be_bytes());
    reply(header.to, header.from, protocol, &bytes);
}
