//! What is in front of a connection's segments over IPv4: the Ethernet and the IP header, which differ only in the length and
//! the sum that it changes.

use super::{ETHERNET_HEADER_BYTES, Packet, ethernet, ip_header};
use crate::inet::icmp;

/// Ethernet's header and IPv4's.
pub(crate) const FRONT_BYTES: usize = ETHERNET_HEADER_BYTES + 20;
/// Where the IPv4 header has its length and its checksum.
const TOTAL: core::ops::Range<usize> = ETHERNET_HEADER_BYTES + 2..ETHERNET_HEADER_BYTES + 4;
const CHECKSUM: core::ops::Range<usize> = ETHERNET_HEADER_BYTES + 10..ETHERNET_HEADER_BYTES + 12;

/// Both headers with a length of 0 and no checksum.
#[derive(Clone, Copy)]
pub(crate) struct Front {
    bytes: [u8; FRONT_BYTES],
    /// Of the IPv4 header as it is here.
    sum: u32,
    /// Of the pseudo header without the length.
    pseudo_sum: u32,
}

impl Front {
    /// Of packets like `packet` between these Ethernet addresses; `None` where there is more to them.
    pub(crate) fn of(packet: &Packet, mac: [u8; 6], own: [u8; 6]) -> Option<Front> {
        if !packet.to.is_v4() || packet.part.is_some() {
            return None;
        }
        let mut bytes = [0; FRONT_BYTES];
        ethernet(&mut bytes, mac, own, super::IPV4);
        ip_header(&mut bytes[ETHERNET_HEADER_BYTES..], packet);
        bytes[TOTAL].fill(0);
        bytes[CHECKSUM].fill(0);
        let sum = icmp::sum(&bytes[ETHERNET_HEADER_BYTES..], 0) as u32;
        let pseudo_sum = icmp::pseudo_sum(packet.protocol, packet.from, packet.to, 0) as u32;
        Some(Front { bytes, sum, pseudo_sum })
    }

    /// Whether it is for such a packet too, of the same connection.
    pub(crate) fn fits(&self, packet: &Packet) -> bool {
        let [tos, ttl] = [self.bytes[ETHERNET_HEADER_BYTES + 1], self.bytes[ETHERNET_HEADER_BYTES + 8]];
        tos == packet.tos && ttl == packet.ttl && packet.part.is_none()
    }

    /// Writes the headers in front of `len` bytes; the sum of the pseudo header.
    pub(crate) fn write(&self, len: usize, to: &mut [u8; FRONT_BYTES]) -> u64 {
        let total = 20 + len as u16;
        *to = self.bytes;
        to[TOTAL].copy_from_slice(&total.to_be_bytes());
        let check = !icmp::fold(u64::from(self.sum) + u64::from(total));
        to[CHECKSUM].copy_from_slice(&check.to_be_bytes());
        u64::from(self.pseudo_sum) + len as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inet::address::Ip;

    #[test]
    fn fronts_are_what_is_written_without_them() {
        let packet = |len: usize, ttl: u8| Packet {
            from: Ip::from_v4(0x0a00_020f),
            to: Ip::from_v4(0xffff_fefd),
            protocol: 6,
            ttl,
            tos: 0x10,
            len,
            checksum: Some(16),
            cut: None,
            part: None,
        };
        let front = Front::of(&packet(77, 64), [1; 6], [2; 6]).expect("IPv4");
        assert!(front.fits(&packet(0, 64)) && !front.fits(&packet(0, 63)));
        for len in [0, 20, 21, 1460, 40_000, 65_515] {
            let packet = packet(len, 64);
            let (mut written, mut expected) = ([0xff; FRONT_BYTES], [0xff; FRONT_BYTES]);
            let pseudo = front.write(len, &mut written);
            ethernet(&mut expected, [1; 6], [2; 6], super::super::IPV4);
            ip_header(&mut expected[ETHERNET_HEADER_BYTES..], &packet);
            assert_eq!(written, expected, "{len} bytes");
            assert_eq!(icmp::fold(pseudo), icmp::fold(icmp::pseudo_sum(6, packet.from, packet.to, len)));
        }
        let v6 = Packet { from: Ip(1 << 100), to: Ip(7 << 100), ..packet(1, 1) };
        assert!(Front::of(&v6, [1; 6], [2; 6]).is_none());
    }
}
