//! What the outside sees of an inode.

use alloc::vec::Vec;

/// A point in time, since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time {
    /// Whole seconds.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// Kind of an inode: `S_IFMT` of its mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// S_IFREG.
    Regular,
    /// S_IFDIR.
    Directory,
    /// S_IFLNK.
    Symlink,
    /// S_IFCHR.
    CharDevice,
    /// S_IFBLK.
    BlockDevice,
    /// S_IFIFO.
    Fifo,
    /// S_IFSOCK.
    Socket,
}

/// Kind, its `S_IFMT` bits shifted down by 12, and its number in a directory entry.
const KINDS: [(Kind, u16, u8); 7] = [
    (Kind::Regular, 0o10, 1),
    (Kind::Directory, 0o4, 2),
    (Kind::CharDevice, 0o2, 3),
    (Kind::BlockDevice, 0o6, 4),
    (Kind::Fifo, 0o1, 5),
    (Kind::Socket, 0o14, 6),
    (Kind::Symlink, 0o12, 7),
];

impl Kind {
    /// Of a mode.
    pub fn from_mode(mode: u16) -> Option<Kind> {
        KINDS.iter().find(|(_, bits, _)| *bits == mode >> 12).map(|(kind, ..)| *kind)
    }

    /// Of a directory entry's file type.
    pub(crate) fn from_entry(number: u8) -> Option<Kind> {
        KINDS.iter().find(|(.., entry)| *entry == number).map(|(kind, ..)| *kind)
    }

    fn row(self) -> (Kind, u16, u8) {
        // Every kind has its row.
        KINDS.iter().copied().find(|(kind, ..)| *kind == self).unwrap_or(KINDS[0])
    }

    /// Its `S_IFMT` bits.
    pub fn mode_bits(self) -> u16 {
        self.row().1 << 12
    }

    pub(crate) fn entry_number(self) -> u8 {
        self.row().2
    }
}

/// A new node's kind with what it needs to exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NewNode {
    /// An empty file.
    Regular,
    /// An empty directory.
    Directory,
    /// A link with this target, 1 to 4095 bytes.
    Symlink(Vec<u8>),
    /// A pipe.
    Fifo,
    /// The name of a socket.
    Socket,
    /// A device with this number (major << 8 | minor, Linux's wide form above 255).
    CharDevice(u32),
    /// The same.
    BlockDevice(u32),
}

impl NewNode {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            NewNode::Regular => Kind::Regular,
            NewNode::Directory => Kind::Directory,
            NewNode::Symlink(_) => Kind::Symlink,
            NewNode::Fifo => Kind::Fifo,
            NewNode::Socket => Kind::Socket,
            NewNode::CharDevice(_) => Kind::CharDevice,
            NewNode::BlockDevice(_) => Kind::BlockDevice,
        }
    }
}

/// A snapshot of an inode. The size is the one on disk: contents that the caller has not written yet do not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes {
    /// Number of the inode.
    pub inode: u32,
    /// Kind.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777.
    pub permissions: u16,
    /// Owner.
    pub user: u32,
    /// Owning group.
    pub group: u32,
    /// Names.
    pub links: u32,
    /// Bytes.
    pub size: u64,
    /// Space in use, in 512-byte sectors.
    pub sectors: u64,
    /// Number of a device node.
    pub device: u32,
    /// Changes when the number is given to another file.
    pub generation: u32,
    /// Last read.
    pub accessed: Time,
    /// Last change of the contents.
    pub modified: Time,
    /// Last change of inode or contents.
    pub changed: Time,
    /// Made at.
    pub created: Time,
}

/// Which attributes to change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetAttributes {
    /// Permission bits.
    pub permissions: Option<u16>,
    /// Owner.
    pub user: Option<u32>,
    /// Owning group.
    pub group: Option<u32>,
    /// Last read.
    pub accessed: Option<Time>,
    /// Last change of the contents.
    pub modified: Option<Time>,
    /// Last change of the inode.
    pub changed: Option<Time>,
}
