//! Links and renames.

use super::Node;
use super::node::{Content, NLINK_MAX};
use crate::inode::{Inode, InodeRef, RenameMode};
use crate::{FileKind, FsError, FsResult};
use alloc::sync::Arc;
use core::any::Any;

impl Node {
    /// [`Inode::link`].
    pub(super) fn add_name(&self, name: &[u8], target: &InodeRef) -> FsResult<()> {
        let _tree = self.space.tree.lock();
        self.sibling(target)?;
        if target.kind() == FileKind::Directory {
            return Err(FsError::Permission);
        }
        self.alive()?;
        let node: Arc<dyn Any + Send + Sync> = target.clone();
        let node = node.downcast::<Node>().map_err(|_| FsError::CrossDevice)?;
        if node.nlink() >= NLINK_MAX {
            return Err(FsError::TooManyLinks);
        }
        let mut entries = self.entries()?.lock();
        if entries.get(name).is_some() {
            return Err(FsError::Exists);
        }
        entries.insert(name, node.clone());
        drop(entries);
        node.add_links(1);
        self.touch();
        Ok(())
    }

    /// [`Inode::rename`].
    pub(super) fn move_name(&self, name: &[u8], to: &InodeRef, new_name: &[u8], mode: RenameMode) -> FsResult<()> {
        let target = self.sibling(to)?;
        let same = core::ptr::eq(self, target);
        let _tree = self.space.tree.lock();
        target.alive()?;
        let moved = self.entries()?.lock().get(name).ok_or(FsError::NotFound)?.clone();
        let replaced = target.entries()?.lock().get(new_name).cloned();
        match (&replaced, mode) {
            (Some(_), RenameMode::NoReplace) => return Err(FsError::Exists),
            (None, RenameMode::Exchange) => return Err(FsError::NotFound),
            (Some(replaced), _) if Arc::ptr_eq(replaced, &moved) => return Ok(()),
            (Some(replaced), RenameMode::Replace) => Self::can_replace(replaced, &moved)?,
            _ => {}
        }
        // The tree lock keeps every other change of names away; the entries' locks are for look-ups.
        let step = |node: &Node| i32::from(node.is_directory());
        if mode == RenameMode::Exchange {
            let Some(other) = replaced else { return Err(FsError::NotFound) };
            if !same {
                self.add_links(step(&other) - step(&moved));
                target.add_links(step(&moved) - step(&other));
            }
            self.entries()?.lock().insert(name, other.clone());
            target.entries()?.lock().insert(new_name, moved.clone());
            other.touch_ctime();
        } else {
            // First the new name, then the old one goes: the file is never without a name.
            target.entries()?.lock().insert(new_name, moved.clone());
            self.entries()?.lock().remove(name);
            self.add_links(-step(&moved));
            target.add_links(step(&moved));
            if let Some(replaced) = replaced {
                if replaced.is_directory() {
                    replaced.set_nlink(0);
                    target.add_links(-1);
                } else {
                    replaced.add_links(-1);
                }
            }
        }
        moved.touch_ctime();
        self.touch();
        if !same {
            target.touch();
        }
        Ok(())
    }

    /// `node` seen as one of this file system. Errors: `CrossDevice`.
    fn sibling<'a>(&self, node: &'a InodeRef) -> FsResult<&'a Node> {
        let node = Inode::as_any(&**node).downcast_ref::<Node>().ok_or(FsError::CrossDevice)?;
        if Arc::ptr_eq(&node.space, &self.space) { Ok(node) } else { Err(FsError::CrossDevice) }
    }

    /// Whether `replaced` may make way for `moved`.
    fn can_replace(replaced: &Node, moved: &Node) -> FsResult<()> {
        match (moved.is_directory(), &replaced.content) {
            (true, Content::Directory(entries)) => {
                if entries.lock().len() > 0 {
                    Err(FsError::NotEmpty)
                } else {
                    Ok(())
                }
            }
            (true, _) => Err(FsError::NotDirectory),
            (false, Content::Directory(_)) => Err(FsError::IsDirectory),
            (false, _) => Ok(()),
        }
    }
}
