//! IPv4 and IPv6 over Ethernet (RFC 791, RFC 8200): headers, the way to the next hop, and what arrives.

pub(crate) mod duplicate;
pub(crate) mod fragment;
mod front;
pub(crate) mod input;
pub(crate) mod membership;
pub(crate) mod neighbour;
pub(crate) mod path_mtu;
mod usual;

use super::address::Ip;
use crate::device::{self, Device, device};
use crate::interface::Path;
use hal::hil::nic::{ChecksumPlace, ETHERNET_HEADER_BYTES, Segmentation, SegmentationKind, TransmitOffload};
use neighbour::Hop;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const IPV6: u16 = 0x86dd;

/// One packet to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    pub from: Ip,
    pub to: Ip,
    pub protocol: u8,
    pub ttl: u8,
    pub tos: u8,
    /// Bytes behind the IP header.
    pub len: usize,
    /// Where the transport's checksum is, from the end of the IP header. The packet's maker leaves zeros there.
    pub checksum: Option<u16>,
    /// Bytes of the transport's header and of each segment, of a packet to be cut.
    pub cut: Option<(u16, u16)>,
    /// Of a part of an IPv4 datagram: identification, and the word with flags and offset.
    pub part: Option<(u16, u16)>,
}

impl Packet {
    pub(crate) fn header_len(&self) -> usize {
        if self.to.is_v4() { 20 } else { 40 }
    }
}

fn ethernet(frame: &mut [u8], to: [u8; 6], from: [u8; 6], kind: u16) {
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&from);
    frame[12..14].copy_from_slice(&kind.to_be_bytes());
}

fn ip_header(header: &mut [u8], packet: &Packet) {
    header.fill(0);
    if packet.to.is_v4() {
        header[0] = 0x45;
        header[1] = packet.tos;
        header[2..4].copy_from_slice(&(20 + packet.len as u16).to_be_bytes());
        // What is whole is never cut on the way (path MTU discovery).
        let (id, word) = packet.part.unwrap_or((0, 0x4000));
        header[4..6].copy_from_slice(&id.to_be_bytes());
        header[6..8].copy_from_slice(&word.to_be_bytes());
        header[8] = packet.ttl;
        header[9] = packet.protocol;
        header[12..16].copy_from_slice(&packet.from.bytes()[12..]);
        header[16..20].copy_from_slice(&packet.to.bytes()[12..]);
        let check = !super::icmp::header_sum(header);
        header[10..12].copy_from_slice(&check.to_be_bytes());
    } else {
        header[0] = 0x60 | packet.tos >> 4;
        header[1] = packet.tos << 4;
        header[4..6].copy_from_slice(&(packet.len as u16).to_be_bytes());
        header[6] = packet.protocol;
        header[7] = packet.ttl;
        header[8..24].copy_from_slice(&packet.from.bytes());
        header[24..40].copy_from_slice(&packet.to.bytes());
    }
}

/// Writes the frame of `packet`; `fill` makes what is behind the IP header.
fn build(
    device: &Device,
    mac: [u8; 6],
    packet: &Packet,
    frame: &mut [u8],
    fill: &mut dyn FnMut(&mut [u8]),
) -> TransmitOffload {
    let start = ETHERNET_HEADER_BYTES + packet.header_len();
    ethernet(frame, mac, device.info.mac, if packet.to.is_v4() { IPV4 } else { IPV6 });
    ip_header(&mut frame[ETHERNET_HEADER_BYTES..start], packet);
    let pseudo = super::icmp::pseudo_sum(packet.protocol, packet.from, packet.to, packet.len);
    fill(&mut frame[start..]);
    finish(device, packet, (start, pseudo), &mut frame[start..])
}

/// Completes what is behind the IP header, which ends at `start`, by its checksum; `pseudo` is the sum of the pseudo header.
#[inline(always)]
fn finish(device: &Device, packet: &Packet, (start, pseudo): (usize, u64), body: &mut [u8]) -> TransmitOffload {
    let mut offload = TransmitOffload::default();
    if let Some(at) = packet.checksum {
        let place = usize::from(at);
        let sum = if device.info.offloads.transmit_checksum {
            offload.checksum = Some(ChecksumPlace { start: start as u16, offset: at });
            super::icmp::fold(pseudo)
        } else {
            match !super::icmp::fold(super::icmp::sum(body, pseudo)) {
                0 if packet.protocol == super::udp::UDP => 0xffff,
                sum => sum,
            }
        };
        if let Some(field) = body.get_mut(place..place + 2) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }
    if let Some((transport_header, segment_bytes)) = packet.cut {
        let kind = if packet.to.is_v4() { SegmentationKind::Tcp4 } else { SegmentationKind::Tcp6 };
        let header_bytes = start as u16 + transport_header;
        offload.segmentation = Some(Segmentation { kind, header_bytes, segment_bytes });
    }
    offload
}

/// Sends a packet; false if the device has no room. One whose next hop is not known yet waits for it.
pub(crate) fn send(path: &Path, packet: &Packet, fill: &mut dyn FnMut(&mut [u8])) -> bool {
    send_by(path, (&mut Hop::default(), hal::clock::now_ns()), packet, fill)
}

/// As [`send`], for a connection: who sends between the same two addresses with the same protocol again and again. With its
/// hop comes what time it is.
#[inline(always)]
pub(crate) fn send_by(
    path: &Path,
    (hop, now_ns): (&mut Hop, u64),
    packet: &Packet,
    mut fill: impl FnMut(&mut [u8]),
) -> bool {
    let Some(device) = device() else { return true };
    let len = ETHERNET_HEADER_BYTES + packet.header_len() + packet.len;
    let Some(mac) = neighbour::find_again(device, path, hop, now_ns) else {
        wait_for_hop(device, path, packet, &mut fill);
        return true;
    };
    let front = hop.front(packet, device.info.mac);
    device::send(device, len, &mut |frame| match (front, frame.split_first_chunk_mut()) {
        (Some(front), Some((head, body))) => {
            let pseudo = front.write(packet.len, head);
            fill(body);
            finish(device, packet, (head.len(), pseudo), body)
        }
        _ => build(device, mac, packet, frame, &mut fill),
    })
}

/// The packet waits until its next hop is known.
#[cold]
fn wait_for_hop(device: &Device, path: &Path, packet: &Packet, fill: &mut dyn FnMut(&mut [u8])) {
    let len = ETHERNET_HEADER_BYTES + packet.header_len() + packet.len;
    let mut frame = alloc::vec::Vec::new();
    // Only whole packets wait.
    if packet.cut.is_none() && frame.try_reserve_exact(len).is_ok() {
        frame.extend(core::iter::repeat_n(0, len));
        let offload = build(device, [0; 6], packet, &mut frame, fill);
        neighbour::wait_for(device, path, frame, offload);
    }
}
