//! The operations that change names.

use super::dentry::{Dentry, Name};
use super::namespace::Namespace;
use super::walk::{FollowLast, Last, LastDot, LinkBudget, Slash, Walked};
use crate::event::notify::{self, Change};
use crate::inode::{NewNode, RenameMode};
use crate::metadata::FileKind;
use crate::{FsError, FsResult};
use alloc::borrow::Cow;
use alloc::{sync::Arc, vec::Vec};

/// A name to be made, removed or moved.
struct Entry {
    parent: Arc<Dentry>,
    name: Vec<u8>,
    slash: Slash,
}

impl Entry {
    fn of(walked: Walked<'_>, dot: impl Fn(LastDot) -> FsError) -> FsResult<Self> {
        match walked.last {
            Last::Name(name, slash) => Ok(Self { parent: walked.parent, name: name.into_owned(), slash }),
            Last::Here(last) => Err(dot(last)),
        }
    }
}

impl Namespace {
    /// The directory and name that `path` ends in; `dot` is the error for a path that ends in `.`, `..` or `/`.
    fn entry(&self, base: &Arc<Dentry>, path: &[u8], dot: impl Fn(LastDot) -> FsError) -> FsResult<Entry> {
        Entry::of(self.walk_to_last(base, path)?, dot)
    }

    fn walk_to_last<'a>(&self, base: &Arc<Dentry>, path: &'a [u8]) -> FsResult<Walked<'a>> {
        self.walk(base, Cow::Borrowed(path), FollowLast::No, &mut LinkBudget::new())
    }

    /// Makes a node under a name that is not there. Errors: `Exists`, `ReadOnly`, `NotFound` (directory removed), ...
    pub(super) fn make(&self, parent: &Arc<Dentry>, name: &[u8], node: NewNode, mode: u32) -> FsResult<Arc<Dentry>> {
        if parent.unlinked() {
            return Err(FsError::NotFound);
        }
        parent.writable()?;
        // Directories pass set-group-ID on (mkdir(2)).
        const SET_GID: u32 = 0o2000;
        let inherited = if matches!(node, NewNode::Directory) { parent.metadata().mode & SET_GID } else { 0 };
        let inode = parent.inode().create(name, node, mode | inherited)?;
        let name: Name = Arc::from(name);
        let place = Dentry::new(inode, parent.mount().clone(), Some(parent.clone()), name.clone());
        if parent.inode().lookups_are_stable() {
            self.cache.set(parent, &name, Some(place.clone()));
        }
        notify::entry(parent, Change::CREATE, 0, &name, place.kind());
        Ok(place)
    }

    /// `mkdir`, `mknod`, `symlink`: makes `node` at `path`; `mode` has the umask taken off.
    /// Errors: `Exists`, `ReadOnly`, `NoSpace`, ...
    pub fn create(&self, base: &Arc<Dentry>, path: &[u8], node: NewNode, mode: u32) -> FsResult<Arc<Dentry>> {
        let entry = self.entry(base, path, |_| FsError::Exists)?;
        match self.child(&entry.parent, &entry.name) {
            Ok(_) => return Err(FsError::Exists),
            Err(FsError::NotFound) => {}
            Err(error) => return Err(error),
        }
        if entry.slash == Slash::Trailing && !matches!(node, NewNode::Directory) {
            return Err(FsError::NotFound);
        }
        self.make(&entry.parent, &entry.name, node, mode)
    }

    /// `unlink`. Errors: `IsDirectory`, `Busy`, `ReadOnly`, ...
    pub fn unlink(&self, base: &Arc<Dentry>, path: &[u8]) -> FsResult<()> {
        let entry = self.entry(base, path, |_| FsError::IsDirectory)?;
        let place = self.child_unmounted(&entry.parent, &entry.name)?;
        if place.kind() == FileKind::Directory {
            return Err(FsError::IsDirectory);
        }
        if entry.slash == Slash::Trailing {
            return Err(FsError::NotDirectory);
        }
        entry.parent.writable()?;
        if place.is_mount_point() {
            return Err(FsError::Busy);
        }
        entry.parent.inode().unlink(&entry.name)?;
        self.removed(&entry, &place);
        Ok(())
    }

    /// `rmdir`. Errors: `NotDirectory`, `NotEmpty`, `Busy` (mount point, root), `Invalid` (`.`), ...
    pub fn rmdir(&self, base: &Arc<Dentry>, path: &[u8]) -> FsResult<()> {
        let entry = self.entry(base, path, |last| match last {
            LastDot::Root => FsError::Busy,
            LastDot::Dot => FsError::Invalid,
            LastDot::DotDot => FsError::NotEmpty,
        })?;
        let place = self.child_unmounted(&entry.parent, &entry.name)?;
        if place.kind() != FileKind::Directory {
            return Err(FsError::NotDirectory);
        }
        entry.parent.writable()?;
        if place.is_mount_point() {
            return Err(FsError::Busy);
        }
        entry.parent.inode().rmdir(&entry.name)?;
        self.removed(&entry, &place);
        Ok(())
    }

    fn removed(&self, entry: &Entry, place: &Arc<Dentry>) {
        let name: Name = Arc::from(&entry.name[..]);
        let cached = self.cache.set(&entry.parent, &name, None);
        place.set_unlinked();
        if let Some(cached) = cached {
            cached.set_unlinked();
        }
        if notify::active() {
            if place.kind() != FileKind::Directory {
                notify::itself(place.inode(), Change::ATTRIBUTES);
            }
            lost_name(place);
            notify::entry(&entry.parent, Change::DELETE, 0, &name, place.kind());
        }
    }

    /// `link`: gives the file at `old` the name `new` too. Errors: `Permission` (a directory), `CrossDevice`, `Exists`, ...
    pub fn link(
        &self,
        old_base: &Arc<Dentry>,
        old: &[u8],
        follow: FollowLast,
        new_base: &Arc<Dentry>,
        new: &[u8],
    ) -> FsResult<()> {
        let target = self.resolve(old_base, old, follow)?;
        self.link_place(&target, new_base, new)
    }

    /// As [`Namespace::link`], for a place found already (AT_EMPTY_PATH; a file made with TMPFILE gets its name so).
    pub fn link_place(&self, target: &Arc<Dentry>, new_base: &Arc<Dentry>, new: &[u8]) -> FsResult<()> {
        let entry = self.entry(new_base, new, |_| FsError::Exists)?;
        match self.child(&entry.parent, &entry.name) {
            Ok(_) => return Err(FsError::Exists),
            Err(FsError::NotFound) => {}
            Err(error) => return Err(error),
        }
        if entry.slash == Slash::Trailing || entry.parent.unlinked() {
            return Err(FsError::NotFound);
        }
        if target.mount().id != entry.parent.mount().id {
            return Err(FsError::CrossDevice);
        }
        entry.parent.writable()?;
        if target.kind() == FileKind::Directory {
            return Err(FsError::Permission);
        }
        entry.parent.inode().link(&entry.name, target.inode())?;
        let name: Name = Arc::from(&entry.name[..]);
        let place =
            Dentry::new(target.inode().clone(), entry.parent.mount().clone(), Some(entry.parent.clone()), name.clone());
        self.cache.set(&entry.parent, &name, Some(place));
        notify::itself(target.inode(), Change::ATTRIBUTES);
        notify::entry(&entry.parent, Change::CREATE, 0, &name, target.kind());
        Ok(())
    }

    /// `rename`. Errors: `CrossDevice`, `Invalid` (a directory into itself), `NotEmpty`, `IsDirectory`, `NotDirectory`,
    /// `Exists` (NoReplace), `Busy` (mount point, `.`), ...
    pub fn rename(
        &self,
        old_base: &Arc<Dentry>,
        old: &[u8],
        new_base: &Arc<Dentry>,
        new: &[u8],
        mode: RenameMode,
    ) -> FsResult<()> {
        // Both walks come before any judgement, as on Linux.
        let (source, target) = (self.walk_to_last(old_base, old)?, self.walk_to_last(new_base, new)?);
        if source.parent.mount().id != target.parent.mount().id {
            return Err(FsError::CrossDevice);
        }
        let source = Entry::of(source, |_| FsError::Busy)?;
        let taken = if mode == RenameMode::NoReplace { FsError::Exists } else { FsError::Busy };
        let target = Entry::of(target, |_| taken)?;
        let _changes = self.changes.lock();
        let moved = self.child_unmounted(&source.parent, &source.name)?;
        let replaced = match self.child_unmounted(&target.parent, &target.name) {
            Ok(place) => Some(place),
            Err(FsError::NotFound) => None,
            Err(error) => return Err(error),
        };
        match (&replaced, mode) {
            (Some(_), RenameMode::NoReplace) => return Err(FsError::Exists),
            (None, RenameMode::Exchange) => return Err(FsError::NotFound),
            _ => {}
        }
        source.parent.writable()?;
        let is_directory = moved.kind() == FileKind::Directory;
        // A slash at the end asks for a directory: of an exchange each name answers for itself.
        let target_is_directory = match (&replaced, mode) {
            (Some(replaced), RenameMode::Exchange) => replaced.kind() == FileKind::Directory,
            _ => is_directory,
        };
        let asks = |entry: &Entry| entry.slash == Slash::Trailing;
        if asks(&source) && !is_directory || asks(&target) && !target_is_directory {
            return Err(FsError::NotDirectory);
        }
        if target.parent.unlinked() {
            return Err(FsError::NotFound);
        }
        if moved.contains(&target.parent) {
            return Err(FsError::Invalid);
        }
        if let Some(replaced) = &replaced {
            if replaced.contains(&source.parent) {
                return Err(if mode == RenameMode::Exchange { FsError::Invalid } else { FsError::NotEmpty });
            }
            if moved.is_mount_point() || replaced.is_mount_point() {
                return Err(FsError::Busy);
            }
            if Arc::ptr_eq(moved.inode(), replaced.inode()) {
                // Two names of one file: nothing to do, says POSIX.
                return Ok(());
            }
            if mode != RenameMode::Exchange {
                match (is_directory, replaced.kind() == FileKind::Directory) {
                    (true, false) => return Err(FsError::NotDirectory),
                    (false, true) => return Err(FsError::IsDirectory),
                    _ => {}
                }
            }
        } else if moved.is_mount_point() {
            return Err(FsError::Busy);
        }
        source.parent.inode().rename(&source.name, target.parent.inode(), &target.name, mode)?;
        self.moved(&source, &moved, &target, replaced, mode);
        Ok(())
    }

    fn moved(
        &self,
        source: &Entry,
        moved: &Arc<Dentry>,
        target: &Entry,
        replaced: Option<Arc<Dentry>>,
        mode: RenameMode,
    ) {
        let old_name: Name = Arc::from(&source.name[..]);
        let new_name: Name = Arc::from(&target.name[..]);
        let left_behind = if mode == RenameMode::Exchange { replaced.clone() } else { None };
        hang(moved, &target.parent, &new_name);
        if let Some(other) = &left_behind {
            hang(other, &source.parent, &old_name);
        } else if let Some(replaced) = &replaced {
            replaced.set_unlinked();
        }
        self.cache.set(&source.parent, &old_name, left_behind);
        self.cache.set(&target.parent, &new_name, Some(moved.clone()));
        if notify::active() {
            tell_move(source, moved, target);
            match &replaced {
                Some(other) if mode == RenameMode::Exchange => tell_move(target, other, source),
                Some(replaced) => {
                    notify::itself(replaced.inode(), Change::ATTRIBUTES);
                    lost_name(replaced);
                }
                None => {}
            }
        }
    }
}

fn tell_move(from: &Entry, moved: &Dentry, to: &Entry) {
    let cookie = notify::next_cookie();
    notify::entry(&from.parent, Change::MOVED_FROM, cookie, &from.name, moved.kind());
    notify::entry(&to.parent, Change::MOVED_TO, cookie, &to.name, moved.kind());
    notify::itself(moved.inode(), Change::MOVE_SELF);
}

/// The last name makes it gone for its watchers.
fn lost_name(place: &Dentry) {
    if place.kind() == FileKind::Directory || place.metadata().nlink == 0 {
        notify::itself(place.inode(), Change::DELETE_SELF);
    }
}

/// Gives a dentry another parent and name.
fn hang(place: &Dentry, parent: &Arc<Dentry>, name: &Name) {
    let mut hook = place.hook.lock();
    let old_parent = hook.parent.replace(parent.clone());
    let old_name = core::mem::replace(&mut hook.name, name.clone());
    drop(hook);
    drop((old_parent, old_name));
}
