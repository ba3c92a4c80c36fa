//! What happens most to a connection over the network, by a shorter way than `wire.rs`'s: a segment that is as expected comes,
//! and bytes are sent.

use super::engine::Stage;
use super::engine::head::Head;
use super::memory::{self, Pressure};
use super::{Link, Phase, TcpSocket, timer, wire};
use crate::device::HAS_NETWORK;
use crate::inet::queue::Piece;
use crate::options::Patience;
use crate::socket::ARRIVED;
use core::sync::atomic::Ordering;
use fs::{FsResult, Readiness, Sink, SliceSource, Source};

/// Most bytes of a segment that is taken in here.
const FEW: usize = 2048;

impl TcpSocket {
    /// Takes a segment in if it is as expected (`engine/plain.rs`); false: it is not, and nothing has happened.
    pub(super) fn take_plain(&self, head: &Head, payload: &[u8]) -> bool {
        if !HAS_NETWORK || payload.len() > FEW || memory::pressure() != Pressure::None {
            return false;
        }
        let mut what = Readiness::empty();
        let deadline = {
            let mut state = self.state.lock();
            let Link::Remote(remote) = &mut state.link else { return false };
            if !remote.tcb.is_plain(head, payload.len()) || self.closed.load(Ordering::Acquire) {
                return false;
            }
            if !payload.is_empty() {
                let mut inbox = self.inbox.lock();
                if !inbox.append_few(payload) {
                    return false;
                }
                remote.inbox = (inbox.len(), inbox.held());
                what = ARRIVED;
            }
            remote.tcb.input_plain(head, payload.len(), hal::clock::now_ns());
            if self.starved.load(Ordering::Relaxed) && self.fits(remote) {
                self.starved.store(false, Ordering::Relaxed);
                what |= Readiness::WRITE;
            }
            self.charge.set(remote.tcb.buffered() + remote.inbox.1);
            remote.tcb.deadline()
        };
        timer::set(self, deadline);
        if !what.is_empty() {
            self.wake(what);
        }
        true
    }

    /// read(2) of all that is there, in one piece, by who has room for it. `None`: it is not so, and nothing has been taken.
    #[inline]
    pub(super) fn read_plain(&self, sink: &mut dyn Sink, room: usize) -> Option<FsResult<usize>> {
        if !HAS_NETWORK || !self.over_network.load(Ordering::Acquire) {
            return None;
        }
        let _turn = self.reading.lock();
        let mut piece = {
            let mut inbox = self.inbox.lock();
            let piece = inbox.pop_all(room)?;
            // As in `transfer.rs`: under the lock under which bytes arrive.
            self.source.drained(|| true);
            piece
        };
        let put = sink.put(piece.rest());
        if let Ok(count) = put {
            piece.advance(count);
            self.made_room(count);
        }
        if !piece.rest().is_empty() {
            // The buffer was bad.
            self.inbox.lock().unpop(piece);
            self.source.notify(ARRIVED);
        }
        Some(put)
    }

    /// write(2) of few bytes, where there is room for all of them and nothing else to think of. `None`: it is not so, and nothing
    /// has been taken.
    #[inline]
    pub(super) fn write_plain(
        &self,
        source: &mut dyn Source,
        want: usize,
        patience: Patience,
    ) -> Option<FsResult<usize>> {
        if !HAS_NETWORK || want == 0 || want > FEW || !self.over_network.load(Ordering::Acquire) {
            return None;
        }
        // What is wrong with the buffer is told later than what is with the socket.
        let piece = Piece::fill(source, want).ok()?;
        let count = piece.rest().len();
        match self.send_over_network(piece) {
            Ok(()) => Some(Ok(count)),
            Err(piece) => Some(self.send_bytes(&mut SliceSource::new(piece.rest()), false, patience)),
        }
    }

    /// Sends a piece on a connection that is open both ways and has room for it; else gives it back.
    pub(super) fn send_over_network(&self, piece: Piece) -> Result<(), Piece> {
        if !HAS_NETWORK {
            return Err(piece);
        }
        let deadline = {
            let mut state = self.state.lock();
            let is_open = state.phase == Phase::Connected && !state.write_shut && state.error.is_none();
            let Link::Remote(remote) = &mut state.link else { return Err(piece) };
            let is_plain = is_open && remote.tcb.stage == Stage::Established && !remote.tcb.fin_queued;
            if !is_plain || self.send_limit(remote) < remote.tcb.queue.len() + piece.rest().len() {
                return Err(piece);
            }
            let rules = wire::rules_of_sending(&self.options, &self.settings, &remote.way, remote.inbox.0);
            remote.tcb.queue.push(piece);
            remote.tcb.output(&rules, &mut remote.way);
            if remote.tcb.blocked {
                timer::wait_for_device(self);
            }
            self.charge.set(remote.tcb.buffered() + remote.inbox.1);
            remote.tcb.deadline()
        };
        timer::set(self, deadline);
        Ok(())
    }
}
