//! Frames for the guest, right ones: who sends wrong ones spoils these.

/// The guest's address.
pub(crate) const GUEST: u32 = 0x0a00_020f;
/// Where its server listens.
pub(crate) const PORT: u16 = 8080;
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// One end of a connection with the guest's server.
pub(crate) type End = (u32, u16);

/// The sum of RFC 1071, not folded.
fn sum(bytes: &[u8], before: u32) -> u32 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    words.fold(before, |sum, word| sum + word)
}

fn check(sum: u32) -> [u8; 2] {
    let sum = (sum & 0xffff) + (sum >> 16);
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
}

/// A frame of Ethernet.
pub(crate) fn ethernet(to: [u8; 6], from: [u8; 6], kind: u16, body: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), body].concat()
}

/// An ARP packet: operation 1 asks, 2 answers.
pub(crate) fn arp(operation: u8, (mac, ip): ([u8; 6], u32), (to_mac, to_ip): ([u8; 6], u32)) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, operation];
    [&head[..], &mac, &ip.to_be_bytes(), &to_mac, &to_ip.to_be_bytes()].concat()
}

/// An IPv4 packet to the guest. `part`: its datagram's number, and the field of flags and offset.
pub(crate) fn ipv4(from: u32, protocol: u8, (number, part): (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    packet[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    packet[4..6].copy_from_slice(&number.to_be_bytes());
    packet[6..8].copy_from_slice(&part.to_be_bytes());
    packet[12..16].copy_from_slice(&from.to_be_bytes());
    packet[16..20].copy_from_slice(&GUEST.to_be_bytes());
    seal_ipv4(&mut packet);
    packet.extend_from_slice(payload);
    packet
}

/// Makes the checksum of an IPv4 header of 20 bytes right.
pub(crate) fn seal_ipv4(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let right = check(sum(&packet[..20], 0));
    packet[10..12].copy_from_slice(&right);
}

/// A TCP segment to the guest's server, without its IP header.
pub(crate) fn tcp((ip, port): End, seq: u32, ack: u32, (flags, window): (u8, u16), bytes: &[u8]) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20 + bytes.len());
    segment.extend_from_slice(&port.to_be_bytes());
    segment.extend_from_slice(&PORT.to_be_bytes());
    segment.extend_from_slice(&seq.to_be_bytes());
    segment.extend_from_slice(&ack.to_be_bytes());
    segment.extend_from_slice(&[0x50, flags]);
    segment.extend_from_slice(&window.to_be_bytes());
    segment.extend_from_slice(&[0; 4]);
    segment.extend_from_slice(bytes);
    seal_transport(ip, TCP, &mut segment, 16);
    segment
}

/// Makes the checksum right that a transport has at `at`: over its pseudo header, but for ICMP's.
pub(crate) fn seal_transport(from: u32, protocol: u8, payload: &mut [u8], at: usize) {
    payload[at..at + 2].fill(0);
    let pseudo = match protocol {
        ICMP => 0,
        _ => sum(&from.to_be_bytes(), sum(&GUEST.to_be_bytes(), u32::from(protocol) + payload.len() as u32)),
    };
    let right = check(sum(payload, pseudo));
    payload[at..at + 2].copy_from_slice(&right);
}

/// xorshift64: the same numbers in every run.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
