//! The root, the mounts, and what does not change names.

use super::cache::DentryCache;
use super::dentry::Dentry;
use super::mount::{Mount, MountInfo};
use super::walk::FollowLast;
use crate::event::notify::{self, Change};
use crate::inode::{FileSystem, Link};
use crate::metadata::{FileKind, FsStat, Metadata, SetAttributes};
use crate::{FsError, FsResult};
use alloc::{sync::Arc, vec::Vec};
use sched::Mutex;

/// The tree of all names.
pub struct Namespace {
    root: Arc<Dentry>,
    pub(super) cache: DentryCache,
    mounts: Mutex<Vec<Arc<Dentry>>>,
    /// Serialises renames of directories, so that the check against cycles holds.
    pub(super) changes: Mutex<()>,
}

impl Namespace {
    /// A tree with `file_system` at `/`; `source` is what `/proc/mounts` shows as its device.
    pub fn new(file_system: Arc<dyn FileSystem>, source: &str) -> Arc<Self> {
        let inode = file_system.root();
        let root = Dentry::new(inode, Mount::new(file_system, source, None), None, Arc::from(&b""[..]));
        Arc::new(Self {
            mounts: Mutex::new(alloc::vec![root.clone()]),
            root,
            cache: DentryCache::new(),
            changes: Mutex::new(()),
        })
    }

    /// The root directory.
    pub fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// Mounts `file_system` at the directory `path`, or a file system whose root is a file (a bind of one) at a file.
    /// Errors: as [`Namespace::resolve`], `NotDirectory` where only one of the two is a directory.
    pub fn mount(&self, path: &[u8], file_system: Arc<dyn FileSystem>, source: &str) -> FsResult<Arc<Dentry>> {
        let place = self.resolve(&self.root, path, FollowLast::Yes)?;
        let inode = file_system.root();
        let is_directory = |kind| kind == FileKind::Directory;
        if is_directory(place.kind()) != is_directory(inode.kind()) {
            return Err(FsError::NotDirectory);
        }
        let mount = Mount::new(file_system, source, Some(place.clone()));
        let root = Dentry::new(inode, mount, None, Arc::from(&b""[..]));
        place.set_mounted(Some(root.clone()));
        self.mounts.lock().push(root.clone());
        Ok(root)
    }

    /// Takes away what is mounted at `path`; open files stay usable. Errors: `Invalid` (no mount point), `Busy` (the
    /// root, or something is mounted below).
    pub fn unmount(&self, path: &[u8]) -> FsResult<()> {
        let root = self.mount_root(path)?;
        let mut mounts = self.mounts.lock();
        if mounts.iter().any(|other| mounted_in(other, &root)) {
            return Err(FsError::Busy);
        }
        self.detach(&mut mounts, &root)
    }

    /// Takes away what is mounted at `path` and everything mounted below it: between two programs, to empty `/tmp`.
    /// Errors: `Invalid` (no mount point), `Busy` (the root).
    pub fn unmount_tree(&self, path: &[u8]) -> FsResult<()> {
        let root = self.mount_root(path)?;
        let mut mounts = self.mounts.lock();
        let mut doomed = alloc::vec![root];
        let mut next = 0;
        while next < doomed.len() {
            let above = doomed[next].clone();
            doomed.extend(mounts.iter().filter(|other| mounted_in(other, &above)).cloned());
            next += 1;
        }
        doomed.iter().rev().try_for_each(|root| self.detach(&mut mounts, root))
    }

    /// The root of the mounted tree at `path`. Errors: `Invalid` (no mount point), `Busy` (the root).
    fn mount_root(&self, path: &[u8]) -> FsResult<Arc<Dentry>> {
        let root = self.resolve(&self.root, path, FollowLast::Yes)?;
        if Arc::ptr_eq(&root, &self.root) {
            return Err(FsError::Busy);
        }
        let is_root = self.mounts.lock().iter().any(|mounted| Arc::ptr_eq(mounted, &root));
        is_root.then_some(root).ok_or(FsError::Invalid)
    }

    fn detach(&self, mounts: &mut Vec<Arc<Dentry>>, root: &Arc<Dentry>) -> FsResult<()> {
        let index = mounts.iter().position(|mounted| Arc::ptr_eq(mounted, root)).ok_or(FsError::Invalid)?;
        let covered = root.mount().covered().ok_or(FsError::Busy)?;
        covered.set_mounted(None);
        mounts.remove(index);
        root.mount().release_covered();
        self.cache.forget_mount(root.mount().id);
        Ok(())
    }

    /// All mounts, in the order of mounting.
    pub fn mounts(&self) -> Vec<MountInfo> {
        let mounts = self.mounts.lock().clone();
        mounts.iter().map(|root| root.mount().info(root)).collect()
    }

    /// Forgets all cached names that nobody uses. How many.
    pub fn shrink(&self) -> usize {
        self.cache.shrink()
    }

    /// `stat`, `lstat`.
    pub fn metadata(&self, base: &Arc<Dentry>, path: &[u8], follow: FollowLast) -> FsResult<Metadata> {
        Ok(self.resolve(base, path, follow)?.metadata())
    }

    /// `readlink`. Errors: `Invalid` when it is no link.
    pub fn readlink(&self, base: &Arc<Dentry>, path: &[u8]) -> FsResult<Vec<u8>> {
        let place = self.resolve(base, path, FollowLast::No)?;
        Ok(match place.inode().readlink()? {
            Link::Path(text) | Link::Place(_, text) => text,
        })
    }

    /// `truncate`.
    pub fn truncate(&self, base: &Arc<Dentry>, path: &[u8], size: u64) -> FsResult<()> {
        let place = self.resolve(base, path, FollowLast::Yes)?;
        match place.kind() {
            FileKind::Directory => return Err(FsError::IsDirectory),
            FileKind::Regular => {}
            _ => return Err(FsError::Invalid),
        }
        place.writable()?;
        if size > i64::MAX as u64 {
            return Err(FsError::Invalid);
        }
        place.inode().truncate(size)?;
        notify::object(&place, Change::MODIFY);
        Ok(())
    }

    /// `chmod`, `chown`, `utimensat`.
    pub fn set_attributes(
        &self,
        base: &Arc<Dentry>,
        path: &[u8],
        follow: FollowLast,
        set: &SetAttributes,
    ) -> FsResult<()> {
        let place = self.resolve(base, path, follow)?;
        place.writable()?;
        place.inode().set_attributes(set)?;
        notify::object(&place, set.change());
        Ok(())
    }

    /// `statfs`.
    pub fn statistics(&self, base: &Arc<Dentry>, path: &[u8]) -> FsResult<FsStat> {
        Ok(self.resolve(base, path, FollowLast::Yes)?.mount().file_system.statistics())
    }

    /// `sync`.
    pub fn sync(&self) -> FsResult<()> {
        let mounts = self.mounts.lock().clone();
        mounts.iter().try_for_each(|root| root.mount().file_system.sync())
    }
}

/// Whether `other` is mounted directly in the tree of `root`.
fn mounted_in(other: &Dentry, root: &Dentry) -> bool {
    other.mount().id != root.mount().id
        && other.mount().covered().is_some_and(|place| place.mount().id == root.mount().id)
}
