//! Sockets (socket(7), unix(7)): making, naming, connecting. What travels over them is in `message`, options in `option`.

mod address;
mod inet_option;
pub(crate) mod interface;
mod message;
mod option;

use super::fd::insert_pair;
use super::open::on_exec;
use super::{Call, Errno, Row, Support::*, SysResult, row};
use crate::netlink;
use crate::unsupported;
use address::{read_address, write_address};
use alloc::sync::Arc;
use fs::{Blocking, OpenFile, StatusFlags};
use linux_raw_sys::{general as linux, net as codes};
use net::inet::tcp::TcpSocket;
use net::inet::udp::UdpSocket;
use net::unix::{UnixAddress, UnixSocket};
use net::{Address, Credentials, Family, Kind, Shutdown, Socket, SocketFile};

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_socket, "socket", "dxd", socket, Partial, "socket(2)"),
    row(linux::__NR_socketpair, "socketpair", "dxdx", socketpair, Full, "socketpair(2)"),
    row(linux::__NR_bind, "bind", "dxd", bind, Full, "bind(2)"),
    row(linux::__NR_listen, "listen", "dd", listen, Full, "listen(2)"),
    row(linux::__NR_accept, "accept", "dxx", accept, Full, "accept(2)"),
    row(linux::__NR_accept4, "accept4", "dxxx", accept4, Full, "accept(2)"),
    row(linux::__NR_connect, "connect", "dxd", connect, Full, "connect(2)"),
    row(linux::__NR_getsockname, "getsockname", "dxx", getsockname, Full, "getsockname(2)"),
    row(linux::__NR_getpeername, "getpeername", "dxx", getpeername, Full, "getpeername(2)"),
    row(linux::__NR_shutdown, "shutdown", "dd", shutdown, Full, "shutdown(2)"),
    row(linux::__NR_sendto, "sendto", "dxdxxd", message::sendto, Partial, "send(2)"),
    row(linux::__NR_recvfrom, "recvfrom", "dxdxxx", message::recvfrom, Partial, "recv(2)"),
    row(linux::__NR_sendmsg, "sendmsg", "dxx", message::sendmsg, Partial, "send(2)"),
    row(linux::__NR_recvmsg, "recvmsg", "dxx", message::recvmsg, Partial, "recv(2)"),
    row(linux::__NR_sendmmsg, "sendmmsg", "dxdx", message::sendmmsg, Partial, "sendmmsg(2)"),
    row(linux::__NR_recvmmsg, "recvmmsg", "dxdxx", message::recvmmsg, Partial, "recvmmsg(2)"),
    row(linux::__NR_setsockopt, "setsockopt", "dddxd", option::set, Partial, "getsockopt(2)"),
    row(linux::__NR_getsockopt, "getsockopt", "dddxx", option::get, Partial, "getsockopt(2)"),
];

const AF_UNIX: u32 = codes::AF_UNIX;
/// The bits of a type that are flags.
const TYPE_FLAGS: u32 = linux::O_CLOEXEC | linux::O_NONBLOCK;

/// The process, as a peer sees it.
fn owner(call: &Call<'_>) -> Credentials {
    Credentials { pid: call.process().pid(), uid: 0, gid: 0 }
}

/// A descriptor of a socket (EBADF, ENOTSOCK).
struct Handle {
    file: Arc<OpenFile>,
}

impl Handle {
    fn get(call: &Call<'_>, fd: i32) -> Result<Self, Errno> {
        let file = call.process().files.get(fd)?;
        if file.downcast::<SocketFile>().is_none() {
            return Err(Errno::ENOTSOCK);
        }
        Ok(Self { file })
    }

    fn socket(&self) -> &Arc<dyn Socket> {
        self.file.downcast::<SocketFile>().map(SocketFile::socket).expect("checked when the handle was made")
    }

    fn blocking(&self) -> Blocking {
        if self.file.status().contains(StatusFlags::NONBLOCK) { Blocking::Never } else { Blocking::Wait }
    }

    /// An interrupted call with a timeout is not made again (signal(7)).
    fn interrupted(error: Errno, timeout_ns: u64) -> Errno {
        if timeout_ns > 0 { error.never_restarted() } else { error }
    }
}

fn socket(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(1) & TYPE_FLAGS;
    let socket: Arc<dyn Socket> = match decode(call)? {
        What::Unix(kind) => UnixSocket::new(kind, owner(call)),
        What::Netlink => netlink::RouteSocket::new(call.process().pid()),
        What::Inet(v6, Kind::Stream, _) => TcpSocket::new(v6),
        What::Inet(v6, Kind::Raw, protocol) => UdpSocket::raw(v6, protocol),
        What::Inet(v6, _, _) => UdpSocket::new(v6),
    };
    call.process().files.insert(SocketFile::open(socket, status(flags)), on_exec(flags & linux::O_CLOEXEC != 0))
}

/// What socket(2) is to make.
enum What {
    Unix(Kind),
    /// Whether of IPv6; the kind; the protocol.
    Inet(bool, Kind, u8),
    Netlink,
}

/// Family, type and protocol of the first three arguments.
fn decode(call: &Call<'_>) -> Result<What, Errno> {
    const TYPE_MAX: u32 = 11;
    let kind = call.uint(1) & !TYPE_FLAGS;
    if kind >= TYPE_MAX {
        return Err(Errno::EINVAL);
    }
    match call.uint(0) {
        AF_UNIX => {}
        codes::AF_INET => return decode_inet(false, kind, call.uint(2)),
        codes::AF_INET6 => return decode_inet(true, kind, call.uint(2)),
        codes::AF_NETLINK => {
            return match (kind, call.uint(2)) {
                (codes::SOCK_RAW | codes::SOCK_DGRAM, 0) => Ok(What::Netlink),
                (codes::SOCK_RAW | codes::SOCK_DGRAM, _) => Err(Errno::EPROTONOSUPPORT),
                _ => Err(Errno::ESOCKTNOSUPPORT),
            };
        }
        family => {
            unsupported!("socket family", family);
            return Err(Errno::EAFNOSUPPORT);
        }
    }
    if call.uint(2) != 0 && call.uint(2) != AF_UNIX {
        return Err(Errno::EPROTONOSUPPORT);
    }
    match kind {
        codes::SOCK_STREAM => Ok(What::Unix(Kind::Stream)),
        // Linux makes a raw UNIX socket one of datagrams.
        codes::SOCK_DGRAM | codes::SOCK_RAW => Ok(What::Unix(Kind::Datagram)),
        codes::SOCK_SEQPACKET => Ok(What::Unix(Kind::SeqPacket)),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}

fn decode_inet(v6: bool, kind: u32, protocol: u32) -> Result<What, Errno> {
    const PROTOCOLS: u32 = 256;
    if protocol >= PROTOCOLS {
        return Err(Errno::EINVAL);
    }
    let (kind, own) = match kind {
        codes::SOCK_STREAM => (Kind::Stream, codes::IPPROTO_TCP as u32),
        codes::SOCK_DGRAM => (Kind::Datagram, codes::IPPROTO_UDP as u32),
        codes::SOCK_RAW if protocol == 0 => return Err(Errno::EPROTONOSUPPORT),
        codes::SOCK_RAW => (Kind::Raw, protocol),
        _ => return Err(Errno::ESOCKTNOSUPPORT),
    };
    if protocol != 0 && protocol != own {
        return Err(Errno::EPROTONOSUPPORT);
    }
    Ok(What::Inet(v6, kind, own as u8))
}

fn status(flags: u32) -> StatusFlags {
    if flags & linux::O_NONBLOCK != 0 { StatusFlags::NONBLOCK } else { StatusFlags::empty() }
}

fn socketpair(call: &mut Call<'_>) -> SysResult {
    /// The bits of a type that name one (SOCK_TYPE_MASK).
    const TYPE_MASK: u32 = 0xf;
    if call.uint(1) & !(TYPE_FLAGS | TYPE_MASK) != 0 {
        return Err(Errno::EINVAL);
    }
    let flags = call.uint(1) & TYPE_FLAGS;
    let kind = decode(call).and_then(|what| match what {
        What::Unix(kind) => Ok(kind),
        _ => Err(Errno::EOPNOTSUPP),
    });
    // Linux chooses and stores the numbers before it looks at the protocol: a refused call has written them too.
    let pair = UnixSocket::pair(*kind.as_ref().unwrap_or(&Kind::Stream), owner(call));
    let pair = pair.map(|socket| SocketFile::open(socket, status(flags)));
    insert_pair(call, call.ptr(3), pair, on_exec(flags & linux::O_CLOEXEC != 0))?;
    if let Err(error) = kind {
        for fd in call.ptr::<[i32; 2]>(3).read()? {
            // Another thread may have closed it already.
            let _ = call.process().files.close(fd);
        }
        return Err(error);
    }
    Ok(0)
}

fn bind(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    let socket = handle.socket();
    let raw = read_address(call.arg(1), call.int(2))?;
    let address = match decode_for(&**socket, &raw)? {
        address::Raw::Path(path) => {
            let files = &call.process().files;
            let made = address::make_path(files, path)?;
            if !matches!(socket.local_address(), Address::Unix(UnixAddress::Unnamed)) {
                // Linux makes the path before it finds that the socket has one, and takes it away again.
                files.namespace().unlink(&files.base(linux::AT_FDCWD, path)?, path)?;
                return Err(Errno::EINVAL);
            }
            made
        }
        address::Raw::Unspecified => return Err(Errno::EINVAL),
        other => address::resolve(&call.process().files, other)?,
    };
    socket.bind(&address)?;
    Ok(0)
}

/// An address for a socket: one of another family is refused before it is looked at (EAFNOSUPPORT).
fn decode_for<'a>(socket: &dyn Socket, raw: &'a [u8]) -> Result<address::Raw<'a>, Errno> {
    let inet = matches!(socket.family(), Family::Inet | Family::Inet6);
    match address::decode(raw) {
        Ok(address::Raw::Inet(_) | address::Raw::Unspecified) if inet => address::decode(raw),
        Ok(_) if inet => Err(Errno::EAFNOSUPPORT),
        Err(Errno::EINVAL) if inet && raw.len() >= 16 && address::is_foreign(raw) => Err(Errno::EAFNOSUPPORT),
        result => result,
    }
}

/// As [`decode_for`], of somebody to connect or send to: a UNIX address needs a name (EINVAL).
fn decode_target<'a>(socket: &dyn Socket, raw: &'a [u8]) -> Result<address::Raw<'a>, Errno> {
    match decode_for(socket, raw)? {
        address::Raw::Unnamed => Err(Errno::EINVAL),
        raw => Ok(raw),
    }
}

fn listen(call: &mut Call<'_>) -> SysResult {
    // A negative backlog is a huge one, which is cut (listen(2)).
    Handle::get(call, call.int(0))?.socket().listen(call.uint(1) as usize, owner(call))?;
    Ok(0)
}

fn accept(call: &mut Call<'_>) -> SysResult {
    accept_with(call, 0)
}

fn accept4(call: &mut Call<'_>) -> SysResult {
    accept_with(call, call.uint(3))
}

fn accept_with(call: &Call<'_>, flags: u32) -> SysResult {
    call.process().files.get(call.int(0))?;
    if flags & !TYPE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    let handle = Handle::get(call, call.int(0))?;
    let listener = handle.socket();
    let timeout_ns = listener.options().receive_timeout_ns();
    let socket = listener.accept(handle.blocking()).map_err(|error| Handle::interrupted(error.into(), timeout_ns))?;
    // The peer may be gone already: then a UNIX one has no name.
    let peer = socket.accepted_from().unwrap_or(Address::Unix(UnixAddress::Unnamed));
    let file = SocketFile::open(socket, status(flags));
    if call.arg(1) != 0 {
        write_address(&peer, call.ptr(1), call.ptr(2))?;
    }
    call.process().files.insert(file, on_exec(flags & linux::O_CLOEXEC != 0))
}

fn connect(call: &mut Call<'_>) -> SysResult {
    // Unlike bind(2), this one reads the address before it asks whether there is a socket.
    call.process().files.get(call.int(0))?;
    let raw = read_address(call.arg(1), call.int(2))?;
    let handle = Handle::get(call, call.int(0))?;
    let socket = handle.socket();
    let raw = decode_target(&**socket, &raw)?;
    socket.before_lookup()?;
    let address = address::resolve(&call.process().files, raw)?;
    let timeout_ns = socket.options().send_timeout_ns();
    socket
        .connect(&address, owner(call), handle.blocking())
        .map_err(|error| Handle::interrupted(error.into(), timeout_ns))?;
    Ok(0)
}

fn getsockname(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    write_address(&handle.socket().local_address(), call.ptr(1), call.ptr(2))?;
    Ok(0)
}

fn getpeername(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    write_address(&handle.socket().peer_address()?, call.ptr(1), call.ptr(2))?;
    Ok(0)
}

fn shutdown(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    let how = match call.uint(1) {
        0 => Shutdown { read: true, write: false },
        1 => Shutdown { read: false, write: true },
        2 => Shutdown { read: true, write: true },
        _ => return Err(Errno::EINVAL),
    };
    handle.socket().shutdown(how)?;
    Ok(0)
}
