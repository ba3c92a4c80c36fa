//! Sending and receiving of datagrams.

use super::UdpSocket;
use super::deliver::{Arrival, deliver};
use crate::device::HAS_NETWORK;
use crate::inet::address::{Endpoint, Ip};
use crate::inet::ip::{self, Packet};
use crate::inet::settings::Setting;
use crate::inet::{checked, icmp};
use crate::interface::{self, LOOPBACK};
use crate::options::Patience;
use crate::socket::{Address, Ancillary, InetAddress, PacketInfo, ReceiveFlags, Received, SendArguments};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use fs::{FsError, FsResult, Sink, Source};

/// Most bytes of a datagram's own data over IPv4 and IPv6.
const PAYLOAD_MAX_V4: usize = 65_507;
const PAYLOAD_MAX_V6: usize = 65_527;
/// Values of IP_MTU_DISCOVER that forbid to cut (ip(7)).
const PMTUDISC_DO: i32 = 2;
const PMTUDISC_PROBE: i32 = 3;

impl UdpSocket {
    pub(super) fn send_datagram(&self, source: &mut dyn Source, arguments: SendArguments) -> FsResult<usize> {
        let to = match &arguments.to {
            None => self.state.lock().remote.ok_or(FsError::DestinationRequired)?,
            Some(Address::Inet(to)) => {
                let mut to = checked(to, self.v6, &self.settings)?;
                if to.port == 0 && !self.is_raw() {
                    return Err(FsError::Invalid);
                }
                match to.ip {
                    Ip::ANY_V4 => to.ip = Ip::LOOPBACK_V4,
                    Ip::ANY_V6 => to.ip = Ip::LOOPBACK_V6,
                    _ => {}
                }
                to
            }
            Some(_) => return Err(FsError::AddressFamilyNotSupported),
        };
        let count = source.remaining();
        if count > if to.ip.is_v4() { PAYLOAD_MAX_V4 } else { PAYLOAD_MAX_V6 } {
            return Err(FsError::MessageTooLong);
        }
        {
            let mut state = self.state.lock();
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            if state.write_shut {
                return Err(FsError::BrokenPipe);
            }
        }
        self.bind_any()?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(count).map_err(|_| FsError::NoBuffers)?;
        bytes.resize(count, 0);
        let mut done = 0;
        while done < count {
            match source.take(&mut bytes[done..])? {
                0 => return Err(FsError::Fault),
                taken => done += taken,
            }
        }
        self.transmit(to, bytes, arguments.ancillary.packet)?;
        Ok(count)
    }

    /// The interface that multicasts leave by.
    fn scope_for(&self, to: Endpoint) -> u32 {
        if !to.ip.is_multicast() || to.scope != 0 {
            return to.scope;
        }
        let setting = if to.ip.is_v4() { Setting::MulticastIf } else { Setting::MulticastIf6 };
        self.settings.get(setting) as u32
    }

    /// Time to live of what goes to `ip`.
    fn ttl_for(&self, ip: Ip) -> u8 {
        let setting = match (ip.is_v4(), ip.is_multicast()) {
            (true, true) => Setting::MulticastTtl,
            (true, false) => Setting::Ttl,
            (false, true) => Setting::MulticastHops,
            (false, false) => Setting::UnicastHops,
        };
        u8::try_from(self.settings.get(setting)).unwrap_or(64)
    }

    fn transmit(&self, to: Endpoint, mut bytes: Vec<u8>, wanted: Option<PacketInfo>) -> FsResult<()> {
        let scope = wanted.map_or(0, |wanted| wanted.interface);
        let path = interface::path(to.ip, if scope != 0 { scope } else { self.scope_for(to) })?;
        if to.ip.is_broadcast() && !self.options.broadcast.load(Ordering::Relaxed) {
            return Err(FsError::Access);
        }
        let mut from = self.state.lock().local;
        if let Some(wanted) = wanted.filter(|wanted| !wanted.address.is_any()) {
            from.ip = wanted.address;
        }
        if from.ip.is_any() || from.ip.is_multicast() {
            from.ip = path.source;
        }
        let own = |value: i32, other: i32| if value < 0 { other } else { value };
        let tos = self.settings.get(if to.ip.is_v4() { Setting::Tos } else { Setting::Tclass });
        let info = PacketInfo {
            address: to.ip,
            interface: path.interface,
            ttl: own(wanted.map_or(-1, |wanted| wanted.ttl), i32::from(self.ttl_for(to.ip))),
            tos: own(wanted.map_or(-1, |wanted| wanted.tos), tos),
            time_ns: hal::clock::realtime_ns(),
        };
        if self.is_raw() {
            let place = self.settings.get(Setting::Checksum);
            icmp::fill_checksum(self.protocol, place, from.ip, to.ip, &mut bytes);
        }
        let looped = if to.ip.is_v4() { Setting::MulticastLoop } else { Setting::MulticastLoop6 };
        let local = path.interface == LOOPBACK || to.ip.is_multicast() && self.settings.is_on(looped);
        if local {
            let arrival = Arrival { from, to, info, bytes: &bytes };
            if self.is_raw() {
                icmp::arrived(self.protocol, &arrival);
            } else if !deliver(&arrival) {
                self.refused();
            }
        }
        if path.interface == LOOPBACK || !HAS_NETWORK {
            return Ok(());
        }
        self.send_packet(&path, from, to, &info, &bytes)
    }

    /// Sends a datagram over the network, in several packets if it is larger than one. Errors: `MessageTooLong` when it
    /// is and may not be cut (IP_MTU_DISCOVER), `NoBuffers`.
    fn send_packet(
        &self,
        path: &interface::Path,
        from: Endpoint,
        to: Endpoint,
        info: &PacketInfo,
        bytes: &[u8],
    ) -> FsResult<()> {
        let front = if self.is_raw() { 0 } else { 8 };
        let packet = Packet {
            from: from.ip,
            to: to.ip,
            protocol: self.protocol,
            ttl: info.ttl as u8,
            tos: info.tos as u8,
            len: front + bytes.len(),
            checksum: (!self.is_raw()).then_some(6),
            cut: None,
            part: None,
        };
        let mut fill = |body: &mut [u8]| {
            if front > 0 {
                body[..2].copy_from_slice(&from.port.to_be_bytes());
                body[2..4].copy_from_slice(&to.port.to_be_bytes());
                body[4..6].copy_from_slice(&(8 + bytes.len() as u16).to_be_bytes());
                body[6..8].fill(0);
            }
            body[front..].copy_from_slice(bytes);
        };
        let sent = if packet.header_len() + packet.len <= path.mtu as usize {
            ip::send(path, &packet, &mut fill)
        } else {
            let rule = self.settings.get(if to.ip.is_v4() { Setting::MtuDiscover } else { Setting::MtuDiscover6 });
            if matches!(rule, PMTUDISC_DO | PMTUDISC_PROBE) {
                return Err(FsError::MessageTooLong);
            }
            let mut whole = Vec::new();
            whole.try_reserve_exact(packet.len).map_err(|_| FsError::NoBuffers)?;
            whole.resize(packet.len, 0);
            fill(&mut whole);
            if front > 0 {
                let pseudo = icmp::pseudo_sum(packet.protocol, packet.from, packet.to, packet.len);
                let sum = match !icmp::fold(icmp::sum(&whole, pseudo)) {
                    0 => 0xffff,
                    sum => sum,
                };
                whole[6..8].copy_from_slice(&sum.to_be_bytes());
            }
            ip::fragment::send_cut(path, &packet, &whole)
        };
        if sent { Ok(()) } else { Err(FsError::NoBuffers) }
    }

    /// Nobody has the port: whoever is connected to it, or asks for errors, hears of it.
    fn refused(&self) {
        let asks = self.settings.is_on(Setting::RecvErr) || self.settings.is_on(Setting::RecvErr6);
        if self.state.lock().remote.is_some() || asks {
            self.report(FsError::ConnectionRefused);
        }
    }

    pub(super) fn receive_datagram(
        &self,
        sink: &mut dyn Sink,
        flags: ReceiveFlags,
        patience: Patience,
    ) -> FsResult<Received> {
        if flags.urgent {
            return Err(FsError::NotSupported);
        }
        loop {
            let ready = || {
                if let Some(error) = self.state.lock().error.take() {
                    return Some(Err(error));
                }
                if !self.queue.lock().is_empty() {
                    return Some(Ok(true));
                }
                self.state.lock().read_shut.then_some(Ok(false))
            };
            if !patience.wait(&self.readable, ready)?? {
                return Ok(Received::default());
            }
            let _turn = self.reading.lock();
            let Some(datagram) = self.queue.lock().pop_front() else { continue };
            let count = datagram.bytes.len().min(sink.remaining());
            let mut done = 0;
            let put = loop {
                if done == count {
                    break Ok(());
                }
                match sink.put(&datagram.bytes[done..count]) {
                    Ok(0) => break Ok(()),
                    Ok(put) => done += put,
                    Err(error) => break Err(error),
                }
            };
            let received = Received {
                count: done,
                full_len: datagram.bytes.len(),
                from: Some(Address::Inet(InetAddress { v6: self.v6, at: datagram.from })),
                ancillary: Ancillary { packet: Some(datagram.info), ..Ancillary::default() },
            };
            // As on Linux a message is lost with a bad buffer, unless it is only looked at.
            if flags.peek {
                self.queue.lock().push_front(datagram);
            } else {
                self.forget(&datagram);
            }
            return put.map(|()| received);
        }
    }
}
