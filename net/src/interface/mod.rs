//! The interfaces, their addresses and the routes: a table that is replaced as a whole, so that readers take a reference
//! and hold no lock.
//!
//! `lo` is always there. Others come by [`add`], from whoever found a device; addresses and routes by [`set_addresses`]
//! and [`set_routes`], from whoever knows them (DHCP, router advertisements, the manifest).

use crate::inet::Ip;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use fs::{FsError, FsResult};
use hal::sync::SpinLock;

/// The number of `lo`.
pub const LOOPBACK: u32 = 1;
/// MTU of `lo`, bytes.
const LOOPBACK_MTU: u32 = 65536;

/// An address of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterfaceAddress {
    /// The address.
    pub ip: Ip,
    /// Bits that the network shares (IPv4: 0 to 32, IPv6: 0 to 128).
    pub prefix: u8,
}

/// One interface.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its number, from 1.
    pub index: u32,
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its Ethernet address; zeros of `lo`.
    pub mac: [u8; 6],
    /// Bytes of an IP packet at most.
    pub mtu: u32,
    /// Whether packets can go.
    pub up: bool,
    /// Its addresses.
    pub addresses: Vec<InterfaceAddress>,
}

impl Interface {
    /// Whether it is `lo`.
    pub fn is_loopback(&self) -> bool {
        self.index == LOOPBACK
    }
    /// Its first address of this protocol that is (or is not) link-local.
    fn address(&self, v4: bool, link_local: bool) -> Option<Ip> {
        let fits = |ip: Ip| ip.is_v4() == v4 && ip.is_link_local() == link_local;
        self.addresses.iter().map(|address| address.ip).find(|&ip| fits(ip))
    }
}

/// Where packets to a network go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The interface.
    pub interface: u32,
    /// The network's address.
    pub network: Ip,
    /// Bits that count; 0 is the default route of its protocol.
    pub prefix: u8,
    /// The router; `None`: the destination is on the link.
    pub gateway: Option<Ip>,
}

/// Everything at one time.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The interfaces, by number.
    pub interfaces: Vec<Interface>,
    /// The routes, the most special first.
    pub routes: Vec<Route>,
}

/// How a packet gets to its destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// The interface that it leaves by; `LOOPBACK` when it does not leave.
    pub interface: u32,
    /// Where the sender's packets come from unless it says otherwise.
    pub source: Ip,
    /// Whose Ethernet address is needed.
    pub next_hop: Ip,
    /// Bytes of an IP packet at most.
    pub mtu: u32,
}

static TABLE: SpinLock<Option<Arc<Table>>> = SpinLock::new(None);
/// Every address of the table's interfaces, side by side.
static OWN: SpinLock<Vec<Ip>> = SpinLock::new(Vec::new());

/// The interfaces and routes as they are now.
pub fn table() -> Arc<Table> {
    TABLE.lock().get_or_insert_with(|| Arc::new(Table::with_loopback())).clone()
}

fn change(change: impl FnOnce(&mut Table)) {
    let mut fresh = Table::clone(&table());
    change(&mut fresh);
    fresh.routes.sort_by_key(|route| core::cmp::Reverse(route.prefix));
    let own = fresh.interfaces.iter().flat_map(|interface| &interface.addresses).map(|address| address.ip).collect();
    let _old = (TABLE.lock().replace(Arc::new(fresh)), core::mem::replace(&mut *OWN.lock(), own));
}

/// Adds an interface, up and without addresses; its number.
pub fn add(name: &str, mac: [u8; 6], mtu: u32) -> u32 {
    let mut index = 0;
    change(|table| {
        index = table.interfaces.len() as u32 + 1;
        table.interfaces.push(Interface { index, name: name.into(), mac, mtu, up: true, addresses: Vec::new() });
    });
    index
}

/// Gives an interface its addresses, in place of those that it had, and each of their networks a route.
pub fn set_addresses(index: u32, addresses: &[InterfaceAddress]) {
    change(|table| {
        table.routes.retain(|route| route.interface != index || route.gateway.is_some());
        for address in addresses.iter().filter(|address| !address.ip.is_loopback()) {
            let width = if address.ip.is_v4() { 32 } else { 128 };
            let host_bits = width - u32::from(address.prefix).min(width);
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            let network = Ip(address.ip.0 & mask | if address.ip.is_v4() { Ip::ANY_V4.0 } else { 0 });
            table.routes.push(Route { interface: index, network, prefix: address.prefix, gateway: None });
        }
        if let Some(interface) = table.interfaces.iter_mut().find(|interface| interface.index == index) {
            interface.addresses = addresses.to_vec();
        }
    });
}

/// Gives an interface its routes over routers, in place of those that it had.
pub fn set_routes(index: u32, routes: &[Route]) {
    change(|table| {
        table.routes.retain(|route| route.interface != index || route.gateway.is_none());
        table.routes.extend(routes.iter().filter(|route| route.interface == index));
    });
}

/// Takes an interface down or up, or changes its MTU.
pub fn set_state(index: u32, up: bool, mtu: u32) {
    change(|table| {
        if let Some(interface) = table.interfaces.iter_mut().find(|interface| interface.index == index) {
            (interface.up, interface.mtu) = (up, mtu);
        }
    });
}

/// Whether packets to `ip` stay here.
pub fn is_local(ip: Ip) -> bool {
    ip.is_loopback() || table().is_own(ip)
}

/// Whether an interface has the one address, and the other: what is asked of every packet.
pub(crate) fn are_own(one: Ip, other: Ip) -> (bool, bool) {
    OWN.lock().iter().fold((false, false), |found, &ip| (found.0 | (ip == one), found.1 | (ip == other)))
}

/// The way to `destination`. Errors: `NetworkUnreachable`.
pub fn path(destination: Ip, scope: u32) -> FsResult<Path> {
    if destination.is_loopback() {
        return Ok(Path { interface: LOOPBACK, source: destination, next_hop: destination, mtu: LOOPBACK_MTU });
    }
    let table = table();
    if !table.is_own(destination) {
        crate::device::ensure(destination);
    }
    self::table().path(destination, scope)
}

impl Table {
    fn with_loopback() -> Self {
        let addresses = alloc::vec![
            InterfaceAddress { ip: Ip::LOOPBACK_V4, prefix: 8 },
            InterfaceAddress { ip: Ip::LOOPBACK_V6, prefix: 128 },
        ];
        let lo = Interface { index: LOOPBACK, name: "lo".into(), mac: [0; 6], mtu: LOOPBACK_MTU, up: true, addresses };
        Self { interfaces: alloc::vec![lo], routes: Vec::new() }
    }

    /// One interface.
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.index == index)
    }

    /// Whether an interface has this address.
    pub fn is_own(&self, ip: Ip) -> bool {
        self.owner(ip).is_some()
    }

    /// The interface with this address.
    pub fn owner(&self, ip: Ip) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.addresses.iter().any(|address| address.ip == ip))
    }

    /// As [`path`].
    pub fn path(&self, destination: Ip, scope: u32) -> FsResult<Path> {
        if self.is_own(destination) {
            return Ok(Path { interface: LOOPBACK, source: destination, next_hop: destination, mtu: LOOPBACK_MTU });
        }
        let v4 = destination.is_v4();
        let link = destination.is_multicast() || destination.is_broadcast() || destination.is_link_local();
        if link {
            // The link is the one that was named, or the first real one.
            let fits = |interface: &&Interface| match scope {
                0 => !interface.is_loopback() && interface.up,
                scope => interface.index == scope,
            };
            let interface = self
                .interfaces
                .iter()
                .find(fits)
                .or(self.interfaces.first().filter(|_| scope == 0 && destination.is_multicast()));
            let interface = interface.ok_or(FsError::NetworkUnreachable)?;
            let local = destination.is_link_local() || !v4 && self.scope_is_link(destination);
            let source = interface.address(v4, local).or_else(|| interface.address(v4, !local));
            let source = source.or_else(|| interface.is_loopback().then_some(destination.any_of_kind()));
            let source = source.unwrap_or(destination.any_of_kind());
            return Ok(Path { interface: interface.index, source, next_hop: destination, mtu: interface.mtu });
        }
        let usable = |route: &&Route| {
            destination.is_in(route.network, route.prefix)
                && self.interface(route.interface).is_some_and(|interface| interface.up)
        };
        let route = self.routes.iter().find(usable).ok_or(FsError::NetworkUnreachable)?;
        let interface = self.interface(route.interface).ok_or(FsError::NetworkUnreachable)?;
        // The address in the router's (or the destination's) own network comes first.
        let next_hop = route.gateway.unwrap_or(destination);
        let near = |address: &&InterfaceAddress| next_hop.is_in(address.ip, address.prefix);
        let near = interface.addresses.iter().find(near).map(|address| address.ip);
        let source = near.filter(|ip| !ip.is_link_local()).or_else(|| interface.address(v4, false));
        let source = source.ok_or(FsError::NetworkUnreachable)?;
        let mtu = crate::inet::ip::path_mtu::of(destination, interface.mtu);
        Ok(Path { interface: interface.index, source, next_hop, mtu })
    }

    /// Whether an IPv6 group is one of the link or the interface.
    fn scope_is_link(&self, group: Ip) -> bool {
        group.is_multicast() && matches!(group.bytes()[1] & 0xf, 1 | 2)
    }
}

impl Interface {
    /// Bytes, packets and errors received, bytes and packets sent.
    pub fn counts(&self) -> [u64; 5] {
        let Some(device) = crate::device::device().filter(|device| device.index == self.index) else { return [0; 5] };
        let counts = device.nic.statistics();
        [
            counts.receive_bytes,
            counts.receive_frames,
            counts.receive_errors,
            counts.transmit_bytes,
            counts.transmit_frames,
        ]
    }
}
