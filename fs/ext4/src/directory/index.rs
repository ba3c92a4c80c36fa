//! The hash tree of a large directory: blocks 0 (the root) and perhaps one more level say which block a hash is in.
//!
//! An entry's hash is the least of its block; bit 0 says that the block before ends with names of that very hash.

use super::block::{self, size_for};
use super::hash::Hasher;
use crate::attributes::Kind;
use crate::buffers::Seal;
use crate::bytes::{put_u16, put_u32, u16_at, u32_at};
use crate::layout::{Inode, InodeFlags};
use crate::{Error, Result, Volume};
use alloc::vec::Vec;

/// Where a root keeps its facts.
const ROOT_INFO: usize = 24;
/// Where the entries of a root, and of another node, begin.
const ROOT_ENTRIES: usize = 32;
const NODE_ENTRIES: usize = 8;
/// Size of an entry, and of the tail that holds the checksum.
const ENTRY: usize = 8;

/// A node on the way to a leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The node's block in the directory.
    logical: u32,
    /// Where its entries begin.
    base: usize,
    /// The entry taken.
    taken: usize,
}

fn limit(node: &[u8], base: usize) -> usize {
    usize::from(u16_at(node, base))
}

fn count(node: &[u8], base: usize) -> usize {
    usize::from(u16_at(node, base + 2))
}

fn set_count(node: &mut [u8], base: usize, count: usize) {
    put_u16(node, base + 2, count as u16);
}

fn hash_of(node: &[u8], base: usize, index: usize) -> u32 {
    u32_at(node, base + ENTRY * index)
}

fn block_of(node: &[u8], base: usize, index: usize) -> u32 {
    // The upper bits are kept for other uses.
    u32_at(node, base + ENTRY * index + 4) & 0x0fff_ffff
}

fn insert_entry(node: &mut [u8], base: usize, index: usize, hash: u32, block: u32) {
    let used = count(node, base);
    node.copy_within(base + ENTRY * index..base + ENTRY * used, base + ENTRY * (index + 1));
    put_u32(node, base + ENTRY * index, hash);
    put_u32(node, base + ENTRY * index + 4, block);
    set_count(node, base, used + 1);
}

fn check_node(node: &[u8], base: usize, most: usize) -> Result<()> {
    let (limit, count) = (limit(node, base), count(node, base));
    if limit != most || count == 0 || count > limit {
        return Err(Error::Corrupt("a node of a directory's hash tree"));
    }
    Ok(())
}

/// Names that were in one leaf, with their hashes.
struct Names(Vec<(u32, u32, Kind, Vec<u8>)>);

impl Volume {
    fn index_limit(&self, base: usize) -> usize {
        (self.geometry.block_size() - base - if self.geometry.checksums { ENTRY } else { 0 }) / ENTRY
    }

    pub(super) fn index_seal(&self, directory: &Inode) -> Seal {
        if self.geometry.checksums { Seal::Index(directory.seed(self.geometry.seed)) } else { Seal::None }
    }

    pub(super) fn hasher(&mut self, directory: &Inode) -> Result<Hasher> {
        let seal = self.index_seal(directory);
        let root = self.directory_block(directory, 0)?;
        let version = self.buffers.get(root, seal)?[ROOT_INFO + 4];
        Hasher::new(version, &self.superblock).ok_or(Error::Corrupt("a directory's hash of an unknown kind"))
    }

    /// The nodes on the way to the leaf of a hash.
    pub(super) fn index_path(&mut self, directory: &Inode, hash: u32) -> Result<Vec<Step>> {
        let seal = self.index_seal(directory);
        let (mut logical, mut base) = (0, ROOT_ENTRIES);
        let mut path = Vec::with_capacity(2);
        let mut levels = None;
        loop {
            let place = self.directory_block(directory, logical)?;
            let most = self.index_limit(base);
            let node = self.buffers.get(place, seal)?;
            let left = *levels.get_or_insert(node[ROOT_INFO + 6]);
            if left > 1 {
                return Err(Error::Corrupt("a directory's hash tree of more than two levels"));
            }
            check_node(node, base, most)?;
            let (mut low, mut high) = (1, count(node, base));
            while low < high {
                let middle = usize::midpoint(low, high);
                if hash_of(node, base, middle) <= hash { low = middle + 1 } else { high = middle }
            }
            let taken = low - 1;
            let next = block_of(node, base, taken);
            path.push(Step { logical, base, taken });
            if path.len() > usize::from(left) {
                return Ok(path);
            }
            if path.len() == 1 {
                levels = Some(left);
            }
            (logical, base) = (next, NODE_ENTRIES);
        }
    }

    pub(super) fn leaf_of(&mut self, directory: &Inode, step: &Step) -> Result<u32> {
        let seal = self.index_seal(directory);
        let place = self.directory_block(directory, step.logical)?;
        Ok(block_of(self.buffers.get(place, seal)?, step.base, step.taken))
    }

    /// Moves a path to the leaf behind it: the least hash there, with bit 0 if this leaf ends with it. None at the end.
    pub(super) fn next_leaf(&mut self, directory: &Inode, path: &mut Vec<Step>) -> Result<Option<u32>> {
        let seal = self.index_seal(directory);
        for level in (0..path.len()).rev() {
            let step = path[level];
            let place = self.directory_block(directory, step.logical)?;
            let node = self.buffers.get(place, seal)?;
            if step.taken + 1 >= count(node, step.base) {
                continue;
            }
            let hash = hash_of(node, step.base, step.taken + 1);
            path.truncate(level + 1);
            path[level].taken += 1;
            if level == 0 && usize::from(self.buffers.get(place, seal)?[ROOT_INFO + 6]) == 1 {
                let logical = self.leaf_of(directory, &path[0])?;
                path.push(Step { logical, base: NODE_ENTRIES, taken: 0 });
            }
            return Ok(Some(hash));
        }
        Ok(None)
    }

    /// Looks for a name: its block in the directory, and the byte there.
    pub(super) fn find_indexed(&mut self, directory: &Inode, name: &[u8]) -> Result<Option<(u32, usize)>> {
        let hash = self.hasher(directory)?.hash(name);
        let mut path = self.index_path(directory, hash)?;
        loop {
            let leaf = self.leaf_of(directory, &path[path.len() - 1])?;
            if let Some(at) = self.find_in_block(directory, leaf, name)? {
                return Ok(Some((leaf, at)));
            }
            if self.next_leaf(directory, &mut path)? != Some(hash | 1) {
                return Ok(None);
            }
        }
    }

    /// Enters a name that is not there yet.
    pub(super) fn insert_indexed(&mut self, directory: &mut Inode, inode: u32, kind: Kind, name: &[u8]) -> Result<()> {
        let hasher = self.hasher(directory)?;
        let hash = hasher.hash(name);
        loop {
            let path = self.index_path(directory, hash)?;
            let last = path[path.len() - 1];
            let leaf = self.leaf_of(directory, &last)?;
            if self.insert_in_block(directory, leaf, inode, kind, name)? {
                return Ok(());
            }
            let seal = self.index_seal(directory);
            let place = self.directory_block(directory, last.logical)?;
            let node = self.buffers.get(place, seal)?;
            if count(node, last.base) < limit(node, last.base) {
                self.split_leaf(directory, &hasher, &last, leaf)?;
            } else {
                self.grow_index(directory, &path)?;
            }
        }
    }

    /// Moves the upper half of a leaf's hashes to a new block.
    fn split_leaf(&mut self, directory: &mut Inode, hasher: &Hasher, step: &Step, leaf: u32) -> Result<()> {
        let place = self.directory_block(directory, leaf)?;
        let (end, seal) = (self.entries_end(), self.directory_seal(directory));
        let mut names = Names(Vec::new());
        for entry in block::entries(self.buffers.get(place, seal)?, end) {
            let entry = entry?;
            if entry.inode != 0 {
                let kind = block::kind_or_regular(entry.kind);
                names.0.push((hasher.hash(entry.name), entry.inode, kind, entry.name.to_vec()));
            }
        }
        names.0.sort_by_key(|(hash, ..)| *hash);
        let half: usize = names.0.iter().map(|(.., name)| size_for(name)).sum::<usize>() / 2;
        let mut size = 0;
        let middle = names.0.iter().position(|(.., name)| {
            size += size_for(name);
            size > half
        });
        let middle = middle.unwrap_or(0).clamp(1, names.0.len().saturating_sub(1).max(1));
        if names.0.len() < 2 {
            return Err(Error::Corrupt("a full leaf of a directory with one name"));
        }
        let hash = names.0[middle].0;
        let continued = u32::from(names.0[middle - 1].0 == hash);
        let (fresh, fresh_place) = self.append_directory_block(directory)?;
        let with_tail = self.geometry.checksums;
        let (lower, upper) = names.0.split_at(middle);
        for (place, part) in [(place, lower), (fresh_place, upper)] {
            let bytes = self.buffers.edit(place, seal)?;
            block::clear(bytes, with_tail);
            block::fill(bytes, end, part.iter().map(|(_, inode, kind, name)| (*inode, *kind, &name[..])));
        }
        let seal = self.index_seal(directory);
        let place = self.directory_block(directory, step.logical)?;
        insert_entry(self.buffers.edit(place, seal)?, step.base, step.taken + 1, hash + continued, fresh);
        Ok(())
    }

    /// Makes room in the last node of a path: a level more under the root, or half of the node moved to a new one.
    fn grow_index(&mut self, directory: &mut Inode, path: &[Step]) -> Result<()> {
        let seal = self.index_seal(directory);
        let root_place = self.directory_block(directory, 0)?;
        if path.len() > 1 {
            let root = self.buffers.get(root_place, seal)?;
            if count(root, ROOT_ENTRIES) >= limit(root, ROOT_ENTRIES) {
                return Err(Error::NoSpace);
            }
        }
        let (fresh, fresh_place) = self.append_directory_block(directory)?;
        let most = self.index_limit(NODE_ENTRIES);
        let last = path[path.len() - 1];
        let full_place = self.directory_block(directory, last.logical)?;
        let full = self.buffers.get(full_place, seal)?;
        let used = count(full, last.base);
        let keep = if path.len() == 1 { 0 } else { used / 2 };
        let moved = full[last.base + ENTRY * keep..last.base + ENTRY * used].to_vec();
        let node = self.buffers.create(fresh_place, seal);
        // Looks like an empty block of names to who does not know the tree.
        let size = node.len() as u16;
        put_u16(node, 4, size);
        node[NODE_ENTRIES..NODE_ENTRIES + moved.len()].copy_from_slice(&moved);
        put_u16(node, NODE_ENTRIES, most as u16);
        set_count(node, NODE_ENTRIES, used - keep);
        if path.len() == 1 {
            let root = self.buffers.edit(root_place, seal)?;
            root[ROOT_INFO + 6] = 1;
            set_count(root, ROOT_ENTRIES, 1);
            put_u32(root, ROOT_ENTRIES + 4, fresh);
        } else {
            set_count(self.buffers.edit(full_place, seal)?, last.base, keep);
            let root = self.buffers.edit(root_place, seal)?;
            insert_entry(root, ROOT_ENTRIES, path[0].taken + 1, u32_at(&moved, 0), fresh);
        }
        Ok(())
    }

    /// Gives a directory of one block a hash tree.
    pub(super) fn make_indexed(&mut self, directory: &mut Inode) -> Result<()> {
        let version = self.superblock.default_hash_version();
        let (end, leaf_seal) = (self.entries_end(), self.directory_seal(directory));
        let place = self.directory_block(directory, 0)?;
        let mut names = Vec::new();
        let mut parent = 0;
        for entry in block::entries(self.buffers.get(place, leaf_seal)?, end) {
            let entry = entry?;
            match entry.name {
                b".." => parent = entry.inode,
                b"." => (),
                name if entry.inode != 0 => {
                    names.push((entry.inode, block::kind_or_regular(entry.kind), name.to_vec()));
                }
                _ => (),
            }
        }
        let (leaf, leaf_place) = self.append_directory_block(directory)?;
        let with_tail = self.geometry.checksums;
        let bytes = self.buffers.edit(leaf_place, leaf_seal)?;
        block::clear(bytes, with_tail);
        block::fill(bytes, end, names.iter().map(|(inode, kind, name)| (*inode, *kind, &name[..])));
        directory.set_flags(directory.flags() | InodeFlags::INDEX);
        let (most, seal) = (self.index_limit(ROOT_ENTRIES), self.index_seal(directory));
        let size = self.geometry.block_size();
        let root = self.buffers.edit(place, seal)?;
        root.fill(0);
        block::put(root, 0, 12, directory.number, Kind::Directory, b".");
        block::put(root, 12, size - 12, parent, Kind::Directory, b"..");
        root[ROOT_INFO + 4] = version;
        root[ROOT_INFO + 5] = 8;
        put_u16(root, ROOT_ENTRIES, most as u16);
        set_count(root, ROOT_ENTRIES, 1);
        put_u32(root, ROOT_ENTRIES + 4, leaf);
        Ok(())
    }
}
