//! What is behind a descriptor: the tree of names, files and their pages, pipes, event objects, and the generated trees.
//!
//! # Concept
//! An [`Inode`] is a node of a file system; a [`Dentry`] is a place in the tree; a [`File`] is an object that can be
//! read, written and polled; an [`OpenFile`] is an open description (object, position, flags); an [`FdTable`] gives
//! descriptions their numbers. [`Namespace`] walks paths. `net`'s sockets are [`File`]s of their own.
//!
//! # Neighbours
//! Above: `net` (sockets as files, [`PollSource`]), `libc-compat` (system calls; numbers and errnos live there),
//! `jvm-host` (mounts, console). Below: `mm` ([`mm::Backing`]: one page cache for `read` and `mmap`), `sched` (waiting),
//! `hal::hil` (block devices, ports).
//!
//! # Lock order
//! ```text
//! OpenFile::position -> Namespace::changes -> tmpfs tree -> inode content (sleeping) -> page tables of a file (spin)
//!                                                          -> dentry-cache shard (spin) -> Dentry::hook (spin)
//! Epoll::items (sleeping) -> PollSource::watchers (spin) -> epoll ready list (spin) -> sched's queues
//! FdTable::slots and the lock table are leaves
//! ```
//! User memory is touched (by [`Sink`] and [`Source`]) under sleeping locks only. `mm`'s address-space lock is taken
//! (by `invalidate`) with no lock of this crate held but a file's sleeping one; page tables of a file are read under it.
//!
//! # Specifications
//! Linux `Documentation/filesystems/erofs`, `proc`, `tmpfs`; POSIX.1-2017; man-pages epoll(7), pipe(7), path_resolution(7).
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]
extern crate alloc;

pub mod anonymous;
pub mod block;
pub mod console;
pub mod dev;
pub mod erofs;
mod error;
pub mod event;
mod fd_table;
pub mod file;
pub mod generated;
mod inode;
mod io;
pub mod locks;
mod mapping;
pub mod memfd;
mod metadata;
mod open_file;
pub mod page_cache;
pub mod pipe;
pub mod poll;
pub mod pressure;
pub mod proc;
mod read_write;
mod sysfs;
pub mod tmpfs;
pub mod vfs;
#[cfg(feature = "volumes")]
pub mod volume;

#[cfg(test)]
mod tests;

pub use console::Console;
pub use error::{FsError, FsResult};
pub use event::{EventFd, NotifyQueue, TimerClock, TimerFd};
pub use fd_table::{FdTable, OnExec};
pub use file::{Access, Extent, File, SyncKind};
pub use inode::{Allocate, FileSystem, Inode, InodeRef, Link, NewNode, RenameMode, XattrMode};
pub use io::{Blocking, Sink, SliceSink, SliceSource, Source, VecSink};
pub use metadata::{DirEntry, FileKind, FsStat, Metadata, OpenFlags, SetAttributes, StatusFlags};
pub use open_file::{MAX_OFFSET, OpenFile, SeekFrom};
pub use poll::{Epoll, EpollEvent, EpollInterest, EpollMode, PollRequest, PollSource, PollWatcher, Readiness, poll};
pub use proc::{ProcessSource, ProcessView};
pub use read_write::{Reader, Writer};
pub use sysfs::sysfs;
pub use vfs::{Dentry, FollowLast, MountInfo, Namespace, UnionFs};
