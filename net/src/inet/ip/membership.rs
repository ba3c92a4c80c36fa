//! What routers and switches are told of multicast groups: IGMPv2 (RFC 2236) and MLDv1 (RFC 2710), which those of later
//! versions understand too. A group that is joined is reported twice, a question for it is answered after a random time,
//! and a group that is left is said to be.

use super::{IPV4, IPV6, ethernet, neighbour};
use crate::device::{self, Device, device};
use crate::inet::address::Ip;
use crate::inet::icmp::{ICMP_V6, fold, pseudo_sum, sum};
use crate::inet::udp::groups;
use crate::interface;
use alloc::vec::Vec;
use hal::hil::nic::ETHERNET_HEADER_BYTES;
use hal::sync::SpinLock;

/// IGMP's protocol number.
pub(super) const IGMP: u8 = 2;
const QUERY: u8 = 0x11;
const REPORT: u8 = 0x16;
const LEAVE: u8 = 0x17;
pub(super) const QUERY_V6: u8 = 130;
const REPORT_V6: u8 = 131;
const DONE_V6: u8 = 132;

const ALL_HOSTS: Ip = Ip::from_v4(0xe000_0001);
const ALL_ROUTERS: Ip = Ip::from_v4(0xe000_0002);
const ALL_ROUTERS_V6: Ip = Ip(0xff02 << 112 | 2);
/// The second report comes within this time (RFC 2236, 8.10; RFC 2710, 7.10).
const REPEAT_MS: u64 = 10_000;
/// Most reports that wait for their time.
const WAITING_MAX: usize = 256;
const MS: u64 = 1_000_000;

/// Reports that wait for their time.
static WAITING: SpinLock<Vec<(u64, Ip)>> = SpinLock::new(Vec::new());

/// Whether routers hear of the group: those that every host is in, or that stay in the machine, they do not.
fn is_told(group: Ip) -> bool {
    let bytes = group.bytes();
    let narrow = bytes[0] == 0xff && bytes[1] & 0xf < 2;
    group.is_multicast() && group != ALL_HOSTS && group.0 != 0xff02 << 112 | 1 && !narrow
}

/// The first socket has joined `group` on an interface.
pub(crate) fn joined(group: Ip, interface: u32) {
    if let Some(device) = device().filter(|device| device.index == interface && is_told(group)) {
        say(device, group, true);
        later(group, REPEAT_MS);
    }
}

/// The last socket has left it.
pub(crate) fn left(group: Ip, interface: u32) {
    if let Some(device) = device().filter(|device| device.index == interface && is_told(group)) {
        WAITING.lock().retain(|(_, waiting)| *waiting != group);
        say(device, group, false);
    }
}

/// The group is reported within so many milliseconds, unless a report waits for an earlier time.
fn later(group: Ip, within_ms: u64) {
    let at = hal::clock::now_ns() + hal::random::next_u64() % (within_ms.max(1) * MS);
    let mut waiting = WAITING.lock();
    if let Some(known) = waiting.iter_mut().find(|(_, known)| *known == group) {
        known.0 = known.0.min(at);
    } else if waiting.len() < WAITING_MAX && waiting.try_reserve(1).is_ok() {
        waiting.push((at, group));
    } else {
        return;
    }
    drop(waiting);
    device::wake_at(at);
}

/// Sends the reports that are due; the next time.
pub(crate) fn run(now_ns: u64) -> u64 {
    loop {
        let due = {
            let mut waiting = WAITING.lock();
            let due = waiting.iter().position(|(at, _)| *at <= now_ns);
            match due {
                Some(place) => waiting.swap_remove(place).1,
                None => return waiting.iter().map(|(at, _)| *at).min().unwrap_or(u64::MAX),
            }
        };
        if let Some(device) = device().filter(|device| is_member(device, due)) {
            say(device, due, true);
        }
    }
}

fn is_member(device: &Device, group: Ip) -> bool {
    groups::is_joined(group, device.index) || solicited(device).contains(&group)
}

/// The groups in which neighbours ask for own addresses (RFC 4291, 2.7.1).
fn solicited(device: &Device) -> Vec<Ip> {
    let table = interface::table();
    let addresses = table.interface(device.index).into_iter().flat_map(|own| &own.addresses);
    let group = |ip: Ip| Ip(0xff02_0000_0000_0000_0000_0001_ff00_0000 | ip.0 & 0xff_ffff);
    addresses.filter(|address| !address.ip.is_v4()).map(|address| group(address.ip)).collect()
}

/// The interface has its addresses.
pub(crate) fn addressed(device: &Device) {
    solicited(device).into_iter().for_each(|group| later(group, 1));
}

/// A question of a router's: for one group, or (any address) for all.
fn asked(device: &Device, group: Ip, within_ms: u64) {
    if !group.is_any() {
        if is_told(group) && is_member(device, group) {
            later(group, within_ms);
        }
        return;
    }
    let mut all = groups::joined_on(device.index);
    all.extend(solicited(device));
    all.retain(|known| is_told(*known) && known.is_v4() == group.is_v4());
    all.into_iter().for_each(|known| later(known, within_ms));
}

/// An IGMP message has arrived.
pub(super) fn igmp_arrived(device: &Device, message: &[u8]) {
    if message.len() < 8 || fold(sum(message, 0)) != 0xffff || message[0] != QUERY {
        return;
    }
    let group = Ip::from_v4_bytes([message[4], message[5], message[6], message[7]]);
    // Tenths of a second; of IGMPv1 0, which means 10 s.
    let within_ms = if message[1] == 0 { 10_000 } else { u64::from(message[1]) * 100 };
    asked(device, group, within_ms);
}

/// A question of MLD has arrived, its checksum right.
pub(super) fn mld_arrived(device: &Device, message: &[u8]) {
    let Some(&group) = message.get(8..).and_then(<[u8]>::first_chunk) else { return };
    asked(device, Ip::from_bytes(group), u64::from(u16::from_be_bytes([message[4], message[5]])));
}

/// Sends a report, or says that the group is left. Routers look at both wherever they go: that is what the options say
/// (RFC 2113, RFC 2711).
fn say(device: &Device, group: Ip, is_member: bool) {
    let v4 = group.is_v4();
    let to = match (is_member, v4) {
        (true, _) => group,
        (false, true) => ALL_ROUTERS,
        (false, false) => ALL_ROUTERS_V6,
    };
    let table = interface::table();
    let Ok(path) = table.path(to, device.index) else { return };
    // Those of IPv6 come from the link's own address, however far the group reaches.
    let source = if v4 { Ok(path) } else { table.path(ALL_ROUTERS_V6, device.index) };
    let (Some(mac), Ok(source)) = (neighbour::find(device, &path), source.map(|path| path.source)) else { return };
    let mut frame = Vec::new();
    let len = ETHERNET_HEADER_BYTES + if v4 { 24 + 8 } else { 40 + 8 + 24 };
    if frame.try_reserve_exact(len).is_err() {
        return;
    }
    frame.resize(len, 0);
    ethernet(&mut frame, mac, device.info.mac, if v4 { IPV4 } else { IPV6 });
    let ip = &mut frame[ETHERNET_HEADER_BYTES..];
    if v4 {
        ip[..4].copy_from_slice(&[0x46, 0xc0, 0, 32]);
        ip[6] = 0x40;
        ip[8..10].copy_from_slice(&[1, IGMP]);
        ip[12..16].copy_from_slice(&source.bytes()[12..]);
        ip[16..20].copy_from_slice(&to.bytes()[12..]);
        ip[20] = 0x94;
        ip[21] = 4;
        let check = !fold(sum(&ip[..24], 0));
        ip[10..12].copy_from_slice(&check.to_be_bytes());
        ip[24] = if is_member { REPORT } else { LEAVE };
        ip[28..32].copy_from_slice(&group.bytes()[12..]);
        let check = !fold(sum(&ip[24..], 0));
        ip[26..28].copy_from_slice(&check.to_be_bytes());
    } else {
        ip[0] = 0x60;
        ip[5] = 32;
        ip[7] = 1;
        ip[8..24].copy_from_slice(&source.bytes());
        ip[24..40].copy_from_slice(&to.bytes());
        ip[40..48].copy_from_slice(&[ICMP_V6, 0, 5, 2, 0, 0, 1, 0]);
        ip[48] = if is_member { REPORT_V6 } else { DONE_V6 };
        ip[56..72].copy_from_slice(&group.bytes());
        let check = !fold(sum(&ip[48..], pseudo_sum(ICMP_V6, source, to, 24)));
        ip[50..52].copy_from_slice(&check.to_be_bytes());
    }
    device::send_whole(device, &frame);
}
