//! Datagrams.

use super::inbox::Packet;
use super::{Peer, State, UnixAddress, UnixSocket, address};
use crate::options::Patience;
use crate::socket::{Address, Credentials, Kind, SendArguments};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use fs::{FsError, FsResult, Readiness, Source};

/// Messages that may wait at one socket (net.unix.max_dgram_qlen of Linux, and one).
const QUEUE_MAX: usize = 11;

impl UnixSocket {
    /// connect(2) of a datagram socket: whom it sends to and receives from.
    pub(super) fn set_destination(&self, to: &Address, owner: Credentials) -> FsResult<()> {
        let Address::Unix(name) = to else {
            *self.peer.lock() = None;
            *self.state.lock() = State::Idle;
            self.source.notify(Readiness::WRITE);
            return Ok(());
        };
        let target = address::find(name, self.kind)?;
        self.may_send_to(&target)?;
        *self.peer.lock() = Some(Peer { socket: Arc::downgrade(&target), credentials: owner, name: name.clone() });
        *self.state.lock() = State::Connected;
        Ok(())
    }

    /// Who has a default destination hears from nobody else. Errors: `Permission`.
    fn may_send_to(&self, target: &Arc<UnixSocket>) -> FsResult<()> {
        let chosen = target.peer.lock().as_ref().map(|peer| peer.socket.clone());
        match chosen {
            Some(other) if !core::ptr::eq(other.as_ptr(), self) => Err(FsError::Permission),
            _ => Ok(()),
        }
    }

    /// Whether no more messages are taken.
    pub(super) fn queue_is_full(&self) -> bool {
        self.kind == Kind::Datagram && self.inbox.len() >= QUEUE_MAX
    }

    pub(super) fn send_datagram(
        &self,
        source: &mut dyn Source,
        arguments: SendArguments,
        patience: Patience,
    ) -> FsResult<usize> {
        self.pending_error()?;
        if self.write_closed.load(Ordering::Acquire) {
            return Err(FsError::BrokenPipe);
        }
        let target = match &arguments.to {
            Some(to) => {
                let target = address::find(Self::unix(to)?, self.kind)?;
                self.may_send_to(&target)?;
                target
            }
            None if !self.is_connected() => return Err(FsError::NotConnected),
            None => match self.peer_socket().filter(|peer| !peer.closed.load(Ordering::Acquire)) {
                Some(peer) => peer,
                None => {
                    // Told once; then there is no destination any more.
                    *self.peer.lock() = None;
                    *self.state.lock() = State::Idle;
                    return Err(FsError::ConnectionRefused);
                }
            },
        };
        let limit = self.options.send_buffer() as usize;
        let want = source.remaining();
        if want > limit {
            return Err(FsError::MessageTooLong);
        }
        patience.wait(&target.inbox.writable, || {
            if target.closed.load(Ordering::Acquire) {
                return Some(Err(FsError::ConnectionRefused));
            }
            if target.read_closed.load(Ordering::Acquire) {
                return Some(Err(FsError::BrokenPipe));
            }
            if target.queue_is_full() {
                return None;
            }
            target.inbox.reserve_all(want, limit).map(Ok)
        })??;
        let from = match self.name() {
            UnixAddress::Unnamed => None,
            name => Some(name),
        };
        let packet = Packet { ancillary: arguments.ancillary, sender: Some(self.owner), from, ..Packet::default() };
        target.take_whole(packet, source, want)
    }
}
