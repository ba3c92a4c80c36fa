//! Frames: QEMU's framing (4 bytes of length, big-endian, before each), Ethernet, and ARP, which answers for every address but
//! the guest's.

use crate::Shared;
use std::io::{BufReader, Read};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::sync::Weak;

pub(crate) type Mac = [u8; 6];

/// All hosts': locally administered.
pub(crate) const OWN: Mac = [2, 0, 0, 0, 0, 9];
const BROADCAST: Mac = [0xff; 6];
const IPV4: [u8; 2] = [8, 0];
const ARP: [u8; 2] = [8, 6];
/// More than any frame without offloads.
const FRAME_MAX: usize = 64 << 10;

/// What a frame of the guest's says to us.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// An IPv4 packet.
    Packet(Vec<u8>),
    /// The guest asks who has the first address; its own is the second.
    Question(Ipv4Addr, Ipv4Addr),
    /// ARP of another kind: an answer, or the guest tells its address.
    Told(Ipv4Addr),
    /// Nothing that concerns IPv4.
    Other,
}

/// Takes frames in until the guest is gone, or nobody holds the network any more.
pub(crate) fn take_in(stream: UnixStream, shared: &Weak<Shared>) {
    let mut reader = BufReader::with_capacity(FRAME_MAX, stream);
    let mut next = || -> Option<Vec<u8>> {
        let mut len = [0; 4];
        reader.read_exact(&mut len).ok()?;
        let len = Some(u32::from_be_bytes(len) as usize).filter(|len| *len <= FRAME_MAX)?;
        let mut frame = vec![0; len];
        reader.read_exact(&mut frame).ok()?;
        Some(frame)
    };
    loop {
        let frame = next();
        let Some(shared) = shared.upgrade() else { return };
        let mut state = shared.lock();
        let is_over = frame.is_none();
        match frame {
            Some(frame) => state.heard(&frame),
            None => state.detach(),
        }
        drop(state);
        shared.changed.notify_all();
        if is_over {
            return;
        }
    }
}

/// The sender's address, and what it says.
pub(crate) fn read(frame: &[u8]) -> Option<(Mac, Heard)> {
    let (head, body) = frame.split_at_checked(14)?;
    let from = head[6..12].try_into().ok()?;
    let address = |at: usize| -> Option<Ipv4Addr> { Some(<[u8; 4]>::try_from(body.get(at..at + 4)?).ok()?.into()) };
    let heard = match [head[12], head[13]] {
        IPV4 => {
            // Short packets are padded to Ethernet's 60 bytes.
            let total = usize::from(u16::from_be_bytes([*body.get(2)?, *body.get(3)?]));
            Heard::Packet(body.get(..total)?.to_vec())
        }
        ARP if body.get(7) == Some(&1) && address(14)? != address(24)? => Heard::Question(address(24)?, address(14)?),
        ARP => Heard::Told(address(14)?),
        _ => Heard::Other,
    };
    Some((from, heard))
}

fn framed(to: Mac, kind: [u8; 2], body: &[u8]) -> Vec<u8> {
    let len = (14 + body.len()) as u32;
    [&len.to_be_bytes()[..], &to, &OWN, &kind, body].concat()
}

/// An IPv4 packet in a frame, ready to be written.
pub(crate) fn packet(to: Mac, packet: &[u8]) -> Vec<u8> {
    framed(to, IPV4, packet)
}

fn arp(operation: u8, own: Ipv4Addr, to: Mac, target: Ipv4Addr) -> Vec<u8> {
    // RFC 826: Ethernet and IPv4.
    [&[0, 1, 8, 0, 6, 4, 0, operation][..], &OWN, &own.octets(), &to, &target.octets()].concat()
}

/// "`own` is at our address", for `target` at `to`.
pub(crate) fn answer(own: Ipv4Addr, to: Mac, target: Ipv4Addr) -> Vec<u8> {
    framed(to, ARP, &arp(2, own, to, target))
}

/// "Who has `target`?", from `own`.
pub(crate) fn question(own: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    framed(BROADCAST, ARP, &arp(1, own, [0; 6], target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_as_they_are_written() {
        let [a, b] = [Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 64, 1)];
        let frame = question(a, b);
        assert_eq!(read(&frame[4..]), Some((OWN, Heard::Question(b, a))));
        assert_eq!(read(&answer(a, OWN, b)[4..]), Some((OWN, Heard::Told(a))));
        // A gratuitous one asks for its own address.
        assert_eq!(read(&question(a, a)[4..]), Some((OWN, Heard::Told(a))));
        assert_eq!(read(&frame[4..20]), None);
    }

    #[test]
    fn padding_is_no_part_of_a_packet() {
        let mut body = vec![0x45, 0, 0, 20];
        body.resize(46, 0);
        let Some((_, Heard::Packet(packet))) = read(&packet(OWN, &body)[4..]) else { panic!("no packet") };
        assert_eq!(packet.len(), 20);
    }
}
