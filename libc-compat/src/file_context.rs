//! What a process has open: descriptors, working directory, umask.

use crate::Errno;
use crate::procfs::Settings;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use fs::{Dentry, FdTable, FileKind, FollowLast, Namespace, OnExec, OpenFile, StatusFlags};
use hal::sync::SpinLock;
use linux_raw_sys::general as linux;
use mm::{MapRequest, Protection, Sharing};

/// Owner of POSIX record locks: there is one process.
const LOCK_OWNER: u64 = 1;
/// Device number of /dev/zero, major and minor (null(4)).
const DEV_ZERO: u64 = 1 << 8 | 5;
/// The umask of a process that jvm-host starts, as a login shell's.
const DEFAULT_UMASK: u32 = 0o022;

/// The file side of a process.
///
/// # Locks
/// `cwd` is a leaf held for one clone.
pub struct FileContext {
    /// Descriptors.
    pub fds: FdTable,
    namespace: Arc<Namespace>,
    cwd: SpinLock<Arc<Dentry>>,
    umask: AtomicU32,
    /// What the process set by writing to /proc/self.
    pub settings: Settings,
}

impl FileContext {
    /// No descriptors; `cwd` is the working directory, `descriptor_limit` RLIMIT_NOFILE's soft value.
    pub fn new(namespace: Arc<Namespace>, cwd: Arc<Dentry>, descriptor_limit: u32) -> Self {
        Self {
            fds: FdTable::new(descriptor_limit),
            namespace,
            cwd: SpinLock::new(cwd),
            umask: AtomicU32::new(DEFAULT_UMASK),
            settings: Settings::new(),
        }
    }

    /// The tree of names.
    #[inline(always)]
    pub fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// The open description behind `fd` (EBADF, also for what O_PATH opened: open(2)).
    #[inline(always)]
    pub fn get(&self, fd: i32) -> Result<Arc<OpenFile>, Errno> {
        let file = self.get_any(fd)?;
        if file.status().contains(StatusFlags::PATH) { Err(Errno::EBADF) } else { Ok(file) }
    }

    /// The same for the calls that take what O_PATH opened too.
    #[inline(always)]
    pub fn get_any(&self, fd: i32) -> Result<Arc<OpenFile>, Errno> {
        self.fds.get(fd).map_err(|_| Errno::EBADF)
    }

    /// Gives a description the lowest free number (EMFILE).
    pub fn insert(&self, file: Arc<OpenFile>, on_exec: OnExec) -> Result<u64, Errno> {
        Ok(self.fds.insert(file, on_exec, 0)? as u64)
    }

    /// close(2).
    pub fn close(&self, fd: i32) -> Result<(), Errno> {
        Ok(self.fds.close(fd, LOCK_OWNER)?)
    }

    /// What closing does beyond forgetting the number, for a description that `dup2` replaced.
    pub fn finish(&self, file: Arc<OpenFile>) {
        FdTable::finish(file, LOCK_OWNER);
    }

    /// Closes `first ..= last`.
    pub fn close_range(&self, first: u32, last: u32) {
        self.fds.close_range(first, last, LOCK_OWNER);
    }

    /// The process ends: closes every descriptor.
    pub fn close_all(&self) {
        self.fds.clear(LOCK_OWNER);
    }

    /// Owner of this process's POSIX record locks.
    pub fn lock_owner(&self) -> u64 {
        LOCK_OWNER
    }

    /// The working directory.
    pub fn cwd(&self) -> Arc<Dentry> {
        self.cwd.lock().clone()
    }

    /// chdir(2) to a place that was found already (ENOTDIR).
    pub fn set_cwd(&self, place: Arc<Dentry>) -> Result<(), Errno> {
        if place.kind() != FileKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let old = core::mem::replace(&mut *self.cwd.lock(), place);
        drop(old);
        Ok(())
    }

    /// Where a path begins: the root's own answer for an absolute one, else the directory behind `dirfd` or AT_FDCWD
    /// (EBADF, ENOTDIR; ENOENT
    /// for the empty path).
    pub fn base(&self, dirfd: i32, path: &[u8]) -> Result<Arc<Dentry>, Errno> {
        match path.first() {
            Some(b'/') => return Ok(self.namespace.root().clone()),
            // Before anything is asked of the descriptor.
            None => return Err(Errno::ENOENT),
            Some(_) => {}
        }
        if dirfd == linux::AT_FDCWD {
            return Ok(self.cwd());
        }
        let place = self.get_any(dirfd)?.place().ok_or(Errno::ENOTDIR)?.clone();
        if place.kind() == FileKind::Directory { Ok(place) } else { Err(Errno::ENOTDIR) }
    }

    /// The place that `path` names.
    pub fn resolve(&self, dirfd: i32, path: &[u8], follow: FollowLast) -> Result<Arc<Dentry>, Errno> {
        Ok(self.namespace.resolve(&self.base(dirfd, path)?, path, follow)?)
    }

    /// The umask.
    pub fn umask(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }

    /// RLIMIT_NOFILE changed.
    pub fn set_descriptor_limit(&self, limit: u64) {
        self.fds.set_limit(limit.min(u64::from(u32::MAX)) as u32);
    }

    /// umask(2): sets it and gives the old one.
    pub fn set_umask(&self, mask: u32) -> u32 {
        self.umask.swap(mask & 0o777, Ordering::Relaxed)
    }
}

/// mmap(2) of `file`: puts the object into `request` and checks that its access mode and its seals allow it (EACCES, ENODEV, EPERM).
pub fn map_file(file: &Arc<OpenFile>, offset: u64, request: &mut MapRequest) -> Result<(), Errno> {
    let status = file.status();
    if !status.contains(StatusFlags::READ) {
        return Err(Errno::EACCES);
    }
    if request.sharing == Sharing::Shared && !status.contains(StatusFlags::WRITE) {
        if request.prot.contains(Protection::WRITE) {
            return Err(Errno::EACCES);
        }
        request.max_prot.remove(Protection::WRITE);
    }
    if request.sharing == Sharing::Shared && !fs::memfd::may_map_writable(file) {
        if request.prot.contains(Protection::WRITE) {
            return Err(Errno::EPERM);
        }
        // As Linux from 6.7 on; before, a file sealed with F_SEAL_WRITE has no shared mappings at all.
        request.max_prot.remove(Protection::WRITE);
    }
    match file.backing() {
        Ok(backing) => request.backing = Some((backing, offset)),
        // A mapping of /dev/zero is anonymous memory (zero(4)).
        Err(_) if file.metadata().rdev == DEV_ZERO => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

#[cfg(test)]
impl FileContext {
    /// For host tests: nothing open, an empty memory file system as root.
    pub(crate) fn for_test() -> Self {
        let namespace = Namespace::new(fs::tmpfs::Tmpfs::new(fs::tmpfs::Limits::UNLIMITED), "none");
        let root = namespace.root().clone();
        Self::new(namespace, root, 1024)
    }
}
