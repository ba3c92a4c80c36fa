//! Sockets with connections: listening, connecting, accepting; streams and sequenced packets.

use super::charge::STREAM_HEAD_MAX;
use super::inbox::Packet;
use super::{Peer, State, UnixAddress, UnixSocket, address};
use crate::options::Patience;
use crate::socket::{ARRIVED, Ancillary, Credentials, Kind, ReceiveFlags, Received, SendArguments, Socket};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use fs::{FsError, FsResult, Readiness, Sink, Source};

/// The most connections that may wait (net.core.somaxconn).
const BACKLOG_MAX: usize = 4096;
/// The most bytes of one piece of a stream, and what of half a send buffer it leaves (Linux: `unix_stream_sendmsg`).
const PIECE_MAX: usize = STREAM_HEAD_MAX + (32 << 10);
const PIECE_SPARE: usize = 64;

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
        end.join(&me, owner);
        let mut offer = Some(end);
        let listener_owner = patience.wait(&listener.accepting, || listener.offer(&mut offer))??;
        *self.peer.lock() = Some(Peer {
            credentials: listener_owner.1,
            socket: Arc::downgrade(&listener_owner.0),
            name: listener_owner.0.name.clone(),
        });
        *self.state.lock() = State::Connected;
        listener.connecting.wake_one();
        listener.source.notify(ARRIVED);
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
                // Only who waits learns that nobody will come.
                None if self.read_closed.load(Ordering::Acquire) && !matches!(patience, Patience::None) => {
                    Some(Err(FsError::Invalid))
                }
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
        let half = self.options.send_buffer() as usize / 2;
        let len = source.remaining().min(half.saturating_sub(PIECE_SPARE).clamp(1, PIECE_MAX));
        let charge = patience.wait(&self.room, || self.charge(len))??;
        let mut packet = Packet::fill(self, charge, Ancillary::default(), source, len)?;
        let peer = self.still_open(Some(peer)).ok_or(FsError::BrokenPipe)?;
        let count = packet.bytes.len();
        if count > 0 {
            // It travels with the first byte.
            packet.ancillary = core::mem::take(ancillary);
            peer.deliver(packet);
        }
        Ok(count)
    }

    /// Queues a packet here and tells who waits for it.
    pub(super) fn deliver(&self, packet: Packet) {
        self.inbox.push(packet);
        self.source.notify(ARRIVED);
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
        self.may_send()?;
        self.autobind_for_credentials()?;
        let packet = self.message(source, arguments.ancillary, patience)?;
        let peer = self.receiver()?;
        let count = packet.bytes.len();
        peer.deliver(packet);
        Ok(count)
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
        if sink.remaining() == 0 {
            return self.receive_nothing(flags, patience);
        }
        let mut received = Received::default();
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

    /// No bytes are asked for, but there must be some (Linux: `sock_rcvlowat`), and what travels beside them is taken.
    fn receive_nothing(&self, flags: ReceiveFlags, patience: Patience) -> FsResult<Received> {
        let mut received = Received::default();
        if let Some(end) = self.inbox.wait(patience, || self.end_of_stream())? {
            return end.map(|()| received);
        }
        let _turn = self.inbox.reading.lock();
        if let Some(mut packet) = self.inbox.pop() {
            received.from = packet.from();
            received.ancillary = ancillary_of(&mut packet, flags.peek);
            self.inbox.unpop(packet);
        }
        Ok(received)
    }

    /// Why nothing more will come: the pending error, or the end.
    fn end_of_stream(&self) -> Option<FsResult<()>> {
        if let Some(error) = self.take_error() {
            return Some(Err(error));
        }
        self.read_closed.load(Ordering::Acquire).then_some(Ok(()))
    }

    /// Moves what is there. False: this receive ends with what travelled beside the bytes (unix(7): "a kind of barrier").
    fn move_bytes(&self, sink: &mut dyn Sink, flags: ReceiveFlags, received: &mut Received) -> FsResult<bool> {
        let mut peeked = alloc::vec::Vec::new();
        let result = loop {
            if sink.remaining() == 0 {
                break Ok(true);
            }
            let Some(mut packet) = self.inbox.pop() else { break Ok(true) };
            let want = packet.rest().len().min(sink.remaining());
            match sink.put(packet.rest()) {
                // Of a piece that cannot be given as far as it is asked for nothing is taken.
                Ok(count) if count < want => {
                    self.inbox.unpop(packet);
                    break Err(FsError::Fault);
                }
                Ok(count) => {
                    received.count += count;
                    received.from = received.from.take().or_else(|| packet.from());
                    // What travels beside the bytes ends the receive: it came with a packet of its own.
                    let ends = !packet.ancillary.files.is_empty();
                    if ends || received.ancillary.credentials.is_none() {
                        received.ancillary = ancillary_of(&mut packet, flags.peek);
                    }
                    if flags.peek {
                        peeked.push(packet);
                    } else {
                        packet.taken += count;
                        if !packet.rest().is_empty() {
                            self.inbox.unpop(packet);
                        }
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
        let wanted = len.min(sink.remaining());
        let count = if wanted == 0 { Ok(0) } else { sink.put(&packet.bytes) };
        // A part is as good as nothing.
        let count = count.and_then(|count| if count < wanted { Err(FsError::Fault) } else { Ok(count) });
        let from = packet.from();
        let ancillary = if count.is_ok() { ancillary_of(&mut packet, flags.peek) } else { Ancillary::default() };
        // As on Linux a message is lost with a bad buffer, unless it is only looked at.
        if flags.peek {
            self.inbox.unpop(packet);
        } else {
            drop(packet);
            self.inbox.tell_shorter();
        }
        Ok(Received { count: count?, full_len: len, from, ancillary })
    }
}

/// What the receiver of a packet gets beside its bytes: files once, unless it peeks; who sent them with each part.
fn ancillary_of(packet: &mut Packet, peek: bool) -> Ancillary {
    let sent = &mut packet.ancillary;
    let files = if peek { sent.files.clone() } else { core::mem::take(&mut sent.files) };
    Ancillary { files, credentials: sent.credentials.or(Some(packet.sender)), ..Ancillary::default() }
}
