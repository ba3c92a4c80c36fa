//! Pages of files in memory, shared by `read` and `mmap`.
//!
//! A [`FileCache`] belongs to one inode (or to a whole block device, for metadata) and is its [`mm::Backing`]. Frames are
//! filled straight by the device. A miss reads a window around the page: 64 KiB at first, doubling to 512 KiB while
//! access goes on in order. Clean pages that nobody maps are given back when memory is short: second chance, by a hand
//! that goes round all caches.
//!
//! Locks: a cache's `state` (spin) is held for look-ups and insertions only. A page that is being read is listed in
//! `filling`; who needs it waits on the cache's queue.

mod cache;
mod frames;
pub(crate) mod readahead;
mod reclaim;
pub(crate) mod transfer;
mod tree;

pub use cache::{FileCache, PageSource};
pub(crate) use frames::{copy_in, page_bytes, write_bytes, zero_range};
pub(crate) use reclaim::reclaim;
pub use reclaim::{cached_pages, pages_read};
#[cfg(feature = "volumes")]
pub(crate) use reclaim::{count_added, count_read, count_removed};
pub(crate) use tree::PageTree;

/// Bytes in a page.
pub const PAGE: usize = 4096;

#[cfg(test)]
mod tests;
