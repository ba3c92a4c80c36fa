//! Addresses of both Internet protocols in one form: an IPv4 address is its IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2).

use core::fmt;

/// What an IPv4 address has above its 32 bits.
const MAPPED: u128 = 0xffff_0000_0000;

/// An IPv6 address, or an IPv4 address in mapped form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ip(pub u128);

impl Ip {
    /// `::`, any address of either protocol.
    pub const ANY_V6: Self = Self(0);
    /// `0.0.0.0`.
    pub const ANY_V4: Self = Self(MAPPED);
    /// `::1`.
    pub const LOOPBACK_V6: Self = Self(1);
    /// `127.0.0.1`.
    pub const LOOPBACK_V4: Self = Self::from_v4(0x7f00_0001);
    /// `255.255.255.255`.
    pub const BROADCAST: Self = Self::from_v4(u32::MAX);

    /// The IPv4 address with this value (host order).
    pub const fn from_v4(v4: u32) -> Self {
        Self(MAPPED | v4 as u128)
    }
    /// From the bytes of an IPv6 header.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
    /// From the bytes of an IPv4 header.
    pub const fn from_v4_bytes(bytes: [u8; 4]) -> Self {
        Self::from_v4(u32::from_be_bytes(bytes))
    }
    /// The 16 bytes, IPv4 mapped.
    pub const fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
    /// The IPv4 address in host order, if it is one.
    pub const fn v4(self) -> Option<u32> {
        if self.is_v4() { Some(self.0 as u32) } else { None }
    }
    /// Whether it is an IPv4 address.
    pub const fn is_v4(self) -> bool {
        // In halves: the processor has no compare of 128 bits.
        (self.0 >> 64) as u64 == 0 && self.0 as u64 >> 32 == (MAPPED >> 32) as u64
    }
    /// `::` or `0.0.0.0`.
    pub const fn is_any(self) -> bool {
        self.0 == 0 || self.0 == MAPPED
    }
    /// `127.0.0.0/8` or `::1`.
    pub const fn is_loopback(self) -> bool {
        self.0 == 1 || self.0 >> 24 == (MAPPED >> 24) | 0x7f
    }
    /// `224.0.0.0/4` or `ff00::/8`.
    pub const fn is_multicast(self) -> bool {
        if self.is_v4() { self.0 as u32 >> 28 == 0xe } else { self.0 >> 120 == 0xff }
    }
    /// `fe80::/10`.
    pub const fn is_link_local(self) -> bool {
        self.0 >> 118 == 0xfe80 >> 6
    }
    /// The broadcast address of every network.
    pub const fn is_broadcast(self) -> bool {
        self.0 == Self::BROADCAST.0
    }
    /// Whether the first `prefix` bits are those of `network` (IPv4: 0 to 32, IPv6: 0 to 128).
    pub fn is_in(self, network: Ip, prefix: u8) -> bool {
        if self.is_v4() != network.is_v4() {
            return false;
        }
        let width = if self.is_v4() { 32 } else { 128 };
        (self.0 ^ network.0).checked_shr(width - u32::from(prefix).min(width)).unwrap_or(0) == 0
    }
    /// Any address of the same protocol.
    pub const fn any_of_kind(self) -> Ip {
        if self.is_v4() { Self::ANY_V4 } else { Self::ANY_V6 }
    }
}

impl fmt::Debug for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.v4() {
            Some(v4) => fmt::Display::fmt(&core::net::Ipv4Addr::from(v4), f),
            None => fmt::Display::fmt(&core::net::Ipv6Addr::from(self.0), f),
        }
    }
}

/// An address and a port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    /// Address.
    pub ip: Ip,
    /// Port; 0 is none.
    pub port: u16,
    /// The interface of a link-local address; 0 is none.
    pub scope: u32,
}

impl Endpoint {
    /// Of an address that is the same on every interface.
    pub const fn new(ip: Ip, port: u16) -> Self {
        Self { ip, port, scope: 0 }
    }
}

/// What tells connections apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tuple {
    /// This end's address.
    pub local_ip: Ip,
    /// The other end's address.
    pub remote_ip: Ip,
    /// This end's port.
    pub local_port: u16,
    /// The other end's port.
    pub remote_port: u16,
}

impl Tuple {
    /// Between two ends.
    pub const fn new(local: Endpoint, remote: Endpoint) -> Self {
        Self { local_ip: local.ip, remote_ip: remote.ip, local_port: local.port, remote_port: remote.port }
    }
}

/// Whether a socket bound to `a` and one bound to `b` would get the same packets; `only` says that a `::` means IPv6 alone.
pub fn overlap(a: Ip, a_only: bool, b: Ip, b_only: bool) -> bool {
    if a == b {
        return true;
    }
    let covers = |any: Ip, only: bool, other: Ip| match any {
        Ip::ANY_V6 => !only || !other.is_v4(),
        Ip::ANY_V4 => other.is_v4(),
        _ => false,
    };
    covers(a, a_only, b) || covers(b, b_only, a)
}
