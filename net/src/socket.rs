//! What every family's sockets can do.

use crate::inet::{Endpoint, Ip, Setting, Settings, TcpInfo};
use crate::options::Options;
use crate::unix::UnixAddress;
use alloc::sync::Arc;
use alloc::vec::Vec;
use fs::{Blocking, FsError, FsResult, OpenFile, PollSource, Readiness, Sink, Source};

/// Address families.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Within the machine, by path or abstract name.
    Unix,
    /// IPv4.
    Inet,
    /// IPv6, and IPv4 in mapped addresses.
    Inet6,
    /// Questions to the kernel about its network.
    Netlink,
}

/// What a socket tells its watchers when something has arrived. Linux says EPOLLPRI each time (sock_def_readable in
/// net/core/sock.c), so that an edge-triggered wait for it hears of an urgent byte again that is still there.
pub(crate) const ARRIVED: Readiness = Readiness::READ.union(Readiness::PRIORITY);

/// What a socket carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// Bytes in order, over a connection.
    Stream,
    /// Messages, without a connection.
    Datagram,
    /// Messages in order, over a connection.
    SeqPacket,
    /// Packets as they travel.
    Raw,
}

/// An address of any family.
#[derive(Clone, Debug)]
pub enum Address {
    /// AF_UNSPEC: takes a datagram socket's default destination away.
    Unspecified,
    /// Of the UNIX family.
    Unix(UnixAddress),
    /// Of the Internet families.
    Inet(InetAddress),
    /// Of the netlink family: a port's number and groups.
    Netlink(u32, u32),
}

/// An Internet address and how it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InetAddress {
    /// As one of IPv6.
    pub v6: bool,
    /// Address and port.
    pub at: Endpoint,
}

impl InetAddress {
    /// The name of an IPv6 socket that is not bound.
    pub const fn unbound_v6() -> Self {
        Self { v6: true, at: Endpoint::new(Ip::ANY_V6, 0) }
    }
}

/// Who is at an end (SO_PEERCRED, SCM_CREDENTIALS).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// Process.
    pub pid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What travels beside the bytes.
#[derive(Clone, Default)]
pub struct Ancillary {
    /// Open descriptions (SCM_RIGHTS).
    pub files: Vec<Arc<OpenFile>>,
    /// The sender, as it says (SCM_CREDENTIALS).
    pub credentials: Option<Credentials>,
    /// Of a datagram: where it came in, or where it shall leave.
    pub packet: Option<PacketInfo>,
}

/// What is known of a received datagram, or wanted of one that is sent (IP_PKTINFO and its kin).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketInfo {
    /// Its destination; of one to be sent, its source.
    pub address: Ip,
    /// Number of the interface; 0: any.
    pub interface: u32,
    /// Time to live; negative: as the socket has it.
    pub ttl: i32,
    /// Type of service; negative: as the socket has it.
    pub tos: i32,
    /// When it came, nanoseconds since 1970.
    pub time_ns: u64,
}

impl Ancillary {
    /// Nothing travels.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.credentials.is_none()
    }
}

/// What to send beside the bytes, and where to.
#[derive(Default)]
pub struct SendArguments {
    /// Destination; `None`: the peer.
    pub to: Option<Address>,
    /// What travels beside.
    pub ancillary: Ancillary,
    /// The last byte is urgent (MSG_OOB).
    pub urgent: bool,
    /// More follows at once (MSG_MORE).
    pub more: bool,
}

/// How to receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReceiveFlags {
    /// Leave the data where it is (MSG_PEEK).
    pub peek: bool,
    /// Wait until the buffer is full (MSG_WAITALL; streams).
    pub wait_all: bool,
    /// The urgent byte (MSG_OOB).
    pub urgent: bool,
}

/// What was received.
#[derive(Default)]
pub struct Received {
    /// Bytes in the buffer.
    pub count: usize,
    /// The message's own length, which may be larger than the buffer (MSG_TRUNC).
    pub full_len: usize,
    /// The sender's address; `None` where there is a connection.
    pub from: Option<Address>,
    /// What travelled beside.
    pub ancillary: Ancillary,
}

/// Which directions to close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shutdown {
    /// No more receiving.
    pub read: bool,
    /// No more sending.
    pub write: bool,
}

/// A socket. Errors are those of the calls' manual pages; what a family does not have is `NotSupported`.
///
/// # Locks
/// `poll` and `wait_source` do not sleep. All others may, and none is called with a lock held.
pub trait Socket: Send + Sync + 'static {
    /// Its family.
    fn family(&self) -> Family;
    /// What it carries.
    fn kind(&self) -> Kind;
    /// What setsockopt and getsockopt keep.
    fn options(&self) -> &Options;
    /// The options of the Internet protocols; `None` where there are none.
    fn settings(&self) -> Option<&Settings> {
        None
    }
    /// One of them has been set, or SO_KEEPALIVE.
    fn setting_changed(&self, which: Option<Setting>) {
        let _ = which;
    }
    /// The number of its protocol (SO_PROTOCOL).
    fn protocol(&self) -> u8 {
        0
    }
    /// Joins or leaves a multicast group on an interface (0: of the system's choice).
    fn membership(&self, join: bool, group: Ip, interface: u32) -> FsResult<()> {
        let _ = (join, group, interface);
        Err(FsError::NoProtocolOption)
    }
    /// The state of a TCP connection (TCP_INFO).
    fn info(&self) -> Option<TcpInfo> {
        None
    }
    /// Bytes that were sent and have not arrived (SIOCOUTQ).
    fn unsent_bytes(&self) -> usize {
        0
    }
    /// Gives it a name.
    fn bind(&self, address: &Address) -> FsResult<()>;
    /// Lets others connect; `backlog` of them may wait to be accepted.
    fn listen(&self, backlog: usize, owner: Credentials) -> FsResult<()> {
        let _ = (backlog, owner);
        Err(FsError::NotSupported)
    }
    /// The next connection. Errors: `WouldBlock`, `Interrupted`, `Invalid` (does not listen).
    fn accept(&self, blocking: Blocking) -> FsResult<Arc<dyn Socket>> {
        let _ = blocking;
        Err(FsError::NotSupported)
    }
    /// What connect(2) and sendto(2) do before they look where the address leads.
    fn before_lookup(&self) -> FsResult<()> {
        Ok(())
    }
    /// Connects, or sets the default destination.
    fn connect(&self, address: &Address, owner: Credentials, blocking: Blocking) -> FsResult<()>;
    /// Why nothing can be sent, where Linux finds that out before it looks at what is to be sent and where to.
    fn may_send(&self) -> FsResult<()> {
        Ok(())
    }
    /// Sends from `source`; how many bytes.
    fn send(&self, source: &mut dyn Source, arguments: SendArguments, blocking: Blocking) -> FsResult<usize>;
    /// write(2): to the peer, with nothing beside; how many bytes.
    fn write(&self, source: &mut dyn Source, blocking: Blocking) -> FsResult<usize> {
        self.send(source, SendArguments::default(), blocking)
    }
    /// Receives into `sink`.
    fn receive(&self, sink: &mut dyn Sink, flags: ReceiveFlags, blocking: Blocking) -> FsResult<Received>;
    /// read(2): only the bytes; how many.
    fn read(&self, sink: &mut dyn Sink, blocking: Blocking) -> FsResult<usize> {
        Ok(self.receive(sink, ReceiveFlags::default(), blocking)?.count)
    }
    /// Closes directions. Errors: `NotConnected`.
    fn shutdown(&self, how: Shutdown) -> FsResult<()>;
    /// Its own name.
    fn local_address(&self) -> Address;
    /// The peer's name. Errors: `NotConnected`.
    fn peer_address(&self) -> FsResult<Address>;
    /// The peer's name for accept(2), which also knows that of a peer who is gone.
    fn accepted_from(&self) -> Option<Address> {
        self.peer_address().ok()
    }
    /// The peer's owner when the connection was made; `None` without one.
    fn peer_credentials(&self) -> Option<Credentials> {
        None
    }
    /// Whether it listens (SO_ACCEPTCONN).
    fn is_listening(&self) -> bool {
        false
    }
    /// The pending error, which is gone then (SO_ERROR).
    fn take_error(&self) -> Option<FsError>;
    /// Bytes that a receive gives now (FIONREAD). Errors: `Invalid` when it listens.
    fn pending_bytes(&self) -> FsResult<usize>;
    /// What can be done now.
    fn poll(&self) -> Readiness;
    /// Who tells when that changes.
    fn wait_source(&self) -> &PollSource;
    /// The last descriptor is gone. Calls that still wait may hold the socket itself.
    fn close(&self);
}
