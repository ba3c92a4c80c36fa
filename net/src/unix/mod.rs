//! AF_UNIX: streams, datagrams and sequenced packets between ends in this machine (unix(7)).
//!
//! A send puts bytes into the peer's inbox. Ends know each other weakly: a closed end is one that cannot be upgraded.
//! Descriptions that are sent over a socket live in its inbox; a socket that is sent into its own inbox and closed is never
//! freed before the machine ends (Linux collects such cycles).

mod address;
mod charge;
mod connection;
mod datagram;
mod inbox;
#[cfg(test)]
mod tests;

pub use address::UnixAddress;

use crate::options::Options;
use crate::socket::{Address, Credentials, Family, Kind, ReceiveFlags, Received, SendArguments, Shutdown, Socket};
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use fs::{Blocking, FsError, FsResult, PollSource, Readiness, Sink, Source};
use hal::sync::SpinLock;
use inbox::Inbox;
use sched::WaitQueue;

/// A UNIX socket.
pub struct UnixSocket {
    kind: Kind,
    /// Who made it.
    owner: Credentials,
    me: Weak<UnixSocket>,
    options: Options,
    name: Arc<Name>,
    state: SpinLock<State>,
    /// The other end, or a datagram socket's default destination.
    peer: SpinLock<Option<Peer>>,
    inbox: Inbox,
    /// What this socket's messages count for that nobody has taken; see `charge`.
    sent: AtomicUsize,
    /// Woken when `sent` falls.
    room: WaitQueue,
    source: PollSource,
    /// Nothing is received any more: here or there that direction was shut down.
    read_closed: AtomicBool,
    /// Nothing is sent any more.
    write_closed: AtomicBool,
    /// The last descriptor is gone.
    closed: AtomicBool,
    error: SpinLock<Option<FsError>>,
    /// Woken when a connection waits to be accepted.
    connecting: WaitQueue,
    /// Woken when the backlog has room again.
    accepting: WaitQueue,
}

/// A socket's name, which its messages and its peers share: it may come late, and outlives the socket.
type Name = SpinLock<UnixAddress>;

struct Peer {
    socket: Weak<UnixSocket>,
    credentials: Credentials,
    name: Arc<Name>,
}

enum State {
    /// Neither listens nor is connected.
    Idle,
    Listening {
        backlog: usize,
        owner: Credentials,
        waiting: VecDeque<Arc<UnixSocket>>,
    },
    Connected,
}

impl UnixSocket {
    /// A socket without name or peer; `owner` makes it.
    pub fn new(kind: Kind, owner: Credentials) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            kind,
            owner,
            me: me.clone(),
            options: Options::default(),
            name: Arc::new(Name::new(UnixAddress::Unnamed)),
            state: SpinLock::new(State::Idle),
            peer: SpinLock::new(None),
            inbox: Inbox::new(),
            sent: AtomicUsize::new(0),
            room: WaitQueue::new(),
            source: PollSource::new(),
            read_closed: AtomicBool::new(false),
            write_closed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            error: SpinLock::new(None),
            connecting: WaitQueue::new(),
            accepting: WaitQueue::new(),
        })
    }

    /// Two that are connected to each other (socketpair(2)); both belong to `owner`.
    pub fn pair(kind: Kind, owner: Credentials) -> [Arc<Self>; 2] {
        let pair = [Self::new(kind, owner), Self::new(kind, owner)];
        for (one, other) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            one.join(other, owner);
        }
        pair
    }

    /// `other` becomes this end's peer.
    fn join(&self, other: &Arc<UnixSocket>, credentials: Credentials) {
        *self.peer.lock() = Some(Peer { socket: Arc::downgrade(other), credentials, name: other.name.clone() });
        *self.state.lock() = State::Connected;
    }

    fn name(&self) -> UnixAddress {
        self.name.lock().clone()
    }

    /// The peer, unless it is gone.
    fn peer_socket(&self) -> Option<Arc<UnixSocket>> {
        let peer = self.peer.lock();
        peer.as_ref()?.socket.upgrade()
    }

    fn is_connected(&self) -> bool {
        matches!(*self.state.lock(), State::Connected)
    }

    fn close_read(&self) {
        self.read_closed.store(true, Ordering::Release);
        self.inbox.readable.wake_all();
        self.source.notify(Readiness::READ | Readiness::READ_HANGUP | self.hangup());
    }

    fn close_write(&self) {
        self.write_closed.store(true, Ordering::Release);
        self.room.wake_all();
        self.source.notify(Readiness::WRITE | self.hangup());
    }

    fn hangup(&self) -> Readiness {
        let both = self.read_closed.load(Ordering::Acquire) && self.write_closed.load(Ordering::Acquire);
        if both { Readiness::HANGUP } else { Readiness::empty() }
    }

    fn unix(address: &Address) -> FsResult<&UnixAddress> {
        match address {
            Address::Unix(address) => Ok(address),
            _ => Err(FsError::Invalid),
        }
    }
}

impl UnixSocket {
    /// The last descriptor is gone. Senders that wait here hold the socket itself, so this cannot be left to `Drop`.
    fn close_once(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        address::give_back(&self.name(), self.kind, self);
        let state = core::mem::replace(&mut *self.state.lock(), State::Idle);
        if let State::Listening { waiting, .. } = state {
            for connection in &waiting {
                // Never accepted: its client sees a reset, not an end.
                if let Some(client) = connection.peer_socket() {
                    *client.error.lock() = Some(FsError::ConnectionReset);
                }
                connection.close_once();
            }
            self.accepting.wake_all();
        }
        let unread = self.inbox.clear();
        let peer = self.peer.lock().take().and_then(|peer| peer.socket.upgrade());
        if let Some(peer) = peer.filter(|_| self.kind != Kind::Datagram) {
            if unread {
                *peer.error.lock() = Some(FsError::ConnectionReset);
            }
            peer.close_write();
            peer.close_read();
        }
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        self.close_once();
    }
}

impl Socket for UnixSocket {
    fn family(&self) -> Family {
        Family::Unix
    }
    fn kind(&self) -> Kind {
        self.kind
    }
    fn options(&self) -> &Options {
        &self.options
    }
    fn bind(&self, address: &Address) -> FsResult<()> {
        let address = Self::unix(address)?;
        if !matches!(self.name(), UnixAddress::Unnamed) {
            // "Any name" is satisfied by the one it has.
            return if matches!(address, UnixAddress::Unnamed) { Ok(()) } else { Err(FsError::Invalid) };
        }
        let name = match address {
            UnixAddress::Unnamed => address::take_any(self.kind, &self.me)?,
            named => {
                address::take(named, self.kind, &self.me)?;
                named.clone()
            }
        };
        *self.name.lock() = name;
        Ok(())
    }
    fn listen(&self, backlog: usize, owner: Credentials) -> FsResult<()> {
        self.start_listening(backlog, owner)
    }
    fn accept(&self, blocking: Blocking) -> FsResult<Arc<dyn Socket>> {
        Ok(self.next_connection(self.options.receive_patience(blocking))?)
    }
    fn before_lookup(&self) -> FsResult<()> {
        self.autobind_for_credentials()
    }
    fn connect(&self, address: &Address, owner: Credentials, blocking: Blocking) -> FsResult<()> {
        match self.kind {
            Kind::Datagram => self.set_destination(address, owner),
            _ => self.connect_to(Self::unix(address)?, owner, self.options.send_patience(blocking)),
        }
    }
    fn send(&self, source: &mut dyn Source, arguments: SendArguments, blocking: Blocking) -> FsResult<usize> {
        let patience = self.options.send_patience(blocking);
        match self.kind {
            Kind::Stream => self.send_bytes(source, arguments, patience),
            Kind::SeqPacket => self.send_packet(source, arguments, patience),
            Kind::Datagram | Kind::Raw => self.send_datagram(source, arguments, patience),
        }
    }
    fn receive(&self, sink: &mut dyn Sink, flags: ReceiveFlags, blocking: Blocking) -> FsResult<Received> {
        let patience = self.options.receive_patience(blocking);
        match self.kind {
            Kind::Stream => self.receive_bytes(sink, flags, patience),
            Kind::SeqPacket | Kind::Datagram | Kind::Raw => self.receive_message(sink, flags, patience),
        }
    }
    fn may_send(&self) -> FsResult<()> {
        match self.kind {
            Kind::SeqPacket => {
                self.pending_error()?;
                if self.is_connected() { Ok(()) } else { Err(FsError::NotConnected) }
            }
            Kind::Datagram if self.write_closed.load(Ordering::Acquire) => {
                self.pending_error().and(Err(FsError::BrokenPipe))
            }
            _ => Ok(()),
        }
    }
    fn shutdown(&self, how: Shutdown) -> FsResult<()> {
        // Without a connection too, as on Linux: what comes later finds the direction closed.
        let peer = self.peer_socket();
        // The other end of a connection loses the opposite directions; a datagram's destination does not care.
        let peer = peer.filter(|_| self.kind != Kind::Datagram);
        if how.read {
            self.close_read();
            if let Some(peer) = &peer {
                peer.close_write();
            }
            self.inbox.shorter.wake_all();
            // A listener takes no more connections.
            self.connecting.wake_all();
            self.accepting.wake_all();
        }
        if how.write {
            self.close_write();
            if let Some(peer) = &peer {
                peer.close_read();
            }
        }
        Ok(())
    }
    fn local_address(&self) -> Address {
        Address::Unix(self.name())
    }
    fn peer_address(&self) -> FsResult<Address> {
        let peer = self.peer.lock();
        let peer = peer.as_ref().filter(|_| self.is_connected()).ok_or(FsError::NotConnected)?;
        Ok(Address::Unix(peer.name.lock().clone()))
    }
    fn peer_credentials(&self) -> Option<Credentials> {
        self.peer.lock().as_ref().map(|peer| peer.credentials)
    }
    fn is_listening(&self) -> bool {
        matches!(*self.state.lock(), State::Listening { .. })
    }
    fn take_error(&self) -> Option<FsError> {
        self.error.lock().take()
    }
    fn unsent_bytes(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
    fn pending_bytes(&self) -> FsResult<usize> {
        if self.is_listening() {
            return Err(FsError::Invalid);
        }
        Ok(self.inbox.pending(self.kind != Kind::Datagram))
    }
    fn poll(&self) -> Readiness {
        let mut ready = self.hangup();
        ready.set(Readiness::ERROR, self.error.lock().is_some());
        if self.read_closed.load(Ordering::Acquire) {
            ready |= Readiness::READ | Readiness::READ_HANGUP;
        }
        if !self.inbox.is_empty() {
            ready |= Readiness::READ;
        }
        match &*self.state.lock() {
            State::Listening { waiting, .. } => {
                return if waiting.is_empty() { ready } else { ready | Readiness::READ };
            }
            State::Idle if self.kind != Kind::Datagram => ready |= Readiness::HANGUP,
            State::Idle | State::Connected => {}
        }
        if self.may_write() {
            ready |= Readiness::WRITE;
        }
        ready
    }
    fn wait_source(&self) -> &PollSource {
        &self.source
    }
    fn close(&self) {
        self.close_once();
    }
}

impl UnixSocket {
    /// Whether a send to the peer would be taken, or fail, at once.
    fn may_write(&self) -> bool {
        if !self.has_room() {
            return false;
        }
        let peer = self.peer_socket().filter(|peer| !peer.closed.load(Ordering::Acquire));
        !peer.is_some_and(|peer| self.is_refused_by(&peer))
    }

    /// Who wants credentials has a name, so that the other end can answer (unix(7), SO_PASSCRED).
    fn autobind_for_credentials(&self) -> FsResult<()> {
        if self.options.pass_credentials.load(Ordering::Relaxed) {
            return Socket::bind(self, &Address::Unix(UnixAddress::Unnamed));
        }
        Ok(())
    }

    fn pending_error(&self) -> FsResult<()> {
        match self.take_error() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
