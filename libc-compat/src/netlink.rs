//! Netlink sockets for routing (netlink(7), rtnetlink(7)): the lists of interfaces, addresses and routes. glibc's
//! getifaddrs and getaddrinfo ask for them. Nothing can be changed this way.

use crate::Errno;
use crate::syscall::interface::{ARPHRD_ETHER, ARPHRD_LOOPBACK, broadcast, flags, scope};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use fs::{Blocking, FsError, FsResult, PollSource, Readiness, Sink, Source};
use hal::sync::SpinLock;
use linux_raw_sys::netlink as codes;
use net::interface::{Interface, InterfaceAddress, Route, table};
use net::{Address, Credentials, Family, Kind, Options, ReceiveFlags, Received, SendArguments, Shutdown, Socket};
use sched::{Interruptible, WaitQueue};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Longest request.
const REQUEST_MAX: usize = 4096;
/// Answers are cut into messages of about this size, which every reader's buffer has room for.
const BATCH: usize = 3072;
/// Bytes of a `struct nlmsghdr`.
const HEADER_LEN: usize = 16;

/// A socket of NETLINK_ROUTE.
pub struct RouteSocket {
    options: Options,
    pid: u32,
    port: AtomicU32,
    answers: SpinLock<VecDeque<Vec<u8>>>,
    readable: WaitQueue,
    source: PollSource,
}

/// Ports of further sockets: the first one of a process has its number.
static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

impl RouteSocket {
    /// A socket of the process `pid`.
    pub fn new(pid: u32) -> Arc<Self> {
        Arc::new(Self {
            options: Options::default(),
            pid,
            port: AtomicU32::new(0),
            answers: SpinLock::new(VecDeque::new()),
            readable: WaitQueue::new(),
            source: PollSource::new(),
        })
    }

    fn port(&self) -> u32 {
        let port = self.port.load(Ordering::Relaxed);
        if port != 0 {
            return port;
        }
        let fresh = match NEXT_PORT.fetch_add(1, Ordering::Relaxed) {
            0 => self.pid,
            n => u32::MAX - n,
        };
        self.port.store(fresh, Ordering::Relaxed);
        fresh
    }

    fn answer(&self, request: &[u8]) -> FsResult<()> {
        let word = |at: usize| u32::from_ne_bytes([request[at], request[at + 1], request[at + 2], request[at + 3]]);
        let (len, kind, flags) = (word(0) as usize, word(4) as u16, (word(4) >> 16) as u16);
        if len < HEADER_LEN || len > request.len() {
            return Err(FsError::Invalid);
        }
        let mut out = Answer { messages: Vec::new(), seq: word(8), port: self.port() };
        let family = request.get(HEADER_LEN).copied().unwrap_or(0);
        let dump = u32::from(flags) & codes::NLM_F_DUMP == codes::NLM_F_DUMP;
        net::device::ensure(net::inet::Ip::ANY_V4);
        let table = table();
        match (kind, dump) {
            (RTM_GETLINK, true) => table.interfaces.iter().for_each(|interface| out.link(interface)),
            (RTM_GETADDR, true) => {
                for v4 in [true, false] {
                    let wanted = family == 0 || family == if v4 { AF_INET } else { AF_INET6 };
                    for interface in table.interfaces.iter().filter(|_| wanted) {
                        for address in interface.addresses.iter().filter(|address| address.ip.is_v4() == v4) {
                            out.address(interface, address);
                        }
                    }
                }
            }
            (RTM_GETROUTE, true) => {
                for route in &table.routes {
                    let own = if route.network.is_v4() { AF_INET } else { AF_INET6 };
                    if family == 0 || family == own {
                        out.route(route);
                    }
                }
            }
            (RTM_GETLINK, false) => match table.interface(request.get(20).map_or(0, |_| word(20))) {
                Some(interface) => out.link(interface),
                None => out.error(Errno::ENODEV, &request[..HEADER_LEN]),
            },
            _ => out.error(Errno::EOPNOTSUPP, &request[..HEADER_LEN]),
        }
        if dump {
            out.message(codes::NLMSG_DONE as u16, codes::NLM_F_MULTI as u16, |body| body.extend_from_slice(&[0; 4]));
        }
        self.answers.lock().extend(out.messages);
        self.readable.wake_all();
        self.source.notify(Readiness::READ);
        Ok(())
    }
}

const RTM_NEWLINK: u16 = codes::RTM_NEWLINK as u16;
const RTM_GETLINK: u16 = codes::RTM_GETLINK as u16;
const RTM_NEWADDR: u16 = codes::RTM_NEWADDR as u16;
const RTM_GETADDR: u16 = codes::RTM_GETADDR as u16;
const RTM_NEWROUTE: u16 = codes::RTM_NEWROUTE as u16;
const RTM_GETROUTE: u16 = codes::RTM_GETROUTE as u16;
// Attributes (`linux/if_link.h`, `linux/if_addr.h`, `linux/rtnetlink.h`).
const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
/// The address does not go away.
const IFA_F_PERMANENT: u8 = 0x80;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;

/// The messages of an answer, several in one buffer.
struct Answer {
    messages: Vec<Vec<u8>>,
    seq: u32,
    port: u32,
}

impl Answer {
    fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Vec<u8>)) {
        if self.messages.last().is_none_or(|last| last.len() > BATCH) {
            self.messages.push(Vec::new());
        }
        let Some(out) = self.messages.last_mut() else { return };
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(&flags.to_ne_bytes());
        out.extend_from_slice(&self.seq.to_ne_bytes());
        out.extend_from_slice(&self.port.to_ne_bytes());
        body(out);
        let len = (out.len() - start) as u32;
        out[start..start + 4].copy_from_slice(&len.to_ne_bytes());
        out.resize(out.len().next_multiple_of(4), 0);
    }

    fn link(&mut self, interface: &Interface) {
        self.message(RTM_NEWLINK, codes::NLM_F_MULTI as u16, |out| {
            let kind = if interface.is_loopback() { ARPHRD_LOOPBACK } else { ARPHRD_ETHER };
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&kind.to_ne_bytes());
            out.extend_from_slice(&interface.index.to_ne_bytes());
            out.extend_from_slice(&flags(interface).to_ne_bytes());
            out.extend_from_slice(&[0; 4]);
            attribute(out, IFLA_IFNAME, &[interface.name.as_bytes(), &[0]].concat());
            attribute(out, IFLA_MTU, &interface.mtu.to_ne_bytes());
            attribute(out, IFLA_ADDRESS, &interface.mac);
            attribute(out, IFLA_BROADCAST, &[if interface.is_loopback() { 0 } else { 0xff }; 6]);
        });
    }

    fn address(&mut self, interface: &Interface, address: &InterfaceAddress) {
        self.message(RTM_NEWADDR, codes::NLM_F_MULTI as u16, |out| {
            let v4 = address.ip.is_v4();
            let bytes = address.ip.bytes();
            let bytes = if v4 { &bytes[12..] } else { &bytes[..] };
            let family = if v4 { AF_INET } else { AF_INET6 };
            out.extend_from_slice(&[family, address.prefix, IFA_F_PERMANENT, scope(address.ip)]);
            out.extend_from_slice(&interface.index.to_ne_bytes());
            attribute(out, IFA_ADDRESS, bytes);
            if v4 {
                attribute(out, IFA_LOCAL, bytes);
                if !interface.is_loopback() {
                    attribute(out, IFA_BROADCAST, &broadcast(address).to_be_bytes());
                }
                attribute(out, IFA_LABEL, &[interface.name.as_bytes(), &[0]].concat());
            }
            attribute(out, IFA_FLAGS, &u32::from(IFA_F_PERMANENT).to_ne_bytes());
        });
    }

    fn route(&mut self, route: &Route) {
        const MAIN: u8 = 254;
        const BOOT: u8 = 3;
        const UNICAST: u8 = 1;
        self.message(RTM_NEWROUTE, codes::NLM_F_MULTI as u16, |out| {
            let v4 = route.network.is_v4();
            let cut = |bytes: &[u8; 16]| if v4 { bytes[12..].to_vec() } else { bytes.to_vec() };
            let scope = if route.gateway.is_some() { 0 } else { scope(route.network).max(253) };
            let family = if v4 { AF_INET } else { AF_INET6 };
            out.extend_from_slice(&[family, route.prefix, 0, 0, MAIN, BOOT, scope, UNICAST, 0, 0, 0, 0]);
            if route.prefix != 0 {
                attribute(out, RTA_DST, &cut(&route.network.bytes()));
            }
            if let Some(gateway) = route.gateway {
                attribute(out, RTA_GATEWAY, &cut(&gateway.bytes()));
            }
            attribute(out, RTA_OIF, &route.interface.to_ne_bytes());
        });
    }

    fn error(&mut self, error: Errno, request: &[u8]) {
        self.message(codes::NLMSG_ERROR as u16, 0, |out| {
            out.extend_from_slice(&(-(error.number() as i32)).to_ne_bytes());
            out.extend_from_slice(request);
        });
    }
}

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

impl Socket for RouteSocket {
    fn family(&self) -> Family {
        Family::Netlink
    }
    fn kind(&self) -> Kind {
        Kind::Raw
    }
    fn options(&self) -> &Options {
        &self.options
    }
    fn bind(&self, address: &Address) -> FsResult<()> {
        let &Address::Netlink(port, _groups) = address else { return Err(FsError::Invalid) };
        if port != 0 {
            self.port.store(port, Ordering::Relaxed);
        } else {
            self.port();
        }
        Ok(())
    }
    fn connect(&self, _address: &Address, _owner: Credentials, _blocking: Blocking) -> FsResult<()> {
        self.port();
        Ok(())
    }
    fn send(&self, source: &mut dyn Source, _arguments: SendArguments, _blocking: Blocking) -> FsResult<usize> {
        let count = source.remaining();
        if count > REQUEST_MAX {
            return Err(FsError::MessageTooLong);
        }
        let mut request = alloc::vec![0; count];
        let mut done = 0;
        while done < count {
            match source.take(&mut request[done..])? {
                0 => return Err(FsError::Fault),
                taken => done += taken,
            }
        }
        if count >= HEADER_LEN {
            self.answer(&request)?;
        }
        Ok(count)
    }
    fn receive(&self, sink: &mut dyn Sink, flags: ReceiveFlags, blocking: Blocking) -> FsResult<Received> {
        let take = || self.answers.lock().pop_front();
        let message = match take() {
            Some(message) => message,
            None if blocking == Blocking::Never => return Err(FsError::WouldBlock),
            None => self.readable.wait_until(None, Interruptible::Yes, take)?,
        };
        let full_len = message.len();
        let count = sink.put(&message[..full_len.min(sink.remaining())])?;
        if flags.peek {
            self.answers.lock().push_front(message);
        }
        Ok(Received { count, full_len, from: Some(Address::Netlink(0, 0)), ..Received::default() })
    }
    fn shutdown(&self, _how: Shutdown) -> FsResult<()> {
        Err(FsError::NotSupported)
    }
    fn local_address(&self) -> Address {
        Address::Netlink(self.port.load(Ordering::Relaxed), 0)
    }
    fn peer_address(&self) -> FsResult<Address> {
        Ok(Address::Netlink(0, 0))
    }
    fn take_error(&self) -> Option<FsError> {
        None
    }
    fn pending_bytes(&self) -> FsResult<usize> {
        Err(FsError::NotSupported)
    }
    fn poll(&self) -> Readiness {
        let some = !self.answers.lock().is_empty();
        if some { Readiness::READ | Readiness::WRITE } else { Readiness::WRITE }
    }
    fn wait_source(&self) -> &PollSource {
        &self.source
    }
    fn close(&self) {}
}
