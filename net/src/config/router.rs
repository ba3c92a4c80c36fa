//! Routers of an IPv6 link: solicited a few times, then listened to (RFC 4861 section 6.3, RFC 4862 section 5.5).
//!
//! Addresses are made of the prefix and the interface's identifier.

use super::frame::{self, be16, be32, bytes};
use super::{Configuration, Ipv6Config, with_interface_id};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

const SECOND_NS: u64 = 1_000_000_000;
const SOLICITATIONS: u32 = 3;
const SOLICITATION_NS: u64 = 4 * SECOND_NS;
/// Bounds on what a router can make us remember.
const PREFIXES_MAX: usize = 4;
const SERVERS_MAX: usize = 3;
/// A prefix's life is not cut below this by a message that anybody on the link could send (RFC 4862 section 5.5.3 e).
const LIFE_MIN_S: u32 = 7200;
const FOREVER_S: u32 = u32::MAX;

const ROUTER_ADVERTISEMENT: u8 = 134;
const FIXED_BYTES: usize = 16;
/// Options.
const PREFIX: u8 = 3;
const MTU: u8 = 5;
const DNS: u8 = 25;
const FLAG_ON_LINK: u8 = 0x80;
const FLAG_AUTONOMOUS: u8 = 0x40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Until<T> {
    value: T,
    end_ns: u64,
}

/// What the link's routers said.
#[derive(Debug)]
pub(super) struct Router {
    mac: [u8; 6],
    solicitations: u32,
    next_ns: u64,
    addresses: Vec<Until<Ipv6Config>>,
    gateway: Option<Until<Ipv6Addr>>,
    servers: Vec<Until<Ipv6Addr>>,
    mtu_bytes: Option<u16>,
}

impl Router {
    pub(super) fn new(mac: [u8; 6], now_ns: u64) -> Self {
        let (addresses, servers) = (Vec::new(), Vec::new());
        Self { mac, solicitations: 0, next_ns: now_ns, addresses, gateway: None, servers, mtu_bytes: None }
    }

    /// Whether a frame is a router's.
    pub(super) fn wants(frame: &[u8]) -> bool {
        frame::neighbour_message(frame, ROUTER_ADVERTISEMENT, true).is_some()
    }

    pub(super) fn deadline_ns(&self) -> u64 {
        let ends = self.addresses.iter().map(|a| a.end_ns).chain(self.servers.iter().map(|s| s.end_ns));
        ends.chain(self.gateway.map(|gateway| gateway.end_ns)).fold(self.next_ns, u64::min)
    }

    /// Sends what is due and forgets what has ended; true if something has.
    pub(super) fn poll(&mut self, now_ns: u64, send: &mut dyn FnMut(&[u8])) -> bool {
        if now_ns >= self.next_ns {
            self.solicitations += 1;
            self.next_ns = if self.solicitations < SOLICITATIONS { now_ns + SOLICITATION_NS } else { u64::MAX };
            frame::send_router_solicitation(self.mac, send);
        }
        let before = (self.addresses.len(), self.servers.len(), self.gateway.is_some());
        self.addresses.retain(|address| address.end_ns > now_ns);
        self.servers.retain(|server| server.end_ns > now_ns);
        self.gateway = self.gateway.filter(|gateway| gateway.end_ns > now_ns);
        before != (self.addresses.len(), self.servers.len(), self.gateway.is_some())
    }

    /// Takes a frame in; true if something has changed.
    pub(super) fn receive(&mut self, frame: &[u8], is_checked: bool, now_ns: u64) -> bool {
        let Some((router, message)) = frame::neighbour_message(frame, ROUTER_ADVERTISEMENT, is_checked) else {
            return false;
        };
        if router.segments()[0] & 0xffc0 != 0xfe80 || message.len() < FIXED_BYTES {
            return false;
        }
        self.next_ns = u64::MAX;
        let mut before = Configuration::default();
        self.fill(&mut before);
        match u32::from(be16(message, 6).unwrap_or(0)) {
            0 => self.gateway = self.gateway.filter(|gateway| gateway.value != router),
            life_s => self.gateway = Some(Until { value: router, end_ns: end(life_s, now_ns) }),
        }
        let mut options = &message[FIXED_BYTES..];
        while let [kind, units, ..] = *options {
            let (true, Some(option)) = (units > 0, options.get(..usize::from(units) * 8)) else { break };
            self.take(kind, option, now_ns);
            options = &options[option.len()..];
        }
        let mut after = Configuration::default();
        self.fill(&mut after);
        before != after
    }

    fn take(&mut self, kind: u8, option: &[u8], now_ns: u64) {
        match kind {
            PREFIX if option.len() == 32 => self.take_prefix(option, now_ns),
            MTU => {
                let mtu = be32(option, 4).and_then(|mtu| u16::try_from(mtu).ok());
                self.mtu_bytes = mtu.filter(|mtu| *mtu >= 1280).or(self.mtu_bytes);
            }
            DNS => {
                let life_s = be32(option, 4).unwrap_or(0);
                for server in option[8..].chunks_exact(16).filter_map(|chunk| bytes::<16>(chunk, 0)) {
                    put(&mut self.servers, SERVERS_MAX, Ipv6Addr::from(server), life_s, now_ns, |a, b| a == b);
                }
            }
            _ => {}
        }
    }

    fn take_prefix(&mut self, option: &[u8], now_ns: u64) {
        let (bits, flags) = (option[2], option[3]);
        let (Some(valid_s), Some(preferred_s)) = (be32(option, 4), be32(option, 8)) else { return };
        let Some(prefix) = bytes::<16>(option, 16).map(Ipv6Addr::from) else { return };
        let is_usable = flags & FLAG_AUTONOMOUS != 0 && bits == 64 && preferred_s <= valid_s;
        let is_global = prefix.segments()[0] & 0xffc0 != 0xfe80 && !prefix.is_multicast() && !prefix.is_unspecified();
        if !is_usable || !is_global {
            return;
        }
        let prefix_bits = if flags & FLAG_ON_LINK != 0 { bits } else { 128 };
        let address = Ipv6Config { address: with_interface_id(prefix, self.mac), prefix_bits };
        let known = self.addresses.iter().find(|known| known.value.address == address.address);
        // An existing address's life may grow, but shrinks to two hours at most.
        let life_s = match known {
            Some(known) if valid_s < LIFE_MIN_S => {
                let left_s = (known.end_ns.saturating_sub(now_ns) / SECOND_NS).min(u64::from(FOREVER_S)) as u32;
                valid_s.max(left_s.min(LIFE_MIN_S))
            }
            _ => valid_s,
        };
        put(&mut self.addresses, PREFIXES_MAX, address, life_s, now_ns, |a, b| a.address == b.address);
    }

    /// Adds what the routers said to a configuration.
    pub(super) fn fill(&self, configuration: &mut Configuration) {
        configuration.ipv6.extend(self.addresses.iter().map(|address| address.value));
        configuration.gateway6 = self.gateway.map(|gateway| gateway.value);
        configuration.dns.extend(self.servers.iter().map(|server| IpAddr::V6(server.value)));
        configuration.mtu_bytes = configuration.mtu_bytes.into_iter().chain(self.mtu_bytes).min();
    }
}

fn end(life_s: u32, now_ns: u64) -> u64 {
    if life_s == FOREVER_S { u64::MAX } else { now_ns.saturating_add(u64::from(life_s) * SECOND_NS) }
}

/// Renews, adds (while there are fewer than `max`) or, with a life of 0, takes away.
fn put<T>(list: &mut Vec<Until<T>>, max: usize, value: T, life_s: u32, now_ns: u64, same: fn(&T, &T) -> bool) {
    let known = list.iter().position(|known| same(&known.value, &value));
    let entry = Until { value, end_ns: end(life_s, now_ns) };
    match known {
        Some(at) if life_s == 0 => drop(list.remove(at)),
        Some(at) => list[at] = entry,
        None if life_s > 0 && list.len() < max => list.push(entry),
        None => {}
    }
}
