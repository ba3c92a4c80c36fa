//! `open`.

use super::dentry::Dentry;
use super::namespace::Namespace;
use super::walk::{FollowLast, Last, LinkBudget, Slash};
use crate::event::notify::{self, Change};
use crate::inode::{Link, NewNode};
use crate::metadata::{FileKind, OpenFlags, StatusFlags};
use crate::{File, FsError, FsResult, Metadata, OpenFile};
use alloc::borrow::Cow;
use alloc::sync::Arc;
use core::any::Any;

impl Namespace {
    /// Opens `path`; `mode` is the new file's, the umask taken off already.
    /// Errors: as [`Namespace::resolve`]; `Exists`, `IsDirectory`, `NotDirectory`, `ReadOnly`, `Loop` (a link with
    /// NOFOLLOW), `NoSuchAddress` (a socket, a pipe without readers), `NoSpace`, ...
    pub fn open(
        &self,
        base: &Arc<Dentry>,
        path: &[u8],
        flags: OpenFlags,
        status: StatusFlags,
        mode: u32,
    ) -> FsResult<Arc<OpenFile>> {
        if flags.contains(OpenFlags::TMPFILE) {
            return self.open_unnamed(base, path, status, mode);
        }
        let follow = if flags.contains(OpenFlags::NO_SYMLINKS) {
            FollowLast::RefuseLinks
        } else if flags.contains(OpenFlags::NOFOLLOW) {
            FollowLast::No
        } else {
            FollowLast::Yes
        };
        if !flags.contains(OpenFlags::CREATE) || status.contains(StatusFlags::PATH) {
            return self.open_place(self.resolve(base, path, follow)?, flags, status);
        }
        self.open_or_create(base, path, follow, flags, status, mode)
    }

    fn open_or_create(
        &self,
        base: &Arc<Dentry>,
        path: &[u8],
        follow: FollowLast,
        flags: OpenFlags,
        status: StatusFlags,
        mode: u32,
    ) -> FsResult<Arc<OpenFile>> {
        let mut budget = LinkBudget::new();
        let mut base = base.clone();
        let mut path = Cow::Borrowed(path);
        loop {
            let walked = self.walk(&base, path, follow, &mut budget)?;
            let name = match walked.last {
                Last::Name(name, Slash::No) => name,
                Last::Name(_, Slash::Trailing) => return Err(FsError::IsDirectory),
                Last::Here(_) if flags.contains(OpenFlags::EXCLUSIVE) => return Err(FsError::Exists),
                Last::Here(_) => return Err(FsError::IsDirectory),
            };
            let place = match self.child(&walked.parent, &name) {
                Ok(place) => place,
                Err(FsError::NotFound) => match self.make(&walked.parent, &name, NewNode::Regular, mode) {
                    // A new file may be opened in any way, whatever its mode.
                    Ok(place) => return self.open_new(place, status),
                    // Somebody else was faster.
                    Err(FsError::Exists) if !flags.contains(OpenFlags::EXCLUSIVE) => {
                        self.child(&walked.parent, &name)?
                    }
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(error),
            };
            if flags.contains(OpenFlags::EXCLUSIVE) {
                return Err(FsError::Exists);
            }
            if place.kind() == FileKind::Symlink && follow == FollowLast::Yes {
                budget.spend()?;
                match place.inode().readlink()? {
                    Link::Place(target, _) => return self.open_place(target, flags, status),
                    Link::Path(target) => {
                        base = walked.parent;
                        path = Cow::Owned(target);
                        continue;
                    }
                }
            }
            if place.kind() == FileKind::Directory && !flags.contains(OpenFlags::DIRECTORY) {
                return Err(FsError::IsDirectory);
            }
            return self.open_place(place, flags, status);
        }
    }

    /// Opens a place that was found already.
    pub fn open_place(&self, place: Arc<Dentry>, flags: OpenFlags, status: StatusFlags) -> FsResult<Arc<OpenFile>> {
        let kind = place.kind();
        if flags.contains(OpenFlags::DIRECTORY) && kind != FileKind::Directory {
            return Err(FsError::NotDirectory);
        }
        if status.contains(StatusFlags::PATH) {
            let file: Arc<dyn File> = Arc::new(PlaceOnly(place.metadata()));
            return Ok(OpenFile::new(file, Some(place), status));
        }
        let writes = status.contains(StatusFlags::WRITE) || flags.contains(OpenFlags::TRUNCATE);
        match kind {
            FileKind::Symlink => return Err(FsError::Loop),
            FileKind::Directory if writes => return Err(FsError::IsDirectory),
            FileKind::Regular if writes => place.writable()?,
            FileKind::Socket => return Err(FsError::NoSuchAddress),
            _ => {}
        }
        if flags.contains(OpenFlags::TRUNCATE) && kind == FileKind::Regular {
            place.inode().truncate(0)?;
        }
        let file = place.inode().clone().open(status)?;
        let open = OpenFile::new(file, Some(place.clone()), status);
        if flags.contains(OpenFlags::TRUNCATE) && kind == FileKind::Regular {
            notify::object(&place, Change::MODIFY);
        }
        Ok(open)
    }

    fn open_new(&self, place: Arc<Dentry>, status: StatusFlags) -> FsResult<Arc<OpenFile>> {
        let file = place.inode().clone().open(status)?;
        Ok(OpenFile::new(file, Some(place), status))
    }

    fn open_unnamed(&self, base: &Arc<Dentry>, path: &[u8], status: StatusFlags, mode: u32) -> FsResult<Arc<OpenFile>> {
        if !status.contains(StatusFlags::WRITE) {
            return Err(FsError::Invalid);
        }
        let dir = self.resolve(base, path, FollowLast::Yes)?;
        if dir.kind() != FileKind::Directory {
            return Err(FsError::NotDirectory);
        }
        dir.writable()?;
        let inode = dir.inode().create_unnamed(mode)?;
        let name = alloc::format!("#{}", inode.metadata().ino).into_bytes();
        let place = Dentry::new(inode, dir.mount().clone(), Some(dir), Arc::from(name));
        place.set_unlinked();
        self.open_new(place, status)
    }
}

/// What O_PATH opens.
struct PlaceOnly(Metadata);

impl File for PlaceOnly {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        self.0
    }
}
