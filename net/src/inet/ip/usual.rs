//! The frame that most are: a segment over IPv4 of a connection that there is, in a packet without options that is no part of
//! another. Of its addresses nothing need be asked: the connection has them.

use super::input::{Header, is_for_us};
use super::{ETHERNET_HEADER_BYTES, IPV4};
use crate::device::Device;
use crate::inet::address::Ip;
use crate::inet::{icmp, tcp};

const IP_HEADER_BYTES: usize = 20;
const HEADERS_BYTES: usize = ETHERNET_HEADER_BYTES + IP_HEADER_BYTES;
const TCP: u8 = 6;
/// More fragments, and the offset of this one.
const PART: u16 = 0x3fff;
/// Where the flags are in a TCP header, and the one of who opens a connection.
const TCP_FLAGS: usize = 13;
const SYN: u8 = 2;

/// Takes such a frame in; false: it is another, or not right, and nothing has happened.
pub(super) fn take(device: &Device, frame: &[u8], checked: bool) -> bool {
    let Some((front, rest)) = frame.split_first_chunk::<HEADERS_BYTES>() else { return false };
    let (ethernet, ip) = front.split_at(ETHERNET_HEADER_BYTES);
    let half = |at: usize| u16::from_be_bytes([ip[at], ip[at + 1]]);
    let is_usual = ethernet[12..14] == IPV4.to_be_bytes()
        && ip[0] == 0x45
        && ip[9] == TCP
        && half(6) & PART == 0
        && ethernet[..6] == device.info.mac
        && rest.get(TCP_FLAGS).is_some_and(|flags| flags & SYN == 0);
    let len = usize::from(half(2)).wrapping_sub(IP_HEADER_BYTES);
    let Some(segment) = rest.get(..len).filter(|_| is_usual) else { return false };
    let address = |at: usize| Ip::from_v4_bytes([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
    let (from, to) = (address(12), address(16));
    let is_right = || icmp::fold(icmp::sum(segment, icmp::pseudo_sum(TCP, from, to, len))) == 0xffff;
    if icmp::header_sum(ip) != 0xffff || !(checked || is_right()) {
        return false;
    }
    tcp::input::to_connection((from, to), segment, || {
        let header = Header { from, to, protocol: TCP, ttl: ip[8], tos: ip[1] };
        is_for_us(device, &header, false, segment, false)
    })
}
