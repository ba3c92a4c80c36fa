//! listen(2) and accept(2).

use super::{Link, Phase, TcpSocket};
use crate::inet::address::{Endpoint, Ip, Tuple};
use crate::inet::connections;
use crate::inet::ports::{self, Holder, Share};
use crate::inet::settings::{Setting, repetitions};
use crate::options::Patience;
use crate::socket::{ARRIVED, Socket};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use fs::{FsError, FsResult, Readiness};
use sched::timer::{Timer, TimerOwner};

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
    /// Connections from this machine that have said nothing, and when they are accepted nevertheless (TCP_DEFER_ACCEPT).
    deferred: Vec<(u64, Arc<TcpSocket>)>,
    /// For the earliest of those.
    timer: Option<Arc<Timer>>,
}

impl Listener {
    fn new(backlog: usize) -> Self {
        Self { backlog, queue: VecDeque::new(), waiting: VecDeque::new(), deferred: Vec::new(), timer: None }
    }
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
        state.listener = Some(Listener::new(backlog));
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
        self.source.notify(ARRIVED);
        Ok(())
    }

    /// Puts a connection from this machine into the queue when it has said something, or after TCP_DEFER_ACCEPT's time.
    pub(super) fn offer_later(&self, connection: Arc<TcpSocket>) -> Result<(), Arc<TcpSocket>> {
        let (_, seconds) = repetitions(self.settings.get(Setting::DeferAccept));
        if seconds == 0 {
            return self.offer(connection);
        }
        let at_ns = hal::clock::now_ns() + seconds as u64 * 1_000_000_000;
        connection.state.lock().waits_at = Some(self.me.clone());
        let timer = {
            let mut state = self.state.lock();
            let Some(listener) = state.listener.as_mut().filter(|listener| !listener.is_full()) else {
                return Err(connection);
            };
            listener.deferred.push((at_ns, connection.clone()));
            let me = self.me.clone();
            let ring = move || {
                if let Some(listener) = me.upgrade() {
                    listener.end_deferral();
                }
            };
            listener.timer.get_or_insert_with(|| Arc::new(Timer::new(TimerOwner::Kernel, Box::new(ring)))).clone()
        };
        if timer.deadline_ns().is_none_or(|known| at_ns < known) {
            timer.arm(at_ns);
        }
        connection.deferred.store(true, Ordering::Release);
        // Another thread may have used the other end meanwhile.
        let (is_gone, has_ended) = {
            let state = connection.state.lock();
            (state.phase != Phase::Connected, state.ended)
        };
        if is_gone || has_ended || connection.inbox.lock().len() > 0 {
            connection.speaks(is_gone && !has_ended);
        }
        Ok(())
    }

    /// The time of some connections is up.
    fn end_deferral(&self) {
        let now_ns = hal::clock::now_ns();
        let (due, timer, next) = {
            let mut state = self.state.lock();
            let Some(listener) = &mut state.listener else { return };
            let due: Vec<_> = listener.deferred.extract_if(.., |(at_ns, _)| *at_ns <= now_ns).collect();
            (due, listener.timer.clone(), listener.deferred.iter().map(|(at_ns, _)| *at_ns).min())
        };
        for (_, connection) in due {
            self.offer_deferred(connection);
        }
        if let (Some(timer), Some(next)) = (timer, next) {
            timer.arm(next);
        }
    }

    fn offer_deferred(&self, connection: Arc<TcpSocket>) {
        connection.deferred.store(false, Ordering::Release);
        if let Err(connection) = self.offer(connection) {
            connection.abort();
            connection.close_once();
        }
    }

    /// This connection has something to say, or has ended, or (`is_gone`) was reset before it had.
    pub(super) fn speaks(&self, is_gone: bool) {
        if !self.deferred.swap(false, Ordering::AcqRel) {
            return;
        }
        let listener = self.state.lock().waits_at.take();
        let Some(listener) = listener.and_then(|listener| listener.upgrade()) else { return };
        let own = {
            let mut state = listener.state.lock();
            let Some(queues) = &mut state.listener else { return };
            let at = queues.deferred.iter().position(|(_, known)| known.me.ptr_eq(&self.me));
            at.map(|at| queues.deferred.swap_remove(at).1)
        };
        match own {
            Some(own) if is_gone => own.close_once(),
            Some(own) => listener.offer_deferred(own),
            None => {}
        }
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
        for connection in listener.queue.into_iter().chain(listener.deferred.into_iter().map(|(_, deferred)| deferred))
        {
            connection.abort();
            connection.close();
        }
        // A callback that runs takes the state's lock, which is free.
        drop(listener.timer);
        for client in listener.waiting.iter().filter_map(Weak::upgrade) {
            client.fail(FsError::ConnectionRefused);
        }
        self.wake(Readiness::READ | Readiness::HANGUP);
    }

    /// This end of a connection from `remote`, and whether it is listed: not if there is one of the same addresses already. It
    /// has its link before: once it is listed another vCPU may find it.
    pub(super) fn make_child(&self, local: Endpoint, remote: Endpoint, link: Link) -> (Arc<TcpSocket>, bool) {
        let child = TcpSocket::new(self.v6);
        child.options.inherit(&self.options);
        child.settings.copy_from(&self.settings);
        let reuse = self.options.reuse_address.load(Ordering::Relaxed);
        let share = Share { port: local.port, ip: local.ip, reuse };
        let tuple = Tuple::new(local, remote);
        ports::TCP.share(share);
        {
            let mut state = child.state.lock();
            state.phase = Phase::Connected;
            (state.local, state.remote) = (local, remote);
            state.shared = Some(share);
            child.over_network.store(matches!(link, Link::Remote(_)), Ordering::Release);
            state.link = link;
            state.listed = Some(tuple);
        }
        let is_listed = connections::insert(tuple, &child);
        if !is_listed {
            child.state.lock().listed = None;
        }
        (child, is_listed)
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
