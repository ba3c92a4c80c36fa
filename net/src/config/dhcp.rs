//! DHCP for IPv4, the client's side (RFC 2131 section 4.4): discover, request, renew, rebind, start again.

use super::frame::{self, BROADCAST, be16, be32, bytes};
use super::{Ipv4Config, state};
use alloc::{string::String, vec::Vec};
use core::net::Ipv4Addr;

const SECOND_NS: u64 = 1_000_000_000;
/// The first repeat comes quickly: a switch port or a tap may have come up just now.
const FIRST_REPEAT_NS: u64 = SECOND_NS / 2;
const LAST_REPEAT_NS: u64 = 64 * SECOND_NS;
/// Requests for one offer before a new offer is sought.
const REQUEST_TRIES: u32 = 4;
/// Shorter leases are taken as this long, so that a server cannot make us busy.
const LEASE_MIN_S: u32 = 60;
/// A lease that does not end, and the default for servers that say nothing.
const LEASE_INFINITE: u32 = u32::MAX;
/// Renewals are repeated after half the time that is left, but not sooner than this (section 4.4.5).
const RENEW_MIN_NS: u64 = 60 * SECOND_NS;
const DNS_MAX: usize = 3;

const MAGIC: u32 = 0x6382_5363;
const FIXED_BYTES: usize = 236;
/// BOOTP's shortest message: some relays drop shorter ones.
const MESSAGE_MIN: usize = 300;

/// Message types (RFC 2132 section 9.6).
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;

/// Options (RFC 2132; 121: RFC 3442).
mod option {
    pub const PAD: u8 = 0;
    pub const MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const HOSTNAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const MTU: u8 = 26;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE: u8 = 51;
    pub const TYPE: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const WISHES: u8 = 55;
    pub const MAX_BYTES: u8 = 57;
    pub const T1: u8 = 58;
    pub const T2: u8 = 59;
    pub const CLIENT: u8 = 61;
    pub const ROUTES: u8 = 121;
    pub const END: u8 = 255;
}

/// What a server grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub ipv4: Ipv4Config,
    pub dns: Vec<Ipv4Addr>,
    pub domain: Option<String>,
    pub mtu_bytes: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    renew_ns: u64,
    rebind_ns: u64,
    end_ns: u64,
}

#[derive(Debug)]
enum State {
    /// Discovers are out.
    Selecting,
    /// A server's offer is asked for.
    Requesting { address: Ipv4Addr, server: Ipv4Addr },
    /// The address is ours; the server's addresses, for renewals.
    Bound { lease: Lease, server: ([u8; 6], Ipv4Addr) },
}

/// The client.
#[derive(Debug)]
pub(super) struct Dhcp {
    mac: [u8; 6],
    state: State,
    grant: Option<Grant>,
    transaction: u32,
    /// Messages sent in this state.
    tries: u32,
    next_ns: u64,
    started_ns: u64,
}

impl Dhcp {
    pub(super) fn new(mac: [u8; 6], random: u32, now_ns: u64) -> Self {
        let state = State::Selecting;
        Self { mac, state, grant: None, transaction: random, tries: 0, next_ns: now_ns, started_ns: now_ns }
    }

    /// What holds now.
    pub(super) fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// When to call [`Dhcp::poll`].
    pub(super) fn deadline_ns(&self) -> u64 {
        self.next_ns
    }

    fn enter(&mut self, state: State, next_ns: u64) {
        self.state = state;
        self.tries = 0;
        self.next_ns = next_ns;
    }

    fn start_over(&mut self, now_ns: u64) {
        self.transaction = self.transaction.wrapping_add(1);
        self.started_ns = now_ns;
        self.enter(State::Selecting, now_ns);
    }

    /// Sends what is due; true if the grant has gone.
    pub(super) fn poll(&mut self, now_ns: u64, send: &mut dyn FnMut(&[u8])) -> bool {
        if now_ns < self.next_ns {
            return false;
        }
        let mut has_changed = false;
        match self.state {
            State::Bound { lease, .. } if now_ns >= lease.end_ns => {
                self.grant = None;
                has_changed = true;
                self.start_over(now_ns);
            }
            State::Requesting { .. } if self.tries >= REQUEST_TRIES => self.start_over(now_ns),
            _ => {}
        }
        self.speak(now_ns, send);
        self.tries += 1;
        self.next_ns = match self.state {
            State::Bound { lease, .. } => {
                let limit_ns = if now_ns < lease.rebind_ns { lease.rebind_ns } else { lease.end_ns };
                limit_ns.min(now_ns + ((limit_ns - now_ns) / 2).max(RENEW_MIN_NS))
            }
            _ => {
                let repeat_ns = (FIRST_REPEAT_NS << (self.tries - 1).min(8)).min(LAST_REPEAT_NS);
                // Up to an eighth more or less by chance, so that machines that start together drift apart.
                let chance = u64::from(self.transaction.wrapping_mul(0x9e37_79b9).rotate_left(self.tries) % 256);
                now_ns + repeat_ns - repeat_ns / 8 + repeat_ns / 4 * chance / 256
            }
        };
        has_changed
    }

    fn speak(&self, now_ns: u64, send: &mut dyn FnMut(&[u8])) {
        let everybody = (BROADCAST, Ipv4Addr::BROADCAST);
        let seconds = ((now_ns - self.started_ns) / SECOND_NS).min(0xffff) as u16;
        let mut message = Message::new(self, seconds);
        let (to, from) = match self.state {
            State::Selecting => {
                message.put(option::TYPE, &[DISCOVER]);
                (everybody, Ipv4Addr::UNSPECIFIED)
            }
            State::Requesting { address, server } => {
                message.put(option::TYPE, &[REQUEST]);
                message.put(option::REQUESTED_ADDRESS, &address.octets());
                message.put(option::SERVER, &server.octets());
                (everybody, Ipv4Addr::UNSPECIFIED)
            }
            State::Bound { lease, server } => {
                let Some(grant) = &self.grant else { return };
                message.put(option::TYPE, &[REQUEST]);
                message.bytes[12..16].copy_from_slice(&grant.ipv4.address.octets());
                (if now_ns < lease.rebind_ns { server } else { everybody }, grant.ipv4.address)
            }
        };
        message.finish();
        frame::send_dhcp(self.mac, to, from, &message.bytes, send);
    }

    /// Takes a frame in; true if the grant has changed.
    pub(super) fn receive(&mut self, frame: &[u8], now_ns: u64) -> bool {
        let Some((sender, message)) = frame::dhcp_message(frame) else { return false };
        let is_ours = message.first() == Some(&2)
            && be32(message, 4) == Some(self.transaction)
            && bytes(message, 28) == Some(self.mac)
            && be32(message, FIXED_BYTES) == Some(MAGIC);
        let (true, Some(options)) = (is_ours, message.get(FIXED_BYTES + 4..)) else { return false };
        let kind = find(options, option::TYPE).and_then(|value| value.first().copied());
        let server = address(options, option::SERVER).unwrap_or(Ipv4Addr::UNSPECIFIED);
        let yours = bytes(message, 16).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
        match (&self.state, kind) {
            (State::Selecting, Some(OFFER)) if is_host(yours) => {
                self.enter(State::Requesting { address: yours, server }, now_ns);
                false
            }
            (State::Requesting { address, server: chosen }, Some(ACK)) if yours == *address && server == *chosen => {
                self.bind((sender, server), grant(yours, options), options, now_ns)
            }
            (State::Bound { .. }, Some(ACK)) if self.tries > 0 && is_host(yours) => {
                self.bind((sender, server), grant(yours, options), options, now_ns)
            }
            (State::Requesting { server: chosen, .. }, Some(NAK)) if server == *chosen => {
                self.start_over(now_ns);
                false
            }
            (State::Bound { .. }, Some(NAK)) if self.tries > 0 => {
                self.start_over(now_ns);
                self.grant.take().is_some()
            }
            _ => false,
        }
    }

    fn bind(&mut self, server: ([u8; 6], Ipv4Addr), grant: Grant, options: &[u8], now_ns: u64) -> bool {
        let number = |kind| find(options, kind).and_then(|value| be32(value, 0));
        let lease_s = number(option::LEASE).unwrap_or(LEASE_INFINITE).max(LEASE_MIN_S);
        let renew_s = number(option::T1).filter(|t1| *t1 < lease_s).unwrap_or(lease_s / 2).max(LEASE_MIN_S / 2);
        let late_s = lease_s - lease_s / 8;
        let rebind_s = number(option::T2).filter(|t2| (renew_s..lease_s).contains(t2)).unwrap_or(late_s.max(renew_s));
        let after = |seconds: u32| match lease_s {
            LEASE_INFINITE => u64::MAX,
            _ => now_ns.saturating_add(u64::from(seconds) * SECOND_NS),
        };
        let lease = Lease { renew_ns: after(renew_s), rebind_ns: after(rebind_s), end_ns: after(lease_s) };
        self.transaction = self.transaction.wrapping_add(1);
        self.started_ns = now_ns;
        self.enter(State::Bound { lease, server }, lease.renew_ns);
        let has_changed = self.grant.as_ref() != Some(&grant);
        self.grant = Some(grant);
        has_changed
    }
}

/// A message that is being written.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(client: &Dhcp, seconds: u16) -> Self {
        let mut bytes = alloc::vec![0; FIXED_BYTES];
        // Request, Ethernet, addresses of 6 bytes.
        bytes[..3].copy_from_slice(&[1, 1, 6]);
        bytes[4..8].copy_from_slice(&client.transaction.to_be_bytes());
        bytes[8..10].copy_from_slice(&seconds.to_be_bytes());
        bytes[28..34].copy_from_slice(&client.mac);
        bytes.extend(MAGIC.to_be_bytes());
        Self { bytes }
    }

    fn put(&mut self, kind: u8, value: &[u8]) {
        self.bytes.extend([kind, value.len() as u8]);
        self.bytes.extend_from_slice(value);
    }

    /// Adds what every message has.
    fn finish(&mut self) {
        let mut client = [1; 7];
        client[1..].copy_from_slice(&{
            let mut mac = [0; 6];
            mac.copy_from_slice(&self.bytes[28..34]);
            mac
        });
        self.put(option::CLIENT, &client);
        self.put(option::MAX_BYTES, &1472u16.to_be_bytes());
        let name = state::hostname();
        if !name.is_empty() && name.len() <= 63 {
            self.put(option::HOSTNAME, name.as_bytes());
        }
        // Routes before the router: RFC 3442.
        let wishes = [option::MASK, option::ROUTES, option::ROUTER, option::DNS, option::DOMAIN, option::MTU];
        self.put(option::WISHES, &wishes);
        self.bytes.push(option::END);
        self.bytes.resize(self.bytes.len().max(MESSAGE_MIN), option::PAD);
    }
}

/// The value of an option; nothing behind a length that leads outside.
fn find(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        match *options.first()? {
            option::PAD => options = &options[1..],
            option::END => return None,
            kind => {
                let len = usize::from(*options.get(1)?);
                let value = options.get(2..2 + len)?;
                if kind == wanted {
                    return Some(value);
                }
                options = &options[2 + len..];
            }
        }
    }
}

fn address(options: &[u8], kind: u8) -> Option<Ipv4Addr> {
    bytes(find(options, kind)?, 0).map(Ipv4Addr::from)
}

/// An address that an interface can have.
fn is_host(address: Ipv4Addr) -> bool {
    !(address.octets()[0] == 0 || address.is_loopback() || address.octets()[0] >= 224)
}

fn grant(address_given: Ipv4Addr, options: &[u8]) -> Grant {
    let mask = address(options, option::MASK).map(|mask| u32::from(mask).leading_ones() as u8);
    // Without a mask: that of the address's class, as Linux's clients take it.
    let prefix_bits = mask.unwrap_or(match address_given.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    });
    let routes = find(options, option::ROUTES);
    let gateway = routes.map_or_else(|| address(options, option::ROUTER), default_route).filter(|g| is_host(*g));
    let dns = find(options, option::DNS).unwrap_or_default();
    let dns = dns.chunks_exact(4).filter_map(|chunk| bytes(chunk, 0)).map(Ipv4Addr::from);
    let domain = find(options, option::DOMAIN).and_then(|text| core::str::from_utf8(text).ok());
    let domain = domain.map(|text| text.trim_end_matches(['\0', '.'])).filter(|text| is_domain(text));
    Grant {
        ipv4: Ipv4Config { address: address_given, prefix_bits, gateway },
        dns: dns.filter(|server| !server.is_unspecified()).take(DNS_MAX).collect(),
        domain: domain.map(String::from),
        mtu_bytes: find(options, option::MTU).and_then(|value| be16(value, 0)).filter(|mtu| *mtu >= 576),
    }
}

/// The text goes into a file that programs parse.
fn is_domain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// The router of the route to everywhere (RFC 3442: prefix length, its significant octets, router).
fn default_route(mut routes: &[u8]) -> Option<Ipv4Addr> {
    loop {
        let bits = *routes.first()?;
        let octets = usize::from(bits.min(32).div_ceil(8));
        let router = bytes(routes, 1 + octets).map(Ipv4Addr::from)?;
        if bits == 0 {
            return Some(router);
        }
        routes = &routes[5 + octets..];
    }
}
