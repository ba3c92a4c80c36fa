//! From a segment to its connection, or to those that are being opened.

use super::engine::head::{ACK, Head, RST, SYN};
use super::wire::{Act, refuse};
use super::{Link, TcpSocket, opening, time_wait};
use crate::inet::address::{Endpoint, Ip, Tuple};
use crate::inet::connections;
use crate::inet::ip::input::Header;
use crate::inet::ip::path_mtu;
use alloc::sync::Arc;
use fs::FsError;

/// A segment has arrived, its checksum right. `is_for_us` says whether this machine has the address that it is sent to, and not
/// the sender's: asked only for segments of no connection, since those of one name addresses that were looked at when it was made.
pub(crate) fn segment(header: &Header, bytes: &[u8], is_for_us: &dyn Fn() -> bool) {
    if to_connection((header.from, header.to), bytes, is_for_us) || !is_for_us() {
        return;
    }
    let Some((from, to, head, payload)) = Head::parse(bytes) else { return };
    let tuple = Tuple { local_ip: header.to, remote_ip: header.from, local_port: to, remote_port: from };
    if of_no_connection(&tuple, &head, payload) {
        refuse((header.to, to), (header.from, from), &head, payload.len());
    }
}

/// As [`segment`], if it is of a connection that there is, or none at all; false: it is not, and nothing has happened.
#[inline]
pub(crate) fn to_connection((sender, receiver): (Ip, Ip), bytes: &[u8], is_for_us: impl Fn() -> bool) -> bool {
    let Some((from, to, head, payload)) = Head::parse(bytes) else { return true };
    let tuple = Tuple { local_ip: receiver, remote_ip: sender, local_port: to, remote_port: from };
    let Some(socket) = connections::find(&tuple) else { return false };
    if socket.take_plain(&head, payload) || !socket.act(Act::Segment(&head, payload)) {
        return true;
    }
    // It may have gone over to TIME_WAIT since it was found. One within the machine takes nothing from outside: whoever names its
    // ends lies.
    if !time_wait::segment(&tuple, &head, payload.is_empty()) && is_for_us() {
        refuse((receiver, to), (sender, from), &head, payload.len());
    }
    true
}

/// A segment for nobody who is connected. True: a reset is the answer.
fn of_no_connection(tuple: &Tuple, head: &Head, payload: &[u8]) -> bool {
    if tuple.local_ip.is_multicast() || tuple.local_ip.is_broadcast() || tuple.remote_ip.is_any() {
        return false;
    }
    if time_wait::segment(tuple, head, payload.is_empty()) {
        return false;
    }
    if head.has(RST) {
        opening::reset(tuple, head.seq);
        return true;
    }
    match head.flags & (SYN | ACK) {
        SYN => !opening::open(tuple, head),
        0 => true,
        _ => !opening::confirm(tuple, head, payload),
    }
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
            // Connections that are made from now on know it too.
            let mtu = path_mtu::learn(other.ip, mtu);
            known.act(Act::PathMtu(mtu as usize));
        }
        // An error is final only for a connection that is being made (RFC 1122, 4.2.3.9).
        None if connecting => known.fail(error),
        None => {}
    }
}
