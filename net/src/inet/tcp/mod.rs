//! TCP sockets (tcp(7)).
//!
//! # Concept
//! A [`TcpSocket`] is a state under a spin lock, a queue of received bytes, and what it is linked to: another socket of
//! this machine, to whose queue it hands what is sent, or nothing. `connect.rs` and `listen.rs` make connections,
//! `transfer.rs` moves bytes, `close.rs` ends them. A connection over the network has a state machine (`engine/`) that
//! `wire.rs` joins to the socket (`plain.rs` for what happens most); `input.rs` finds the connection of a segment, `opening.rs` makes those that others open,
//! `timer.rs` keeps the deadlines.
//!
//! # Lock order
//! ```text
//! TcpSocket::reading (sleeping; user memory is touched under it) -> TcpSocket::inbox (spin)
//! TcpSocket::state (spin) -> TcpSocket::inbox (spin), ports (spin) -> connections (spin)
//! TcpSocket::state (spin) -> the records of TIME_WAIT (spin)
//! TcpSocket::inbox (spin) -> the source's watchers (spin)
//! ```
//! Two sockets' states are never locked at once.

mod close;
mod connect;
mod cookie;
mod engine;
mod info;
pub(crate) mod input;
mod listen;
pub(crate) mod memory;
pub(crate) mod opening;
mod plain;
mod secret;
#[cfg(test)]
mod tests;
pub(crate) mod time_wait;
pub(crate) mod timer;
mod transfer;
mod wire;

#[cfg(test)]
pub(crate) use engine::head as engine_head;
pub use info::TcpInfo;

use super::address::{Endpoint, Ip, Tuple};
use super::ports::{self, Holder, Share};
use super::queue::ByteQueue;
use super::settings::{Setting, Settings};
use crate::options::Options;
use crate::socket::{
    ARRIVED, Address, Credentials, Family, InetAddress, Kind, ReceiveFlags, Received, SendArguments, Shutdown, Socket,
};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use fs::{Blocking, FsError, FsResult, PollSource, Readiness, Sink, Source};
use hal::sync::SpinLock;
use listen::Listener;
use sched::{Mutex, WaitQueue};

/// Sizes of new sockets' buffers as options show them (the middle values of net.ipv4.tcp_wmem and tcp_rmem).
const SEND_BUFFER: u32 = 16_384;
const RECEIVE_BUFFER: u32 = 131_072;
/// Most bytes that wait at a receiver of this machine, unless the application chose a size.
const LOCAL_LIMIT: usize = 512 << 10;

/// Where a socket is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Not connected, not yet or no more.
    Closed,
    /// Takes connections.
    Listening,
    /// Asked for a connection.
    Connecting,
    /// Connected, maybe in one direction only.
    Connected,
}

/// What a connection leads over.
pub(crate) enum Link {
    /// Nothing.
    None,
    /// A socket of this machine.
    Local(Weak<TcpSocket>),
    /// The network.
    Remote(Box<wire::Remote>),
    /// Nothing any more.
    Over,
}

/// What the spin lock guards.
pub(crate) struct State {
    pub phase: Phase,
    pub local: Endpoint,
    pub remote: Endpoint,
    /// The port is held in [`ports::TCP`] as a bound socket's.
    pub bound: bool,
    /// The port is counted there as a connection's.
    pub shared: Option<Share>,
    /// It is in [`super::connections`].
    pub listed: Option<Tuple>,
    pub error: Option<FsError>,
    /// Nothing more is received (the peer's end, or shutdown).
    pub read_shut: bool,
    /// Nothing more is sent.
    pub write_shut: bool,
    /// The peer has ended.
    pub ended: bool,
    /// Within the machine: this end ended first, so TIME_WAIT is its.
    pub ends_first: bool,
    /// The result of a connect has not been told yet.
    pub connect_open: bool,
    pub link: Link,
    pub listener: Option<Listener>,
    /// Whose queue it waits in to be connected.
    pub waits_at: Option<Weak<TcpSocket>>,
    pub urgent: Option<u8>,
}

/// A TCP socket.
pub struct TcpSocket {
    pub(crate) me: Weak<TcpSocket>,
    v6: bool,
    options: Options,
    settings: Settings,
    pub(crate) state: SpinLock<State>,
    pub(crate) inbox: SpinLock<ByteQueue>,
    /// Within the machine: bytes in the inbox, and those that senders have reserved room for. Over the network: bytes that were
    /// read since the peer was told.
    inbox_bytes: AtomicUsize,
    /// Held by whoever receives.
    reading: Mutex<()>,
    readable: WaitQueue,
    /// Senders, and who waits for a connection.
    writable: WaitQueue,
    source: PollSource,
    listening: AtomicBool,
    /// Its link is, or was, one over the network.
    over_network: AtomicBool,
    /// A sender or poller found no room at the peer.
    starved: AtomicBool,
    closed: AtomicBool,
    /// It waits at its listener until it has something to say.
    deferred: AtomicBool,
    /// The deadline that `timer.rs` knows; `u64::MAX`: none.
    timer_ns: AtomicU64,
    /// Tells its entry there from others of the same time.
    timer_id: AtomicU64,
    /// It is counted in `close.rs`'s number of connections that nobody holds.
    orphaned: AtomicBool,
    /// What its bytes take of what all may, if it leads over the network.
    charge: memory::Charge,
}

impl TcpSocket {
    /// An unconnected socket.
    pub fn new(v6: bool) -> Arc<Self> {
        let any = Endpoint::new(super::any_address(v6), 0);
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            v6,
            options: Options::with_buffers(SEND_BUFFER, RECEIVE_BUFFER),
            settings: Settings::of_family(v6),
            state: SpinLock::new(State {
                phase: Phase::Closed,
                local: any,
                remote: any,
                bound: false,
                shared: None,
                listed: None,
                error: None,
                read_shut: false,
                write_shut: false,
                ended: false,
                ends_first: false,
                connect_open: false,
                link: Link::None,
                listener: None,
                waits_at: None,
                urgent: None,
            }),
            inbox: SpinLock::new(ByteQueue::new()),
            inbox_bytes: AtomicUsize::new(0),
            reading: Mutex::new(()),
            readable: WaitQueue::new(),
            writable: WaitQueue::new(),
            source: PollSource::new(),
            listening: AtomicBool::new(false),
            over_network: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            deferred: AtomicBool::new(false),
            timer_ns: AtomicU64::new(u64::MAX),
            timer_id: AtomicU64::new(0),
            orphaned: AtomicBool::new(false),
            charge: memory::Charge::new(),
        })
    }

    fn holder(&self) -> Holder {
        Holder::Tcp(self.me.clone())
    }

    fn this(&self) -> Arc<TcpSocket> {
        self.me.upgrade().expect("called through a reference that is counted")
    }

    /// Everybody who waits looks again; of bytes that have come only who receives.
    fn wake(&self, what: Readiness) {
        self.readable.wake_all();
        if what != ARRIVED {
            self.writable.wake_all();
        }
        self.source.notify(what);
    }

    /// The other end within this machine.
    fn local_peer(&self) -> Option<Arc<TcpSocket>> {
        match &self.state.lock().link {
            Link::Local(peer) => peer.upgrade(),
            _ => None,
        }
    }

    /// Most bytes that may wait here.
    fn inbox_limit(&self) -> usize {
        if self.options.sizes_are_set() { self.options.receive_buffer() as usize } else { LOCAL_LIMIT }
    }
}

impl State {
    fn hangup(&self) -> Readiness {
        let over = self.read_shut && self.write_shut || self.phase == Phase::Closed;
        if over { Readiness::HANGUP } else { Readiness::empty() }
    }
    /// A port that the application bound is also held as a connection's from now on, which outlives the socket.
    fn keep_port(&mut self, options: &Options) {
        if self.bound && self.shared.is_none() {
            let reuse = options.reuse_address.load(Ordering::Relaxed);
            let share = Share { port: self.local.port, ip: self.local.ip, reuse };
            ports::TCP.share(share);
            self.shared = Some(share);
        }
    }
    /// Connected and not both ways closed.
    fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }
}

impl Socket for TcpSocket {
    fn family(&self) -> Family {
        if self.v6 { Family::Inet6 } else { Family::Inet }
    }
    fn kind(&self) -> Kind {
        Kind::Stream
    }
    fn options(&self) -> &Options {
        &self.options
    }
    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }
    fn protocol(&self) -> u8 {
        6
    }
    fn setting_changed(&self, which: Option<Setting>) {
        if self.is_remote() {
            let keep = matches!(which, None | Some(Setting::KeepIdle));
            self.this().act(if keep { wire::Act::Keep } else { wire::Act::Look });
        }
    }
    fn unsent_bytes(&self) -> usize {
        match &self.state.lock().link {
            Link::Remote(remote) => remote.tcb.queue.len(),
            _ => 0,
        }
    }
    fn bind(&self, address: &Address) -> FsResult<()> {
        let Address::Inet(address) = address else { return Err(FsError::AddressFamilyNotSupported) };
        let mut at = super::checked(address, self.v6, &self.settings)?;
        if at.ip.is_multicast() || at.ip.is_broadcast() {
            return Err(if at.ip.is_v4() { FsError::AddressNotAvailable } else { FsError::Invalid });
        }
        if !at.ip.is_any() && !self.settings.is_on(Setting::FreeBind) && !crate::interface::is_local(at.ip) {
            return Err(FsError::AddressNotAvailable);
        }
        {
            let state = self.state.lock();
            if state.bound || state.shared.is_some() || state.phase != Phase::Closed {
                return Err(FsError::Invalid);
            }
        }
        at.port = ports::TCP.bind(self, self.holder(), at)?;
        let mut state = self.state.lock();
        state.local = at;
        state.bound = true;
        Ok(())
    }
    fn listen(&self, backlog: usize, _owner: Credentials) -> FsResult<()> {
        self.start_listening(backlog)
    }
    fn accept(&self, blocking: Blocking) -> FsResult<Arc<dyn Socket>> {
        Ok(self.next_connection(self.options.receive_patience(blocking))?)
    }
    fn connect(&self, address: &Address, _owner: Credentials, blocking: Blocking) -> FsResult<()> {
        match address {
            Address::Unspecified => {
                self.disconnect();
                Ok(())
            }
            Address::Inet(to) => self.connect_to(to, blocking),
            _ => Err(FsError::AddressFamilyNotSupported),
        }
    }
    fn send(&self, source: &mut dyn Source, arguments: SendArguments, blocking: Blocking) -> FsResult<usize> {
        self.send_bytes(source, arguments.urgent, self.options.send_patience(blocking))
    }
    fn write(&self, source: &mut dyn Source, blocking: Blocking) -> FsResult<usize> {
        let (want, patience) = (source.remaining(), self.options.send_patience(blocking));
        match self.write_plain(source, want, patience) {
            Some(result) => result,
            None => self.send_bytes(source, false, patience),
        }
    }
    fn receive(&self, sink: &mut dyn Sink, flags: ReceiveFlags, blocking: Blocking) -> FsResult<Received> {
        let count = self.receive_bytes(sink, flags, self.options.receive_patience(blocking))?;
        Ok(Received { count, full_len: count, ..Received::default() })
    }
    fn read(&self, sink: &mut dyn Sink, blocking: Blocking) -> FsResult<usize> {
        let room = sink.remaining();
        if let Some(result) = self.read_plain(sink, room) {
            return result;
        }
        self.receive_bytes(sink, ReceiveFlags::default(), self.options.receive_patience(blocking))
    }
    fn shutdown(&self, how: Shutdown) -> FsResult<()> {
        self.shut(how)
    }
    fn local_address(&self) -> Address {
        Address::Inet(InetAddress { v6: self.v6, at: self.state.lock().local })
    }
    fn peer_address(&self) -> FsResult<Address> {
        let state = self.state.lock();
        if !state.is_connected() {
            return Err(FsError::NotConnected);
        }
        Ok(Address::Inet(InetAddress { v6: self.v6, at: state.remote }))
    }
    fn accepted_from(&self) -> Option<Address> {
        Some(Address::Inet(InetAddress { v6: self.v6, at: self.state.lock().remote }))
    }
    fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }
    fn take_error(&self) -> Option<FsError> {
        self.state.lock().error.take()
    }
    fn pending_bytes(&self) -> FsResult<usize> {
        if self.is_listening() {
            return Err(FsError::Invalid);
        }
        Ok(self.inbox.lock().len())
    }
    fn info(&self) -> Option<TcpInfo> {
        Some(self.make_info())
    }
    fn poll(&self) -> Readiness {
        let state = self.state.lock();
        if let Some(listener) = &state.listener {
            return if listener.is_ready() { Readiness::READ } else { Readiness::empty() };
        }
        let mut ready = state.hangup();
        ready.set(Readiness::ERROR, state.error.is_some());
        ready.set(Readiness::PRIORITY, state.urgent.is_some());
        if state.read_shut {
            ready |= Readiness::READ | Readiness::READ_HANGUP;
        }
        if state.phase == Phase::Connecting {
            return ready;
        }
        // With one lock where the connection leads over the network; `has_room` takes it again where it does not.
        let can_send = match &state.link {
            _ if state.write_shut => Some(true),
            Link::Remote(remote) => Some(self.fits(remote)),
            _ => None,
        };
        drop(state);
        if self.inbox.lock().len() > 0 {
            ready |= Readiness::READ;
        }
        ready.set(Readiness::WRITE, can_send.unwrap_or_else(|| self.has_room()));
        ready
    }
    fn wait_source(&self) -> &PollSource {
        &self.source
    }
    fn close(&self) {
        self.close_once();
    }
}

/// The addresses of a connection, as `/proc/net/tcp` shows them: state, this end, the other end, bytes received.
pub(crate) struct Shown {
    pub state: u8,
    pub local: Endpoint,
    pub remote: Endpoint,
    pub waiting: usize,
    pub v6: bool,
}

impl TcpSocket {
    /// For `/proc/net/tcp` and `tcp6`.
    pub(crate) fn shown(&self) -> Shown {
        let waiting = self.inbox.lock().len();
        let state = self.state.lock();
        Shown { state: info::number_of(&state), local: state.local, remote: state.remote, waiting, v6: self.v6 }
    }
}

/// Where a connect to "any" address goes: the loopback of the same protocol.
fn real_destination(mut to: Endpoint) -> Endpoint {
    match to.ip {
        Ip::ANY_V4 => to.ip = Ip::LOOPBACK_V4,
        Ip::ANY_V6 => to.ip = Ip::LOOPBACK_V6,
        _ => {}
    }
    to
}
