//! Connections that others open: the first segment is answered from a bounded table of small records, the answer repeated
//! while nothing comes back, and a socket made when the peer has confirmed it. While the table is full, answers are
//! cookies (`cookie.rs`), which need no record: a flood neither takes memory nor keeps others out.

use super::engine::Tcb;
use super::engine::head::{ACK, FIN, Head, SYN};
use super::listen::listener_for;
use super::secret::Keyed;
use super::wire::{Act, Remote, Way, first_number};
use super::{Link, TcpSocket, cookie};
use crate::inet::address::{Endpoint, Tuple};
use crate::inet::connections;
use crate::inet::settings::{Setting, repetitions};
use crate::interface;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use hal::sync::SpinLock;
use hashbrown::HashMap;

/// Most openings with a record.
pub(super) const OPENINGS_MAX: usize = 4096;
/// How often an answer is repeated (net.ipv4.tcp_synack_retries), and the time before the first repetition, which
/// doubles. One that was repeated so often goes after the next.
const REPEATS: usize = 5;
const REPEAT_NS: u64 = 1_000_000_000;

#[derive(Clone, Copy)]
struct Opening {
    iss: u32,
    syn: Head,
    id: u64,
    repeats: u32,
    /// The peer has confirmed it, and has said nothing (TCP_DEFER_ACCEPT).
    is_silent: bool,
}

#[derive(Default)]
struct Openings {
    table: HashMap<Tuple, Opening, Keyed>,
    next: u64,
    /// What is due when, by how often it was repeated: each list is in order, since each has one delay.
    due: [VecDeque<(u64, u64, Tuple)>; REPEATS + 1],
}

static OPENINGS: SpinLock<Option<Openings>> = SpinLock::new(None);

impl Openings {
    /// The record of an opening; `None`: there is no room.
    fn record(&mut self, tuple: &Tuple, head: &Head, now_ns: u64) -> Option<Opening> {
        if let Some(known) = self.table.get(tuple).filter(|known| known.syn.seq == head.seq) {
            return Some(*known);
        }
        // Lists also have what was confirmed since.
        if self.table.len() >= OPENINGS_MAX || self.due[0].len() >= 4 * OPENINGS_MAX {
            return None;
        }
        self.next += 1;
        let opening = Opening { iss: first_number(tuple), syn: *head, id: self.next, repeats: 0, is_silent: false };
        self.table.insert(*tuple, opening);
        self.due[0].push_back((now_ns + REPEAT_NS, opening.id, *tuple));
        Some(opening)
    }

    /// The next that is due: to be answered again, or (`None`) given up; when none is, the next time.
    fn next_due(&mut self, now_ns: u64) -> Result<Option<(Tuple, Opening)>, u64> {
        let mut next = u64::MAX;
        for times in 0..self.due.len() {
            let Some(&(at, id, tuple)) = self.due[times].front() else { continue };
            if at > now_ns {
                next = next.min(at);
                continue;
            }
            self.due[times].pop_front();
            let Some(known) = self.table.get_mut(&tuple).filter(|known| known.id == id) else { return Ok(None) };
            known.repeats += 1;
            let opening = *known;
            if times == REPEATS {
                self.table.remove(&tuple);
                return Ok(None);
            }
            self.due[times + 1].push_back((now_ns + (REPEAT_NS << (times + 1)), id, tuple));
            // In a flood repetitions would only make it larger.
            let is_flood = self.table.len() > OPENINGS_MAX / 2;
            return Ok((!is_flood).then_some((tuple, opening)));
        }
        Err(next)
    }
}

/// Openings with a record.
#[cfg(test)]
pub(crate) fn count() -> usize {
    OPENINGS.lock().as_ref().map_or(0, |openings| openings.table.len())
}

/// Repeats the answers that are due; the next time.
pub(crate) fn run(now_ns: u64) -> u64 {
    loop {
        let due = match OPENINGS.lock().as_mut() {
            Some(openings) => openings.next_due(now_ns),
            None => return u64::MAX,
        };
        match due {
            Err(next) => return next,
            Ok(None) => {}
            Ok(Some((tuple, opening))) => {
                if let Some(listener) = listener_of(&tuple) {
                    // Who is silent is asked again when the time is up.
                    let (deferral, _) = repetitions(listener.settings.get(Setting::DeferAccept));
                    if opening.is_silent && opening.repeats < deferral {
                        continue;
                    }
                    answer(&listener, &tuple, &opening.syn, opening.iss, now_ms());
                } else {
                    forget(&tuple);
                }
            }
        }
    }
}

fn now_ms() -> u32 {
    (hal::clock::now_ns() / 1_000_000) as u32
}

fn listener_of(tuple: &Tuple) -> Option<Arc<TcpSocket>> {
    listener_for(tuple.local_ip, tuple.local_port, connections::hash_of(tuple))
}

fn is_full(listener: &TcpSocket) -> bool {
    listener.state.lock().listener.as_ref().is_none_or(|queues| queues.is_full())
}

fn forget(tuple: &Tuple) -> Option<Opening> {
    OPENINGS.lock().as_mut()?.table.remove(tuple)
}

/// Whether a peer that confirms an opening and says nothing is not accepted yet.
fn is_deferred(tuple: &Tuple, deferral: u32) -> bool {
    let mut openings = OPENINGS.lock();
    let Some(known) = openings.as_mut().and_then(|openings| openings.table.get_mut(tuple)) else { return false };
    known.is_silent = known.repeats < deferral;
    known.is_silent
}

/// A reset: an opening goes if the number is the right one (RFC 5961, 3.2).
pub(super) fn reset(tuple: &Tuple, seq: u32) {
    if let Some(openings) = OPENINGS.lock().as_mut()
        && openings.table.get(tuple).is_some_and(|known| known.syn.seq.wrapping_add(1) == seq)
    {
        openings.table.remove(tuple);
    }
}

/// Answers the first segment of a connection; false if nobody listens.
pub(super) fn open(tuple: &Tuple, head: &Head) -> bool {
    let Some(listener) = listener_of(tuple) else { return false };
    if is_full(&listener) {
        // Not answered: the peer tries again.
        return true;
    }
    let now_ns = hal::clock::now_ns();
    let record = OPENINGS.lock().get_or_insert_default().record(tuple, head, now_ns);
    match record {
        Some(opening) => {
            answer(&listener, tuple, head, opening.iss, now_ms());
            crate::device::wake_at(now_ns + REPEAT_NS);
        }
        None => {
            let (iss, stamp) = cookie::make(tuple, head, now_ns);
            let mut syn = *head;
            if syn.stamp.is_none() {
                // There is no place to remember them.
                (syn.scale, syn.sack_permitted) = (None, false);
            }
            answer(&listener, tuple, &syn, iss, stamp);
        }
    }
    true
}

fn answer(listener: &TcpSocket, tuple: &Tuple, syn: &Head, iss: u32, stamp: u32) {
    let Ok(path) = interface::table().path(tuple.remote_ip, 0) else { return };
    let mut way = Way::new(path, *tuple, &listener.settings);
    let answer = Head {
        seq: iss,
        ack: syn.seq.wrapping_add(1),
        flags: SYN | ACK,
        window: 65_535,
        mss: Some(way.mss(&listener.settings) as u16),
        scale: syn.scale.map(|_| 7),
        sack_permitted: syn.sack_permitted,
        stamp: syn.stamp.map(|(value, _)| (stamp, value)),
        ..Head::default()
    };
    way.send_alone(&answer);
}

/// The peer confirms an opening: a socket is made and waits to be accepted. False if there was none.
pub(super) fn confirm(tuple: &Tuple, head: &Head, payload: &[u8]) -> bool {
    let now_ns = hal::clock::now_ns();
    let known = OPENINGS.lock().as_ref().and_then(|openings| openings.table.get(tuple).copied());
    let known = known.map(|opening| (opening.iss, opening.syn)).filter(|(iss, _)| iss.wrapping_add(1) == head.ack);
    let has_record = known.is_some();
    let Some((iss, syn)) = known.or_else(|| cookie::open(tuple, head, now_ns)) else { return false };
    let Some(listener) = listener_of(tuple) else { return false };
    if is_full(&listener) {
        return true;
    }
    let (deferral, _) = repetitions(listener.settings.get(Setting::DeferAccept));
    if has_record && deferral > 0 && payload.is_empty() && !head.has(FIN) && is_deferred(tuple, deferral) {
        return true;
    }
    let Ok(path) = interface::table().path(tuple.remote_ip, 0) else { return true };
    if has_record && forget(tuple).is_none() {
        return true;
    }
    let scope = if tuple.remote_ip.is_link_local() { path.interface } else { 0 };
    let end = |ip, port| Endpoint { ip, port, scope };
    let (local, remote) = (end(tuple.local_ip, tuple.local_port), end(tuple.remote_ip, tuple.remote_port));
    let way = Way::new(path, *tuple, &listener.settings);
    let tcb = Tcb::accepted(iss, way.mss(&listener.settings), &syn, now_ns);
    let (child, is_listed) = listener.make_child(local, remote, Link::Remote(Box::new(Remote::new(tcb, way))));
    if !is_listed {
        // A cookie is good twice, and another vCPU has taken the segment before or behind this one: it is the connection's.
        let _unused = core::mem::replace(&mut child.state.lock().link, Link::None);
        child.close_once();
        return !connections::find(tuple).is_some_and(|known| known.act(Act::Segment(head, payload)));
    }
    child.act(Act::Segment(head, payload));
    if let Err(child) = listener.offer(child) {
        child.act(Act::Abort);
        child.close_once();
    }
    true
}
