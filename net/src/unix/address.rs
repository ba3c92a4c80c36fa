//! Names of UNIX sockets, and who has which.

use super::UnixSocket;
use crate::socket::{Kind, Socket};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;
use fs::{FsError, FsResult, InodeRef};
use hal::sync::SpinLock;
use hashbrown::HashMap;

/// A name (unix(7)). Paths are looked up by `libc-compat`; here the inode is what counts.
#[derive(Clone)]
pub enum UnixAddress {
    /// None.
    Unnamed,
    /// In the abstract name space: any bytes.
    Abstract(Vec<u8>),
    /// A socket file; `text` is the path as it was given.
    Path {
        /// As it was given.
        text: Vec<u8>,
        /// What it led to, or what bind made there.
        inode: InodeRef,
    },
}

impl fmt::Debug for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed => f.write_str("unnamed"),
            Self::Abstract(name) => write!(f, "@{}", alloc::string::String::from_utf8_lossy(name)),
            Self::Path { text, .. } => write!(f, "{}", alloc::string::String::from_utf8_lossy(text)),
        }
    }
}

/// What makes a name unique.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Abstract(Kind, Vec<u8>),
    /// Device and inode number; whoever is bound keeps the inode alive, so that the number is not given again.
    Inode(u64, u64),
}

impl UnixAddress {
    fn key(&self, kind: Kind) -> Option<Key> {
        match self {
            Self::Unnamed => None,
            Self::Abstract(name) => Some(Key::Abstract(kind, name.clone())),
            Self::Path { inode, .. } => {
                let metadata = inode.metadata();
                Some(Key::Inode(metadata.dev, metadata.ino))
            }
        }
    }
}

static NAMES: SpinLock<Option<HashMap<Key, Weak<UnixSocket>>>> = SpinLock::new(None);

/// The socket of this kind that has this name. Errors: `ConnectionRefused`; `ProtocolWrongType` where a socket file is of
/// another kind (each kind has an abstract name space of its own).
pub(super) fn find(address: &UnixAddress, kind: Kind) -> FsResult<Arc<UnixSocket>> {
    let key = address.key(kind).ok_or(FsError::Invalid)?;
    let names = NAMES.lock();
    let found = names.as_ref().and_then(|names| names.get(&key)).and_then(Weak::upgrade);
    drop(names);
    let found = found.ok_or(FsError::ConnectionRefused)?;
    if found.kind() == kind { Ok(found) } else { Err(FsError::ProtocolWrongType) }
}

/// Gives `socket` the name. Errors: `AddressInUse`.
pub(super) fn take(address: &UnixAddress, kind: Kind, socket: &Weak<UnixSocket>) -> FsResult<()> {
    let key = address.key(kind).ok_or(FsError::Invalid)?;
    let mut names = NAMES.lock();
    let names = names.get_or_insert_default();
    if names.get(&key).is_some_and(|owner| owner.strong_count() > 0) {
        return Err(FsError::AddressInUse);
    }
    names.insert(key, socket.clone());
    Ok(())
}

/// The name is free again, if it was this socket's.
pub(super) fn give_back(address: &UnixAddress, kind: Kind, socket: *const UnixSocket) {
    let Some(key) = address.key(kind) else { return };
    let mut names = NAMES.lock();
    if let Some(names) = names.as_mut()
        && names.get(&key).is_some_and(|owner| core::ptr::eq(owner.as_ptr(), socket))
    {
        names.remove(&key);
    }
}

/// A free abstract name of five hexadecimal digits (unix(7), "Autobind feature").
pub(super) fn take_any(kind: Kind, socket: &Weak<UnixSocket>) -> FsResult<UnixAddress> {
    const NAMES_MAX: u32 = 1 << 20;
    let first = hal::random::next_u64() as u32 % NAMES_MAX;
    for n in 0..NAMES_MAX {
        let name = alloc::format!("{:05x}", (first + n) % NAMES_MAX).into_bytes();
        let address = UnixAddress::Abstract(name);
        match take(&address, kind, socket) {
            Ok(()) => return Ok(address),
            Err(FsError::AddressInUse) => {}
            Err(error) => return Err(error),
        }
    }
    Err(FsError::NoSpace)
}
