//! `struct sockaddr` of every family and back (unix(7), ip(7), ipv6(7), netlink(7)).

use crate::Errno;
use crate::file_context::FileContext;
use crate::uaccess::{UserPtr, UserSlice};
use alloc::vec::Vec;
use fs::{FileKind, FollowLast, FsError, NewNode};
use linux_raw_sys::{general as linux, net as codes};
use net::inet::{Endpoint, Ip};
use net::unix::UnixAddress;
use net::{Address, InetAddress};

/// Bytes of the family in front.
const FAMILY_LEN: usize = 2;
/// Bytes of a `struct sockaddr_un`.
const UNIX_LEN: usize = 110;
/// Bytes of a `struct sockaddr_storage`: the longest address.
const LONGEST: i32 = 128;

/// An address as the application wrote it.
pub enum Raw<'a> {
    /// AF_UNSPEC.
    Unspecified,
    /// A UNIX address that is the family alone.
    Unnamed,
    /// The bytes behind a leading NUL.
    Abstract(&'a [u8]),
    /// A path without NUL.
    Path(&'a [u8]),
    /// An Internet address.
    Inet(InetAddress),
    /// A netlink port and groups.
    Netlink(u32, u32),
}

/// Bytes of a `struct sockaddr_in`.
const INET_LEN: usize = 16;
/// Bytes of a `struct sockaddr_in6` up to and with the address; the scope behind it may be missing.
const INET6_LEN_MIN: usize = 24;

fn inet(bytes: &[u8]) -> Option<InetAddress> {
    let address: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
    if bytes.len() < INET_LEN {
        return None;
    }
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    Some(InetAddress { v6: false, at: Endpoint::new(Ip::from_v4_bytes(address), port) })
}

fn inet6(bytes: &[u8]) -> Option<InetAddress> {
    let address: [u8; 16] = bytes.get(8..INET6_LEN_MIN)?.try_into().ok()?;
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    let scope = bytes.get(24..28).map_or(0, |scope| u32::from_ne_bytes([scope[0], scope[1], scope[2], scope[3]]));
    Some(InetAddress { v6: true, at: Endpoint { ip: Ip::from_bytes(address), port, scope } })
}

fn netlink(bytes: &[u8]) -> Option<Raw<'static>> {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some(Raw::Netlink(word(4)?, word(8)?))
}

/// Whether the family is none that there are addresses of.
pub fn is_foreign(bytes: &[u8]) -> bool {
    let family = u32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
    !matches!(family, codes::AF_INET | codes::AF_INET6)
}

/// Copies an address from the application (EINVAL, EFAULT).
pub fn read_address(pointer: u64, len: i32) -> Result<Vec<u8>, Errno> {
    if !(0..=LONGEST).contains(&len) {
        return Err(Errno::EINVAL);
    }
    let mut bytes = alloc::vec![0; len as usize];
    hal::user::copy_from(&mut bytes, pointer)?;
    Ok(bytes)
}

/// Reads the family and name (EINVAL).
pub fn decode(bytes: &[u8]) -> Result<Raw<'_>, Errno> {
    let (family, name) = bytes.split_at_checked(FAMILY_LEN).ok_or(Errno::EINVAL)?;
    match u32::from(u16::from_ne_bytes([family[0], family[1]])) {
        codes::AF_UNSPEC => Ok(Raw::Unspecified),
        codes::AF_INET => inet(bytes).map(Raw::Inet).ok_or(Errno::EINVAL),
        codes::AF_INET6 => inet6(bytes).map(Raw::Inet).ok_or(Errno::EINVAL),
        codes::AF_NETLINK => netlink(bytes).ok_or(Errno::EINVAL),
        codes::AF_UNIX if bytes.len() > UNIX_LEN => Err(Errno::EINVAL),
        codes::AF_UNIX => Ok(match name.split_first() {
            None => Raw::Unnamed,
            Some((0, rest)) => Raw::Abstract(rest),
            Some(_) => Raw::Path(name.split(|&byte| byte == 0).next().unwrap_or(name)),
        }),
        _ => Err(Errno::EINVAL),
    }
}

/// The address to connect or send to: a path must lead to a socket (ENOENT, ECONNREFUSED).
pub fn resolve(files: &FileContext, raw: Raw<'_>) -> Result<Address, Errno> {
    let unix = match raw {
        Raw::Unspecified => return Ok(Address::Unspecified),
        Raw::Inet(address) => return Ok(Address::Inet(address)),
        Raw::Netlink(port, groups) => return Ok(Address::Netlink(port, groups)),
        Raw::Unnamed => UnixAddress::Unnamed,
        Raw::Abstract(name) => UnixAddress::Abstract(name.to_vec()),
        Raw::Path(path) => {
            let place = files.resolve(linux::AT_FDCWD, path, FollowLast::Yes)?;
            if place.kind() != FileKind::Socket {
                return Err(Errno::ECONNREFUSED);
            }
            UnixAddress::Path { text: path.to_vec(), inode: place.inode().clone() }
        }
    };
    Ok(Address::Unix(unix))
}

/// Makes the socket file that bind(2) makes (EADDRINUSE).
pub fn make_path(files: &FileContext, path: &[u8]) -> Result<Address, Errno> {
    let base = files.base(linux::AT_FDCWD, path)?;
    match files.namespace().create(&base, path, NewNode::Socket, 0o777 & !files.umask()) {
        Ok(place) => Ok(Address::Unix(UnixAddress::Path { text: path.to_vec(), inode: place.inode().clone() })),
        Err(FsError::Exists) => Err(Errno::EADDRINUSE),
        Err(error) => Err(error.into()),
    }
}

/// The bytes of an address.
pub fn encode(address: &Address) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(UNIX_LEN);
    match address {
        Address::Unspecified => bytes.extend_from_slice(&(codes::AF_UNSPEC as u16).to_ne_bytes()),
        Address::Inet(InetAddress { v6: false, at }) => {
            bytes.extend_from_slice(&(codes::AF_INET as u16).to_ne_bytes());
            bytes.extend_from_slice(&at.port.to_be_bytes());
            bytes.extend_from_slice(&at.ip.bytes()[12..]);
            bytes.resize(INET_LEN, 0);
        }
        Address::Inet(InetAddress { v6: true, at }) => {
            bytes.extend_from_slice(&(codes::AF_INET6 as u16).to_ne_bytes());
            bytes.extend_from_slice(&at.port.to_be_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&at.ip.bytes());
            bytes.extend_from_slice(&at.scope.to_ne_bytes());
        }
        Address::Netlink(port, groups) => {
            bytes.extend_from_slice(&codes::AF_NETLINK.to_ne_bytes());
            bytes.extend_from_slice(&port.to_ne_bytes());
            bytes.extend_from_slice(&groups.to_ne_bytes());
        }
        Address::Unix(unix) => {
            bytes.extend_from_slice(&(codes::AF_UNIX as u16).to_ne_bytes());
            match unix {
                UnixAddress::Unnamed => {}
                UnixAddress::Abstract(name) => {
                    bytes.push(0);
                    bytes.extend_from_slice(name);
                }
                UnixAddress::Path { text, .. } => {
                    bytes.extend_from_slice(text);
                    bytes.push(0);
                }
            }
        }
    }
    bytes
}

/// Writes an address and its length; what does not fit the length that was given is cut (EINVAL if that is negative).
pub fn write_address(address: &Address, to: UserPtr<u8>, len: UserPtr<i32>) -> Result<(), Errno> {
    let room = len.read()?;
    if room < 0 {
        return Err(Errno::EINVAL);
    }
    let bytes = encode(address);
    let count = bytes.len().min(room as usize);
    UserSlice::new(to.addr(), count).write(&bytes[..count])?;
    len.write(bytes.len() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(name: &[u8]) -> Vec<u8> {
        [&1u16.to_ne_bytes()[..], name].concat()
    }

    #[test]
    fn every_kind_of_name_is_read() {
        assert!(matches!(decode(&raw(b"")), Ok(Raw::Unnamed)));
        assert!(matches!(decode(&raw(b"\0a\0b")), Ok(Raw::Abstract(b"a\0b"))));
        assert!(matches!(decode(&raw(b"/tmp/x\0rest")), Ok(Raw::Path(b"/tmp/x"))));
        assert!(matches!(decode(&[0, 0]), Ok(Raw::Unspecified)));
        assert!(matches!(decode(&[2, 0, 0, 80]), Err(Errno::EINVAL)));
        assert!(matches!(decode(&[1]), Err(Errno::EINVAL)));
        assert!(matches!(decode(&raw(&[b'a'; 109])), Err(Errno::EINVAL)));
    }

    #[test]
    fn names_come_back_as_they_were() {
        let address = Address::Unix(UnixAddress::Abstract(b"n\0m".to_vec()));
        assert_eq!(encode(&address), raw(b"\0n\0m"));
        assert_eq!(encode(&Address::Unix(UnixAddress::Unnamed)), raw(b""));
    }
}
