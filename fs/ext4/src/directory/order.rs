//! Reading a directory in the order of its names' hashes, so that nothing that happens to other names moves one.
//!
//! A split of a leaf moves names to another block, so their place there says nothing to who goes on later; their hash does. A
//! directory of one block, which gets a tree when it grows, is read in this order too, as Linux does. Directories of
//! several blocks without a tree are read by position: there no name ever moves.
//!
//! A cursor is the upper 31 bits of a name's hash, then 24 bits of its minor hash, then its place among names that share
//! all these. Only names that do may be given twice or not at all while one of them comes or goes.

use super::block;
use super::hash::Hasher;
use crate::attributes::Kind;
use crate::layout::{Compatible, Inode, InodeFlags};
use crate::{Error, Result, Volume};
use alloc::vec::Vec;

/// Bits of the minor hash that count.
const MINOR_MASK: u32 = !0xff;
/// Names held back that share a hash with the next leaf: more are a tree that goes wrong.
const HELD_MAX: usize = 1 << 16;

struct Name {
    hash: u32,
    minor: u32,
    inode: u32,
    kind: Option<Kind>,
    bytes: Vec<u8>,
}

/// Takes the cursor behind an entry and the entry; answers whether to go on.
type Each<'a> = super::EachName<'a>;

impl Volume {
    /// The hash by which a directory is read; None for one that is read by position.
    pub(super) fn reading_order(&mut self, directory: &Inode) -> Result<Option<Hasher>> {
        if directory.flags().contains(InodeFlags::INDEX) {
            return self.hasher(directory).map(Some);
        }
        let may_grow_a_tree = self.superblock.compatible().contains(Compatible::DIR_INDEX);
        if !may_grow_a_tree || self.directory_blocks(directory) != 1 {
            return Ok(None);
        }
        Ok(Hasher::new(self.superblock.default_hash_version(), &self.superblock))
    }

    /// Calls `each` for the names from a cursor on, until it answers false.
    pub(super) fn for_each_in_order(
        &mut self,
        directory: &Inode,
        hasher: &Hasher,
        cursor: u64,
        each: &mut Each<'_>,
    ) -> Result<()> {
        let mut held = Vec::new();
        if !directory.flags().contains(InodeFlags::INDEX) {
            self.collect_names(directory, 0, hasher, &mut held)?;
            give(&held, cursor, each);
            return Ok(());
        }
        let mut path = self.index_path(directory, ((cursor >> 32) as u32) << 1)?;
        loop {
            let leaf = self.leaf_of(directory, &path[path.len() - 1])?;
            self.collect_names(directory, leaf, hasher, &mut held)?;
            if held.len() > HELD_MAX {
                return Err(Error::Corrupt("a directory's hash tree that repeats a hash"));
            }
            let Some(next) = self.next_leaf(directory, &mut path)? else {
                give(&held, cursor, each);
                return Ok(());
            };
            // The next leaf may go on with the last hash of this one: those names are one group.
            let is_split = next & 1 == 1;
            let end = if is_split { held.partition_point(|name: &Name| name.hash < next & !1) } else { held.len() };
            if !give(&held[..end], cursor, each) {
                return Ok(());
            }
            held.drain(..end);
        }
    }

    /// Adds a block's names, all sorted.
    fn collect_names(&mut self, directory: &Inode, logical: u32, hasher: &Hasher, to: &mut Vec<Name>) -> Result<()> {
        let Some((place, seal, end)) = self.names_block(directory, logical)? else {
            return Err(Error::Corrupt("a hash tree's node where names should be"));
        };
        for entry in block::entries(self.buffers.get(place, seal)?, end) {
            let entry = entry?;
            if entry.inode != 0 && !matches!(entry.name, b"." | b"..") {
                let (hash, minor) = hasher.hashes(entry.name);
                let bytes = entry.name.to_vec();
                to.push(Name { hash, minor: minor & MINOR_MASK, inode: entry.inode, kind: entry.kind, bytes });
            }
        }
        to.sort_unstable_by(|a, b| (a.hash, a.minor, &a.bytes).cmp(&(b.hash, b.minor, &b.bytes)));
        Ok(())
    }
}

/// Gives the names whose place is at the cursor or behind it. Whether to go on.
fn give(names: &[Name], cursor: u64, each: &mut Each<'_>) -> bool {
    let mut at = 0;
    let mut before = None;
    for name in names {
        let group = u64::from(name.hash >> 1) << 32 | u64::from(name.minor);
        at = if before == Some(group) { at + 1 } else { group };
        before = Some(group);
        if at >= cursor && !each(at + 1, name.inode, name.kind, &name.bytes) {
            return false;
        }
    }
    true
}
