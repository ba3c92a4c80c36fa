//! From a datagram to the sockets that get it.

use super::{Datagram, RAW, UdpSocket, groups};
use crate::inet::address::{Endpoint, Ip};
use crate::inet::ports::{self, Holder};
use crate::inet::settings::Setting;
use crate::socket::{ARRIVED, PacketInfo};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

/// What a queued datagram counts beside its bytes, so that empty ones fill a queue too.
const COST: usize = 512;

/// A datagram on its way in.
pub(crate) struct Arrival<'a> {
    pub from: Endpoint,
    pub to: Endpoint,
    pub info: PacketInfo,
    pub bytes: &'a [u8],
}

impl UdpSocket {
    /// Queues a datagram; false if there is no room.
    pub(super) fn accept_datagram(&self, arrival: &Arrival<'_>) -> bool {
        let cost = arrival.bytes.len() + COST;
        let limit = self.options().receive_buffer() as usize;
        let before = self.queue_bytes.fetch_add(cost, Ordering::AcqRel);
        let mut bytes = Vec::new();
        if before + cost > limit && before > 0 || bytes.try_reserve_exact(arrival.bytes.len()).is_err() {
            self.queue_bytes.fetch_sub(cost, Ordering::AcqRel);
            return false;
        }
        bytes.extend_from_slice(arrival.bytes);
        self.queue.lock().push_back(Datagram { bytes, from: arrival.from, info: arrival.info });
        self.readable.wake_one();
        self.source.notify(ARRIVED);
        true
    }

    /// A datagram has left the queue.
    pub(super) fn forget(&self, datagram: &Datagram) {
        self.queue_bytes.fetch_sub(datagram.bytes.len() + COST, Ordering::AcqRel);
    }

    fn options(&self) -> &crate::Options {
        &self.options
    }

    /// Whether it is connected to somebody else than `from`; whether it is connected.
    fn refuses(&self, from: Endpoint) -> (bool, bool) {
        match self.state.lock().remote {
            Some(remote) => (remote.ip != from.ip || remote.port != from.port, true),
            None => (false, false),
        }
    }
}

/// Gives a datagram to its socket, or to all sockets of a group; false if nobody listens there.
pub(crate) fn deliver(arrival: &Arrival<'_>) -> bool {
    let many = arrival.to.ip.is_multicast() || arrival.to.ip.is_broadcast();
    let mut found: Vec<(u32, Arc<UdpSocket>)> = Vec::new();
    ports::UDP.each(arrival.to.port, arrival.to.ip, &mut |holder, rank| {
        if let Holder::Udp(socket) = holder
            && let Some(socket) = socket.upgrade()
        {
            found.push((rank, socket));
        }
    });
    found.retain_mut(|(rank, socket)| {
        let (refuses, connected) = socket.refuses(arrival.from);
        *rank += 8 * u32::from(connected);
        !refuses
    });
    if many {
        found.retain(|(_, socket)| socket.hears(arrival.to.ip, arrival.info.interface));
        for (_, socket) in &found {
            socket.accept_datagram(arrival);
        }
        return true;
    }
    let Some(best) = found.iter().map(|(rank, _)| *rank).max() else { return false };
    found.retain(|(rank, _)| *rank == best);
    // Of several: with SO_REUSEPORT one by the sender, else the newest.
    let spread = found.iter().all(|(_, socket)| socket.options.reuse_port.load(Ordering::Relaxed));
    let mix = (arrival.from.ip.0 as usize ^ usize::from(arrival.from.port)).wrapping_mul(0x9e37_79b1) >> 7;
    let index = if spread { mix % found.len() } else { found.len() - 1 };
    found[index].1.accept_datagram(arrival);
    true
}

impl UdpSocket {
    /// Whether it gets what is sent to a group.
    fn hears(&self, group: Ip, interface: u32) -> bool {
        if group.is_broadcast() || self.is_in(group, interface) {
            return true;
        }
        let all = if group.is_v4() { Setting::MulticastAll } else { Setting::MulticastAll6 };
        self.settings.is_on(all) && groups::is_joined(group, interface)
    }
}

/// Gives a packet to the raw sockets of its protocol. Those of IPv4 see the header too.
pub(crate) fn deliver_raw(protocol: u8, arrival: &Arrival<'_>) {
    let sockets: Vec<Arc<UdpSocket>> = {
        let all = RAW.lock();
        all.iter().filter_map(|socket| socket.upgrade()).collect()
    };
    let v4 = arrival.to.ip.is_v4();
    for socket in sockets.iter().filter(|socket| socket.protocol == protocol && socket.v6 != v4) {
        let (local, remote) = {
            let state = socket.state.lock();
            (state.local.ip, state.remote)
        };
        let elsewhere = !local.is_any() && local != arrival.to.ip;
        if elsewhere || remote.is_some_and(|remote| remote.ip != arrival.from.ip) {
            continue;
        }
        if v4 {
            let mut packet = Vec::with_capacity(20 + arrival.bytes.len());
            packet.extend_from_slice(&header(protocol, arrival));
            packet.extend_from_slice(arrival.bytes);
            socket.accept_datagram(&Arrival { bytes: &packet, ..*arrival });
        } else {
            socket.accept_datagram(arrival);
        }
    }
}

/// The IPv4 header of an arrival, as it was or could have been.
fn header(protocol: u8, arrival: &Arrival<'_>) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[1] = arrival.info.tos.max(0) as u8;
    header[2..4].copy_from_slice(&(20 + arrival.bytes.len() as u16).to_be_bytes());
    header[6] = 0x40;
    header[8] = arrival.info.ttl.max(0) as u8;
    header[9] = protocol;
    header[12..16].copy_from_slice(&arrival.from.ip.bytes()[12..]);
    header[16..20].copy_from_slice(&arrival.to.ip.bytes()[12..]);
    header
}
