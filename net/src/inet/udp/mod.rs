//! Sockets of datagrams: UDP (udp(7)), and raw ones of a protocol (raw(7)), which differ in what they carry only.
//!
//! A datagram to an address of this machine goes into its receiver's queue at once (`deliver.rs`).
//!
//! # Lock order
//! ```text
//! UdpSocket::reading (sleeping; user memory is touched under it) -> UdpSocket::queue (spin)
//! ports (spin) ; UdpSocket::state (spin)
//! ```

pub(crate) mod deliver;
pub(crate) mod groups;
mod transfer;

use super::address::{Endpoint, Ip};
use super::ports::{self, Holder};
use super::settings::{Setting, Settings};
use crate::options::Options;
use crate::socket::{
    Address, Credentials, Family, InetAddress, Kind, PacketInfo, ReceiveFlags, Received, SendArguments, Shutdown,
    Socket,
};
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use fs::{Blocking, FsError, FsResult, PollSource, Readiness, Sink, Source};
use hal::sync::SpinLock;
use sched::{Mutex, WaitQueue};

/// UDP's protocol number.
pub const UDP: u8 = 17;

/// A datagram that has arrived.
pub(crate) struct Datagram {
    pub bytes: Vec<u8>,
    pub from: Endpoint,
    pub info: PacketInfo,
}

/// What the spin lock guards.
struct State {
    local: Endpoint,
    remote: Option<Endpoint>,
    /// The application chose the address; the port.
    fixed_ip: bool,
    fixed_port: bool,
    /// It has a place in [`ports::UDP`].
    bound: bool,
    error: Option<FsError>,
    read_shut: bool,
    write_shut: bool,
    /// Groups with their interfaces.
    groups: Vec<(Ip, u32)>,
}

/// A socket of datagrams.
pub struct UdpSocket {
    me: Weak<UdpSocket>,
    v6: bool,
    kind: Kind,
    protocol: u8,
    options: Options,
    settings: Settings,
    state: SpinLock<State>,
    queue: SpinLock<VecDeque<Datagram>>,
    queue_bytes: AtomicUsize,
    /// Held by whoever receives.
    reading: Mutex<()>,
    readable: WaitQueue,
    source: PollSource,
}

/// Raw sockets, which get copies of what arrives for their protocol.
static RAW: SpinLock<Vec<Weak<UdpSocket>>> = SpinLock::new(Vec::new());

impl UdpSocket {
    /// A socket of UDP.
    pub fn new(v6: bool) -> Arc<Self> {
        Self::with_protocol(v6, Kind::Datagram, UDP)
    }

    /// A raw socket.
    pub fn raw(v6: bool, protocol: u8) -> Arc<Self> {
        let socket = Self::with_protocol(v6, Kind::Raw, protocol);
        RAW.lock().push(socket.me.clone());
        socket
    }

    fn with_protocol(v6: bool, kind: Kind, protocol: u8) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            v6,
            kind,
            protocol,
            options: Options::default(),
            settings: Settings::of_family(v6),
            state: SpinLock::new(State {
                local: Endpoint::new(super::any_address(v6), 0),
                remote: None,
                fixed_ip: false,
                fixed_port: false,
                bound: false,
                error: None,
                read_shut: false,
                write_shut: false,
                groups: Vec::new(),
            }),
            queue: SpinLock::new(VecDeque::new()),
            queue_bytes: AtomicUsize::new(0),
            reading: Mutex::new(()),
            readable: WaitQueue::new(),
            source: PollSource::new(),
        })
    }

    fn holder(&self) -> Holder {
        Holder::Udp(self.me.clone())
    }

    fn is_raw(&self) -> bool {
        self.kind == Kind::Raw
    }

    /// Gets a port unless there is one.
    fn bind_any(&self) -> FsResult<()> {
        let local = {
            let state = self.state.lock();
            if state.bound || self.is_raw() {
                return Ok(());
            }
            state.local
        };
        let port = ports::UDP.bind(self, self.holder(), local)?;
        let mut state = self.state.lock();
        state.local.port = port;
        state.bound = true;
        Ok(())
    }

    fn set_destination(&self, to: Endpoint) -> FsResult<()> {
        let path = crate::interface::path(to.ip, to.scope)?;
        if to.ip.is_broadcast() && !self.options.broadcast.load(Ordering::Relaxed) {
            return Err(FsError::Access);
        }
        self.bind_any()?;
        let renamed = {
            let mut state = self.state.lock();
            if !state.fixed_ip {
                state.local.ip = path.source;
            }
            state.remote = Some(to);
            state.bound.then_some(state.local)
        };
        if let Some(local) = renamed {
            ports::UDP.rename(local.port, &self.holder(), local.ip);
        }
        Ok(())
    }

    fn forget_destination(&self) {
        let (local, release) = {
            let mut state = self.state.lock();
            state.remote = None;
            if !state.fixed_ip {
                state.local = Endpoint::new(super::any_address(self.v6), state.local.port);
            }
            let release = state.bound && !state.fixed_port;
            let local = state.local;
            if release {
                state.bound = false;
                state.local.port = 0;
            }
            (local, release)
        };
        if release {
            ports::UDP.release(local.port, &self.holder());
        } else {
            ports::UDP.rename(local.port, &self.holder(), local.ip);
        }
    }

    fn wake(&self, what: Readiness) {
        self.readable.wake_all();
        self.source.notify(what);
    }

    /// An error that came back for what was sent.
    pub(crate) fn report(&self, error: FsError) {
        self.state.lock().error = Some(error);
        self.wake(Readiness::ERROR | Readiness::READ | Readiness::WRITE);
    }

    /// Whether errors of what was sent to `other` are its own.
    pub(crate) fn is_connected_to(&self, other: Endpoint) -> bool {
        self.state.lock().remote.is_some_and(|remote| remote.ip == other.ip && remote.port == other.port)
    }

    /// For `/proc/net/udp`: this end, the other one, bytes that wait, whether of IPv6.
    pub(crate) fn shown(&self) -> (Endpoint, Endpoint, usize, bool) {
        let state = self.state.lock();
        let none = Endpoint::new(super::any_address(self.v6), 0);
        (state.local, state.remote.unwrap_or(none), self.queue_bytes.load(Ordering::Relaxed), self.v6)
    }
}

impl Socket for UdpSocket {
    fn family(&self) -> Family {
        if self.v6 { Family::Inet6 } else { Family::Inet }
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn options(&self) -> &Options {
        &self.options
    }
    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }
    fn protocol(&self) -> u8 {
        self.protocol
    }
    fn bind(&self, address: &Address) -> FsResult<()> {
        let Address::Inet(address) = address else { return Err(FsError::AddressFamilyNotSupported) };
        let mut at = super::checked(address, self.v6, &self.settings)?;
        let elsewhere = at.ip.is_any() || at.ip.is_multicast() || at.ip.is_broadcast();
        if !elsewhere && !self.settings.is_on(Setting::FreeBind) && !crate::interface::is_local(at.ip) {
            return Err(FsError::AddressNotAvailable);
        }
        if self.state.lock().bound || self.state.lock().fixed_ip {
            return Err(FsError::Invalid);
        }
        if self.is_raw() {
            at.port = 0;
        } else {
            let chosen = at.port != 0;
            at.port = ports::UDP.bind(self, self.holder(), at)?;
            let mut state = self.state.lock();
            state.bound = true;
            state.fixed_port = chosen;
        }
        let mut state = self.state.lock();
        state.local = at;
        state.fixed_ip = !at.ip.is_any();
        drop(state);
        if !at.ip.is_loopback() {
            crate::device::start();
        }
        // A port that bind chose is kept over a disconnect only when it was asked for by number.
        Ok(())
    }
    fn connect(&self, address: &Address, _owner: Credentials, _blocking: Blocking) -> FsResult<()> {
        match address {
            Address::Unspecified => {
                self.forget_destination();
                Ok(())
            }
            Address::Inet(to) => {
                let mut to = super::checked(to, self.v6, &self.settings)?;
                match to.ip {
                    Ip::ANY_V4 => to.ip = Ip::LOOPBACK_V4,
                    Ip::ANY_V6 => to.ip = Ip::LOOPBACK_V6,
                    _ => {}
                }
                self.set_destination(to)
            }
            _ => Err(FsError::AddressFamilyNotSupported),
        }
    }
    fn send(&self, source: &mut dyn Source, arguments: SendArguments, _blocking: Blocking) -> FsResult<usize> {
        self.send_datagram(source, arguments)
    }
    fn receive(&self, sink: &mut dyn Sink, flags: ReceiveFlags, blocking: Blocking) -> FsResult<Received> {
        self.receive_datagram(sink, flags, self.options.receive_patience(blocking))
    }
    fn shutdown(&self, how: Shutdown) -> FsResult<()> {
        let connected = {
            let mut state = self.state.lock();
            state.read_shut |= how.read;
            state.write_shut |= how.write;
            state.remote.is_some()
        };
        self.wake(Readiness::READ | Readiness::WRITE | Readiness::READ_HANGUP | Readiness::HANGUP);
        if connected { Ok(()) } else { Err(FsError::NotConnected) }
    }
    fn local_address(&self) -> Address {
        Address::Inet(InetAddress { v6: self.v6, at: self.state.lock().local })
    }
    fn peer_address(&self) -> FsResult<Address> {
        let at = self.state.lock().remote.ok_or(FsError::NotConnected)?;
        Ok(Address::Inet(InetAddress { v6: self.v6, at }))
    }
    fn membership(&self, join: bool, group: Ip, interface: u32) -> FsResult<()> {
        self.change_group(join, group, interface)
    }
    fn take_error(&self) -> Option<FsError> {
        self.state.lock().error.take()
    }
    fn pending_bytes(&self) -> FsResult<usize> {
        Ok(self.queue.lock().front().map_or(0, |datagram| datagram.bytes.len()))
    }
    fn poll(&self) -> Readiness {
        let state = self.state.lock();
        let mut ready = Readiness::WRITE;
        ready.set(Readiness::ERROR, state.error.is_some());
        ready.set(Readiness::READ | Readiness::READ_HANGUP, state.read_shut);
        ready.set(Readiness::HANGUP, state.read_shut && state.write_shut);
        drop(state);
        if !self.queue.lock().is_empty() {
            ready |= Readiness::READ;
        }
        ready
    }
    fn wait_source(&self) -> &PollSource {
        &self.source
    }
    fn close(&self) {
        let (bound, port, groups) = {
            let mut state = self.state.lock();
            (state.read_shut, state.write_shut) = (true, true);
            (core::mem::take(&mut state.bound), state.local.port, core::mem::take(&mut state.groups))
        };
        groups::left(&groups);
        if bound {
            ports::UDP.release(port, &self.holder());
        }
        if self.is_raw() {
            RAW.lock().retain(|socket| !socket.ptr_eq(&self.me));
        }
        let _gone = core::mem::take(&mut *self.queue.lock());
        self.wake(Readiness::HANGUP);
    }
}
