//! Sockets (socket(7), unix(7)): making, naming, connecting. What travels over them is in `message`, options in `option`.

mod address;
mod message;
mod option;

use super::fd::insert_pair;
use super::open::on_exec;
use super::{Call, Errno, Row, Support::*, SysResult, row};
use crate::unsupported;
use address::{read_address, write_address};
use alloc::sync::Arc;
use fs::{Blocking, OpenFile, StatusFlags};
use linux_raw_sys::{general as linux, net as codes};
use net::unix::{UnixAddress, UnixSocket};
use net::{Address, Credentials, Kind, Shutdown, Socket, SocketFile};

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
            return Err(if file.status().contains(StatusFlags::PATH) { Errno::EBADF } else { Errno::ENOTSOCK });
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
    let kind = decode(call)?;
    let socket = UnixSocket::new(kind, owner(call));
    call.process().files.insert(SocketFile::open(socket, status(flags)), on_exec(flags & linux::O_CLOEXEC != 0))
}

/// Family, type and protocol of the first three arguments.
fn decode(call: &Call<'_>) -> Result<Kind, Errno> {
    const TYPE_MAX: u32 = 11;
    let kind = call.uint(1) & !TYPE_FLAGS;
    if kind >= TYPE_MAX {
        return Err(Errno::EINVAL);
    }
    match call.uint(0) {
        AF_UNIX => {}
        codes::AF_INET | codes::AF_INET6 => {
            unsupported!("sockets of the Internet (there is no network yet), family", call.arg(0));
            crate::notice::show_once!("this Demitasse has no network yet: the program was refused an Internet socket");
            return Err(Errno::EAFNOSUPPORT);
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
        codes::SOCK_STREAM => Ok(Kind::Stream),
        // Linux makes a raw UNIX socket one of datagrams.
        codes::SOCK_DGRAM | codes::SOCK_RAW => Ok(Kind::Datagram),
        codes::SOCK_SEQPACKET => Ok(Kind::SeqPacket),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}

fn status(flags: u32) -> StatusFlags {
    if flags & linux::O_NONBLOCK != 0 { StatusFlags::NONBLOCK } else { StatusFlags::empty() }
}

fn socketpair(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(1) & TYPE_FLAGS;
    let kind = decode(call);
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
    let address = match address::decode(&read_address(call.arg(1), call.int(2))?)? {
        address::Raw::Path(path) => {
            if !matches!(socket.local_address(), Address::Unix(UnixAddress::Unnamed)) {
                return Err(Errno::EINVAL);
            }
            address::make_path(&call.process().files, path)?
        }
        address::Raw::Unspecified => return Err(Errno::EINVAL),
        other => address::resolve(&call.process().files, other)?,
    };
    socket.bind(&address)?;
    Ok(0)
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
    if flags & !TYPE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    let handle = Handle::get(call, call.int(0))?;
    let listener = handle.socket();
    let timeout_ns = listener.options().receive_timeout_ns();
    let socket = listener.accept(handle.blocking()).map_err(|error| Handle::interrupted(error.into(), timeout_ns))?;
    // The peer may be gone already: then it has no name.
    let peer = socket.peer_address().unwrap_or(Address::Unix(UnixAddress::Unnamed));
    let file = SocketFile::open(socket, status(flags));
    if call.arg(1) != 0 {
        write_address(&peer, call.ptr(1), call.ptr(2))?;
    }
    call.process().files.insert(file, on_exec(flags & linux::O_CLOEXEC != 0))
}

fn connect(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    let raw = read_address(call.arg(1), call.int(2))?;
    let address = address::resolve(&call.process().files, address::decode(&raw)?)?;
    let socket = handle.socket();
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
