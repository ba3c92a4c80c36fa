//! ext4 with its journal (JBD2): the file system of data volumes, one that Linux mounts and `e2fsck` checks.
//!
//! A pure engine: it has no lock, no thread and no page cache of its own, and touches the world through [`Device`] alone.
//! The caller holds a [`Volume`] under one lock, keeps file *contents* in its own cache, and moves them between cache
//! and device by the block numbers that [`Volume::map`] and [`Volume::allocate`] answer. What lives here is everything
//! that must survive a power cut as a whole: inodes, directories, extent trees, bitmaps, and the journal.
//!
//! # The life of a change
//! 1. An operation ([`Volume::create`], [`Volume::rename`], ...) edits metadata blocks in [`buffers`]; each one that it
//!    touches belongs to the *running transaction* from then on.
//! 2. [`Volume::begin_commit`] seals the blocks' checksums and takes a copy of them all, a [`Commit`]; the next
//!    transaction runs from here. [`Commit::write`] needs no lock: log blocks, flush, commit record, flush.
//! 3. [`Volume::finish_commit`]: what was freed may be used again, and the copies wait for their [`Checkpoint`], which
//!    writes them to their homes and lets the log start anew behind them.
//!
//! # File contents
//! New blocks enter the tree as *unwritten* extents, which read as zeros. Only when the contents are on the device does
//! [`Volume::written`] turn them into written ones and let the size on disk grow: no crash shows another file's old
//! bytes, and none shows a length without its contents.
//!
//! Source: the kernel's documentation of the on-disk format (Documentation/filesystems/ext4, journal: jbd2).
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod allocator;
mod attributes;
pub mod buffers;
mod bytes;
mod checksum;
mod device;
mod directory;
mod error;
mod extents;
mod groups;
mod inodes;
mod journal;
mod layout;
mod mount;
mod names;
mod orphans;
mod rename;
mod space;
mod volume;
mod xattrs;

pub use attributes::{Attributes, Kind, NewNode, SetAttributes, Time};
pub use device::{Device, DeviceError};
pub use error::{Error, MountError, Result};
pub use extents::Mapping;
pub use journal::{Checkpoint, Commit};
pub use names::{EachEntry, Unlinked};
pub use rename::RenameMode;
pub use volume::{Options, Statistics, Volume};
pub use xattrs::XattrMode;
