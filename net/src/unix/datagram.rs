//! Datagrams.

use super::charge::Charge;
use super::inbox::Packet;
use super::{Peer, State, UnixAddress, UnixSocket, address};
use crate::options::Patience;
use crate::socket::{Address, Ancillary, Credentials, Kind, SendArguments, Socket};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use fs::{FsError, FsResult, Readiness, Source};

/// What of the send buffer no message may fill.
const MESSAGE_SPARE: usize = 32;

impl UnixSocket {
    /// connect(2) of a datagram socket: whom it sends to and receives from.
    pub(super) fn set_destination(&self, to: &Address, owner: Credentials) -> FsResult<()> {
        let Address::Unix(name) = to else {
            self.forget_destination(State::Idle, None);
            self.source.notify(Readiness::WRITE);
            return Ok(());
        };
        let target = address::find(name, self.kind)?;
        self.may_send_to(&target)?;
        let peer = Peer { socket: Arc::downgrade(&target), credentials: owner, name: target.name.clone() };
        self.forget_destination(State::Connected, Some(peer));
        Ok(())
    }

    /// `next` is the destination now. What came from the old one is lost, and if it was meant for each other that one learns it
    /// (Linux: `unix_dgram_disconnected`).
    fn forget_destination(&self, state: State, next: Option<Peer>) {
        let next_socket = next.as_ref().map(|peer| peer.socket.clone());
        let old = core::mem::replace(&mut *self.peer.lock(), next);
        *self.state.lock() = state;
        let Some(old) = old else { return };
        if next_socket.is_some_and(|next| next.ptr_eq(&old.socket)) || !self.inbox.clear() {
            return;
        }
        let Some(old) = old.socket.upgrade() else { return };
        if !old.closed.load(Ordering::Acquire) && old.has_chosen(self) {
            *old.error.lock() = Some(FsError::ConnectionReset);
            old.source.notify(Readiness::ERROR);
        }
    }

    /// Whether `other` is this socket's destination.
    fn has_chosen(&self, other: &UnixSocket) -> bool {
        self.peer.lock().as_ref().is_some_and(|peer| core::ptr::eq(peer.socket.as_ptr(), other))
    }

    /// Who has a default destination hears from nobody else. Errors: `Permission`.
    fn may_send_to(&self, target: &UnixSocket) -> FsResult<()> {
        if target.peer.lock().is_none() || target.has_chosen(self) { Ok(()) } else { Err(FsError::Permission) }
    }

    /// Whether the queue at the destination is too long for this socket; it is told when that changes.
    pub(super) fn is_refused_by(&self, target: &UnixSocket) -> bool {
        self.kind == Kind::Datagram && !target.has_chosen(self) && target.inbox.is_full_for(self)
    }

    pub(super) fn send_datagram(
        &self,
        source: &mut dyn Source,
        arguments: SendArguments,
        patience: Patience,
    ) -> FsResult<usize> {
        let SendArguments { to, ancillary, .. } = arguments;
        let to = to.as_ref().map(Self::unix).transpose()?;
        if matches!(to, Some(UnixAddress::Unnamed)) {
            return Err(FsError::Invalid);
        }
        self.autobind_for_credentials()?;
        let packet = self.message(source, ancillary, patience)?;
        let target = match to {
            Some(to) => address::find(to, self.kind)?,
            None if self.peer.lock().is_none() => return Err(FsError::NotConnected),
            None => self.destination()?,
        };
        self.may_send_to(&target)?;
        patience.wait(&target.inbox.shorter, || {
            if target.closed.load(Ordering::Acquire) {
                return Some(Err(FsError::ConnectionRefused));
            }
            if target.read_closed.load(Ordering::Acquire) {
                return Some(Err(FsError::BrokenPipe));
            }
            (!self.is_refused_by(&target)).then_some(Ok(()))
        })??;
        let count = packet.bytes.len();
        target.deliver(packet);
        Ok(count)
    }

    /// The destination that was chosen. Errors: `ConnectionRefused` when it is gone; told once, then there is none any more.
    fn destination(&self) -> FsResult<Arc<UnixSocket>> {
        let open = self.peer_socket().filter(|peer| !peer.closed.load(Ordering::Acquire));
        open.ok_or_else(|| {
            self.forget_destination(State::Idle, None);
            FsError::ConnectionRefused
        })
    }

    /// Copies a whole message. Errors: `MessageTooLong`, the pending error, `BrokenPipe`, what waiting for room and the copy
    /// give.
    pub(super) fn message(
        &self,
        source: &mut dyn Source,
        ancillary: Ancillary,
        patience: Patience,
    ) -> FsResult<Packet> {
        let len = source.remaining();
        if len > (self.options.send_buffer() as usize).saturating_sub(MESSAGE_SPARE) {
            return Err(FsError::MessageTooLong);
        }
        let charge = patience.wait(&self.room, || self.charge(len))??;
        let packet = Packet::fill(self, charge, ancillary, source, len)?;
        if packet.bytes.len() == len { Ok(packet) } else { Err(FsError::Fault) }
    }

    /// Room for `len` bytes in the send buffer, or why there will be none; `None`: not now.
    pub(super) fn charge(&self, len: usize) -> Option<FsResult<Charge>> {
        if let Some(error) = self.take_error() {
            return Some(Err(error));
        }
        if self.write_closed.load(Ordering::Acquire) {
            return Some(Err(FsError::BrokenPipe));
        }
        Charge::take(self, len).map(Ok)
    }
}
