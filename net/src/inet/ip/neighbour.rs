//! Who has which Ethernet address: ARP (RFC 826) and neighbour discovery (RFC 4861). The table is bounded, and so is what
//! waits for an answer.

use super::duplicate::{self, Fate};
use super::front::Front;
use super::{ARP, Packet, build, ethernet};
use crate::device::{self, Device};
use crate::inet::address::Ip;
use crate::inet::icmp::ICMP_V6;
use crate::interface::{self, Path};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use hal::hil::nic::{ETHERNET_HEADER_BYTES, TransmitOffload};
use hal::sync::SpinLock;
use hashbrown::HashMap;

/// Most neighbours that are known, and frames that wait for one.
const NEIGHBOURS_MAX: usize = 1024;
const WAITING_MAX: usize = 8;
/// Frames that may wait for one while so many wait in all: the parts of a long datagram.
const PARTS_MAX: usize = 64;
const WAITING_ALL_MAX: usize = 512;
/// How long an answer holds, and how often is asked again.
const FRESH_NS: u64 = 60_000_000_000;
const ASK_NS: u64 = 1_000_000_000;
/// Unanswered questions after which what waits is thrown away.
const ASK_MAX: u8 = 3;

/// The option with a probe's number (RFC 7527).
const NONCE: u8 = 14;
/// Flags of an advertisement.
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
const ALL_NODES: Ip = Ip(0xff02 << 112 | 1);

#[derive(Default)]
struct Neighbour {
    mac: Option<[u8; 6]>,
    /// When the answer came, and when was asked last.
    heard_ns: u64,
    asked_ns: u64,
    asked: u8,
    waiting: Vec<(Vec<u8>, TransmitOffload)>,
}

static TABLE: SpinLock<Option<HashMap<Ip, Neighbour>>> = SpinLock::new(None);

/// Counts the times that a known neighbour got another address.
static CHANGES: AtomicU32 = AtomicU32::new(0);
/// How long a connection keeps what it was told.
const HOP_NS: u64 = 1_000_000_000;

/// What a connection remembers of its next hop.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hop {
    mac: [u8; 6],
    until_ns: u64,
    changes: u32,
    /// The same neighbour was asked for before: more packets are likely.
    is_again: bool,
    front: Option<Front>,
}

impl Hop {
    /// The headers of packets like `packet`, from `own`: kept from the second one on. `None`: it is not worth it, or not so simple.
    pub(super) fn front(&mut self, packet: &Packet, own: [u8; 6]) -> Option<&Front> {
        if !self.is_again {
            return None;
        }
        if !self.front.as_ref().is_some_and(|front| front.fits(packet)) {
            self.front = Front::of(packet, self.mac, own);
        }
        self.front.as_ref()
    }
}

/// As [`find`], which is asked about once a second.
#[inline]
pub(super) fn find_again(device: &Device, path: &Path, hop: &mut Hop, now: u64) -> Option<[u8; 6]> {
    let changes = CHANGES.load(Ordering::Acquire);
    if now < hop.until_ns && changes == hop.changes {
        hop.is_again = true;
        return Some(hop.mac);
    }
    let mac = find(device, path)?;
    *hop = Hop { mac, until_ns: now + HOP_NS, changes, is_again: false, front: None };
    Some(mac)
}

/// The Ethernet address that a packet on `path` goes to; asks for it if it is not known, or not sure any more.
pub(super) fn find(device: &Device, path: &Path) -> Option<[u8; 6]> {
    let ip = path.next_hop;
    if ip.is_broadcast() || is_network_broadcast(device, ip) {
        return Some([0xff; 6]);
    }
    if ip.is_multicast() {
        let bytes = ip.bytes();
        return Some(if ip.is_v4() {
            [1, 0, 0x5e, bytes[13] & 0x7f, bytes[14], bytes[15]]
        } else {
            [0x33, 0x33, bytes[12], bytes[13], bytes[14], bytes[15]]
        });
    }
    let now = hal::clock::now_ns();
    let (mac, ask) = {
        let mut table = TABLE.lock();
        let table = table.get_or_insert_default();
        if table.len() >= NEIGHBOURS_MAX && !table.contains_key(&ip) {
            // Those that never answered first: strangers can name any number of them.
            let worth = |known: &Neighbour| (known.mac.is_some(), known.heard_ns.max(known.asked_ns));
            let oldest = table.iter().min_by_key(|(_, known)| worth(known)).map(|(&ip, _)| ip);
            let _gone = oldest.and_then(|ip| table.remove(&ip));
        }
        let known = table.entry(ip).or_default();
        let stale = known.mac.is_none() || now.saturating_sub(known.heard_ns) > FRESH_NS;
        let ask = stale && (known.asked_ns == 0 || now.saturating_sub(known.asked_ns) > ASK_NS);
        if ask {
            known.asked_ns = now;
            known.asked = known.asked.saturating_add(1);
            if known.asked > ASK_MAX {
                // Nobody answers: what waits, or was known, is worth nothing any more.
                known.waiting.clear();
                known.mac = None;
            }
        }
        (known.mac, ask)
    };
    if ask {
        question(device, path);
    }
    mac
}

/// Whether it is the broadcast address of a network of the interface.
pub(super) fn is_network_broadcast(device: &Device, ip: Ip) -> bool {
    let Some(v4) = ip.v4() else { return false };
    let table = interface::table();
    let Some(own) = table.interface(device.index) else { return false };
    own.addresses.iter().any(|address| {
        let host = u32::MAX.checked_shr(u32::from(address.prefix)).unwrap_or(0);
        address.ip.is_v4() && address.prefix < 31 && ip.is_in(address.ip, address.prefix) && v4 & host == host
    })
}

/// Keeps a frame until its next hop is known.
pub(super) fn wait_for(device: &Device, path: &Path, frame: Vec<u8>, offload: TransmitOffload) {
    let mut frame = Some((frame, offload));
    let mac = {
        let mut table = TABLE.lock();
        let table = table.get_or_insert_default();
        let own = table.get(&path.next_hop).map_or(0, |known| known.waiting.len());
        let all = || table.values().map(|known| known.waiting.len()).sum::<usize>();
        let has_room = own < WAITING_MAX || own < PARTS_MAX && all() < WAITING_ALL_MAX;
        let Some(known) = table.get_mut(&path.next_hop) else { return };
        if known.mac.is_none() && has_room {
            known.waiting.extend(frame.take());
        }
        known.mac
    };
    if let (Some(mac), Some((frame, offload))) = (mac, frame) {
        send_waiting(device, mac, frame, offload);
    }
}

fn send_waiting(device: &Device, mac: [u8; 6], mut frame: Vec<u8>, offload: TransmitOffload) {
    frame[..6].copy_from_slice(&mac);
    device::send(device, frame.len(), &mut |place| {
        place.copy_from_slice(&frame);
        offload
    });
}

/// Neighbours that are known or asked for.
#[cfg(test)]
pub(crate) fn count() -> usize {
    TABLE.lock().as_ref().map_or(0, HashMap::len)
}

/// `ip` has this address. One that was not asked for is remembered only if `welcome`.
pub(super) fn learn(device: &Device, ip: Ip, mac: [u8; 6], welcome: bool) {
    if ip.is_any() || ip.is_multicast() || mac[0] & 1 != 0 {
        return;
    }
    let waiting = {
        let mut table = TABLE.lock();
        let table = table.get_or_insert_default();
        if !table.contains_key(&ip) && (!welcome || table.len() >= NEIGHBOURS_MAX) {
            return;
        }
        let known = table.entry(ip).or_default();
        if known.mac.replace(mac).is_some_and(|before| before != mac) {
            CHANGES.fetch_add(1, Ordering::AcqRel);
        }
        known.heard_ns = hal::clock::now_ns();
        known.asked = 0;
        core::mem::take(&mut known.waiting)
    };
    for (frame, offload) in waiting {
        send_waiting(device, mac, frame, offload);
    }
}

fn question(device: &Device, path: &Path) {
    if path.next_hop.is_v4() {
        arp(device, 1, [0xff; 6], [0; 6], path.source, path.next_hop);
    } else {
        discovery(device, (135, 0, (1, device.info.mac)), (path.source, solicited(path.next_hop)), path.next_hop);
    }
}

/// Asks, as nobody yet, whether somebody has `target`.
pub(super) fn probe(device: &Device, target: Ip, nonce: [u8; 6]) {
    discovery(device, (135, 0, (NONCE, nonce)), (Ip::ANY_V6, solicited(target)), target);
}

/// The group in which a neighbour hears questions for its address.
fn solicited(ip: Ip) -> Ip {
    Ip(0xff02_0000_0000_0000_0000_0001_ff00_0000 | ip.0 & 0xff_ffff)
}

/// Sends an ARP packet: 1 asks, 2 answers.
fn arp(device: &Device, operation: u16, to: [u8; 6], target: [u8; 6], from_ip: Ip, to_ip: Ip) {
    let mut frame = [0; ETHERNET_HEADER_BYTES + 28];
    ethernet(&mut frame, to, device.info.mac, ARP);
    let body = &mut frame[ETHERNET_HEADER_BYTES..];
    body[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
    body[6..8].copy_from_slice(&operation.to_be_bytes());
    body[8..14].copy_from_slice(&device.info.mac);
    body[14..18].copy_from_slice(&from_ip.bytes()[12..]);
    body[18..24].copy_from_slice(&target);
    body[24..28].copy_from_slice(&to_ip.bytes()[12..]);
    device::send_whole(device, &frame);
}

/// A message of neighbour discovery: its type, its flags, and its option.
type Message = (u8, u8, (u8, [u8; 6]));

/// Sends a neighbour solicitation or advertisement to a group.
fn discovery(device: &Device, message: Message, ends: (Ip, Ip), target: Ip) {
    let group = ends.1.bytes();
    discovery_to(device, message, [0x33, 0x33, group[12], group[13], group[14], group[15]], ends, target);
}

fn discovery_to(device: &Device, message: Message, mac: [u8; 6], ends: (Ip, Ip), target: Ip) {
    let (kind, flags, (option, value)) = message;
    let packet = Packet {
        from: ends.0,
        to: ends.1,
        protocol: ICMP_V6,
        ttl: 255,
        tos: 0,
        len: 32,
        checksum: Some(2),
        cut: None,
        part: None,
    };
    let mut fill = |body: &mut [u8]| {
        body.fill(0);
        body[0] = kind;
        body[4] = flags;
        body[8..24].copy_from_slice(&target.bytes());
        body[24..26].copy_from_slice(&[option, 1]);
        body[26..32].copy_from_slice(&value);
    };
    let len = ETHERNET_HEADER_BYTES + 40 + 32;
    device::send(device, len, &mut |frame| build(device, mac, &packet, frame, &mut fill));
}

fn mac_of(bytes: &[u8]) -> [u8; 6] {
    [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]]
}

/// An ARP packet has arrived.
pub(super) fn arp_arrived(device: &Device, body: &[u8]) {
    if body.len() < 28 || body[..6] != [0, 1, 8, 0, 6, 4] {
        return;
    }
    let ip = |at: usize| Ip::from_v4_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    let (mac, from, to) = (mac_of(&body[8..14]), ip(14), ip(24));
    let mine = interface::table().interface(device.index).is_some_and(|own| own.addresses.iter().any(|a| a.ip == to));
    learn(device, from, mac, mine);
    if mine && body[7] == 1 {
        arp(device, 2, mac, mac, to, from);
    }
}

/// A neighbour solicitation or advertisement has arrived, with a hop limit of 255 and a right checksum.
pub(super) fn discovery_arrived(device: &Device, from: Ip, body: &[u8]) {
    if body.len() < 24 || body[1] != 0 {
        return;
    }
    let mut target = [0; 16];
    target.copy_from_slice(&body[8..24]);
    let target = Ip::from_bytes(target);
    let mut options = &body[24..];
    let (mut mac, mut nonce) = (None, None);
    while options.len() >= 8 && options[1] != 0 {
        let len = usize::from(options[1]) * 8;
        // Source (of a solicitation) or target (of an advertisement) link-layer address.
        if options[0] == if body[0] == 135 { 1 } else { 2 } {
            mac = Some(mac_of(&options[2..8]));
        } else if options[0] == NONCE {
            nonce = Some(mac_of(&options[2..8]));
        }
        options = options.get(len..).unwrap_or(&[]);
    }
    let own = interface::table();
    let mine = own.interface(device.index).is_some_and(|own| own.addresses.iter().any(|a| a.ip == target));
    let (is_answer, is_probe) = (body[0] == 136, from.is_any());
    if mine && (is_answer || is_probe) {
        if duplicate::heard(device, target, nonce) == Fate::Kept && is_probe {
            discovery(device, (136, OVERRIDE, (2, device.info.mac)), (target, ALL_NODES), target);
        }
    } else if is_answer {
        if let Some(mac) = mac {
            learn(device, target, mac, false);
        }
    } else if let (true, Some(mac)) = (mine, mac) {
        learn(device, from, mac, true);
        discovery_to(device, (136, SOLICITED | OVERRIDE, (2, device.info.mac)), mac, (target, from), target);
    }
}
