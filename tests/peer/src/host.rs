//! A host: smoltcp's interface and its connections. Several instead of one, since smoltcp looks through all connections of an
//! interface for each segment.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpCidr};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::LazyLock;

/// Connections of one host.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// Ethernet's.
const MTU: usize = 1500;
/// Linux's least delay of an acknowledgement (TCP_DELACK_MIN): an answer's acknowledgement comes with the next request.
const ACK_DELAY: Duration = Duration::from_millis(40);
const FIRST_PORT: u16 = 1024;

/// The time as smoltcp has it.
pub(crate) fn now() -> Instant {
    static START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
    Instant::from_micros(START.elapsed().as_micros() as i64)
}

/// IP packets that came and that go.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) came: VecDeque<Vec<u8>>,
    pub(crate) goes: Vec<Vec<u8>>,
}

pub(crate) struct Came(pub(crate) Vec<u8>);
pub(crate) struct Goes<'a>(pub(crate) &'a mut Vec<Vec<u8>>);

impl RxToken for Came {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl TxToken for Goes<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let result = write(&mut packet);
        self.0.push(packet);
        result
    }
}

impl Device for Queue {
    type RxToken<'a> = Came;
    type TxToken<'a> = Goes<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Came, Goes<'_>)> {
        Some((Came(self.came.pop_front()?), Goes(&mut self.goes)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Goes<'_>> {
        Some(Goes(&mut self.goes))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}

/// IP packets, all checksums by us.
pub(crate) fn capabilities() -> DeviceCapabilities {
    let mut capabilities = DeviceCapabilities::default();
    (capabilities.max_transmission_unit, capabilities.medium) = (MTU, Medium::Ip);
    capabilities
}

pub(crate) struct Host {
    interface: Interface,
    pub(crate) queue: Queue,
    sockets: SocketSet<'static>,
    /// Connections whose owner is gone; they end on their own.
    left: Vec<SocketHandle>,
    live: usize,
    next_port: u16,
    /// When something is due.
    due: Option<Instant>,
}

impl Host {
    pub(crate) fn new(address: Ipv4Addr) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = u64::from(address.to_bits());
        let mut queue = Queue::default();
        let mut interface = Interface::new(config, &mut queue, now());
        interface.update_ip_addrs(|list| {
            // An empty list of two has room.
            let _ = list.push(IpCidr::new(address.into(), 16));
        });
        Self {
            interface,
            queue,
            sockets: SocketSet::new(Vec::new()),
            left: Vec::new(),
            live: 0,
            next_port: FIRST_PORT,
            due: None,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.live >= CONNECTIONS_MAX
    }

    /// Begins a connection.
    pub(crate) fn connect(&mut self, server: SocketAddrV4, buffer: usize) -> Result<SocketHandle, String> {
        let room = || SocketBuffer::new(vec![0; buffer]);
        let mut socket = Socket::new(room(), room());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(Some(ACK_DELAY));
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
        socket
            .connect(self.interface.context(), (*server.ip(), server.port()), port)
            .map_err(|why| format!("{server}: {why}"))?;
        self.live += 1;
        Ok(self.sockets.add(socket))
    }

    pub(crate) fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// The owner is gone.
    pub(crate) fn leave(&mut self, handle: SocketHandle) {
        self.socket(handle).close();
        self.left.push(handle);
    }

    pub(crate) fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= now())
    }

    /// Lets smoltcp work on what came; what goes is in the queue then.
    pub(crate) fn run(&mut self) {
        let time = now();
        self.interface.poll(time, &mut self.queue, &mut self.sockets);
        let (sockets, live) = (&mut self.sockets, &mut self.live);
        self.left.retain(|&handle| {
            // Ports are not used again so soon that TIME_WAIT matters.
            let is_over = matches!(sockets.get::<Socket<'_>>(handle).state(), State::Closed | State::TimeWait);
            if is_over {
                sockets.remove(handle);
                *live -= 1;
            }
            !is_over
        });
        self.due = self.interface.poll_at(time, &self.sockets);
    }
}
