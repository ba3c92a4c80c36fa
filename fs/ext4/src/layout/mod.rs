//! The forms on disk, each wrapped over its bytes so that fields which this code does not know survive.

pub mod features;
pub mod group;
pub mod inode;
pub mod superblock;

pub use features::{Compatible, Incompatible, ReadOnlyCompatible};
pub use group::{Group, GroupFlags};
pub use inode::{Inode, InodeFlags};
pub use superblock::Superblock;
