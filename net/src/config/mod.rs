//! How the machine gets its addresses: DHCPv4, IPv6's stateless autoconfiguration, or as the user said; and who waits.
//!
//! # Concept
//! A [`Client`] is a machine without threads, sockets or a clock: frames and the time go in, frames and the time of the
//! next call come out. The stack drives it on the thread that moves frames:
//! ```text
//! let mut client = Client::new(mac, random, now);          once the device runs
//! if Client::wants(frame) && client.receive(frame, ..) { apply(client.configuration()) }
//! let poll = client.poll(now, &mut |frame| transmit(frame));      whenever `poll.deadline_ns` has come
//! if poll.has_changed { apply(client.configuration()) }
//! ```
//! It works on whole frames because an interface without an address has no other way to be spoken to.
//!
//! Nothing delays the program: the client runs beside it. Who needs the network for the first time (connect, sendto, the
//! resolver's reading of /etc/resolv.conf) calls [`wait`], which ends when addresses are there or cannot be expected any more.
//!
//! # Specifications
//! RFC 2131, 2132, 3442 (DHCP); RFC 4861, 4862, 8106 (router advertisements).

mod client;
mod dhcp;
mod frame;
mod resolv_conf;
mod router;
mod state;
#[cfg(test)]
mod tests;

pub use client::{Client, Poll};
pub use resolv_conf::{ResolvConf, resolv_conf};
pub use state::{Wish, current, set_starter, set_wish, wait};

use alloc::{string::String, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An interface's IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Config {
    /// The address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix, 0 to 32.
    pub prefix_bits: u8,
    /// Where packets for other networks go; it need not be in the network (some clouds give a prefix of 32).
    pub gateway: Option<Ipv4Addr>,
}

/// An interface's IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Config {
    /// The address.
    pub address: Ipv6Addr,
    /// Length of the on-link prefix; 128 when the router did not say that the prefix is on the link.
    pub prefix_bits: u8,
}

/// All that an interface and the resolver need to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// At most one.
    pub ipv4: Option<Ipv4Config>,
    /// Global addresses; the link-local one ([`link_local`]) is always there beside them.
    pub ipv6: Vec<Ipv6Config>,
    /// Where IPv6 packets for other networks go.
    pub gateway6: Option<Ipv6Addr>,
    /// Name servers, best first.
    pub dns: Vec<IpAddr>,
    /// Domain that short names are looked up in.
    pub domain: Option<String>,
    /// The network's MTU if it said so, 576 (IPv4) to 65,535 bytes; the device's own may be smaller.
    pub mtu_bytes: Option<u16>,
}

/// The link-local address of an interface (RFC 4291 appendix A).
pub fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    with_interface_id(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), mac)
}

/// `prefix` (64 bits) with the interface's identifier behind it.
fn with_interface_id(prefix: Ipv6Addr, mac: [u8; 6]) -> Ipv6Addr {
    let mut octets = prefix.octets();
    octets[8..].copy_from_slice(&[mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]]);
    octets.into()
}
