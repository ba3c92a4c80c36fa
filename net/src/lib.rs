//! Sockets, without Linux numbers: those stop at `libc-compat`.
//!
//! # Concept
//! A [`Socket`] is what bind, connect, send and their kin work on; [`SocketFile`] makes one a file behind a descriptor.
//! Two families: [`unix`] (AF_UNIX), which never leaves memory, and [`inet`] (IPv4 and IPv6), which does by way of
//! [`device`].
//!
//! # Neighbours
//! Above: `libc-compat`'s `syscall/socket.rs`. Below: `fs` (files, polling, the inode behind a path), `sched` (waiting).
//!
//! # Lock order
//! ```text
//! Inbox::reading (sleeping; user memory is touched under it) -> Inbox::packets (spin)
//! Registry (spin), UnixSocket::state (spin), UnixSocket::peer (spin): leaves, never two at once
//! ```
//! Sockets are dropped with no lock held: a drop takes the peer's locks.
//!
//! # Specifications
//! unix(7), socket(7), send(2), recv(2), connect(2); where they are silent, what Linux 6.1 does.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]
#![warn(missing_docs)]
extern crate alloc;

pub mod config;
pub mod device;
mod file;
#[cfg(test)]
mod hostile;
pub mod inet;
pub mod interface;
mod options;
mod socket;
pub mod unix;

pub use file::SocketFile;
pub use options::Options;
pub use socket::{
    Address, Ancillary, Credentials, Family, InetAddress, Kind, PacketInfo, ReceiveFlags, Received, SendArguments,
    Shutdown, Socket,
};
