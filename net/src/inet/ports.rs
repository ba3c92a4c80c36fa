//! Who has which port: the rules of bind(2) for both transports, and the choice of a free port.
//!
//! Connections that share a port with their listener, got it from the system, or end after their socket was closed, are only
//! counted: a server with ten thousand of them binds and looks up as fast as one with none. TIME_WAIT is a time beside the
//! count, which nobody has to take away.

use super::address::{Endpoint, Ip, overlap};
use super::settings::Setting;
use super::tcp::TcpSocket;
use super::udp::UdpSocket;
use crate::Socket;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use fs::{FsError, FsResult};
use hal::sync::SpinLock;
use hashbrown::HashMap;

/// Ports that the system chooses from (net.ipv4.ip_local_port_range).
const EPHEMERAL: core::ops::RangeInclusive<u16> = 32768..=60999;

/// A socket that was bound to a port.
#[derive(Clone)]
pub enum Holder {
    /// Of TCP.
    Tcp(Weak<TcpSocket>),
    /// Of UDP.
    Udp(Weak<UdpSocket>),
}

impl Holder {
    fn socket(&self) -> Option<Arc<dyn Socket>> {
        match self {
            Self::Tcp(socket) => Some(socket.upgrade()?),
            Self::Udp(socket) => Some(socket.upgrade()?),
        }
    }
    fn is(&self, other: &Holder) -> bool {
        match (self, other) {
            (Self::Tcp(a), Self::Tcp(b)) => a.ptr_eq(b),
            (Self::Udp(a), Self::Udp(b)) => a.ptr_eq(b),
            _ => false,
        }
    }
}

struct Entry {
    ip: Ip,
    v6_only: bool,
    holder: Holder,
}

/// What connections whose sockets are not bound themselves have in common on a port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The port.
    pub port: u16,
    /// Their address.
    pub ip: Ip,
    /// SO_REUSEADDR.
    pub reuse: bool,
}

struct Sharers {
    ip: Ip,
    reuse: bool,
    count: u32,
    /// The last of those in TIME_WAIT leaves it then, on [`hal::clock::now_ns`].
    waits_until_ns: u64,
}

impl Sharers {
    fn is_gone(&self) -> bool {
        self.count == 0 && self.waits_until_ns <= hal::clock::now_ns()
    }
}

#[derive(Default)]
struct Port {
    bound: Vec<Entry>,
    sharers: Vec<Sharers>,
}

impl Port {
    fn is_gone(&self) -> bool {
        self.bound.is_empty() && self.sharers.iter().all(Sharers::is_gone)
    }

    fn add(&mut self, share: Share) {
        match self.sharers.iter_mut().find(|known| (known.ip, known.reuse) == (share.ip, share.reuse)) {
            Some(known) => known.count += 1,
            None => {
                self.sharers.retain(|known| !known.is_gone());
                let Share { ip, reuse, .. } = share;
                self.sharers.push(Sharers { ip, reuse, count: 1, waits_until_ns: 0 });
            }
        }
    }
}

/// How long an address and port are not bound again without SO_REUSEADDR after a connection, nanoseconds (TCP_TIMEWAIT_LEN).
pub const TIME_WAIT_NS: u64 = 60_000_000_000;
/// Ports without sockets that are kept before those are looked for that nobody waits at any more.
const LEFT_MAX: usize = 1024;

/// What a socket asks for a port with.
#[derive(Clone, Copy)]
struct Claim {
    ip: Ip,
    v6_only: bool,
    reuse_address: bool,
    reuse_port: bool,
    listening: bool,
}

impl Claim {
    fn of(socket: &dyn Socket, ip: Ip) -> Self {
        let options = socket.options();
        Self {
            ip,
            v6_only: v6_only(socket),
            reuse_address: options.reuse_address.load(Ordering::Relaxed),
            reuse_port: options.reuse_port.load(Ordering::Relaxed),
            listening: socket.is_listening(),
        }
    }
    fn refuses(self, other: Claim) -> bool {
        let shared = self.reuse_address && other.reuse_address && !other.listening;
        let shared = shared || self.reuse_port && other.reuse_port;
        !shared && overlap(self.ip, self.v6_only, other.ip, other.v6_only)
    }
}

fn v6_only(socket: &dyn Socket) -> bool {
    socket.settings().is_some_and(|settings| settings.is_on(Setting::V6Only))
}

/// The ports of one transport.
pub struct Ports {
    table: SpinLock<Option<HashMap<u16, Port>>>,
    /// Where the next search for a free port starts.
    next: AtomicU32,
}

/// TCP's ports.
pub static TCP: Ports = Ports::new();
/// UDP's ports.
pub static UDP: Ports = Ports::new();

impl Ports {
    const fn new() -> Self {
        Self { table: SpinLock::new(None), next: AtomicU32::new(0) }
    }

    /// The sockets that a new one conflicts with decide; with the table locked.
    fn is_free(port: Option<&Port>, claim: Claim, holder: &Holder) -> bool {
        let Some(port) = port else { return true };
        let shares = claim.reuse_address || claim.reuse_port;
        let is_in_the_way = |known: &Sharers| {
            !(shares && known.reuse) && overlap(claim.ip, claim.v6_only, known.ip, false) && !known.is_gone()
        };
        !port.sharers.iter().any(is_in_the_way)
            && port.bound.iter().all(|entry| {
                entry.holder.is(holder)
                    || entry.holder.socket().is_none_or(|other| {
                        let mut other = Claim::of(&*other, entry.ip);
                        other.v6_only = entry.v6_only;
                        !claim.refuses(other)
                    })
            })
    }

    /// Binds `socket` to `at`; the port, chosen if it was 0. Errors: `AddressInUse`.
    pub fn bind(&self, socket: &dyn Socket, holder: Holder, at: Endpoint) -> FsResult<u16> {
        let claim = Claim::of(socket, at.ip);
        let entry = |holder| Entry { ip: at.ip, v6_only: claim.v6_only, holder };
        let mut table = self.table.lock();
        let table = table.get_or_insert_default();
        if at.port != 0 {
            if !Self::is_free(table.get(&at.port), claim, &holder) {
                return Err(FsError::AddressInUse);
            }
            table.entry(at.port).or_default().bound.push(entry(holder));
            return Ok(at.port);
        }
        // A port that nobody has; only if there is none, one that can be shared.
        for shared in [false, true] {
            for port in self.candidates() {
                let found = table.get(&port);
                if found.is_none_or(Port::is_gone) || shared && Self::is_free(found, claim, &holder) {
                    table.entry(port).or_default().bound.push(entry(holder));
                    return Ok(port);
                }
            }
        }
        Err(FsError::AddressInUse)
    }

    /// Whether a socket that is bound may listen: SO_REUSEADDR lets two be bound, but one listen.
    pub fn may_listen(&self, socket: &dyn Socket, holder: &Holder, at: Endpoint) -> bool {
        let claim = Claim::of(socket, at.ip);
        let table = self.table.lock();
        let Some(port) = table.as_ref().and_then(|table| table.get(&at.port)) else { return true };
        port.bound.iter().all(|entry| {
            entry.holder.is(holder)
                || entry.holder.socket().is_none_or(|other| !claim.refuses(Claim::of(&*other, entry.ip)))
        })
    }

    /// Counts a connection.
    pub fn share(&self, share: Share) {
        self.table.lock().get_or_insert_default().entry(share.port).or_default().add(share);
    }

    /// A port of the system's choice for a connection from `ip`, counted; `free` says whether the connection would be the
    /// only one of its addresses. Errors: `AddressNotAvailable`.
    pub fn share_any(&self, ip: Ip, reuse: bool, mut free: impl FnMut(u16) -> bool) -> FsResult<Share> {
        for port in self.candidates() {
            let mut table = self.table.lock();
            let table = table.get_or_insert_default();
            if table.get(&port).is_some_and(|port| !port.bound.is_empty()) || !free(port) {
                continue;
            }
            let share = Share { port, ip, reuse };
            table.entry(port).or_default().add(share);
            return Ok(share);
        }
        Err(FsError::AddressNotAvailable)
    }

    /// A connection that was counted is gone, or is in TIME_WAIT from now on.
    pub fn unshare(&self, share: Share, waits: bool) {
        let mut table = self.table.lock();
        let Some(table) = table.as_mut() else { return };
        let Some(port) = table.get_mut(&share.port) else { return };
        let known = port.sharers.iter_mut().find(|known| (known.ip, known.reuse) == (share.ip, share.reuse));
        let Some(known) = known else { return };
        known.count = known.count.saturating_sub(1);
        if waits {
            known.waits_until_ns = hal::clock::now_ns() + TIME_WAIT_NS;
        }
        if port.is_gone() {
            table.remove(&share.port);
        } else if waits && port.bound.is_empty() && table.len() >= LEFT_MAX && table.len() == table.capacity() {
            table.retain(|_, port| !port.is_gone());
        }
    }

    /// A bound socket gives its port back.
    pub fn release(&self, port: u16, holder: &Holder) {
        let mut gone = Vec::new();
        let mut table = self.table.lock();
        let Some(map) = table.as_mut() else { return };
        let Some(entry) = map.get_mut(&port) else { return };
        gone.extend(entry.bound.extract_if(.., |entry| entry.holder.is(holder)));
        if entry.is_gone() {
            map.remove(&port);
        }
        drop(table);
    }

    /// A bound socket has another address now (a connect chose one).
    pub fn rename(&self, port: u16, holder: &Holder, ip: Ip) {
        let mut table = self.table.lock();
        let Some(entry) = table.as_mut().and_then(|table| table.get_mut(&port)) else { return };
        for entry in entry.bound.iter_mut().filter(|entry| entry.holder.is(holder)) {
            entry.ip = ip;
        }
    }

    /// Calls `each` with every socket that is bound to `port` and gets what is sent to `ip`, and with how special its
    /// address is; until it says no.
    pub fn each(&self, port: u16, ip: Ip, each: &mut dyn FnMut(&Holder, u32)) {
        let table = self.table.lock();
        let Some(port) = table.as_ref().and_then(|table| table.get(&port)) else { return };
        for entry in &port.bound {
            let rank = match entry.ip {
                own if own == ip => 4,
                Ip::ANY_V4 if ip.is_v4() => 2,
                Ip::ANY_V6 if !ip.is_v4() => 2,
                Ip::ANY_V6 if !entry.v6_only => 1,
                _ => continue,
            };
            each(&entry.holder, rank);
        }
    }

    /// Calls `each` with every bound socket.
    pub fn all(&self) -> Vec<Holder> {
        let table = self.table.lock();
        let Some(table) = table.as_ref() else { return Vec::new() };
        table.values().flat_map(|port| port.bound.iter().map(|entry| entry.holder.clone())).collect()
    }

    /// All ports of the range, from a place on that is different each time.
    fn candidates(&self) -> impl Iterator<Item = u16> + use<> {
        let width = u32::from(EPHEMERAL.end() - EPHEMERAL.start()) + 1;
        if self.next.load(Ordering::Relaxed) == 0 {
            let mut seed = [0; 4];
            hal::random::fill(&mut seed);
            self.next.store(u32::from_ne_bytes(seed) % width, Ordering::Relaxed);
        }
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        (0..width).map(move |n| EPHEMERAL.start() + (first.wrapping_add(n) % width) as u16)
    }
}
