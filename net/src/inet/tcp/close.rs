//! The ends of connections: shutdown(2), close(2), resets.

use super::engine::Stage;
use super::wire::Act;
use super::{Link, Phase, TcpSocket};
use crate::inet::address::Endpoint;
use crate::inet::{any_address, ports};
use crate::socket::Shutdown;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use fs::{FsError, FsResult, Readiness};
use sched::Interruptible;

/// Most connections over the network that nobody holds and that have not ended (net.ipv4.tcp_max_orphans). More are reset.
const ORPHANS_MAX: usize = 8192;
static ORPHANS: AtomicUsize = AtomicUsize::new(0);

impl TcpSocket {
    /// Counts the connection among those that nobody holds; false if there are too many.
    fn make_orphan(&self) -> bool {
        let more = |count: usize| (count < ORPHANS_MAX).then_some(count + 1);
        let counted = ORPHANS.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok();
        self.orphaned.store(counted, Ordering::Release);
        counted
    }

    /// It is none of them any more.
    pub(super) fn no_orphan(&self) {
        if self.orphaned.swap(false, Ordering::AcqRel) {
            ORPHANS.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(super) fn shut(&self, how: Shutdown) -> FsResult<()> {
        let phase = self.state.lock().phase;
        match phase {
            Phase::Listening => {
                if how.read {
                    self.stop_listening();
                }
                return Ok(());
            }
            Phase::Connecting => {
                self.fail(FsError::ConnectionReset);
                return Ok(());
            }
            Phase::Closed | Phase::Connected => {}
        }
        let (ended, what) = {
            let mut state = self.state.lock();
            let ended = how.write && !state.write_shut && state.phase == Phase::Connected;
            state.read_shut |= how.read;
            state.write_shut |= how.write;
            state.ends_first |= ended && !state.ended;
            if ended && state.ended {
                state.phase = Phase::Closed;
            }
            let mut what = state.hangup();
            what.set(Readiness::READ | Readiness::READ_HANGUP, how.read);
            what.set(Readiness::WRITE, how.write);
            (ended, what)
        };
        if ended {
            match self.local_peer() {
                Some(peer) => peer.end_arrived(),
                None => {
                    self.this().act(Act::End);
                }
            }
        }
        self.wake(what);
        if phase == Phase::Closed { Err(FsError::NotConnected) } else { Ok(()) }
    }

    /// The peer sends no more.
    pub(super) fn end_arrived(&self) {
        let what = {
            let mut state = self.state.lock();
            state.ended = true;
            state.read_shut = true;
            if state.write_shut && state.phase == Phase::Connected {
                state.phase = Phase::Closed;
            }
            Readiness::READ | Readiness::READ_HANGUP | state.hangup()
        };
        self.readable.wake_all();
        self.source.notify(what);
        self.speaks(false);
    }

    /// The peer has reset the connection.
    pub(super) fn reset(&self) {
        let error = {
            let state = self.state.lock();
            match state.phase {
                Phase::Connected if state.ended && state.write_shut => return,
                Phase::Connected if state.ended => FsError::BrokenPipe,
                Phase::Connected => FsError::ConnectionReset,
                _ => return,
            }
        };
        {
            // The link stays: the connection is over, but the socket was connected once.
            let mut state = self.state.lock();
            state.error = Some(error);
            state.phase = Phase::Closed;
            (state.read_shut, state.write_shut) = (true, true);
            state.ends_first = false;
        }
        self.speaks(true);
        self.wake(Readiness::READ | Readiness::WRITE | Readiness::ERROR | Readiness::HANGUP | Readiness::READ_HANGUP);
    }

    /// Ends the connection with a reset.
    pub(super) fn abort(&self) {
        self.this().act(Act::Abort);
        let link = core::mem::replace(&mut self.state.lock().link, Link::None);
        if let Link::Local(peer) = link
            && let Some(peer) = peer.upgrade()
        {
            peer.reset();
        }
    }

    /// connect(2) with AF_UNSPEC: the socket is as new, but keeps a port that it was bound to.
    pub(super) fn disconnect(&self) {
        let phase = self.state.lock().phase;
        match phase {
            Phase::Listening => self.stop_listening(),
            Phase::Connected => self.abort(),
            Phase::Connecting | Phase::Closed => {}
        }
        let (tuple, shared) = {
            let mut state = self.state.lock();
            let port = state.local.port;
            state.phase = Phase::Closed;
            state.link = Link::None;
            state.ends_first = false;
            state.waits_at = None;
            state.connect_open = false;
            state.error = None;
            (state.read_shut, state.write_shut, state.ended) = (false, false, false);
            state.remote = Endpoint::new(any_address(self.v6), 0);
            let bound = state.bound;
            state.local = Endpoint::new(any_address(self.v6), if bound { port } else { 0 });
            (state.listed.take(), state.shared.take())
        };
        self.unlist(tuple, shared, false);
        let _gone = self.inbox.lock().clear();
        self.inbox_bytes.store(0, Ordering::Release);
        self.over_network.store(false, Ordering::Release);
        self.wake(Readiness::WRITE | Readiness::HANGUP);
    }

    /// The last descriptor is gone.
    pub(super) fn close_once(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.listening.load(Ordering::Acquire) {
            self.stop_listening();
        }
        let unread = {
            let gone = self.inbox.lock().clear();
            gone.len() > 0
        };
        self.charge.set(0);
        if self.is_remote() {
            self.state.lock().keep_port(&self.options);
            let abrupt = unread || self.options.linger() == (true, 0) || self.state.lock().phase == Phase::Connecting;
            let abrupt = abrupt || !self.make_orphan();
            self.this().act(if abrupt { Act::Abort } else { Act::Leave });
        }
        let remote = self.is_remote();
        if !remote {
            self.no_orphan();
        }
        let (peer, ended, abrupt, waits_at) = {
            let mut state = self.state.lock();
            let peer: Option<Arc<TcpSocket>> = match &state.link {
                Link::Local(peer) => peer.upgrade(),
                _ => None,
            };
            if !remote {
                state.link = Link::None;
            }
            let ended = state.write_shut;
            let abrupt = unread || self.options.linger() == (true, 0);
            // A connection that is reset leaves nothing behind.
            state.ends_first = !abrupt && (state.ends_first || peer.is_some() && !ended && !state.ended);
            state.phase = Phase::Closed;
            (state.read_shut, state.write_shut) = (true, true);
            (peer, ended, abrupt, state.waits_at.take())
        };
        if let Some(listener) = waits_at.and_then(|listener| listener.upgrade())
            && let Some(queues) = &mut listener.state.lock().listener
        {
            queues.waiting.retain(|client| !client.ptr_eq(&self.me));
        }
        if let Some(peer) = peer {
            if abrupt {
                peer.reset();
            } else if !ended {
                peer.end_arrived();
            }
            // A sender that waits for room here finds that there is nobody.
            peer.writable.wake_all();
            peer.source.notify(Readiness::WRITE);
        }
        let (tuple, shared, bound, port, waits) = {
            let mut state = self.state.lock();
            if state.ends_first {
                state.keep_port(&self.options);
            }
            let port = state.local.port;
            let bound = core::mem::take(&mut state.bound);
            if remote {
                // The connection lives on until its end is acknowledged.
                drop(state);
                if bound {
                    ports::TCP.release(port, &self.holder());
                }
                self.wake(Readiness::HANGUP);
                return self.linger();
            }
            (state.listed.take(), state.shared.take(), bound, port, state.ends_first)
        };
        self.unlist(tuple, shared, waits);
        if bound {
            ports::TCP.release(port, &self.holder());
        }
        self.wake(Readiness::HANGUP);
    }

    /// SO_LINGER: waits until the peer has acknowledged everything and our end, or the time is up (socket(7)). A signal
    /// ends the wait.
    fn linger(&self) {
        let (true, seconds) = self.options.linger() else { return };
        let deadline = hal::clock::now_ns() + u64::from(seconds) * 1_000_000_000;
        let is_done = || {
            let state = self.state.lock();
            let Link::Remote(remote) = &state.link else { return Some(()) };
            let waits = matches!(remote.tcb.stage, Stage::FinWait1 | Stage::Closing | Stage::LastAck)
                || remote.tcb.queue.len() > 0;
            (!waits).then_some(())
        };
        let _ = self.writable.wait_until(Some(deadline), Interruptible::Yes, is_done);
    }
}
