//! From a segment to its connection, or to those that are being opened.

use super::engine::head::{ACK, Head, RST, SYN};
use super::wire::{Act, refuse};
use super::{Link, TcpSocket, opening, time_wait};
use crate::inet::address::{Endpoint, Tuple};
use crate::inet::connections;
use crate::inet::ip::input::Header;
use crate::inet::ip::path_mtu;
use alloc::sync::Arc;
use fs::FsError;

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
    } else if time_wait::segment(&tuple, &head, payload.is_empty()) {
        reset = false;
    } else if head.has(RST) {
        opening::reset(&tuple, head.seq);
    } else if head.flags & (SYN | ACK) == SYN {
        reset = !opening::open(&tuple, &head);
    } else if head.has(ACK) {
        reset = !opening::confirm(&tuple, &head, payload);
    }
    if reset {
        refuse((header.to, to), (header.from, from), &head, payload.len());
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
