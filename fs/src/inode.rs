//! A node of a file system: the trait that EROFS, tmpfs, the generated trees and the union implement.

use crate::metadata::{DirEntry, FileKind, FsStat, Metadata, SetAttributes, StatusFlags};
use crate::{Dentry, File, FsError, FsResult};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::any::Any;

/// A counted inode.
pub type InodeRef = Arc<dyn Inode>;

/// What to make under a new name.
#[derive(Clone, Debug)]
pub enum NewNode {
    /// An empty file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symbolic link with this target.
    Symlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// The name of a bound socket.
    Socket,
    /// A device node with this number.
    CharDevice(u64),
    /// A device node with this number.
    BlockDevice(u64),
}

/// How a rename treats its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenameMode {
    /// Replaces it.
    Replace,
    /// Refuses an existing one.
    NoReplace,
    /// Swaps the two.
    Exchange,
}

/// What a symbolic link leads to.
#[derive(Clone)]
pub enum Link {
    /// A path, to be walked from the link's directory.
    Path(Vec<u8>),
    /// Straight to a place (`/proc/self/fd/N`), with the text that `readlink` shows.
    Place(Arc<Dentry>, Vec<u8>),
}

impl Link {
    /// What `readlink` shows.
    pub fn text(&self) -> &[u8] {
        match self {
            Self::Path(text) | Self::Place(_, text) => text,
        }
    }
}

/// What to do with a range of a file's space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allocate {
    /// Allocate it and let the file grow over it.
    Extend,
    /// Allocate it; the size stays.
    KeepSize,
    /// Give its memory up; it reads as zeros; the size stays.
    PunchHole,
    /// Make it zeros; the file grows over it.
    Zero,
    /// Make it zeros; the size stays.
    ZeroKeepSize,
}

/// Whether an extended attribute must be new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XattrMode {
    /// Either.
    Any,
    /// It must not exist.
    Create,
    /// It must exist.
    Replace,
}

/// A node of a file system. Names are single components without a slash, never empty, `.` or `..`.
///
/// # Locks
/// Every method but `kind`, `ino` and `dev` may sleep. The vfs holds no lock over a call.
pub trait Inode: Any + Send + Sync {
    /// For downcasts.
    fn as_any(&self) -> &dyn Any;
    /// A snapshot of the attributes.
    fn metadata(&self) -> Metadata;
    /// Kind; never changes, cheap.
    fn kind(&self) -> FileKind;

    /// The node under `name`. Errors: `NotFound`, `NotDirectory`.
    fn lookup(&self, name: &[u8]) -> FsResult<InodeRef> {
        let _ = name;
        Err(FsError::NotDirectory)
    }
    /// Whether the vfs may remember what [`Inode::lookup`] answered until it changes it itself. False for `/proc`.
    fn lookups_are_stable(&self) -> bool {
        true
    }
    /// Makes a node. Errors: `Exists`, `NoSpace`, ...
    fn create(&self, name: &[u8], node: NewNode, mode: u32) -> FsResult<InodeRef> {
        let _ = (name, node, mode);
        Err(FsError::Permission)
    }
    /// Makes a file without a name.
    fn create_unnamed(&self, mode: u32) -> FsResult<InodeRef> {
        let _ = mode;
        Err(FsError::NotSupported)
    }
    /// Takes a name off something that is no directory.
    fn unlink(&self, name: &[u8]) -> FsResult<()> {
        let _ = name;
        Err(FsError::Permission)
    }
    /// Removes an empty directory.
    fn rmdir(&self, name: &[u8]) -> FsResult<()> {
        let _ = name;
        Err(FsError::Permission)
    }
    /// Gives `target`, of the same file system, one more name.
    fn link(&self, name: &[u8], target: &InodeRef) -> FsResult<()> {
        let _ = (name, target);
        Err(FsError::Permission)
    }
    /// Moves a name to directory `to` of the same file system. The vfs has made sure that no directory gets below itself.
    fn rename(&self, name: &[u8], to: &InodeRef, new_name: &[u8], mode: RenameMode) -> FsResult<()> {
        let _ = (name, to, new_name, mode);
        Err(FsError::Permission)
    }
    /// Where a symbolic link leads.
    fn readlink(&self) -> FsResult<Link> {
        Err(FsError::Invalid)
    }
    /// Calls `emit` for each entry from `cursor` on (0 is the start) until it answers false; `.` and `..` are left to
    /// the vfs. An entry for which `emit` answered false is given again next time.
    fn readdir(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        let _ = (cursor, emit);
        Err(FsError::NotDirectory)
    }
    /// Sets the size.
    fn truncate(&self, size: u64) -> FsResult<()> {
        let _ = size;
        Err(FsError::Invalid)
    }
    /// Changes attributes.
    fn set_attributes(&self, set: &SetAttributes) -> FsResult<()> {
        let _ = set;
        Err(FsError::Permission)
    }
    /// The object that a descriptor works on. Directories too.
    fn open(self: Arc<Self>, status: StatusFlags) -> FsResult<Arc<dyn File>>;

    /// Value of an extended attribute. Errors: `NoData`, `NotSupported`.
    fn xattr(&self, name: &[u8]) -> FsResult<Vec<u8>> {
        let _ = name;
        Err(FsError::NotSupported)
    }
    /// Sets an extended attribute.
    fn set_xattr(&self, name: &[u8], value: &[u8], mode: XattrMode) -> FsResult<()> {
        let _ = (name, value, mode);
        Err(FsError::NotSupported)
    }
    /// Removes an extended attribute.
    fn remove_xattr(&self, name: &[u8]) -> FsResult<()> {
        let _ = name;
        Err(FsError::NotSupported)
    }
    /// Names of the extended attributes.
    fn xattrs(&self) -> FsResult<Vec<Vec<u8>>> {
        Err(FsError::NotSupported)
    }
    /// The pages, for mapping and for executing; None when the kind has none.
    fn backing(&self) -> Option<Arc<dyn mm::Backing>> {
        None
    }
}

/// A mountable tree.
pub trait FileSystem: Send + Sync + 'static {
    /// The top directory.
    fn root(&self) -> InodeRef;
    /// The type's name, as in `/proc/filesystems`.
    fn type_name(&self) -> &'static str;
    /// Space and limits.
    fn statistics(&self) -> FsStat;
    /// Whether every change is refused.
    fn read_only(&self) -> bool {
        false
    }
    /// Options for `/proc/mounts`, after `rw` or `ro`, each with a leading comma.
    fn options(&self) -> String {
        String::new()
    }
    /// Pushes everything to stable storage.
    fn sync(&self) -> FsResult<()> {
        Ok(())
    }
}
