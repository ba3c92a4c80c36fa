//! Sockets with connections: listening, connecting, accepting; streams and sequenced packets.

use super::inbox::Packet;
use super::{Peer, State, UnixAddress, UnixSocket, address};
use crate::options::Patience;
use crate::socket::{Ancillary, Credentials, Kind, ReceiveFlags, Received, SendArguments, Socket};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use fs::{FsError, FsResult, Readiness, Sink, Source};

/// The most connections that may wait (net.core.somaxconn).
const BACKLOG_MAX: usize = 4096;
/// The most bytes that are copied from the application before they are queued.
const PIECE_MAX: usize = 64 << 10;

impl UnixSocket {
    /// listen(2).
    pub(super) fn start_listening(&self, backlog: usize, owner: Credentials) -> FsResult<()> {
        if self.kind == Kind::Datagram {
            return Err(FsError::NotSupported);
        }
        if matches!(self.name(), UnixAddress::Unnamed) {
            return Err(FsError::Invalid);
        }
        let room = backlog.min(BACKLOG_MAX);
        match &mut *self.state.lock() {
            State::Connected => return Err(FsError::Invalid),
            State::Listening { backlog, owner: by, .. } => (*backlog, *by) = (room, owner),
            idle => *idle = State::Listening { backlog: room, owner, waiting: VecDeque::new() },
        }
        self.accepting.wake_all();
        Ok(())
    }

    /// connect(2): the other end of the connection is made here and waits at the listener.
    pub(super) fn connect_to(&self, to: &UnixAddress, owner: Credentials, patience: Patience) -> FsResult<()> {
        let listener = address::find(to, self.kind)?;
        if !matches!(*listener.state.lock(), State::Listening { .. }) {
            return Err(FsError::ConnectionRefused);
        }
        match &*self.state.lock() {
            State::Idle => {}
            State::Connected => return Err(FsError::AlreadyConnected),
            State::Listening { .. } => return Err(FsError::Invalid),
        }
        let me = self.me.upgrade().ok_or(FsError::Invalid)?;
        let end = UnixSocket::new(self.kind, listener.owner);
        *end.name.lock() = listener.name();
        end.join(&me, owner, self.name());
        let mut offer = Some(end);
        let listener_owner = patience.wait(&listener.accepting, || listener.offer(&mut offer))??;
        *self.peer.lock() = Some(Peer {
            credentials: listener_owner.1,
            socket: Arc::downgrade(&listener_owner.0),
            name: listener.name(),
        });
        *self.state.lock() = State::Connected;
        listener.connecting.wake_one();
        listener.source.notify(Readiness::READ);
        self.source.notify(Readiness::WRITE);
        Ok(())
    }

    /// Queues the other end of a connection; `None`: the backlog is full. What it gives is that end and the listener's owner.
    #[allow(clippy::type_complexity, reason = "the answer of one condition of a wait")]
    fn offer(&self, end: &mut Option<Arc<UnixSocket>>) -> Option<FsResult<(Arc<UnixSocket>, Credentials)>> {
        if self.read_closed.load(Ordering::Acquire) {
            return Some(Err(FsError::ConnectionRefused));
        }
        match &mut *self.state.lock() {
            // As on Linux one more than the backlog may wait.
            State::Listening { backlog, waiting, .. } if waiting.len() > *backlog => None,
            State::Listening { owner, waiting, .. } => {
                let end = end.take()?;
                waiting.push_back(end.clone());
                Some(Ok((end, *owner)))
            }
            _ => Some(Err(FsError::ConnectionRefused)),
        }
    }

    /// accept(2).
    pub(super) fn next_connection(&self, patience: Patience) -> FsResult<Arc<UnixSocket>> {
        if self.kind == Kind::Datagram {
            return Err(FsError::NotSupported);
        }
        let connection = patience.wait(&self.connecting, || match &mut *self.state.lock() {
            State::Listening { waiting, .. } => match waiting.pop_front() {
                None if self.read_closed.load(Ordering::Acquire) => Some(Err(FsError::Invalid)),
                connection => connection.map(Ok),
            },
            _ => Some(Err(FsError::Invalid)),
        })??;
        self.accepting.wake_one();
        Ok(connection)
    }

    /// The end that bytes go to. Errors: `NotConnected`, `BrokenPipe`, the pending error.
    fn receiver(&self) -> FsResult<Arc<UnixSocket>> {
        // A stream's broken pipe is told first, and the error stays for the next receive.
        if self.kind == Kind::SeqPacket {
            self.pending_error()?;
        }
        if !self.is_connected() {
            return Err(FsError::NotConnected);
        }
        self.still_open(self.peer_socket()).ok_or(FsError::BrokenPipe)
    }

    fn still_open(&self, peer: Option<Arc<UnixSocket>>) -> Option<Arc<UnixSocket>> {
        peer.filter(|peer| !self.write_closed.load(Ordering::Acquire) && !peer.closed.load(Ordering::Acquire))
    }

    /// send(2) of a stream: waits until all is taken; what was taken before an error counts.
    pub(super) fn send_bytes(
        &self,
        source: &mut dyn Source,
        arguments: SendArguments,
        patience: Patience,
    ) -> FsResult<usize> {
        if arguments.to.is_some() {
            return Err(if self.is_connected() { FsError::AlreadyConnected } else { FsError::NotSupported });
        }
        let mut ancillary = arguments.ancillary;
        let mut done = 0;
        let want = source.remaining();
        if want == 0 {
            self.receiver()?;
        }
        while done < want {
            match self.send_piece(source, &mut ancillary, patience) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn send_piece(&self, source: &mut dyn Source, ancillary: &mut Ancillary, patience: Patience) -> FsResult<usize> {
        let peer = self.receiver()?;
        let limit = self.options.send_buffer() as usize;
        let want = source.remaining().min(PIECE_MAX);
        let granted = patience.wait(&peer.inbox.writable, || {
            if self.still_open(Some(peer.clone())).is_none() {
                return Some(Err(FsError::BrokenPipe));
            }
            peer.inbox.reserve_some(want, limit).map(Ok)
        })??;
        let mut packet = Packet { sender: Some(self.owner), ..Packet::default() };
        let filled = packet.fill(source, granted);
        let used = *filled.as_ref().unwrap_or(&0);
        peer.inbox.release(granted - used);
        if used > 0 {
            // It travels with the first byte.
            packet.ancillary = core::mem::take(ancillary);
            peer.deliver(packet, true);
        }
        filled
    }

    /// Queues a packet here, whose bytes are reserved, and tells who waits for it.
    pub(super) fn deliver(&self, packet: Packet, join: bool) {
        self.inbox.push(packet, join);
        self.source.notify(Readiness::READ);
        if self.closed.load(Ordering::Acquire) {
            // Closed meanwhile: nobody will take it, and what it carries must go.
            self.inbox.clear();
        }
    }

    /// send(2) of one sequenced packet.
    pub(super) fn send_packet(
        &self,
        source: &mut dyn Source,
        arguments: SendArguments,
        patience: Patience,
    ) -> FsResult<usize> {
        let peer = self.receiver()?;
        let limit = self.options.send_buffer() as usize;
        let want = source.remaining();
        if want > limit {
            return Err(FsError::MessageTooLong);
        }
        patience.wait(&peer.inbox.writable, || {
            if self.still_open(Some(peer.clone())).is_none() {
                return Some(Err(FsError::BrokenPipe));
            }
            peer.inbox.reserve_all(want, limit).map(Ok)
        })??;
        let packet = Packet { ancillary: arguments.ancillary, sender: Some(self.owner), ..Packet::default() };
        peer.take_whole(packet, source, want)
    }

    /// Copies a message of `want` reserved bytes and queues it here.
    pub(super) fn take_whole(&self, mut packet: Packet, source: &mut dyn Source, want: usize) -> FsResult<usize> {
        match packet.fill(source, want) {
            Ok(count) if count == want => {
                self.deliver(packet, false);
                Ok(want)
            }
            result => {
                self.inbox.release(want);
                result.and(Err(FsError::Fault))
            }
        }
    }

    /// recv(2) of a stream.
    pub(super) fn receive_bytes(
        &self,
        sink: &mut dyn Sink,
        flags: ReceiveFlags,
        patience: Patience,
    ) -> FsResult<Received> {
        if !self.is_connected() {
            return Err(FsError::Invalid);
        }
        let mut received = Received::default();
        if sink.remaining() == 0 {
            // Nothing is asked for, but there must be something (Linux: `sock_rcvlowat`).
            return match self.inbox.wait(patience, || self.end_of_stream())? {
                Some(Err(error)) => Err(error),
                _ => Ok(received),
            };
        }
        while sink.remaining() > 0 {
            let turn = self.inbox.reading.lock();
            let moved = self.move_bytes(sink, flags, &mut received);
            drop(turn);
            let more = match moved {
                Ok(more) => more,
                Err(_) if received.count > 0 => break,
                Err(error) => return Err(error),
            };
            if received.count > 0 && (!more || !flags.wait_all || flags.peek || sink.remaining() == 0) {
                break;
            }
            match self.inbox.wait(patience, || self.end_of_stream()) {
                Ok(None) => {}
                Ok(Some(Ok(()))) => break,
                Ok(Some(Err(error))) | Err(error) => {
                    if received.count > 0 {
                        break;
                    }
                    return Err(error);
                }
            }
        }
        received.full_len = received.count;
        Ok(received)
    }

    /// Why nothing more will come: the pending error, or the end.
    fn end_of_stream(&self) -> Option<FsResult<()>> {
        if let Some(error) = self.take_error() {
            return Some(Err(error));
        }
        self.read_closed.load(Ordering::Acquire).then_some(Ok(()))
    }

    /// Moves what is there. False: the next bytes belong to another sender or carry something of their own, so that this
    /// receive ends here.
    fn move_bytes(&self, sink: &mut dyn Sink, flags: ReceiveFlags, received: &mut Received) -> FsResult<bool> {
        let mut peeked = alloc::vec::Vec::new();
        let result = loop {
            if sink.remaining() == 0 {
                break Ok(true);
            }
            let Some(mut packet) = self.inbox.pop() else { break Ok(true) };
            let fresh = received.count == 0 && peeked.is_empty();
            if !fresh && !may_follow(&packet, received) {
                self.inbox.unpop(packet);
                break Ok(false);
            }
            match sink.put(packet.rest()) {
                Ok(count) => {
                    received.count += count;
                    if fresh {
                        received.ancillary = ancillary_of(&mut packet, flags.peek);
                    }
                    if flags.peek {
                        peeked.push(packet);
                        continue;
                    }
                    packet.taken += count;
                    self.inbox.release(count);
                    let ends = !received.ancillary.files.is_empty();
                    if !packet.rest().is_empty() {
                        self.inbox.unpop(packet);
                    }
                    if ends {
                        break Ok(false);
                    }
                }
                Err(error) => {
                    self.inbox.unpop(packet);
                    break Err(error);
                }
            }
        };
        for packet in peeked.into_iter().rev() {
            self.inbox.unpop(packet);
        }
        if received.count > 0 && !flags.peek {
            self.made_room();
        }
        result
    }

    /// recv(2) of one message: sequenced packets and datagrams.
    pub(super) fn receive_message(
        &self,
        sink: &mut dyn Sink,
        flags: ReceiveFlags,
        patience: Patience,
    ) -> FsResult<Received> {
        if self.kind == Kind::SeqPacket && !self.is_connected() {
            return Err(FsError::NotConnected);
        }
        loop {
            // Of messages an error comes before what arrived.
            self.pending_error()?;
            let turn = self.inbox.reading.lock();
            if let Some(packet) = self.inbox.pop() {
                return self.give_message(packet, sink, flags);
            }
            drop(turn);
            match self.inbox.wait(patience, || self.end_of_stream())? {
                None => {}
                // Only who waits learns that no datagram will come.
                Some(Ok(())) if self.kind == Kind::Datagram && matches!(patience, Patience::None) => {
                    return Err(FsError::WouldBlock);
                }
                Some(Ok(())) => return Ok(Received::default()),
                Some(Err(error)) => return Err(error),
            }
        }
    }

    fn give_message(&self, mut packet: Packet, sink: &mut dyn Sink, flags: ReceiveFlags) -> FsResult<Received> {
        let len = packet.bytes.len();
        let count = if len == 0 { Ok(0) } else { sink.put(&packet.bytes) };
        let count = match count {
            Ok(count) => count,
            // As on Linux the message is lost with the bad buffer, unless it was only looked at.
            Err(error) => {
                if flags.peek {
                    self.inbox.unpop(packet);
                } else {
                    self.inbox.release(len);
                }
                return Err(error);
            }
        };
        let from = packet.from.clone().map(crate::Address::Unix);
        let ancillary = ancillary_of(&mut packet, flags.peek);
        if flags.peek {
            self.inbox.unpop(packet);
        } else {
            self.inbox.release(len);
            self.made_room();
        }
        Ok(Received { count, full_len: len, from, ancillary })
    }
}

/// What the receiver of a packet gets beside its bytes; a peek leaves copies.
fn ancillary_of(packet: &mut Packet, peek: bool) -> Ancillary {
    let mut ancillary = if peek { packet.ancillary.clone() } else { core::mem::take(&mut packet.ancillary) };
    ancillary.credentials = ancillary.credentials.or(packet.sender);
    ancillary
}

/// Whether a packet's bytes may come in the same receive as those before it.
fn may_follow(packet: &Packet, received: &Received) -> bool {
    packet.ancillary.is_empty() && packet.sender == received.ancillary.credentials
}
