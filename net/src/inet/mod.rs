//! Internet sockets: TCP, UDP, and raw ones, over IPv4 and IPv6.
//!
//! # Concept
//! Addresses of both protocols have one form ([`Ip`]), so everything below the socket calls is written once. What stays
//! within the machine never becomes a packet: a TCP connection to an own address hands pieces of bytes from socket to
//! socket ([`tcp`]), a datagram goes into its receiver's queue ([`udp`]).
//!
//! # Key types
//! [`tcp::TcpSocket`], [`udp::UdpSocket`]; [`ports::Ports`] (who is bound where), [`connections`] (who is connected to whom).

mod address;
pub mod connections;
pub(crate) mod icmp;
pub(crate) mod ip;
pub mod ports;
pub mod proc;
mod queue;
mod settings;
pub mod tcp;
pub mod udp;

pub use address::{Endpoint, Ip, Tuple};
pub use settings::{Setting, Settings, repetitions};
pub use tcp::TcpInfo;

use crate::InetAddress;
use fs::{FsError, FsResult};

/// The address of a bind, connect or send, for a socket that is (or is not) of IPv6.
/// Errors: `AddressFamilyNotSupported`; `NetworkUnreachable` for IPv4 on a socket of IPv6 alone.
fn checked(to: &InetAddress, socket_v6: bool, settings: &Settings) -> FsResult<Endpoint> {
    if to.v6 && !socket_v6 {
        return Err(FsError::AddressFamilyNotSupported);
    }
    if socket_v6 && to.at.ip.is_v4() && settings.is_on(Setting::V6Only) {
        return Err(FsError::NetworkUnreachable);
    }
    Ok(to.at)
}

/// Any address of the kind that a socket has before it is bound.
const fn any_address(v6: bool) -> Ip {
    if v6 { Ip::ANY_V6 } else { Ip::ANY_V4 }
}
