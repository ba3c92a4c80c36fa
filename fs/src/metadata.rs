//! What is known about a file, and how it is changed.

use crate::event::notify::Change;
use bitflags::bitflags;

/// The kind of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FileKind {
    /// Bytes.
    Regular,
    /// Names.
    Directory,
    /// Another path.
    Symlink,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
    /// Named or unnamed pipe.
    Fifo,
    /// Socket.
    Socket,
    /// What has no type in Linux either: eventfd, epoll, timerfd ("anon_inode").
    Anonymous,
}

/// A snapshot of a file's attributes. Times are nanoseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// Inode number.
    pub ino: u64,
    /// Number of the file system (major in bits 8.., minor in bits 0..8).
    pub dev: u64,
    /// Kind.
    pub kind: FileKind,
    /// Permission bits, set-ID and sticky bits: 12 bits.
    pub mode: u32,
    /// Names.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Allocated, in units of 512 bytes.
    pub blocks: u64,
    /// Last access.
    pub atime_ns: i64,
    /// Last change of content.
    pub mtime_ns: i64,
    /// Last change of attributes.
    pub ctime_ns: i64,
    /// Birth.
    pub btime_ns: i64,
    /// Device number of a device file, as `dev`.
    pub rdev: u64,
    /// Preferred unit of input and output, bytes.
    pub block_bytes: u32,
}

/// What to set; `None` leaves as is. Setting anything sets ctime.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct SetAttributes {
    /// Permission bits (12).
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last access, nanoseconds since 1970.
    pub atime_ns: Option<i64>,
    /// Last change of content, nanoseconds since 1970.
    pub mtime_ns: Option<i64>,
}

impl SetAttributes {
    /// What watchers hear of it: one time alone tells of a read or a write (Linux: `fsnotify_change`).
    pub fn change(&self) -> Change {
        match (self.atime_ns, self.mtime_ns) {
            _ if self.mode.is_some() || self.uid.is_some() || self.gid.is_some() => Change::ATTRIBUTES,
            (Some(_), None) => Change::ACCESS,
            (None, Some(_)) => Change::MODIFY,
            _ => Change::ATTRIBUTES,
        }
    }
}

/// What a file system says about itself.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct FsStat {
    /// The type's magic number, as in Linux's `magic.h`.
    pub magic: u64,
    /// Unit of the block counts, bytes.
    pub block_bytes: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks free.
    pub blocks_free: u64,
    /// Inodes in all.
    pub files: u64,
    /// Inodes free.
    pub files_free: u64,
    /// Identity of the file system.
    pub id: u64,
    /// Longest name, bytes.
    pub name_max: u64,
    /// Writes are refused.
    pub read_only: bool,
}

/// One name in a directory.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// The name.
    pub name: &'a [u8],
    /// Inode number.
    pub ino: u64,
    /// Kind.
    pub kind: FileKind,
    /// Where to go on after this entry.
    pub next_cursor: u64,
}

bitflags! {
    /// How a descriptor is open: access mode and the flags that `fcntl` shows. All bits but the first two are Linux's own
    /// (fcntl.h of x86-64), so that nobody has to translate them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct StatusFlags: u32 {
        /// May be read.
        const READ = 1;
        /// May be written.
        const WRITE = 2;
        /// Every write goes to the end.
        const APPEND = 0o2_000;
        /// Never wait.
        const NONBLOCK = 0o4_000;
        /// As `SYNC`, data only.
        const DSYNC = 0o10_000;
        /// Signal-driven input and output (stored, no signals are sent).
        const ASYNC = 0o20_000;
        /// Bypass the cache, where there is a device below it.
        const DIRECT = 0o40_000;
        /// It was asked for a directory; shown, no more. So are NOFOLLOW and TMPFILE.
        const DIRECTORY = 0o200_000;
        /// It was opened without following a link.
        const NOFOLLOW = 0o400_000;
        /// Do not touch the access time.
        const NOATIME = 0o1_000_000;
        /// Writes are on stable storage when they return; `DSYNC` is a part of it.
        const SYNC = 0o4_010_000;
        /// A place in the tree only: nothing can be read or written.
        const PATH = 0o10_000_000;
        /// It has never had a name.
        const TMPFILE = 0o20_000_000;
    }
}

impl StatusFlags {
    /// What `fcntl(F_SETFL)` can change.
    pub const CHANGEABLE: Self =
        Self::APPEND.union(Self::NONBLOCK).union(Self::DIRECT).union(Self::NOATIME).union(Self::ASYNC);
}

bitflags! {
    /// What to do while opening.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct OpenFlags: u32 {
        /// Make the file when it is missing.
        const CREATE = 1;
        /// With `CREATE`: refuse what exists.
        const EXCLUSIVE = 2;
        /// Cut to length 0.
        const TRUNCATE = 4;
        /// Refuse what is no directory.
        const DIRECTORY = 8;
        /// Refuse a symbolic link as last component.
        const NOFOLLOW = 16;
        /// An unnamed file in the directory given.
        const TMPFILE = 32;
        /// Magic links and mount crossings are refused (`openat2`); symbolic links too.
        const NO_SYMLINKS = 64;
    }
}
