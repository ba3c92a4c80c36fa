//! From a segment to its connection, or to a listener: openings are answered from a bounded table of small records, and
//! become sockets when the peer has confirmed them.

use super::engine::Tcb;
use super::engine::Wire;
use super::engine::head::{ACK, Head, RST, SYN};
use super::listen::listener_for;
use super::wire::{Act, Remote, Way, first_number, refuse};
use super::{Link, TcpSocket, time_wait};
use crate::inet::address::{Endpoint, Tuple};
use crate::inet::connections;
use crate::inet::ip::input::Header;
use crate::inet::queue::ByteQueue;
use crate::interface;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use fs::FsError;
use hal::sync::SpinLock;
use hashbrown::HashMap;

/// Most openings that are not confirmed; the oldest goes for a new one (a flood of them holds nothing else).
const OPENINGS_MAX: usize = 4096;

/// An opening that was answered.
#[derive(Clone, Copy)]
struct Opening {
    iss: u32,
    syn: Head,
    id: u64,
}

#[derive(Default)]
struct Openings {
    table: HashMap<Tuple, Opening>,
    order: VecDeque<(u64, Tuple)>,
    next: u64,
}

static OPENINGS: SpinLock<Option<Openings>> = SpinLock::new(None);

/// A segment has arrived, its checksum right.
pub(crate) fn segment(header: &Header, bytes: &[u8]) {
    let Some((from, to, head, payload)) = Head::parse(bytes) else { return };
    if header.to.is_multicast() || header.to.is_broadcast() || header.from.is_any() {
        return;
    }
    let tuple = Tuple { local_ip: header.to, remote_ip: header.from, local_port: to, remote_port: from };
    let mut reset = true;
    if let Some(socket) = connections::find(&tuple) {
        reset = socket.act(Act::Segment(&head, payload));
    } else if time_wait::segment(&tuple, &head) {
        reset = false;
    } else if head.has(RST) {
        forget(&tuple);
    } else if head.flags & (SYN | ACK) == SYN {
        reset = !open(&tuple, &head);
    } else if head.has(ACK) {
        reset = !confirm(&tuple, &head, payload);
    }
    if reset {
        refuse((header.to, to), (header.from, from), &head, payload.len());
    }
}

fn forget(tuple: &Tuple) -> Option<Opening> {
    OPENINGS.lock().as_mut()?.table.remove(tuple)
}

/// Answers the first segment of a connection; false if nobody listens.
fn open(tuple: &Tuple, head: &Head) -> bool {
    let Some(listener) = listener_for(tuple.local_ip, tuple.local_port, connections::hash_of(tuple)) else {
        return false;
    };
    let full = listener.state.lock().listener.as_ref().is_none_or(|queues| queues.is_full());
    let Ok(path) = interface::table().path(tuple.remote_ip, 0) else { return true };
    if full {
        // Not answered: the peer tries again.
        return true;
    }
    let opening = {
        let mut openings = OPENINGS.lock();
        let openings = openings.get_or_insert_default();
        match openings.table.get(tuple) {
            Some(known) if known.syn.seq == head.seq => *known,
            _ => {
                while openings.order.len() >= OPENINGS_MAX
                    && let Some((id, old)) = openings.order.pop_front()
                {
                    if openings.table.get(&old).is_some_and(|known| known.id == id) {
                        openings.table.remove(&old);
                    }
                }
                openings.next += 1;
                let opening = Opening { iss: first_number(tuple), syn: *head, id: openings.next };
                openings.table.insert(*tuple, opening);
                openings.order.push_back((opening.id, *tuple));
                opening
            }
        }
    };
    let mut way = Way::new(path, *tuple, &listener.settings);
    let answer = Head {
        seq: opening.iss,
        ack: head.seq.wrapping_add(1),
        flags: SYN | ACK,
        window: 65_535,
        mss: Some(way.mss(&listener.settings) as u16),
        scale: head.scale.map(|_| 7),
        sack_permitted: head.sack_permitted,
        stamp: head.stamp.map(|(value, _)| ((hal::clock::now_ns() / 1_000_000) as u32, value)),
        ..Head::default()
    };
    way.send(&answer, &ByteQueue::new(), 0, 0, 0);
    true
}

/// The peer confirms an opening: a socket is made and waits to be accepted. False if there was none.
fn confirm(tuple: &Tuple, head: &Head, payload: &[u8]) -> bool {
    let known = OPENINGS.lock().as_ref().and_then(|openings| openings.table.get(tuple).copied());
    let Some(opening) = known.filter(|opening| opening.iss.wrapping_add(1) == head.ack) else { return false };
    let Some(listener) = listener_for(tuple.local_ip, tuple.local_port, connections::hash_of(tuple)) else {
        return false;
    };
    if listener.state.lock().listener.as_ref().is_none_or(|queues| queues.is_full()) {
        return true;
    }
    let Ok(path) = interface::table().path(tuple.remote_ip, 0) else { return true };
    if forget(tuple).is_none() {
        return true;
    }
    let scope = if tuple.remote_ip.is_link_local() { path.interface } else { 0 };
    let end = |ip, port| Endpoint { ip, port, scope };
    let (local, remote) = (end(tuple.local_ip, tuple.local_port), end(tuple.remote_ip, tuple.remote_port));
    let child = listener.make_child(local, remote);
    let way = Way::new(path, *tuple, &listener.settings);
    let tcb = Tcb::accepted(opening.iss, way.mss(&listener.settings), &opening.syn, hal::clock::now_ns());
    child.state.lock().link = Link::Remote(Box::new(Remote { tcb, way }));
    child.act(Act::Segment(head, payload));
    if let Err(child) = listener.offer(child) {
        child.act(Act::Abort);
        child.close_once();
    }
    true
}

/// An ICMP error about a segment of ours.
pub(crate) fn icmp_error(own: Endpoint, other: Endpoint, seq: u32, error: FsError, mtu: Option<u32>) {
    let Some(socket) = connections::find(&Tuple::new(own, other)) else { return };
    let known: Arc<TcpSocket> = socket;
    let (sent, connecting) = {
        let state = known.state.lock();
        let Link::Remote(remote) = &state.link else { return };
        // Only who saw our segments knows their numbers.
        let flight = remote.tcb.nxt.wrapping_sub(remote.tcb.una);
        (seq.wrapping_sub(remote.tcb.una) <= flight, !remote.tcb.is_synchronised())
    };
    if !sent {
        return;
    }
    match mtu {
        Some(mtu) => {
            known.act(Act::PathMtu((mtu as usize).max(if own.ip.is_v4() { 552 } else { 1280 })));
        }
        // An error is final only for a connection that is being made (RFC 1122, 4.2.3.9).
        None if connecting => known.fail(error),
        None => {}
    }
}
