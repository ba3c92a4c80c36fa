//! Bytes over a connection.

use super::wire::{Act, Remote};
use super::{Link, Phase, TcpSocket};
use crate::device::HAS_NETWORK;
use crate::inet::queue::{PIECE_MAX, Piece};
use crate::options::Patience;
use crate::socket::{ARRIVED, ReceiveFlags};
use alloc::sync::Arc;
use core::sync::atomic::{Ordering, fence};
use fs::{FsError, FsResult, Readiness, Sink, Source};

/// Where bytes go.
enum Outlet {
    Peer(Arc<TcpSocket>),
    Remote,
    Gone,
}

/// Bytes that are read before the peer may be told that there is room.
const READ_STEP: usize = 16 << 10;

impl TcpSocket {
    /// send(2): waits until all is taken; what was taken before an error counts.
    pub(super) fn send_bytes(&self, source: &mut dyn Source, urgent: bool, patience: Patience) -> FsResult<usize> {
        let want = source.remaining();
        let mut done = 0;
        loop {
            match self.send_piece(source, want.saturating_sub(done), urgent, patience) {
                Ok(count) => done += count,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
            if done >= want || source.remaining() == 0 {
                break;
            }
        }
        Ok(done)
    }

    /// Sends up to `want` bytes, the next piece.
    #[inline]
    fn send_piece(&self, source: &mut dyn Source, want: usize, urgent: bool, patience: Patience) -> FsResult<usize> {
        let want = want.min(PIECE_MAX);
        let mut outlet = Outlet::Gone;
        let granted = patience.wait(&self.writable, || self.reserve(want, &mut outlet))??;
        let peer = match outlet {
            Outlet::Peer(peer) => peer,
            Outlet::Remote => {
                let piece = Piece::fill(source, granted)?;
                let used = piece.rest().len();
                if let Err(piece) = self.send_over_network(piece) {
                    self.this().act(Act::Send(piece));
                }
                return Ok(used);
            }
            Outlet::Gone => {
                // The peer's socket is gone: what is sent to it is answered with a reset.
                let piece = Piece::fill(source, granted)?;
                self.reset();
                return Ok(piece.rest().len());
            }
        };
        let filled = Piece::fill(source, granted);
        let used = filled.as_ref().map_or(0, |piece| piece.rest().len());
        if used < granted {
            peer.inbox_bytes.fetch_sub(granted - used, Ordering::AcqRel);
        }
        let piece = filled?;
        let urgent = urgent && source.remaining() == 0;
        self.hand_over(&peer, piece, urgent);
        Ok(used)
    }

    /// Room for up to `want` bytes; `None`: wait. What fails a send fails it here.
    fn reserve(&self, want: usize, outlet: &mut Outlet) -> Option<FsResult<usize>> {
        let peer = {
            let mut state = self.state.lock();
            if let Some(error) = state.error.take() {
                return Some(Err(error));
            }
            if state.write_shut {
                return Some(Err(FsError::BrokenPipe));
            }
            match (state.phase, &state.link) {
                (Phase::Connecting, _) => return None,
                (Phase::Connected, Link::Local(peer)) => peer.upgrade(),
                (Phase::Connected, Link::Remote(remote)) => {
                    let room = self.send_limit(remote).saturating_sub(remote.tcb.queue.len());
                    if room == 0 {
                        // Under the lock that an acknowledgement takes to make room.
                        self.starved.store(true, Ordering::SeqCst);
                        return None;
                    }
                    *outlet = Outlet::Remote;
                    return Some(Ok(want.min(room)));
                }
                _ => return Some(Err(FsError::BrokenPipe)),
            }
        };
        let Some(peer) = peer else { return Some(Ok(want)) };
        let limit = peer.inbox_limit();
        for last in [false, true] {
            let mut granted = 0;
            let update = |used: usize| {
                granted = want.min(limit.checked_sub(used).filter(|&room| room > 0)?);
                Some(used + granted)
            };
            let reserved = peer.inbox_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, update).is_ok();
            if reserved || peer.closed.load(Ordering::Acquire) {
                if !reserved {
                    peer.inbox_bytes.fetch_add(want, Ordering::AcqRel);
                    granted = want;
                }
                *outlet = Outlet::Peer(peer);
                return Some(Ok(granted));
            }
            if !last {
                // Said before the second look: a reader that makes room after it sees this.
                self.starved.store(true, Ordering::SeqCst);
                fence(Ordering::SeqCst);
            }
        }
        None
    }

    /// Puts a piece, whose room is reserved, into the peer's inbox.
    fn hand_over(&self, peer: &TcpSocket, piece: Piece, urgent: bool) {
        if urgent
            && !peer.options.out_of_band_inline.load(Ordering::Relaxed)
            && let Some(&byte) = piece.rest().last()
        {
            // The last byte goes beside the others.
            let rest = piece.rest().len() - 1;
            peer.inbox_bytes.fetch_sub(1, Ordering::AcqRel);
            peer.state.lock().urgent = Some(byte);
            let before = Piece::fill(&mut fs::SliceSource::new(&piece.rest()[..rest]), rest);
            peer.inbox.lock().push(before.unwrap_or_default());
            return self.arrived(peer);
        }
        peer.inbox.lock().push(piece);
        self.arrived(peer);
    }

    fn arrived(&self, peer: &TcpSocket) {
        if peer.closed.load(Ordering::Acquire) {
            // Nobody will take it: the answer is a reset.
            let _gone = peer.inbox.lock().clear();
            return self.reset();
        }
        peer.readable.wake_one();
        peer.source.notify(ARRIVED);
        if peer.deferred.load(Ordering::Acquire) {
            peer.speaks(false);
        }
    }

    /// Whether a send would take bytes, or fail, at once: a third of the room must be free, so that senders are not woken
    /// for single bytes.
    pub(super) fn has_room(&self) -> bool {
        if let Link::Remote(remote) = &self.state.lock().link {
            return self.fits(remote);
        }
        let Some(peer) = self.local_peer() else { return true };
        let fits = || peer.closed.load(Ordering::Acquire) || peer.has_free_third();
        fits() || {
            self.starved.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            fits()
        }
    }

    /// The same for a connection over the network, under the lock that an acknowledgement takes to make room.
    pub(super) fn fits(&self, remote: &Remote) -> bool {
        let fits = remote.tcb.queue.len() <= self.send_limit(remote) * 2 / 3;
        if !fits {
            self.starved.store(true, Ordering::SeqCst);
        }
        fits
    }

    fn has_free_third(&self) -> bool {
        self.inbox_bytes.load(Ordering::Acquire) <= self.inbox_limit() * 2 / 3
    }

    /// recv(2): how many bytes.
    pub(super) fn receive_bytes(
        &self,
        sink: &mut dyn Sink,
        flags: ReceiveFlags,
        patience: Patience,
    ) -> FsResult<usize> {
        if self.listening.load(Ordering::Acquire) {
            return Err(FsError::NotConnected);
        }
        if flags.urgent {
            return self.receive_urgent(sink, flags);
        }
        let mut received = 0;
        loop {
            let room = sink.remaining();
            if room == 0 {
                break;
            }
            match self.move_bytes(sink, room, flags.peek) {
                Ok(count) => received += count,
                Err(error) if received == 0 => return Err(error),
                Err(_) => break,
            }
            if flags.peek && received > 0 {
                break;
            }
            if received > 0 && (!flags.wait_all || sink.remaining() == 0) {
                break;
            }
            let ready = || {
                if self.inbox.lock().len() > 0 {
                    return Some(Ok(true));
                }
                self.nothing_more(received > 0).map(|end| end.map(|()| false))
            };
            match patience.wait(&self.readable, ready).and_then(|ready| ready) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) if received > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(received)
    }

    /// Why nothing more will come: an error, or the end. An error stays for the next call when bytes are given now.
    fn nothing_more(&self, some: bool) -> Option<FsResult<()>> {
        let mut state = self.state.lock();
        if self.inbox.lock().len() > 0 {
            return None;
        }
        if state.ended || some && state.error.is_some() {
            return Some(Ok(()));
        }
        if let Some(error) = state.error.take() {
            return Some(Err(error));
        }
        if state.read_shut {
            return Some(Ok(()));
        }
        (state.phase == Phase::Closed).then_some(Err(FsError::NotConnected))
    }

    /// Moves what is there into `sink`, which has `room`; 0 if nothing is. The pieces are copied with no spin lock held.
    fn move_bytes(&self, sink: &mut dyn Sink, mut room: usize, peek: bool) -> FsResult<usize> {
        let _turn = self.reading.lock();
        if peek {
            return self.peek_bytes(sink);
        }
        let mut done = 0;
        loop {
            let (piece, more, is_drained) = {
                let mut inbox = self.inbox.lock();
                let piece = inbox.pop();
                let more = inbox.len() > 0;
                let is_drained = !more && piece.as_ref().is_some_and(|piece| piece.rest().len() <= room);
                if is_drained {
                    // Under the lock under which bytes arrive, and are told of later.
                    self.source.drained(|| true);
                }
                (piece, more, is_drained)
            };
            let Some(mut piece) = piece else { break };
            let put = sink.put(piece.rest());
            if let Ok(count) = put {
                piece.advance(count);
                done += count;
                room = room.saturating_sub(count);
            }
            if !piece.rest().is_empty() {
                self.inbox.lock().unpop(piece);
                if is_drained {
                    // The buffer was bad.
                    self.source.notify(ARRIVED);
                }
            }
            match put {
                Ok(0) => break,
                // Others would only find that there is nothing.
                Ok(_) if !more => break,
                Ok(_) => {}
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        if done > 0 {
            self.made_room(done);
        }
        Ok(done)
    }

    /// Copies what is there and leaves it there.
    fn peek_bytes(&self, sink: &mut dyn Sink) -> FsResult<usize> {
        let mut done = 0;
        while sink.remaining() > 0 {
            let mut block = [0; 512];
            let count = self.inbox.lock().peek(done, &mut block);
            if count == 0 {
                break;
            }
            match sink.put(&block[..count]) {
                Ok(count) => done += count,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// After bytes were received: a sender that waits for room goes on.
    #[inline]
    pub(super) fn made_room(&self, count: usize) {
        if HAS_NETWORK && self.over_network.load(Ordering::Acquire) {
            let read = self.inbox_bytes.fetch_add(count, Ordering::AcqRel) + count;
            if read >= READ_STEP.min(self.options.receive_buffer() as usize / 4) {
                self.inbox_bytes.store(0, Ordering::Release);
                self.this().act(Act::Look);
            }
            return;
        }
        self.made_room_within(count);
    }

    fn made_room_within(&self, count: usize) {
        // Else nobody waits for room.
        if !matches!(self.state.lock().link, Link::Local(_)) {
            return;
        }
        let used = self.inbox_bytes.fetch_sub(count, Ordering::SeqCst) - count;
        fence(Ordering::SeqCst);
        if used > self.inbox_limit() * 2 / 3 {
            return;
        }
        if let Some(peer) = self.local_peer()
            && peer.starved.swap(false, Ordering::SeqCst)
        {
            peer.writable.wake_all();
            peer.source.notify(Readiness::WRITE);
        }
    }

    /// The urgent byte. Errors: `Invalid` when there is none, or it is among the others.
    fn receive_urgent(&self, sink: &mut dyn Sink, flags: ReceiveFlags) -> FsResult<usize> {
        let mut state = self.state.lock();
        if self.options.out_of_band_inline.load(Ordering::Relaxed) {
            return Err(FsError::Invalid);
        }
        let byte = if flags.peek { state.urgent } else { state.urgent.take() };
        drop(state);
        let byte = byte.ok_or(FsError::Invalid)?;
        sink.put(&[byte])
    }
}
