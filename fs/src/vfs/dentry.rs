//! A place in the tree.

use super::mount::Mount;
use crate::anonymous::next_id;
use crate::file::File;
use crate::metadata::{FileKind, Metadata, StatusFlags};
use crate::{FileSystem, FsError, FsResult, Inode, InodeRef};
use alloc::{sync::Arc, vec::Vec};
use core::any::Any;
use core::sync::atomic::{AtomicBool, Ordering};
use hal::sync::SpinLock;

/// A shared name.
pub(super) type Name = Arc<[u8]>;

/// Where a dentry hangs.
pub(super) struct Hook {
    pub parent: Option<Arc<Dentry>>,
    pub name: Name,
}

/// A place: a name under a parent, and the inode there.
pub struct Dentry {
    /// Never given twice; the cache's key for children.
    pub(super) id: u64,
    inode: InodeRef,
    mount: Arc<Mount>,
    pub(super) hook: SpinLock<Hook>,
    unlinked: AtomicBool,
    has_mount: AtomicBool,
    mounted: SpinLock<Option<Arc<Dentry>>>,
}

impl Dentry {
    pub(super) fn new(inode: InodeRef, mount: Arc<Mount>, parent: Option<Arc<Dentry>>, name: Name) -> Arc<Self> {
        Arc::new(Self {
            id: next_id(),
            inode,
            mount,
            hook: SpinLock::new(Hook { parent, name }),
            unlinked: AtomicBool::new(false),
            has_mount: AtomicBool::new(false),
            mounted: SpinLock::new(None),
        })
    }

    /// The inode.
    pub fn inode(&self) -> &InodeRef {
        &self.inode
    }

    /// The mount that it belongs to.
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// Kind of the inode.
    pub fn kind(&self) -> FileKind {
        self.inode.kind()
    }

    /// Attributes of the inode.
    pub fn metadata(&self) -> Metadata {
        self.inode.metadata()
    }

    /// Errors: `ReadOnly` when the file system takes no changes.
    pub fn writable(&self) -> FsResult<()> {
        if self.mount.file_system.read_only() { Err(FsError::ReadOnly) } else { Ok(()) }
    }

    /// Whether its name was removed.
    pub fn unlinked(&self) -> bool {
        self.unlinked.load(Ordering::Acquire)
    }

    pub(super) fn set_unlinked(&self) {
        self.unlinked.store(true, Ordering::Release);
    }

    /// The place above; the root's is itself. Above a mounted tree's root is what is above its mount point.
    pub fn parent_or_self(self: &Arc<Self>) -> Arc<Self> {
        let mut place = self.clone();
        loop {
            let parent = place.hook.lock().parent.clone();
            if let Some(parent) = parent {
                return parent;
            }
            let Some(covered) = place.mount.covered() else { return place };
            place = covered;
        }
    }

    /// What is mounted here, topmost, else itself.
    pub(super) fn through_mounts(self: Arc<Self>) -> Arc<Self> {
        let mut place = self;
        while place.has_mount.load(Ordering::Acquire) {
            let Some(top) = place.mounted.lock().clone() else { break };
            place = top;
        }
        place
    }

    /// Whether something is mounted here.
    pub fn is_mount_point(&self) -> bool {
        self.has_mount.load(Ordering::Acquire)
    }

    pub(super) fn set_mounted(&self, root: Option<Arc<Dentry>>) {
        let mut mounted = self.mounted.lock();
        self.has_mount.store(root.is_some(), Ordering::Release);
        let _old = core::mem::replace(&mut *mounted, root);
        drop(mounted);
    }

    /// Whether `self` is `below` or above it.
    pub(super) fn contains(self: &Arc<Self>, below: &Arc<Self>) -> bool {
        let mut place = below.clone();
        loop {
            if Arc::ptr_eq(self, &place) {
                return true;
            }
            let above = place.hook.lock().parent.clone();
            match above {
                Some(above) => place = above,
                None => return false,
            }
        }
    }

    /// The absolute path. Errors: `NotFound` when the place was removed (`getcwd`).
    pub fn path(self: &Arc<Self>) -> FsResult<Vec<u8>> {
        if self.unlinked() { Err(FsError::NotFound) } else { Ok(self.raw_path()) }
    }

    /// The absolute path, with ` (deleted)` when the place was removed.
    pub fn path_with_deleted_mark(self: &Arc<Self>) -> Vec<u8> {
        let mut path = self.raw_path();
        if self.unlinked() {
            path.extend_from_slice(b" (deleted)");
        }
        path
    }

    fn raw_path(self: &Arc<Self>) -> Vec<u8> {
        let mut names: Vec<Name> = Vec::new();
        let mut place = self.clone();
        loop {
            let (parent, name) = {
                let hook = place.hook.lock();
                (hook.parent.clone(), hook.name.clone())
            };
            match parent {
                Some(parent) => {
                    names.push(name);
                    place = parent;
                }
                None => match place.mount.covered() {
                    Some(covered) => place = covered,
                    None => {
                        if !name.is_empty() {
                            return name.to_vec();
                        }
                        break;
                    }
                },
            }
        }
        if names.is_empty() {
            return b"/".to_vec();
        }
        let mut path = Vec::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        path
    }

    /// The last component.
    pub fn name(&self) -> Vec<u8> {
        self.hook.lock().name.to_vec()
    }
}

impl Drop for Dentry {
    fn drop(&mut self) {
        // A long chain of parents that only this one keeps must not recurse on a small stack.
        let mut next = self.hook.get_mut().parent.take();
        while let Some(parent) = next {
            next = Arc::into_inner(parent).and_then(|mut parent| parent.hook.get_mut().parent.take());
        }
    }
}

/// A place for an object that has none, so that `/proc/self/fd/N` can lead to it.
pub fn made_up_place(file: Arc<dyn File>, label: Vec<u8>) -> Arc<Dentry> {
    Dentry::new(Arc::new(ObjectInode(file)), Mount::none(), None, Arc::from(label))
}

/// A place for an inode of a file system that is mounted nowhere.
pub(crate) fn unnamed_place(inode: InodeRef, file_system: Arc<dyn FileSystem>, path: Vec<u8>) -> Arc<Dentry> {
    Dentry::new(inode, Mount::new(file_system, "none", None), None, Arc::from(path))
}

/// An object seen as an inode.
struct ObjectInode(Arc<dyn File>);

impl Inode for ObjectInode {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }
    fn kind(&self) -> FileKind {
        self.0.metadata().kind
    }
    fn open(self: Arc<Self>, _status: StatusFlags) -> FsResult<Arc<dyn File>> {
        if self.kind() == FileKind::Socket {
            return Err(FsError::NoSuchAddress);
        }
        Ok(self.0.clone())
    }
    fn truncate(&self, size: u64) -> FsResult<()> {
        self.0.truncate(size)
    }
    fn backing(&self) -> Option<Arc<dyn mm::Backing>> {
        self.0.backing()
    }
}
