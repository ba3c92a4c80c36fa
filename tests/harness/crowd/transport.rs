//! The ways of frames between a test and a guest: QEMU's socket, which waits for the reader and loses nothing, and an interface of
//! this computer (a tap), which loses what comes too fast.

use super::frame::{ARP, IPV4};
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netdevice, recv, send, socket_with,
};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Whole Ethernet frames to a guest and from it.
pub(crate) trait Transport: Send {
    /// Sends one. Errors: the guest is gone, as far as that is seen.
    fn send(&mut self, frame: &[u8]) -> Result<()>;
    /// Takes one, waiting for it so long.
    fn receive(&mut self, patience: Duration) -> Option<Vec<u8>>;
}

/// QEMU's `stream` network: each frame behind its length.
pub(crate) struct Frames {
    to: UnixStream,
    from: Receiver<Vec<u8>>,
}

impl Frames {
    pub(crate) fn new(stream: UnixStream) -> Result<Self> {
        let mut reader = stream.try_clone()?;
        let (sender, from) = channel();
        thread::spawn(move || {
            let mut len = [0; 4];
            while reader.read_exact(&mut len).is_ok() {
                let mut frame = vec![0; u32::from_be_bytes(len) as usize];
                if reader.read_exact(&mut frame).is_err() || sender.send(frame).is_err() {
                    break;
                }
            }
        });
        Ok(Self { to: stream, from })
    }
}

impl Transport for Frames {
    fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.to.write_all(&[&(frame.len() as u32).to_be_bytes()[..], frame].concat()).context("the guest is gone")
    }

    fn receive(&mut self, patience: Duration) -> Option<Vec<u8>> {
        self.from.recv_timeout(patience).ok()
    }
}

/// A guest's TCP segments have up to 64 KiB on a tap: nobody has cut them.
const LONGEST: usize = 80 << 10;
/// The guest's answers to a flood come all at once.
const HEARD_BYTES: usize = 8 << 20;

/// Packet sockets at an interface, without the computer's own stack.
pub(crate) struct Interface {
    /// Has no protocol: it hears nothing.
    out: OwnedFd,
    /// One for each protocol: a socket for all of them would hear what other sockets send to the guest.
    heard: Vec<OwnedFd>,
    buffer: Vec<u8>,
}

/// `struct sockaddr_ll`, as far as `bind` looks at it.
#[repr(C)]
struct LinkAddress {
    family: u16,
    protocol: [u8; 2],
    interface: u32,
    unused: [u32; 3],
}

// SAFETY: the pointer is to a whole sockaddr_ll that lives during the call.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(&self, f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        f(std::ptr::from_ref(self).cast(), size_of::<Self>() as SocketAddrLen)
    }
}

fn packet_socket(name: &str, protocol: u16) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // It hears nothing before it is bound.
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None).context("a packet socket")?;
    let interface = netdevice::name_to_index(&socket, name).with_context(|| format!("no interface {name}"))?;
    let family = AddressFamily::PACKET.as_raw();
    bind(&socket, &LinkAddress { family, protocol: protocol.to_be_bytes(), interface, unused: [0; 3] })?;
    Ok(socket)
}

impl Interface {
    /// Hears IPv4 and ARP.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let mut interface = Self::deaf(name)?;
        for protocol in [ARP, IPV4] {
            let socket = packet_socket(name, protocol)?;
            set_socket_recv_buffer_size_force(&socket, HEARD_BYTES)?;
            interface.heard.push(socket);
        }
        interface.buffer = vec![0; LONGEST];
        Ok(interface)
    }

    /// Only sends.
    pub(crate) fn deaf(name: &str) -> Result<Self> {
        Ok(Self { out: packet_socket(name, 0)?, heard: Vec::new(), buffer: Vec::new() })
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        self.heard.iter().find_map(|socket| {
            let (_, len) = recv(socket, &mut self.buffer[..], RecvFlags::DONTWAIT).ok()?;
            Some(self.buffer[..len.min(LONGEST)].to_vec())
        })
    }
}

impl Transport for Interface {
    fn send(&mut self, frame: &[u8]) -> Result<()> {
        match send(&self.out, frame, SendFlags::DONTWAIT) {
            // The link is full: lost as on the way.
            Ok(_) | Err(Errno::NOBUFS | Errno::AGAIN) => Ok(()),
            Err(error) => Err(error).context("the guest is gone"),
        }
    }

    fn receive(&mut self, patience: Duration) -> Option<Vec<u8>> {
        if let Some(frame) = self.next() {
            return Some(frame);
        }
        if !patience.is_zero() {
            let mut ready: Vec<PollFd<'_>> = self.heard.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
            let patience = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
            poll(&mut ready, Some(&patience)).ok()?;
        }
        self.next()
    }
}
