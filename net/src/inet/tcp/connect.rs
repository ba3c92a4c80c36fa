//! connect(2).

use super::engine::Tcb;
use super::listen::listener_for;
use super::wire::{Act, Remote, Way, first_number};
use super::{Link, Phase, TcpSocket, real_destination, time_wait};
use crate::InetAddress;
use crate::inet::address::{Endpoint, Tuple};
use crate::inet::ports::Share;
use crate::inet::{checked, connections, ports};
use crate::interface;
use crate::options::Patience;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use fs::{Blocking, FsError, FsResult, Readiness};

/// How long Linux sends the first segment again when nobody answers (net.ipv4.tcp_syn_retries is 6).
const CONNECT_TIMEOUT_NS: u64 = 127_000_000_000;

impl TcpSocket {
    pub(super) fn connect_to(&self, to: &InetAddress, blocking: Blocking) -> FsResult<()> {
        let fresh = {
            let mut state = self.state.lock();
            match state.phase {
                Phase::Listening => return Err(FsError::AlreadyConnected),
                Phase::Connecting if blocking == Blocking::Never => return Err(FsError::AlreadyInProgress),
                Phase::Connecting => false,
                Phase::Connected if state.connect_open => {
                    state.connect_open = false;
                    return Ok(());
                }
                Phase::Connected => return Err(FsError::AlreadyConnected),
                Phase::Closed if state.connect_open => {
                    state.connect_open = false;
                    let error = state.error.take().unwrap_or(FsError::ConnectionAborted);
                    (state.read_shut, state.write_shut) = (false, false);
                    return Err(error);
                }
                // Both directions of an old connection are closed, but it was one.
                Phase::Closed if !matches!(state.link, Link::None) => return Err(FsError::AlreadyConnected),
                Phase::Closed => true,
            }
        };
        if fresh {
            self.start_connecting(real_destination(checked(to, self.v6, &self.settings)?))?;
            if blocking == Blocking::Never {
                return Err(FsError::InProgress);
            }
        }
        self.finish_connecting(self.options.send_patience(blocking))
    }

    /// Waits until the connection is there. Errors: `InProgress` when the time of SO_SNDTIMEO is up, ...
    fn finish_connecting(&self, patience: Patience) -> FsResult<()> {
        let deadline = hal::clock::now_ns().saturating_add(CONNECT_TIMEOUT_NS);
        let limited = match patience {
            Patience::Until(None) => Patience::Until(Some(deadline)),
            other => other,
        };
        let done = limited.wait(&self.writable, || (self.state.lock().phase != Phase::Connecting).then_some(()));
        match done {
            Err(FsError::WouldBlock) if matches!(patience, Patience::Until(None)) => self.fail(FsError::TimedOut),
            Err(FsError::WouldBlock) => return Err(FsError::InProgress),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        let mut state = self.state.lock();
        state.connect_open = false;
        if state.phase == Phase::Connected {
            return Ok(());
        }
        // The socket can be used again.
        (state.read_shut, state.write_shut) = (false, false);
        Err(state.error.take().unwrap_or(FsError::ConnectionAborted))
    }

    fn start_connecting(&self, to: Endpoint) -> FsResult<()> {
        if to.ip.is_multicast() || to.ip.is_broadcast() {
            return Err(FsError::NetworkUnreachable);
        }
        let mut local = self.state.lock().local;
        if !local.ip.is_any() && local.ip.is_v4() != to.ip.is_v4() {
            // Bound to an address of the other protocol.
            return Err(if to.ip.is_v4() { FsError::NetworkUnreachable } else { FsError::Invalid });
        }
        let path = interface::path(to.ip, to.scope)?;
        if local.ip.is_any() {
            local.ip = path.source;
            local.scope = to.scope;
        }
        self.take_tuple(local, to)?;
        {
            let mut state = self.state.lock();
            state.phase = Phase::Connecting;
            state.connect_open = true;
            (state.read_shut, state.write_shut, state.ended) = (false, false, false);
            state.ends_first = false;
            state.error = None;
        }
        if path.interface != interface::LOOPBACK {
            self.open_remote(path);
            return Ok(());
        }
        let seed = connections::hash_of(&Tuple::new(local, to));
        match listener_for(to.ip, to.port, seed) {
            Some(listener) => self.this().meet(&listener),
            None => self.fail(FsError::ConnectionRefused),
        }
        Ok(())
    }

    /// Sends the first segment to the network.
    fn open_remote(&self, path: interface::Path) {
        {
            let mut state = self.state.lock();
            let tuple = Tuple::new(state.local, state.remote);
            let way = Way::new(path, tuple, &self.settings);
            let tcb = Tcb::connect(first_number(&tuple), way.mss(&self.settings), hal::clock::now_ns());
            state.link = Link::Remote(Box::new(Remote::new(tcb, way)));
            self.over_network.store(true, Ordering::Release);
        }
        self.this().act(Act::Look);
    }

    /// Gets a port if there is none, and the place in the table of connections. Errors: `AddressNotAvailable`.
    fn take_tuple(&self, mut local: Endpoint, to: Endpoint) -> FsResult<()> {
        let me = self.this();
        let reuse = self.options.reuse_address.load(Ordering::Relaxed);
        let bound = self.state.lock().bound;
        let mut shared = None;
        if bound {
            if !connections::insert(Tuple::new(local, to), &me) {
                return Err(FsError::AddressNotAvailable);
            }
            ports::TCP.rename(local.port, &self.holder(), local.ip);
        } else {
            let share = ports::TCP.share_any(local.ip, reuse, |port| {
                let tuple = Tuple::new(Endpoint { port, ..local }, to);
                !time_wait::contains(&tuple) && connections::insert(tuple, &me)
            })?;
            local.port = share.port;
            shared = Some(share);
        }
        let mut state = self.state.lock();
        state.local = local;
        state.remote = to;
        state.shared = shared;
        state.listed = Some(Tuple::new(local, to));
        Ok(())
    }

    /// Connects to a listener of this machine, or waits at it for room.
    pub(super) fn meet(self: &Arc<Self>, listener: &Arc<TcpSocket>) {
        let (local, remote) = {
            let state = self.state.lock();
            if state.phase != Phase::Connecting {
                return;
            }
            (state.local, state.remote)
        };
        {
            let mut state = listener.state.lock();
            match &mut state.listener {
                Some(queues) if queues.is_full() => {
                    queues.waiting.push_back(self.me.clone());
                    drop(state);
                    self.state.lock().waits_at = Some(Arc::downgrade(listener));
                    return;
                }
                Some(_) => {}
                None => {
                    drop(state);
                    return self.fail(FsError::ConnectionRefused);
                }
            }
        }
        let (child, _) = listener.make_child(remote, local, Link::Local(self.me.clone()));
        {
            let mut state = self.state.lock();
            if state.phase != Phase::Connecting {
                drop(state);
                child.close_once();
                return;
            }
            state.link = Link::Local(Arc::downgrade(&child));
            state.phase = Phase::Connected;
            state.waits_at = None;
        }
        if let Err(child) = listener.offer_later(child) {
            // The last place went to another, or the listener closed: this end is reset then.
            child.abort();
            child.close_once();
            return;
        }
        self.wake(Readiness::WRITE);
    }

    /// The connection comes to nothing, or ends with an error.
    pub(super) fn fail(&self, error: FsError) {
        let (tuple, shared) = {
            let mut state = self.state.lock();
            state.error = Some(error);
            state.phase = Phase::Closed;
            state.waits_at = None;
            (state.read_shut, state.write_shut) = (true, true);
            state.link = Link::None;
            (state.listed.take(), state.shared.take())
        };
        self.unlist(tuple, shared, false);
        self.wake(Readiness::READ | Readiness::WRITE | Readiness::ERROR | Readiness::HANGUP | Readiness::READ_HANGUP);
    }

    /// The connection is out of the tables; it may leave its port in TIME_WAIT.
    pub(super) fn unlist(&self, tuple: Option<Tuple>, shared: Option<Share>, waits: bool) {
        if let Some(tuple) = tuple {
            connections::remove(&tuple);
        }
        if let Some(share) = shared {
            ports::TCP.unshare(share, waits);
        }
    }
}
