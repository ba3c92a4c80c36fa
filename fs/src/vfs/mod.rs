//! The tree of names: dentries, mounts, path walks, and the operations on paths.
//!
//! A [`Dentry`] is a place: a name under a parent place, with the inode found there. The cache maps (parent, name) to a
//! dentry, or to the knowledge that there is nothing. [`Namespace`] owns the root and the mounts.
//!
//! Lock order: `Namespace::changes` (sleeping; renames) -> inode locks -> dentry-cache shards -> a dentry's `link`.
//! No lock is held while an inode looks something up; a sequence number tells whether the answer is still good.

mod cache;
mod dentry;
mod mount;
mod names;
mod namespace;
mod open;
mod union;
mod walk;

pub(crate) use dentry::unnamed_place;
pub use dentry::{Dentry, made_up_place};
pub use mount::{Mount, MountInfo};
pub use namespace::Namespace;
pub use union::UnionFs;
pub use walk::FollowLast;

#[cfg(test)]
mod tests;
