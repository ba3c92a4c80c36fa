//! ioctl of sockets: the interfaces and their addresses (netdevice(7)).

use crate::syscall::{Call, Errno, SysResult};
use crate::uaccess::{UserPtr, UserSlice};
use linux_raw_sys::{ioctl as codes, net as families};
use net::Socket;
use net::inet::Ip;
use net::interface::{Interface, InterfaceAddress, table};

/// Bytes of an interface's name in a `struct ifreq`, and of the whole.
const NAME_LEN: usize = 16;
const REQUEST_LEN: usize = 40;

const UP: u32 = 1;
const BROADCAST: u32 = 2;
const LOOPBACK: u32 = 8;
const RUNNING: u32 = 0x40;
const MULTICAST: u32 = 0x1000;
/// Kinds of hardware (`linux/if_arp.h`).
pub const ARPHRD_ETHER: u16 = 1;
/// See [`ARPHRD_ETHER`].
pub const ARPHRD_LOOPBACK: u16 = 772;

/// An interface's flags (IFF_UP, ...).
pub fn flags(interface: &Interface) -> u32 {
    let up = if interface.up { UP | RUNNING } else { 0 };
    up | if interface.is_loopback() { LOOPBACK } else { BROADCAST | MULTICAST }
}

/// The broadcast address of an IPv4 network.
pub fn broadcast(address: &InterfaceAddress) -> u32 {
    address.ip.v4().unwrap_or(0) | !mask(address)
}

fn mask(address: &InterfaceAddress) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(address.prefix.min(32))).unwrap_or(0)
}

/// The request, if it is one for sockets.
pub fn request(call: &Call<'_>, socket: &dyn Socket, request: u32) -> Option<SysResult> {
    Some(match request {
        codes::SIOCGIFCONF => configuration(call),
        codes::TIOCOUTQ => call.ptr::<i32>(2).write(socket.unsent_bytes() as i32).map(|()| 0),
        codes::SIOCATMARK => call.ptr::<i32>(2).write(0).map(|()| 0),
        codes::SIOCGIFNAME
        | codes::SIOCGIFINDEX
        | codes::SIOCGIFFLAGS
        | codes::SIOCGIFADDR
        | codes::SIOCGIFDSTADDR
        | codes::SIOCGIFBRDADDR
        | codes::SIOCGIFNETMASK
        | codes::SIOCGIFMETRIC
        | codes::SIOCGIFMTU
        | codes::SIOCGIFHWADDR
        | codes::SIOCGIFTXQLEN => one(call, request),
        _ => return None,
    })
}

fn inet(address: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&(families::AF_INET as u16).to_ne_bytes());
    bytes[4..8].copy_from_slice(&address.to_be_bytes());
    bytes
}

fn v4_addresses(interface: &Interface) -> impl Iterator<Item = &InterfaceAddress> {
    interface.addresses.iter().filter(|address| address.ip.is_v4())
}

/// SIOCGIFCONF: every IPv4 address with its interface's name; without a buffer, how many bytes they are.
fn configuration(call: &Call<'_>) -> SysResult {
    net::device::ensure(Ip::ANY_V4);
    let header = call.ptr::<[u64; 2]>(2);
    let [room, buffer] = header.read()?;
    let room = (room as i32).max(0) as usize;
    let mut out = UserSlice::new(buffer, room);
    let mut used = 0;
    for interface in &table().interfaces {
        for address in v4_addresses(interface) {
            if buffer != 0 {
                if out.len() < REQUEST_LEN {
                    continue;
                }
                let mut entry = [0; REQUEST_LEN];
                put_name(&mut entry, interface);
                entry[NAME_LEN..NAME_LEN + 16].copy_from_slice(&inet(address.ip.v4().unwrap_or(0)));
                out.write(&entry)?;
            }
            used += REQUEST_LEN as u64;
        }
    }
    UserPtr::<u32>::new(header.addr()).write(used as u32)?;
    Ok(0)
}

fn put_name(entry: &mut [u8], interface: &Interface) {
    let name = interface.name.as_bytes();
    let len = name.len().min(NAME_LEN - 1);
    entry[..NAME_LEN].fill(0);
    entry[..len].copy_from_slice(&name[..len]);
}

/// A question about one interface, which is named (SIOCGIFNAME: numbered) in the request (ENODEV).
fn one(call: &Call<'_>, request: u32) -> SysResult {
    let pointer = call.ptr::<[u8; REQUEST_LEN]>(2);
    let mut entry = pointer.read()?;
    let table = table();
    let interface = if request == codes::SIOCGIFNAME {
        table.interface(u32::from_ne_bytes([entry[16], entry[17], entry[18], entry[19]]))
    } else {
        // A label such as `eth0:1` is the interface.
        let name = entry[..NAME_LEN].split(|&byte| byte == 0 || byte == b':').next().unwrap_or(&[]);
        table.interfaces.iter().find(|interface| interface.name.as_bytes() == name)
    };
    let interface = interface.ok_or(Errno::ENODEV)?;
    let value = &mut entry[NAME_LEN..];
    let address = || v4_addresses(interface).next().ok_or(Errno::EADDRNOTAVAIL);
    let mut number = |number: u32| value[..4].copy_from_slice(&number.to_ne_bytes());
    match request {
        codes::SIOCGIFNAME => put_name(&mut entry, interface),
        codes::SIOCGIFINDEX => number(interface.index),
        codes::SIOCGIFFLAGS => value[..2].copy_from_slice(&(flags(interface) as u16).to_ne_bytes()),
        codes::SIOCGIFMTU => number(interface.mtu),
        codes::SIOCGIFMETRIC => number(0),
        codes::SIOCGIFTXQLEN => number(1000),
        codes::SIOCGIFADDR | codes::SIOCGIFDSTADDR => {
            value[..16].copy_from_slice(&inet(address()?.ip.v4().unwrap_or(0)));
        }
        codes::SIOCGIFBRDADDR => {
            let broadcast = if interface.is_loopback() { 0 } else { broadcast(address()?) };
            value[..16].copy_from_slice(&inet(broadcast));
        }
        codes::SIOCGIFNETMASK => value[..16].copy_from_slice(&inet(mask(address()?))),
        _ => {
            value[..16].fill(0);
            let kind = if interface.is_loopback() { ARPHRD_LOOPBACK } else { ARPHRD_ETHER };
            value[..2].copy_from_slice(&kind.to_ne_bytes());
            value[2..8].copy_from_slice(&interface.mac);
        }
    }
    pointer.write(entry)?;
    Ok(0)
}

/// SO_BINDTODEVICE: an interface that does not exist is ENODEV; one that does changes nothing while there is one beside `lo`.
pub fn bind_to_device(call: &Call<'_>) -> SysResult {
    let mut name = [0; NAME_LEN];
    let len = (call.int(4).max(0) as usize).min(NAME_LEN);
    hal::user::copy_from(&mut name[..len], call.arg(3))?;
    let name = name.split(|&byte| byte == 0).next().unwrap_or(&[]);
    if name.is_empty() || table().interfaces.iter().any(|interface| interface.name.as_bytes() == name) {
        return Ok(0);
    }
    Err(Errno::ENODEV)
}

/// The scope of an address as routing messages say it (`linux/rtnetlink.h`).
pub fn scope(ip: Ip) -> u8 {
    const HOST: u8 = 254;
    const LINK: u8 = 253;
    match ip {
        ip if ip.is_loopback() => HOST,
        ip if ip.is_link_local() => LINK,
        _ => 0,
    }
}
