//! Options of the Internet protocols (ip(7), ipv6(7), tcp(7)) and their control messages. Most are one number: a table
//! says which numbers are taken.

use super::option::Answer;
use crate::syscall::{Call, Errno, SysResult};
use crate::uaccess::UserPtr;
use crate::unsupported;
use linux_raw_sys::net as codes;
use net::inet::{Ip, Setting, Settings, TcpInfo};
use net::{Ancillary, Family, Kind, PacketInfo, Socket};

const IP: u32 = 0;
const TCP: u32 = 6;
const UDP: u32 = 17;
const IPV6: u32 = 41;

/// An option that is a number: level, name, what keeps it, and the least and most that it may be set to. A most of 1
/// with a least of 0 is a switch, which any number turns on.
struct Number(u32, u32, Setting, i32, i32);

const NUMBERS: &[Number] = &[
    Number(IP, codes::IP_TOS, Setting::Tos, 0, 255),
    Number(IP, codes::IP_TTL, Setting::Ttl, -1, 255),
    Number(IP, codes::IP_HDRINCL, Setting::HeaderIncluded, 0, 1),
    Number(IP, codes::IP_PKTINFO, Setting::PktInfo, 0, 1),
    Number(IP, codes::IP_MTU_DISCOVER, Setting::MtuDiscover, 0, 5),
    Number(IP, codes::IP_RECVERR, Setting::RecvErr, 0, 1),
    Number(IP, codes::IP_RECVTTL, Setting::RecvTtl, 0, 1),
    Number(IP, codes::IP_RECVTOS, Setting::RecvTos, 0, 1),
    Number(IP, codes::IP_FREEBIND, Setting::FreeBind, 0, 1),
    Number(IP, codes::IP_BIND_ADDRESS_NO_PORT, Setting::NoPort, 0, 1),
    Number(IP, codes::IP_MULTICAST_TTL, Setting::MulticastTtl, -1, 255),
    Number(IP, codes::IP_MULTICAST_LOOP, Setting::MulticastLoop, 0, 1),
    Number(IP, codes::IP_MULTICAST_ALL, Setting::MulticastAll, 0, 1),
    Number(IPV6, codes::IPV6_V6ONLY, Setting::V6Only, 0, 1),
    Number(IPV6, codes::IPV6_UNICAST_HOPS, Setting::UnicastHops, -1, 255),
    Number(IPV6, codes::IPV6_MULTICAST_HOPS, Setting::MulticastHops, -1, 255),
    Number(IPV6, codes::IPV6_MULTICAST_LOOP, Setting::MulticastLoop6, 0, 1),
    Number(IPV6, codes::IPV6_MULTICAST_ALL, Setting::MulticastAll6, 0, 1),
    Number(IPV6, codes::IPV6_MULTICAST_IF, Setting::MulticastIf6, 0, i32::MAX),
    Number(IPV6, codes::IPV6_RECVERR, Setting::RecvErr6, 0, 1),
    Number(IPV6, codes::IPV6_RECVPKTINFO, Setting::RecvPktInfo6, 0, 1),
    Number(IPV6, codes::IPV6_RECVHOPLIMIT, Setting::RecvHopLimit, 0, 1),
    Number(IPV6, codes::IPV6_RECVTCLASS, Setting::RecvTclass, 0, 1),
    Number(IPV6, codes::IPV6_TCLASS, Setting::Tclass, -1, 255),
    Number(IPV6, codes::IPV6_MTU_DISCOVER, Setting::MtuDiscover6, 0, 5),
    Number(IPV6, codes::IPV6_AUTOFLOWLABEL, Setting::AutoFlowLabel, 0, 1),
    Number(IPV6, codes::IPV6_CHECKSUM, Setting::Checksum, -1, i32::MAX),
    Number(TCP, codes::TCP_NODELAY, Setting::NoDelay, 0, 1),
    Number(TCP, codes::TCP_MAXSEG, Setting::MaxSeg, 88, 32_767),
    Number(TCP, codes::TCP_CORK, Setting::Cork, 0, 1),
    Number(TCP, codes::TCP_KEEPIDLE, Setting::KeepIdle, 1, 32_767),
    Number(TCP, codes::TCP_KEEPINTVL, Setting::KeepInterval, 1, 32_767),
    Number(TCP, codes::TCP_KEEPCNT, Setting::KeepCount, 1, 127),
    Number(TCP, codes::TCP_SYNCNT, Setting::SynCount, 1, 127),
    Number(TCP, codes::TCP_LINGER2, Setting::Linger2, i32::MIN, i32::MAX),
    Number(TCP, codes::TCP_DEFER_ACCEPT, Setting::DeferAccept, i32::MIN, i32::MAX),
    Number(TCP, codes::TCP_WINDOW_CLAMP, Setting::WindowClamp, 0, i32::MAX),
    Number(TCP, codes::TCP_QUICKACK, Setting::QuickAck, 0, 1),
    Number(TCP, codes::TCP_USER_TIMEOUT, Setting::UserTimeout, 0, i32::MAX),
    Number(TCP, codes::TCP_FASTOPEN, Setting::FastOpen, 0, i32::MAX),
    Number(TCP, codes::TCP_NOTSENT_LOWAT, Setting::NotSentLow, i32::MIN, i32::MAX),
];

fn number(level: u32, name: u32) -> Option<&'static Number> {
    NUMBERS.iter().find(|number| number.0 == level && number.1 == name)
}

/// The settings, if the socket has options of this level. Errors: ENOPROTOOPT; EOPNOTSUPP for a family without levels.
fn settings(socket: &dyn Socket, level: u32) -> Result<&Settings, Errno> {
    let settings = socket.settings().ok_or(Errno::EOPNOTSUPP)?;
    let there = match level {
        IP => true,
        IPV6 => socket.family() == Family::Inet6,
        TCP => socket.kind() == Kind::Stream,
        UDP => socket.kind() == Kind::Datagram,
        _ => false,
    };
    if there { Ok(settings) } else { Err(Errno::ENOPROTOOPT) }
}

pub fn set(call: &Call<'_>, socket: &dyn Socket) -> SysResult {
    let (level, name, len) = (call.uint(1), call.uint(2), call.int(4));
    if socket.family() == Family::Netlink {
        return Ok(0);
    }
    let settings = settings(socket, level)?;
    match (level, name) {
        (IP, codes::IP_ADD_MEMBERSHIP | codes::IP_DROP_MEMBERSHIP) => {
            let group = Ip::from_v4_bytes(call.ptr::<[u8; 4]>(3).read()?);
            let interface = interface_of(call)?;
            socket.membership(name == codes::IP_ADD_MEMBERSHIP, group, interface)?;
            return Ok(0);
        }
        (IPV6, codes::IPV6_ADD_MEMBERSHIP | codes::IPV6_DROP_MEMBERSHIP) => {
            if len < 20 {
                return Err(Errno::EINVAL);
            }
            let group = Ip::from_bytes(call.ptr::<[u8; 16]>(3).read()?);
            let interface = UserPtr::<u32>::new(call.arg(3) + 16).read()?;
            socket.membership(name == codes::IPV6_ADD_MEMBERSHIP, group, interface)?;
            return Ok(0);
        }
        (IP, codes::IP_MULTICAST_IF) => {
            if socket.kind() == Kind::Stream {
                return Err(Errno::EINVAL);
            }
            let index = if len >= 8 { interface_of(call)? } else { interface_with(call.ptr::<[u8; 4]>(3).read()?)? };
            settings.set(Setting::MulticastIf, index as i32);
            return Ok(0);
        }
        (TCP, codes::TCP_CONGESTION) => return set_congestion(call, settings),
        _ => {}
    }
    let Some(Number(_, _, setting, least, most)) = number(level, name) else {
        unsupported!("setsockopt option of the Internet protocols", u64::from(level) << 32 | u64::from(name));
        return Err(Errno::ENOPROTOOPT);
    };
    let mut value = match len {
        4.. => call.ptr::<i32>(3).read()?,
        // Options of IPv4 may be a byte.
        1.. if level == IP => i32::from(call.ptr::<u8>(3).read()?),
        _ => return Err(Errno::EINVAL),
    };
    if (*least, *most) == (0, 1) {
        value = i32::from(value != 0);
    }
    let unset = match setting {
        Setting::MaxSeg | Setting::Tclass => value == 0,
        Setting::Ttl => value == 0,
        _ => false,
    };
    if !((*least..=*most).contains(&value) || unset && *setting == Setting::MaxSeg) || unset && *setting == Setting::Ttl
    {
        return Err(Errno::EINVAL);
    }
    match setting {
        Setting::V6Only if is_bound(socket) => return Err(Errno::EINVAL),
        Setting::MulticastTtl if socket.kind() == Kind::Stream => return Err(Errno::EINVAL),
        Setting::MulticastHops | Setting::MulticastLoop6 | Setting::MulticastIf6 if socket.kind() == Kind::Stream => {
            return Err(Errno::ENOPROTOOPT);
        }
        Setting::MulticastTtl | Setting::MulticastHops if value < 0 => value = 1,
        Setting::Tclass if value < 0 => value = 0,
        // The bits of congestion notification are TCP's own.
        Setting::Tos | Setting::Tclass if socket.kind() == Kind::Stream => value &= !3,
        Setting::DeferAccept => value = net::inet::repetitions(value).1,
        Setting::Linger2 if value < 0 => value = -1,
        Setting::Linger2 if value > 120 => value = 0,
        Setting::MulticastIf6 if value != 0 && net::interface::table().interface(value as u32).is_none() => {
            return Err(Errno::ENODEV);
        }
        _ => {}
    }
    settings.set(*setting, value);
    socket.setting_changed(Some(*setting));
    Ok(0)
}

fn is_bound(socket: &dyn Socket) -> bool {
    !matches!(socket.local_address(), net::Address::Inet(address) if address == net::InetAddress::unbound_v6())
}

/// The interface of a `struct ip_mreq` or `ip_mreqn`; 0 for any.
fn interface_of(call: &Call<'_>) -> Result<u32, Errno> {
    let len = call.int(4);
    if len < 8 {
        return Err(Errno::EINVAL);
    }
    if len >= 12 {
        let index = UserPtr::<u32>::new(call.arg(3) + 8).read()?;
        if index != 0 {
            return Ok(index);
        }
    }
    interface_with(UserPtr::<[u8; 4]>::new(call.arg(3) + 4).read()?)
}

/// The interface with an address; 0 for any.
fn interface_with(address: [u8; 4]) -> Result<u32, Errno> {
    let ip = Ip::from_v4_bytes(address);
    if ip.is_any() {
        return Ok(0);
    }
    net::interface::table().owner(ip).map(|interface| interface.index).ok_or(Errno::EADDRNOTAVAIL)
}

fn set_congestion(call: &Call<'_>, settings: &Settings) -> SysResult {
    let mut name = [0; 16];
    let len = (call.int(4).max(0) as usize).min(name.len());
    hal::user::copy_from(&mut name[..len], call.arg(3))?;
    let name = name.split(|&byte| byte == 0).next().unwrap_or(&[]);
    match name {
        b"cubic" => settings.set(Setting::Reno, 0),
        b"reno" => settings.set(Setting::Reno, 1),
        _ => return Err(Errno::ENOENT),
    }
    Ok(0)
}

pub fn get(call: &Call<'_>, socket: &dyn Socket) -> SysResult {
    let (level, name) = (call.uint(1), call.uint(2));
    // As on Linux a wrong level has one error in IPv4 and another in IPv6.
    let v4 = socket.family() == Family::Inet;
    let settings = settings(socket, level)
        .map_err(|error| if v4 && matches!(level, TCP | IPV6) { Errno::EOPNOTSUPP } else { error })?;
    let mut answer = Answer::new(call)?;
    match (level, name) {
        (TCP, codes::TCP_INFO) => {
            let info = socket.info().ok_or(Errno::ENOPROTOOPT)?;
            return answer.give_bytes(&info_bytes(&info));
        }
        (TCP, codes::TCP_CONGESTION) => {
            let mut text = [0; 16];
            let name: &[u8] = if settings.is_on(Setting::Reno) { b"reno" } else { b"cubic" };
            text[..name.len()].copy_from_slice(name);
            return answer.give_bytes(&text);
        }
        (TCP, codes::TCP_MAXSEG) => {
            let info = socket.info().unwrap_or_default();
            let own = settings.get(Setting::MaxSeg);
            return answer.give(&[if own != 0 && info.path_mtu == 0 { own } else { info.send_mss as i32 }]);
        }
        (IP, codes::IP_MULTICAST_IF) => {
            let table = net::interface::table();
            let interface = table.interface(settings.get(Setting::MulticastIf) as u32);
            let address = interface.and_then(|interface| interface.addresses.iter().find_map(|a| a.ip.v4()));
            return answer.give_bytes(&address.unwrap_or(0).to_be_bytes());
        }
        (IP, codes::IP_MTU) | (IPV6, codes::IPV6_MTU) => {
            let net::Address::Inet(peer) = socket.peer_address()? else { return Err(Errno::ENOTCONN) };
            let path = net::interface::path(peer.at.ip, peer.at.scope)?;
            return answer.give(&[path.mtu as i32]);
        }
        _ => {}
    }
    let Some(Number(_, _, setting, _, _)) = number(level, name) else {
        unsupported!("getsockopt option of the Internet protocols", u64::from(level) << 32 | u64::from(name));
        return Err(Errno::ENOPROTOOPT);
    };
    let mut value = settings.get(*setting);
    if matches!(setting, Setting::Ttl | Setting::UnicastHops) && value < 0 {
        value = 64;
    }
    if level == IP && (1..4).contains(&answer.room()) && (0..=255).contains(&value) {
        return answer.give_bytes(&[value as u8]);
    }
    answer.give(&[value])
}

/// `struct tcp_info` up to `tcpi_total_retrans` (`linux/tcp.h`).
fn info_bytes(info: &TcpInfo) -> [u8; 104] {
    let mut bytes = [0; 104];
    bytes[0] = info.state;
    bytes[5] = info.options;
    bytes[6] = info.scales.0 | info.scales.1 << 4;
    let words = [
        (8, info.rto_us),
        (12, 40_000),
        (16, info.send_mss),
        (20, info.receive_mss),
        (24, info.unacked),
        (60, info.path_mtu),
        (68, info.rtt_us.0),
        (72, info.rtt_us.1),
        (76, info.slow_start),
        (80, info.window),
        (84, info.send_mss),
        (88, 3),
        (96, info.receive_space),
        (100, info.retransmits),
    ];
    for (at, word) in words {
        bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// A control message of a datagram to be sent (EINVAL).
pub fn read_control(level: u32, kind: u32, data: &[u8], ancillary: &mut Ancillary) -> Result<(), Errno> {
    let packet =
        ancillary.packet.get_or_insert(PacketInfo { address: Ip::ANY_V6, interface: 0, ttl: -1, tos: -1, time_ns: 0 });
    let word = |at: usize| -> Result<i32, Errno> {
        let bytes = data.get(at..at + 4).ok_or(Errno::EINVAL)?;
        Ok(i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    match (level, kind) {
        (IP, codes::IP_PKTINFO) => {
            packet.interface = word(0)? as u32;
            packet.address = Ip::from_v4((word(4)? as u32).swap_bytes());
        }
        (IPV6, codes::IPV6_PKTINFO) => {
            let address: [u8; 16] = data.get(..16).and_then(|bytes| bytes.try_into().ok()).ok_or(Errno::EINVAL)?;
            packet.address = Ip::from_bytes(address);
            packet.interface = word(16)? as u32;
        }
        (IP, codes::IP_TTL) | (IPV6, codes::IPV6_HOPLIMIT) => packet.ttl = word(0)?,
        (IP, codes::IP_TOS) if data.len() == 1 => packet.tos = i32::from(data[0]),
        (IP, codes::IP_TOS) | (IPV6, codes::IPV6_TCLASS) => packet.tos = word(0)?,
        _ => {
            unsupported!("control message of the Internet protocols", u64::from(level) << 32 | u64::from(kind));
            return Err(Errno::EINVAL);
        }
    }
    Ok(())
}

/// Writes one control message: level, kind, data.
pub type Put<'a> = &'a mut dyn FnMut(u32, u32, &[i32]) -> Result<(), Errno>;

/// The control messages that a receiver asked for; `put` writes one.
pub fn put_control(packet: &PacketInfo, settings: &Settings, v6: bool, put: Put<'_>) -> Result<(), Errno> {
    let words = packet.address.bytes();
    let word = |n: usize| i32::from_ne_bytes([words[n * 4], words[n * 4 + 1], words[n * 4 + 2], words[n * 4 + 3]]);
    if settings.is_on(Setting::Timestamp) {
        let (seconds, micros) = (packet.time_ns / 1_000_000_000, packet.time_ns / 1000 % 1_000_000);
        let halves = [seconds as i32, (seconds >> 32) as i32, micros as i32, 0];
        put(codes::SOL_SOCKET, codes::SO_TIMESTAMP_OLD, &halves)?;
    }
    if v6 {
        if settings.is_on(Setting::RecvPktInfo6) {
            let info = [word(0), word(1), word(2), word(3), packet.interface as i32];
            put(IPV6, codes::IPV6_PKTINFO, &info)?;
        }
        if settings.is_on(Setting::RecvHopLimit) {
            put(IPV6, codes::IPV6_HOPLIMIT, &[packet.ttl])?;
        }
        if settings.is_on(Setting::RecvTclass) {
            put(IPV6, codes::IPV6_TCLASS, &[packet.tos])?;
        }
    }
    if packet.address.is_v4() {
        if settings.is_on(Setting::PktInfo) {
            put(IP, codes::IP_PKTINFO, &[packet.interface as i32, word(3), word(3)])?;
        }
        if settings.is_on(Setting::RecvTtl) {
            put(IP, codes::IP_TTL, &[packet.ttl])?;
        }
        if settings.is_on(Setting::RecvTos) {
            put(IP, codes::IP_TOS, &[packet.tos])?;
        }
    }
    Ok(())
}
