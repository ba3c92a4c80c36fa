//! listen(2) and accept(2).

use super::{Link, Phase, TcpSocket};
use crate::inet::address::Ip;
use crate::inet::connections;
use crate::inet::ports::{self, Holder, Share};
use crate::options::Patience;
use crate::socket::Socket;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::Ordering;
use fs::{FsError, FsResult, Readiness};

/// The most connections that may wait (net.core.somaxconn).
const BACKLOG_MAX: usize = 4096;

/// A listening socket's queues.
pub(crate) struct Listener {
    pub backlog: usize,
    /// Connections to be accepted.
    pub queue: VecDeque<Arc<TcpSocket>>,
    /// Sockets of this machine that wait for room in the queue. On Linux their first segment was dropped, and they
    /// would send it again.
    pub waiting: VecDeque<Weak<TcpSocket>>,
}

impl Listener {
    pub fn is_ready(&self) -> bool {
        !self.queue.is_empty()
    }
    /// As on Linux one more than the backlog may wait.
    pub fn is_full(&self) -> bool {
        self.queue.len() > self.backlog
    }
}

impl TcpSocket {
    pub(super) fn start_listening(&self, backlog: usize) -> FsResult<()> {
        let backlog = backlog.min(BACKLOG_MAX);
        let (bound, local) = {
            let mut state = self.state.lock();
            if let Some(listener) = &mut state.listener {
                listener.backlog = backlog;
                return Ok(());
            }
            if state.phase != Phase::Closed || state.shared.is_some() {
                return Err(FsError::Invalid);
            }
            (state.bound, state.local)
        };
        if !bound {
            let port = ports::TCP.bind(self, self.holder(), local)?;
            let mut state = self.state.lock();
            state.local.port = port;
            state.bound = true;
        } else if !ports::TCP.may_listen(self, &self.holder(), local) {
            return Err(FsError::AddressInUse);
        }
        let mut state = self.state.lock();
        state.phase = Phase::Listening;
        state.read_shut = false;
        state.write_shut = false;
        state.error = None;
        state.listener = Some(Listener { backlog, queue: VecDeque::new(), waiting: VecDeque::new() });
        self.listening.store(true, Ordering::Release);
        let only_here = state.local.ip.is_loopback();
        drop(state);
        if !only_here {
            crate::device::start();
        }
        Ok(())
    }

    pub(super) fn next_connection(&self, patience: Patience) -> FsResult<Arc<TcpSocket>> {
        let connection = patience.wait(&self.readable, || {
            let mut state = self.state.lock();
            let Some(listener) = &mut state.listener else { return Some(Err(FsError::Invalid)) };
            listener.queue.pop_front().map(Ok)
        })??;
        self.admit_waiting();
        Ok(connection)
    }

    /// There may be room in the queue: whoever waits longest gets it.
    fn admit_waiting(&self) {
        loop {
            let next = {
                let mut state = self.state.lock();
                let Some(listener) = &mut state.listener else { return };
                if listener.is_full() {
                    return;
                }
                listener.waiting.pop_front()
            };
            let Some(next) = next else { return };
            if let Some(client) = next.upgrade() {
                client.meet(&self.this());
            }
        }
    }

    /// Puts a connection into the queue; `Err`: there is no room or nobody listens any more.
    pub(super) fn offer(&self, connection: Arc<TcpSocket>) -> Result<(), Arc<TcpSocket>> {
        {
            let mut state = self.state.lock();
            match &mut state.listener {
                Some(listener) if !listener.is_full() => listener.queue.push_back(connection),
                _ => return Err(connection),
            }
        }
        self.readable.wake_one();
        self.source.notify(Readiness::READ);
        Ok(())
    }

    /// No more connections: those that wait are reset.
    pub(super) fn stop_listening(&self) {
        let listener = {
            let mut state = self.state.lock();
            self.listening.store(false, Ordering::Release);
            state.phase = Phase::Closed;
            state.listener.take()
        };
        let Some(listener) = listener else { return };
        for connection in listener.queue {
            connection.abort();
            connection.close();
        }
        for client in listener.waiting.iter().filter_map(Weak::upgrade) {
            client.fail(FsError::ConnectionRefused);
        }
        self.wake(Readiness::READ | Readiness::HANGUP);
    }

    /// The other end of a connection from `client`, which is linked to nothing yet.
    pub(super) fn make_child(&self, local: crate::inet::Endpoint, remote: crate::inet::Endpoint) -> Arc<TcpSocket> {
        let child = TcpSocket::new(self.v6);
        child.options.inherit(&self.options);
        child.settings.copy_from(&self.settings);
        let reuse = self.options.reuse_address.load(Ordering::Relaxed);
        let share = Share { port: local.port, ip: local.ip, reuse };
        ports::TCP.share(share);
        {
            let mut state = child.state.lock();
            state.phase = Phase::Connected;
            (state.local, state.remote) = (local, remote);
            state.shared = Some(share);
            state.link = Link::None;
        }
        let tuple = crate::inet::Tuple::new(local, remote);
        if connections::insert(tuple, &child) {
            child.state.lock().listed = Some(tuple);
        }
        child
    }
}

/// The listener for connections to an address: the most special one; of several, one by chance of `seed`
/// (SO_REUSEPORT).
pub(super) fn listener_for(ip: Ip, port: u16, seed: u64) -> Option<Arc<TcpSocket>> {
    let mut found: alloc::vec::Vec<Arc<TcpSocket>> = alloc::vec::Vec::new();
    let mut best = 0;
    let mut others = alloc::vec::Vec::new();
    ports::TCP.each(port, ip, &mut |holder, rank| {
        let Holder::Tcp(socket) = holder else { return };
        let Some(socket) = socket.upgrade() else { return };
        if rank < best || !socket.is_listening() {
            // Dropped later, not under the lock of the ports.
            others.push(socket);
            return;
        }
        if rank > best {
            best = rank;
            others.append(&mut found);
        }
        found.push(socket);
    });
    if found.is_empty() {
        return None;
    }
    let index = (seed % found.len() as u64) as usize;
    Some(found.swap_remove(index))
}
