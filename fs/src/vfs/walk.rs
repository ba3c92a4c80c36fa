//! From a path to a place.

use super::cache::Cached;
use super::dentry::{Dentry, Name};
use super::namespace::Namespace;
use crate::inode::Link;
use crate::metadata::FileKind;
use crate::{FsError, FsResult};
use alloc::borrow::Cow;
use alloc::{sync::Arc, vec::Vec};

/// Longest name, bytes.
pub const NAME_MAX: usize = 255;
/// Longest path, bytes, the end included.
pub const PATH_MAX: usize = 4096;
/// Symbolic links in one walk, as on Linux.
const LINKS_MAX: usize = 40;

/// Whether a symbolic link as last component is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FollowLast {
    /// It is.
    Yes,
    /// The link itself is meant.
    No,
    /// As `No`, and a link on the way is refused with `Loop` too.
    RefuseLinks,
}

/// The last component of a path.
pub(super) enum Last<'a> {
    /// A name to be looked up in the parent; true when a slash follows it.
    Name(Cow<'a, [u8]>, Slash),
    /// `.`, `..` or nothing: the place itself.
    Here(LastDot),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slash {
    No,
    Trailing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LastDot {
    /// `/` alone.
    Root,
    Dot,
    DotDot,
}

/// A walk up to the last component: the directory it is in, and the component.
pub(super) struct Walked<'a> {
    pub parent: Arc<Dentry>,
    pub last: Last<'a>,
}

/// Counts the links of one walk.
pub(super) struct LinkBudget(pub usize);

impl LinkBudget {
    pub fn new() -> Self {
        Self(LINKS_MAX)
    }
    pub fn spend(&mut self) -> FsResult<()> {
        self.0 = self.0.checked_sub(1).ok_or(FsError::Loop)?;
        Ok(())
    }
}

impl Namespace {
    /// The place that `path` names, from `base` on when it is relative.
    /// Errors: `NotFound` (also for the empty path), `NotDirectory`, `NameTooLong`, `Loop`, ...
    pub fn resolve(&self, base: &Arc<Dentry>, path: &[u8], follow: FollowLast) -> FsResult<Arc<Dentry>> {
        let mut budget = LinkBudget::new();
        self.resolve_within(base, Cow::Borrowed(path), follow, &mut budget)
    }

    fn resolve_within(
        &self,
        base: &Arc<Dentry>,
        path: Cow<'_, [u8]>,
        follow: FollowLast,
        budget: &mut LinkBudget,
    ) -> FsResult<Arc<Dentry>> {
        let mut base = base.clone();
        let mut path = path;
        loop {
            let walked = self.walk(&base, path, follow, budget)?;
            let (name, slash) = match walked.last {
                Last::Here(_) => return Ok(walked.parent),
                Last::Name(name, slash) => (name, slash),
            };
            let place = self.child(&walked.parent, &name)?;
            match place.kind() {
                FileKind::Symlink if follow == FollowLast::Yes || slash == Slash::Trailing => {
                    budget.spend()?;
                    match place.inode().readlink()? {
                        Link::Place(target, _) => {
                            if slash == Slash::Trailing && target.kind() != FileKind::Directory {
                                return Err(FsError::NotDirectory);
                            }
                            return Ok(target);
                        }
                        Link::Path(mut target) => {
                            if target.is_empty() {
                                return Err(FsError::NotFound);
                            }
                            if slash == Slash::Trailing {
                                target.push(b'/');
                            }
                            base = walked.parent;
                            path = Cow::Owned(target);
                        }
                    }
                }
                kind => {
                    if slash == Slash::Trailing && kind != FileKind::Directory {
                        return Err(FsError::NotDirectory);
                    }
                    return Ok(place);
                }
            }
        }
    }

    /// Walks all components but the last.
    pub(super) fn walk<'a>(
        &self,
        base: &Arc<Dentry>,
        path: Cow<'a, [u8]>,
        follow: FollowLast,
        budget: &mut LinkBudget,
    ) -> FsResult<Walked<'a>> {
        if path.is_empty() {
            return Err(FsError::NotFound);
        }
        if path.len() >= PATH_MAX {
            return Err(FsError::NameTooLong);
        }
        let mut place = if path[0] == b'/' { self.root().clone() } else { base.clone() };
        let mut path = path;
        let mut at = 0;
        let mut dot = LastDot::Root;
        loop {
            at += path[at..].iter().take_while(|&&byte| byte == b'/').count();
            if at == path.len() {
                if place.kind() != FileKind::Directory {
                    return Err(FsError::NotDirectory);
                }
                return Ok(Walked { parent: place, last: Last::Here(dot) });
            }
            let len = path[at..].iter().position(|&byte| byte == b'/').unwrap_or(path.len() - at);
            let end = at + len;
            // Only a directory has components below it.
            if place.kind() != FileKind::Directory {
                return Err(FsError::NotDirectory);
            }
            match &path[at..end] {
                b"." => {
                    dot = LastDot::Dot;
                    at = end;
                    continue;
                }
                b".." => {
                    dot = LastDot::DotDot;
                    place = place.parent_or_self().through_mounts();
                    at = end;
                    continue;
                }
                _ => {}
            }
            if len > NAME_MAX {
                return Err(FsError::NameTooLong);
            }
            let rest = &path[end..];
            let only_slashes = rest.iter().all(|&byte| byte == b'/');
            if only_slashes {
                let slash = if rest.is_empty() { Slash::No } else { Slash::Trailing };
                let name = match path {
                    Cow::Borrowed(path) => Cow::Borrowed(&path[at..end]),
                    Cow::Owned(path) => Cow::Owned(path[at..end].to_vec()),
                };
                return Ok(Walked { parent: place, last: Last::Name(name, slash) });
            }
            let next = self.child(&place, &path[at..end])?;
            if next.kind() != FileKind::Symlink {
                place = next;
                at = end;
                continue;
            }
            if follow == FollowLast::RefuseLinks {
                return Err(FsError::Loop);
            }
            budget.spend()?;
            match next.inode().readlink()? {
                Link::Place(target, _) => {
                    place = target;
                    at = end;
                }
                Link::Path(target) => {
                    if target.is_empty() {
                        return Err(FsError::NotFound);
                    }
                    if target[0] == b'/' {
                        place = self.root().clone();
                    }
                    let mut joined: Vec<u8> = target;
                    joined.extend_from_slice(&path[end..]);
                    path = Cow::Owned(joined);
                    at = 0;
                    dot = LastDot::Root;
                }
            }
        }
    }

    /// The place `name` in directory `parent`, mounts crossed. Errors: `NotFound`, ...
    pub(super) fn child(&self, parent: &Arc<Dentry>, name: &[u8]) -> FsResult<Arc<Dentry>> {
        self.child_unmounted(parent, name).map(Dentry::through_mounts)
    }

    /// As [`Namespace::child`], but a mount point itself instead of what is mounted there.
    pub(super) fn child_unmounted(&self, parent: &Arc<Dentry>, name: &[u8]) -> FsResult<Arc<Dentry>> {
        if name.len() > NAME_MAX {
            return Err(FsError::NameTooLong);
        }
        match self.cache.find(parent, name) {
            Cached::Found(place) => return Ok(place),
            Cached::Absent => return Err(FsError::NotFound),
            Cached::Unknown => {}
        }
        let generation = self.cache.generation();
        let stable = parent.inode().lookups_are_stable();
        let found = parent.inode().lookup(name);
        let name: Name = Arc::from(name);
        match found {
            Ok(inode) => {
                let place = Dentry::new(inode, parent.mount().clone(), Some(parent.clone()), name.clone());
                if !stable {
                    return Ok(place);
                }
                self.cache.learn(parent, &name, Some(place), generation).ok_or(FsError::NotFound)
            }
            Err(FsError::NotFound) if stable && !parent.unlinked() => {
                self.cache.learn(parent, &name, None, generation).ok_or(FsError::NotFound)
            }
            Err(error) => Err(error),
        }
    }
}
