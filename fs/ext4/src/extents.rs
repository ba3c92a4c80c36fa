//! The extent tree of an inode: which blocks of a file are where.
//!
//! A node is a 12-byte header and 12-byte entries, sorted; the root lies in the inode and has four. An index entry's key
//! is the first key of its child, all the way up: `e2fsck` insists on it.

use crate::allocator::Purpose;
use crate::buffers::Seal;
use crate::bytes::{put_u16, put_u32, u16_at, u32_at};
use crate::layout::Inode;
use crate::{Error, Result, Volume};
use alloc::vec::Vec;

const MAGIC: u16 = 0xf30a;
const HEADER: usize = 12;
const ENTRY: usize = 12;
const DEPTH_MAX: u16 = 5;
/// Most blocks of a written extent; an unwritten one has one less.
const LENGTH_MAX: u32 = 32768;

/// Blocks of a file that lie one behind the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// First block in the file.
    pub logical: u32,
    /// How many.
    pub length: u32,
    /// Where that is on the volume.
    pub block: u64,
    /// Whether they read as zeros, whatever the device holds.
    pub unwritten: bool,
}

impl Extent {
    /// The block behind it in the file.
    pub fn end(&self) -> u32 {
        self.logical + self.length
    }

    fn parse(bytes: &[u8], at: usize) -> Extent {
        let length = u32::from(u16_at(bytes, at + 4));
        let unwritten = length > LENGTH_MAX;
        Extent {
            logical: u32_at(bytes, at),
            length: if unwritten { length - LENGTH_MAX } else { length },
            block: u64::from(u32_at(bytes, at + 8)) | u64::from(u16_at(bytes, at + 6)) << 32,
            unwritten,
        }
    }

    fn store(&self, bytes: &mut [u8], at: usize) {
        put_u32(bytes, at, self.logical);
        put_u16(bytes, at + 4, (self.length + if self.unwritten { LENGTH_MAX } else { 0 }) as u16);
        put_u16(bytes, at + 6, (self.block >> 32) as u16);
        put_u32(bytes, at + 8, self.block as u32);
    }

    /// Whether `next` goes on exactly where this one ends, and both fit one entry.
    fn joins(&self, next: &Extent) -> bool {
        let most = if self.unwritten { LENGTH_MAX - 1 } else { LENGTH_MAX };
        self.end() == next.logical
            && self.block + u64::from(self.length) == next.block
            && self.unwritten == next.unwritten
            && self.length + next.length <= most
    }
}

/// Where a range of a file is; it may be shorter than what was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// First block in the file.
    pub logical: u32,
    /// Blocks that this answer is about, at least 1.
    pub length: u32,
    /// Where that is on the volume; None in a hole.
    pub block: Option<u64>,
    /// Whether the blocks are allocated but read as zeros.
    pub unwritten: bool,
}

/// A node: the root in the inode, or a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Block(u64),
}

/// A node on the way down.
struct Step {
    place: Place,
    entries: usize,
    most: usize,
    /// The entry that was taken: the last with a key not above the one looked for. In a leaf there may be none.
    taken: Option<usize>,
}

impl Step {
    fn is_full(&self) -> bool {
        self.entries >= self.most
    }
}

fn entry_at(index: usize) -> usize {
    HEADER + ENTRY * index
}

fn entries(node: &[u8]) -> usize {
    usize::from(u16_at(node, 2))
}

fn child(node: &[u8], index: usize) -> u64 {
    let at = entry_at(index);
    u64::from(u32_at(node, at + 4)) | u64::from(u16_at(node, at + 8)) << 32
}

fn put_index(node: &mut [u8], index: usize, key: u32, block: u64) {
    let at = entry_at(index);
    put_u32(node, at, key);
    put_u32(node, at + 4, block as u32);
    put_u16(node, at + 8, (block >> 32) as u16);
    put_u16(node, at + 10, 0);
}

/// Makes a gap of one entry at `index`.
fn open_gap(node: &mut [u8], index: usize) {
    let count = entries(node);
    node.copy_within(entry_at(index)..entry_at(count), entry_at(index + 1));
    put_u16(node, 2, count as u16 + 1);
}

/// Closes the entry at `index`.
fn close_gap(node: &mut [u8], index: usize) {
    let count = entries(node);
    node.copy_within(entry_at(index + 1)..entry_at(count), entry_at(index));
    node[entry_at(count - 1)..entry_at(count)].fill(0);
    put_u16(node, 2, count as u16 - 1);
}

/// Writes an empty leaf root into a new inode.
pub fn initialise_root(block: &mut [u8]) {
    block.fill(0);
    put_u16(block, 0, MAGIC);
    put_u16(block, 4, 4);
}

fn check_node(node: &[u8], depth: Option<u16>) -> Result<()> {
    let most = usize::from(u16_at(node, 4));
    let is_sane = u16_at(node, 0) == MAGIC
        && entries(node) <= most
        && entry_at(most) <= node.len()
        && depth.map_or(u16_at(node, 6) <= DEPTH_MAX, |depth| u16_at(node, 6) == depth)
        && (u16_at(node, 6) == 0 || entries(node) > 0);
    if is_sane { Ok(()) } else { Err(Error::Corrupt("a node of an extent tree")) }
}

impl Volume {
    fn extent_seal(&self, inode: &Inode) -> Seal {
        if self.geometry.checksums { Seal::Extents(inode.seed(self.geometry.seed)) } else { Seal::None }
    }

    fn node<'a>(&'a mut self, inode: &'a Inode, place: Place) -> Result<&'a [u8]> {
        match place {
            Place::Root => Ok(inode.block()),
            Place::Block(block) => self.buffers.get(block, self.extent_seal(inode)),
        }
    }

    fn edit_node<'a>(&'a mut self, inode: &'a mut Inode, place: Place) -> Result<&'a mut [u8]> {
        match place {
            Place::Root => Ok(inode.block_mut()),
            Place::Block(block) => self.buffers.edit(block, self.extent_seal(inode)),
        }
    }

    /// The nodes from the root to the leaf where `logical` is or would be.
    fn path(&mut self, inode: &Inode, logical: u32) -> Result<Vec<Step>> {
        let mut path = Vec::with_capacity(3);
        let (mut place, mut expected) = (Place::Root, None);
        loop {
            let node = self.node(inode, place)?;
            check_node(node, expected)?;
            let (count, depth) = (entries(node), u16_at(node, 6));
            let (mut low, mut high) = (0, count);
            while low < high {
                let middle = usize::midpoint(low, high);
                if u32_at(node, entry_at(middle)) <= logical { low = middle + 1 } else { high = middle }
            }
            let taken = low.checked_sub(1);
            let most = usize::from(u16_at(node, 4));
            if depth == 0 {
                path.push(Step { place, entries: count, most, taken });
                return Ok(path);
            }
            let taken = taken.unwrap_or(0);
            let below = child(node, taken);
            path.push(Step { place, entries: count, most, taken: Some(taken) });
            (place, expected) = (Place::Block(below), Some(depth - 1));
        }
    }

    fn extent(&mut self, inode: &Inode, place: Place, index: usize) -> Result<Extent> {
        let found = Extent::parse(self.node(inode, place)?, entry_at(index));
        let is_sane = found.length > 0
            && found.logical.checked_add(found.length).is_some()
            && found.block >= self.geometry.first_data_block
            && found.block + u64::from(found.length) <= self.geometry.blocks;
        if is_sane { Ok(found) } else { Err(Error::Corrupt("an extent that leaves the volume")) }
    }

    /// The first extent that ends behind `logical`.
    pub(crate) fn extent_from(&mut self, inode: &Inode, logical: u32) -> Result<Option<Extent>> {
        let path = self.path(inode, logical)?;
        let leaf = &path[path.len() - 1];
        if let Some(index) = leaf.taken {
            let found = self.extent(inode, leaf.place, index)?;
            if found.end() > logical {
                return Ok(Some(found));
            }
        }
        let next = leaf.taken.map_or(0, |index| index + 1);
        if next < leaf.entries {
            return Ok(Some(self.extent(inode, leaf.place, next)?));
        }
        // The next leaf begins at the key behind the one taken, on the lowest level that has one.
        for step in path.iter().rev().skip(1) {
            let next = step.taken.map_or(0, |index| index + 1);
            if next < step.entries {
                let key = u32_at(self.node(inode, step.place)?, entry_at(next));
                let path = self.path(inode, key)?;
                let leaf = &path[path.len() - 1];
                let index = leaf.taken.ok_or(Error::Corrupt("an index that is not its leaf's first key"))?;
                return Ok(Some(self.extent(inode, leaf.place, index)?));
            }
        }
        Ok(None)
    }

    /// Where up to `most` blocks from `logical` on are.
    pub(crate) fn map_inode(&mut self, inode: &Inode, logical: u32, most: u32) -> Result<Mapping> {
        let found = self.extent_from(inode, logical)?;
        Ok(match found {
            Some(found) if found.logical <= logical => Mapping {
                logical,
                length: most.min(found.end() - logical),
                block: Some(found.block + u64::from(logical - found.logical)),
                unwritten: found.unwritten,
            },
            Some(found) => {
                Mapping { logical, length: most.min(found.logical - logical), block: None, unwritten: false }
            }
            None => Mapping { logical, length: most, block: None, unwritten: false },
        })
    }

    /// Enters blocks that the tree does not have yet. The inode must be written afterwards.
    pub(crate) fn insert_extent(&mut self, inode: &mut Inode, new: Extent) -> Result<()> {
        loop {
            let path = self.path(inode, new.logical)?;
            let leaf = &path[path.len() - 1];
            let next = leaf.taken.map_or(0, |index| index + 1);
            if let Some(index) = leaf.taken {
                let before = self.extent(inode, leaf.place, index)?;
                if before.end() > new.logical {
                    return Err(Error::Corrupt("two extents for one block of a file"));
                }
                if before.joins(&new) {
                    let joined = Extent { length: before.length + new.length, ..before };
                    return self.join_right(inode, &path, index, joined);
                }
            }
            if next < leaf.entries {
                let behind = self.extent(inode, leaf.place, next)?;
                if new.joins(&behind) {
                    let joined = Extent { length: new.length + behind.length, ..new };
                    joined.store(self.edit_node(inode, leaf.place)?, entry_at(next));
                    return if next == 0 { self.renew_keys(inode, &path) } else { Ok(()) };
                }
            }
            if !leaf.is_full() {
                let node = self.edit_node(inode, leaf.place)?;
                open_gap(node, next);
                new.store(node, entry_at(next));
                return if next == 0 { self.renew_keys(inode, &path) } else { Ok(()) };
            }
            self.make_room(inode, &path, next == leaf.entries)?;
        }
    }

    /// Stores `joined` at `index` of the leaf, with the entry behind it if that one joins too.
    fn join_right(&mut self, inode: &mut Inode, path: &[Step], index: usize, mut joined: Extent) -> Result<()> {
        let leaf = &path[path.len() - 1];
        let behind = if index + 1 < leaf.entries { Some(self.extent(inode, leaf.place, index + 1)?) } else { None };
        let node = self.edit_node(inode, leaf.place)?;
        if let Some(behind) = behind.filter(|behind| joined.joins(behind)) {
            joined.length += behind.length;
            close_gap(node, index + 1);
        }
        joined.store(node, entry_at(index));
        Ok(())
    }

    /// Makes the index entries above the last node of a path its first key again.
    fn renew_keys(&mut self, inode: &mut Inode, path: &[Step]) -> Result<()> {
        let key = u32_at(self.node(inode, path[path.len() - 1].place)?, entry_at(0));
        for step in path.iter().rev().skip(1) {
            let index = step.taken.unwrap_or(0);
            put_u32(self.edit_node(inode, step.place)?, entry_at(index), key);
            if index > 0 {
                break;
            }
        }
        Ok(())
    }

    /// Splits the highest full node of a path, or puts a new level below the root.
    fn make_room(&mut self, inode: &mut Inode, path: &[Step], at_end: bool) -> Result<()> {
        let roomy = path.iter().rposition(|step| !step.is_full());
        let goal = match path[path.len() - 1].taken {
            Some(index) => self.extent(inode, path[path.len() - 1].place, index)?.block,
            None => self.inode_goal(inode.number),
        };
        let (new, _) = self.allocate_blocks(goal, 1, Purpose::Metadata)?;
        self.charge(inode, 1);
        match roomy {
            None => self.deepen(inode, new),
            Some(parent) => self.split(inode, &path[parent], &path[parent + 1], new, at_end),
        }
    }

    fn new_node(&mut self, inode: &Inode, block: u64, depth: u16) -> &mut [u8] {
        let seal = self.extent_seal(inode);
        let room = self.buffers.block_size() - HEADER - if self.geometry.checksums { 4 } else { 0 };
        let node = self.buffers.create(block, seal);
        put_u16(node, 0, MAGIC);
        put_u16(node, 4, (room / ENTRY) as u16);
        put_u16(node, 6, depth);
        node
    }

    fn deepen(&mut self, inode: &mut Inode, new: u64) -> Result<()> {
        let depth = u16_at(inode.block(), 6);
        if depth >= DEPTH_MAX {
            return Err(Error::TooBig);
        }
        let root = inode.block().to_vec();
        let count = entries(&root);
        let node = self.new_node(inode, new, depth);
        put_u16(node, 2, count as u16);
        node[HEADER..entry_at(count)].copy_from_slice(&root[HEADER..entry_at(count)]);
        let block = inode.block_mut();
        block[HEADER..].fill(0);
        put_u16(block, 2, 1);
        put_u16(block, 6, depth + 1);
        put_index(block, 0, u32_at(&root, entry_at(0)), new);
        Ok(())
    }

    /// Moves the upper part of `full` into block `new` and enters that in `parent`.
    fn split(&mut self, inode: &mut Inode, parent: &Step, full: &Step, new: u64, at_end: bool) -> Result<()> {
        let node = self.node(inode, full.place)?;
        let (depth, count) = (u16_at(node, 6), entries(node));
        // A file that grows leaves full nodes behind it.
        let keep = if at_end { count - 1 } else { count / 2 };
        let moved = node[entry_at(keep)..entry_at(count)].to_vec();
        let fresh = self.new_node(inode, new, depth);
        fresh[HEADER..HEADER + moved.len()].copy_from_slice(&moved);
        put_u16(fresh, 2, (count - keep) as u16);
        let node = self.edit_node(inode, full.place)?;
        node[entry_at(keep)..entry_at(count)].fill(0);
        put_u16(node, 2, keep as u16);
        let above = self.edit_node(inode, parent.place)?;
        let at = parent.taken.map_or(0, |index| index + 1);
        open_gap(above, at);
        put_index(above, at, u32_at(&moved, 0), new);
        Ok(())
    }

    /// Takes the first part of `from..to` that is allocated out of the tree. The inode must be written afterwards.
    pub(crate) fn take_extent(&mut self, inode: &mut Inode, from: u32, to: u32) -> Result<Option<Extent>> {
        let Some(found) = self.extent_from(inode, from)?.filter(|found| found.logical < to) else { return Ok(None) };
        let path = self.path(inode, found.logical)?;
        let leaf = &path[path.len() - 1];
        let index = leaf.taken.ok_or(Error::Corrupt("an extent that its key does not lead to"))?;
        let (start, end) = (found.logical.max(from), found.end().min(to));
        let taken = Extent {
            logical: start,
            length: end - start,
            block: found.block + u64::from(start - found.logical),
            unwritten: found.unwritten,
        };
        let left = Extent { length: start - found.logical, ..found };
        let right = Extent {
            logical: end,
            length: found.end() - end,
            block: found.block + u64::from(end - found.logical),
            unwritten: found.unwritten,
        };
        match (left.length > 0, right.length > 0) {
            (false, false) => self.remove_entry(inode, &path, index)?,
            (true, false) => left.store(self.edit_node(inode, leaf.place)?, entry_at(index)),
            (false, true) => {
                right.store(self.edit_node(inode, leaf.place)?, entry_at(index));
                if index == 0 {
                    self.renew_keys(inode, &path)?;
                }
            }
            (true, true) => {
                left.store(self.edit_node(inode, leaf.place)?, entry_at(index));
                if let Err(error) = self.insert_extent(inode, right) {
                    let path = self.path(inode, found.logical)?;
                    let leaf = &path[path.len() - 1];
                    let index = leaf.taken.ok_or(Error::Corrupt("an extent that its key does not lead to"))?;
                    found.store(self.edit_node(inode, leaf.place)?, entry_at(index));
                    return Err(error);
                }
            }
        }
        Ok(Some(taken))
    }

    fn remove_entry(&mut self, inode: &mut Inode, path: &[Step], index: usize) -> Result<()> {
        close_gap(self.edit_node(inode, path[path.len() - 1].place)?, index);
        if path[path.len() - 1].entries > 1 {
            return if index == 0 { self.renew_keys(inode, path) } else { Ok(()) };
        }
        // An empty node goes, and its entry above, as far up as that empties more.
        for level in (1..path.len()).rev() {
            if let Place::Block(block) = path[level].place {
                self.buffers.forget(block);
                self.free_blocks(block, 1)?;
                self.charge(inode, -1);
            }
            let above = &path[level - 1];
            let index = above.taken.unwrap_or(0);
            close_gap(self.edit_node(inode, above.place)?, index);
            if above.entries > 1 {
                return if index == 0 { self.renew_keys(inode, &path[..level]) } else { Ok(()) };
            }
        }
        put_u16(inode.block_mut(), 6, 0);
        Ok(())
    }

    /// Counts `blocks` more to the space that an inode uses.
    pub(crate) fn charge(&self, inode: &mut Inode, blocks: i64) {
        let shift = self.geometry.block_shift;
        let sectors = inode.sectors(shift).saturating_add_signed(blocks << (shift - 9));
        inode.set_sectors(sectors, shift);
    }
}
