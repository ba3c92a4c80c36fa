//! Sending and receiving: send and recv in all their forms, and what travels beside the bytes (cmsg(3)).

use super::address::{encode, read_address, resolve, write_address};
use super::{Handle, decode_target, inet_option, owner};
use crate::syscall::file::written;
use crate::syscall::open::on_exec;
use crate::syscall::poll::deadline_after;
use crate::syscall::time::TimeSpec;
use crate::syscall::{Call, Errno, SysResult};
use crate::uaccess::{UserPtr, UserSlice, plain};
use crate::unsupported;
use crate::user_io::{self, UserVec};
use alloc::sync::Arc;
use alloc::vec::Vec;
use fs::{Blocking, FsError, Sink, Source};
use linux_raw_sys::net as codes;
use net::{Address, Ancillary, Credentials, Family, Kind, ReceiveFlags, Received, SendArguments, Socket};

const MSG_OOB: u32 = codes::MSG_OOB;
const MSG_PEEK: u32 = codes::MSG_PEEK;
const MSG_CTRUNC: u32 = codes::MSG_CTRUNC;
const MSG_TRUNC: u32 = codes::MSG_TRUNC;
const MSG_DONTWAIT: u32 = codes::MSG_DONTWAIT;
const MSG_WAITALL: u32 = codes::MSG_WAITALL;
const MSG_ERRQUEUE: u32 = codes::MSG_ERRQUEUE;
const MSG_MORE: u32 = codes::MSG_MORE;
const MSG_NOSIGNAL: u32 = codes::MSG_NOSIGNAL;
const MSG_WAITFORONE: u32 = 0x10000;
const MSG_CMSG_CLOEXEC: u32 = codes::MSG_CMSG_CLOEXEC;

/// Most descriptions in one message (SCM_MAX_FD).
const FILES_MAX: usize = 253;
/// Most bytes of control data (net.core.optmem_max).
const CONTROL_MAX: u64 = 20_480;
/// Bytes of a `struct cmsghdr`.
const CONTROL_HEADER: usize = 16;
/// Most messages of one sendmmsg or recvmmsg (UIO_MAXIOV).
const MESSAGES_MAX: u32 = 1024;

/// `struct msghdr`, its padding written out.
#[derive(Clone, Copy)]
#[repr(C)]
struct MessageHeader {
    name: u64,
    name_len: i32,
    pad: u32,
    iov: u64,
    iov_len: u64,
    control: u64,
    control_len: u64,
    flags: u32,
    pad_end: u32,
}
plain!(MessageHeader);

/// `struct mmsghdr`.
#[derive(Clone, Copy)]
#[repr(C)]
struct MultiHeader {
    header: MessageHeader,
    len: u32,
    pad: u32,
}
plain!(MultiHeader);

fn is_inet(socket: &Arc<dyn Socket>) -> bool {
    matches!(socket.family(), Family::Inet | Family::Inet6)
}

fn blocking(handle: &Handle, flags: u32) -> Blocking {
    if flags & MSG_DONTWAIT != 0 { Blocking::Never } else { handle.blocking() }
}

/// The destination behind a pointer, if one is given.
fn destination(call: &Call<'_>, handle: &Handle, pointer: u64, len: i32) -> Result<Option<Address>, Errno> {
    let socket = handle.socket();
    if pointer == 0 {
        return Ok(None);
    }
    let bytes = read_address(pointer, len)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if socket.kind() == Kind::SeqPacket {
        return Ok(None);
    }
    match socket.kind() {
        // A connection has its destination; a UNIX stream refuses another one, whatever it is.
        Kind::Stream if is_inet(socket) => return Ok(None),
        Kind::Stream => return Ok(Some(Address::Unspecified)),
        _ => {}
    }
    let raw = decode_target(&**socket, &bytes)?;
    socket.before_lookup()?;
    socket.may_send()?;
    match resolve(&call.process().files, raw)? {
        Address::Unspecified if socket.family() == Family::Inet => Err(Errno::EAFNOSUPPORT),
        Address::Unspecified => Err(Errno::EINVAL),
        address => Ok(Some(address)),
    }
}

/// Sends; a broken pipe raises SIGPIPE unless MSG_NOSIGNAL is given.
fn send(call: &Call<'_>, handle: &Handle, source: &mut dyn Source, arguments: SendArguments, flags: u32) -> SysResult {
    let socket = handle.socket();
    let inet = is_inet(socket);
    let stream = socket.kind() == Kind::Stream;
    let mut arguments = arguments;
    if flags & MSG_OOB != 0 {
        if !inet || !stream {
            unsupported!("send MSG_OOB on a socket that is not TCP", flags);
            return Err(Errno::EOPNOTSUPP);
        }
        arguments.urgent = true;
    }
    arguments.more = flags & MSG_MORE != 0;
    match socket.send(source, arguments, blocking(handle, flags)) {
        Err(FsError::BrokenPipe) if flags & MSG_NOSIGNAL != 0 || inet && !stream => Err(Errno::EPIPE),
        result => {
            let timeout_ns = socket.options().send_timeout_ns();
            written(call, result).map_err(|error| Handle::interrupted(error, timeout_ns))
        }
    }
}

pub fn sendto(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    let mut buffer = user_io::buffer(call.arg(1), call.arg(2))?;
    let to = destination(call, &handle, call.arg(4), call.int(5))?;
    send(call, &handle, &mut buffer, SendArguments { to, ..SendArguments::default() }, call.uint(3))
}

pub fn sendmsg(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    let header = call.ptr::<MessageHeader>(1).read()?;
    send_message(call, &handle, &header, call.uint(2))
}

fn send_message(call: &Call<'_>, handle: &Handle, header: &MessageHeader, flags: u32) -> SysResult {
    if header.iov_len > user_io::IOVEC_MAX as u64 {
        return Err(Errno::EMSGSIZE);
    }
    let to = destination(call, handle, header.name, header.name_len)?;
    if handle.socket().kind() == Kind::SeqPacket {
        handle.socket().may_send()?;
    }
    let ancillary = read_control(call, handle, header)?;
    let mut buffers = UserVec::read(header.iov, header.iov_len)?;
    send(call, handle, &mut buffers, SendArguments { to, ancillary, ..SendArguments::default() }, flags)
}

/// Reads the control messages (EINVAL, EBADF, ENOBUFS).
fn read_control(call: &Call<'_>, handle: &Handle, header: &MessageHeader) -> Result<Ancillary, Errno> {
    let mut ancillary = Ancillary::default();
    if header.control_len == 0 || header.control == 0 {
        return Ok(ancillary);
    }
    if header.control_len > CONTROL_MAX {
        return Err(Errno::ENOBUFS);
    }
    let mut bytes = alloc::vec![0; header.control_len as usize];
    hal::user::copy_from(&mut bytes, header.control)?;
    let mut rest = &bytes[..];
    while rest.len() >= CONTROL_HEADER {
        let word = |at: usize| u32::from_ne_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
        let len = u64::from(word(0)) | u64::from(word(4)) << 32;
        let (level, kind) = (word(8), word(12));
        if len < CONTROL_HEADER as u64 || len > rest.len() as u64 {
            return Err(Errno::EINVAL);
        }
        let data = &rest[CONTROL_HEADER..len as usize];
        match (level, kind) {
            (codes::SOL_SOCKET, codes::SCM_RIGHTS) => read_files(call, data, &mut ancillary)?,
            (codes::SOL_SOCKET, codes::SCM_CREDENTIALS) => ancillary.credentials = Some(read_credentials(call, data)?),
            (codes::SOL_SOCKET, _) if is_inet(handle.socket()) => return Err(Errno::EINVAL),
            (level, kind) if is_inet(handle.socket()) => inet_option::read_control(level, kind, data, &mut ancillary)?,
            _ => {
                unsupported!("control message", u64::from(level) << 32 | u64::from(kind));
                return Err(Errno::EINVAL);
            }
        }
        rest = rest.get((len as usize).next_multiple_of(8)..).unwrap_or(&[]);
    }
    Ok(ancillary)
}

fn read_files(call: &Call<'_>, data: &[u8], ancillary: &mut Ancillary) -> Result<(), Errno> {
    let numbers = data.chunks_exact(4).map(|n| i32::from_ne_bytes([n[0], n[1], n[2], n[3]]));
    if ancillary.files.len() + numbers.len() > FILES_MAX {
        return Err(Errno::EINVAL);
    }
    for fd in numbers {
        ancillary.files.push(call.process().files.get_any(fd)?);
    }
    Ok(())
}

/// Root may say whatever it likes about itself, but the process must exist.
fn read_credentials(call: &Call<'_>, data: &[u8]) -> Result<Credentials, Errno> {
    if data.len() != 12 {
        return Err(Errno::EINVAL);
    }
    let word = |at: usize| u32::from_ne_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
    let said = Credentials { pid: word(0), uid: word(4), gid: word(8) };
    if said.pid != owner(call).pid { Err(Errno::ESRCH) } else { Ok(said) }
}

/// Receives into `sink`; what is missing for the flags that the caller sees comes with it.
fn receive(handle: &Handle, sink: &mut dyn Sink, flags: u32) -> Result<Received, Errno> {
    let urgent = flags & MSG_OOB != 0;
    if urgent && !is_inet(handle.socket()) {
        if handle.socket().kind() == Kind::SeqPacket {
            handle.socket().peer_address()?;
        }
        return Err(if handle.socket().kind() == Kind::Stream { Errno::EINVAL } else { Errno::EOPNOTSUPP });
    }
    if flags & MSG_ERRQUEUE != 0 {
        // Nothing here reports errors so.
        return Err(Errno::EAGAIN);
    }
    let socket = handle.socket();
    let how = ReceiveFlags { peek: flags & MSG_PEEK != 0, wait_all: flags & MSG_WAITALL != 0, urgent };
    let timeout_ns = socket.options().receive_timeout_ns();
    // With MSG_TRUNC a TCP socket's bytes go nowhere (tcp(7)).
    let mut nowhere = Nowhere(sink.remaining());
    let away = flags & (MSG_TRUNC | MSG_PEEK) == MSG_TRUNC && is_inet(socket) && socket.kind() == Kind::Stream;
    let sink: &mut dyn Sink = if away { &mut nowhere } else { sink };
    socket.receive(sink, how, blocking(handle, flags)).map_err(|error| Handle::interrupted(error.into(), timeout_ns))
}

/// A destination that forgets.
struct Nowhere(usize);

impl Sink for Nowhere {
    fn put(&mut self, bytes: &[u8]) -> Result<usize, FsError> {
        let count = bytes.len().min(self.0);
        self.0 -= count;
        Ok(count)
    }
    fn remaining(&self) -> usize {
        self.0
    }
}

/// The result of a receive: with MSG_TRUNC a message's own length.
fn length(received: &Received, flags: u32) -> u64 {
    (if flags & MSG_TRUNC != 0 { received.full_len.max(received.count) } else { received.count }) as u64
}

pub fn recvfrom(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    let mut buffer = user_io::buffer(call.arg(1), call.arg(2))?;
    let received = receive(&handle, &mut buffer, call.uint(3))?;
    if call.arg(4) != 0 {
        match &received.from {
            Some(from) => write_address(from, call.ptr(4), call.ptr(5))?,
            None => call.ptr::<i32>(5).write(0)?,
        }
    }
    Ok(length(&received, call.uint(3)))
}

pub fn recvmsg(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    let pointer = call.ptr::<MessageHeader>(1);
    let mut header = pointer.read()?;
    let result = receive_message(call, &handle, &mut header, call.uint(2))?;
    pointer.write(header)?;
    Ok(result)
}

fn receive_message(call: &Call<'_>, handle: &Handle, header: &mut MessageHeader, flags: u32) -> SysResult {
    if header.iov_len > user_io::IOVEC_MAX as u64 {
        return Err(Errno::EMSGSIZE);
    }
    let mut buffers = UserVec::read(header.iov, header.iov_len)?;
    let received = receive(handle, &mut buffers, flags)?;
    let mut shown = flags & MSG_CMSG_CLOEXEC;
    if received.full_len > received.count {
        shown |= MSG_TRUNC;
    }
    if header.name != 0 {
        let bytes = received.from.as_ref().map(encode).unwrap_or_default();
        let count = bytes.len().min(header.name_len.max(0) as usize);
        UserSlice::new(header.name, count).write(&bytes[..count])?;
        header.name_len = bytes.len() as i32;
    }
    let mut control = Control { to: UserSlice::new(header.control, header.control_len as usize), used: 0, cut: false };
    let sender = received.ancillary.credentials;
    // At the end of a stream nobody is named; a closed connection of packets has no message to tell it with.
    let is_told = sender.is_some() || handle.socket().kind() == Kind::Stream;
    if is_told && handle.socket().options().pass_credentials.load(core::sync::atomic::Ordering::Relaxed) {
        let sender = sender.unwrap_or(Credentials { pid: 0, uid: 65534, gid: 65534 });
        control.put(
            codes::SOL_SOCKET,
            codes::SCM_CREDENTIALS,
            &[sender.pid as i32, sender.uid as i32, sender.gid as i32],
        )?;
    }
    control.put_files(call, &received.ancillary, flags)?;
    if let (Some(packet), Some(settings)) = (&received.ancillary.packet, handle.socket().settings()) {
        let v6 = handle.socket().family() == Family::Inet6;
        inet_option::put_control(packet, settings, v6, &mut |level, kind, words| control.put(level, kind, words))?;
    }
    header.control_len = control.used;
    header.flags = shown | if control.cut { MSG_CTRUNC } else { 0 };
    Ok(length(&received, flags))
}

/// Control messages on their way to the application.
struct Control {
    to: UserSlice,
    used: u64,
    /// Something did not fit.
    cut: bool,
}

impl Control {
    /// How many words of data fit.
    fn room(&self) -> usize {
        self.to.len().saturating_sub(CONTROL_HEADER) / 4
    }

    fn put(&mut self, level: u32, kind: u32, words: &[i32]) -> Result<(), Errno> {
        if self.to.len() < CONTROL_HEADER {
            self.cut = true;
            return Ok(());
        }
        let fits = words.len().min(self.room());
        self.cut |= fits < words.len();
        let len = CONTROL_HEADER + fits * 4;
        let mut bytes = Vec::with_capacity(len.next_multiple_of(8));
        bytes.extend_from_slice(&(len as u64).to_ne_bytes());
        bytes.extend_from_slice(&level.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        for word in &words[..fits] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        let space = len.next_multiple_of(8).min(self.to.len());
        bytes.resize(space, 0);
        self.to.write(&bytes)?;
        self.used += space as u64;
        Ok(())
    }

    /// Gives the descriptions numbers, as many as fit; the others are closed.
    fn put_files(&mut self, call: &Call<'_>, ancillary: &Ancillary, flags: u32) -> Result<(), Errno> {
        if ancillary.files.is_empty() {
            return Ok(());
        }
        let files = &call.process().files;
        let mut numbers = Vec::new();
        for file in ancillary.files.iter().take(self.room()) {
            match files.insert(file.clone(), on_exec(flags & MSG_CMSG_CLOEXEC != 0)) {
                Ok(number) => numbers.push(number as i32),
                Err(_) => break,
            }
        }
        self.cut |= numbers.len() < ancillary.files.len();
        if numbers.is_empty() {
            return Ok(());
        }
        self.put(codes::SOL_SOCKET, codes::SCM_RIGHTS, &numbers).inspect_err(|_| {
            for &number in &numbers {
                let _ = files.close(number);
            }
        })
    }
}

pub fn sendmmsg(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    let list = call.ptr::<MultiHeader>(1);
    let mut done = 0;
    while done < u64::from(call.uint(2).min(MESSAGES_MAX)) {
        let at = list.add(done);
        let sent = at.read().and_then(|message| {
            let count = send_message(call, &handle, &message.header, call.uint(3))?;
            at.write(MultiHeader { len: count as u32, ..message })
        });
        match sent {
            Ok(()) => done += 1,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// As on Linux the time limit is looked at after each message only.
pub fn recvmmsg(call: &mut Call<'_>) -> SysResult {
    let handle = Handle::get(call, call.int(0))?;
    let list = call.ptr::<MultiHeader>(1);
    let deadline = match call.ptr::<TimeSpec>(4).non_null() {
        Some(timeout) => Some(deadline_after(timeout.read()?.to_ns()?)),
        None => None,
    };
    let mut flags = call.uint(3) & !MSG_WAITFORONE;
    let mut done = 0;
    while done < u64::from(call.uint(2).min(MESSAGES_MAX)) {
        let at: UserPtr<MultiHeader> = list.add(done);
        let got = at.read().and_then(|mut message| {
            let count = receive_message(call, &handle, &mut message.header, flags)?;
            at.write(MultiHeader { len: count as u32, ..message })
        });
        match got {
            Ok(()) => done += 1,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
        if call.uint(3) & MSG_WAITFORONE != 0 {
            flags |= MSG_DONTWAIT;
        }
        if deadline.is_some_and(|deadline| hal::clock::now_ns() >= deadline) {
            break;
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_those_of_linux() {
        assert_eq!(size_of::<MessageHeader>(), size_of::<codes::msghdr>());
        assert_eq!(core::mem::offset_of!(MessageHeader, control), core::mem::offset_of!(codes::msghdr, msg_control));
        assert_eq!(size_of::<MultiHeader>(), 64);
        assert_eq!(size_of::<codes::cmsghdr>(), CONTROL_HEADER);
    }
}
