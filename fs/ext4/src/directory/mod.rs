//! Directories: names in blocks of entries, and a hash tree over the blocks once there are many.

mod block;
mod hash;
mod index;
mod order;

use crate::allocator::Purpose;
use crate::attributes::Kind;
use crate::buffers::Seal;
use crate::extents::Extent;
use crate::layout::{Compatible, Inode, InodeFlags};
use crate::{Error, Result, Volume};

pub use block::NAME_MAX;

/// Takes the cursor behind an entry, its inode, kind and name; answers whether to go on.
pub type EachName<'a> = dyn FnMut(u64, u32, Option<Kind>, &[u8]) -> bool + 'a;

/// A name that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Block of the directory.
    pub logical: u32,
    /// Byte in the block.
    pub at: usize,
    /// Where it leads.
    pub inode: u32,
}

impl Volume {
    pub(crate) fn directory_seal(&self, directory: &Inode) -> Seal {
        if self.geometry.checksums { Seal::Directory(directory.seed(self.geometry.seed)) } else { Seal::None }
    }

    /// Bytes of a block that hold entries.
    fn entries_end(&self) -> usize {
        self.geometry.block_size() - if self.geometry.checksums { block::TAIL } else { 0 }
    }

    fn directory_blocks(&self, directory: &Inode) -> u32 {
        u32::try_from(directory.size() >> self.geometry.block_shift).unwrap_or(u32::MAX)
    }

    /// Where a directory's block is on the volume.
    fn directory_block(&mut self, directory: &Inode, logical: u32) -> Result<u64> {
        if logical >= self.directory_blocks(directory) {
            return Err(Error::Corrupt("a block behind the end of a directory"));
        }
        let mapping = self.map_inode(directory, logical, 1)?;
        mapping.block.filter(|_| !mapping.unwritten).ok_or(Error::Corrupt("a directory with a hole"))
    }

    /// Place, seal and end of the entries of a block that holds names, be it in a tree or not; None for a tree's node.
    fn names_block(&mut self, directory: &Inode, logical: u32) -> Result<Option<(u64, Seal, usize)>> {
        let place = self.directory_block(directory, logical)?;
        let size = self.geometry.block_size();
        if directory.flags().contains(InodeFlags::INDEX) {
            if logical == 0 {
                return Ok(None);
            }
            let first = self.buffers.get(place, Seal::None)?;
            if first[..4] == [0; 4] && usize::from(crate::bytes::u16_at(first, 4)) == size {
                return Ok(None);
            }
        }
        Ok(Some((place, self.directory_seal(directory), self.entries_end())))
    }

    fn find_in_block(&mut self, directory: &Inode, logical: u32, name: &[u8]) -> Result<Option<usize>> {
        let Some((place, seal, end)) = self.names_block(directory, logical)? else { return Ok(None) };
        for entry in block::entries(self.buffers.get(place, seal)?, end) {
            let entry = entry?;
            if entry.inode != 0 && entry.name == name {
                return Ok(Some(entry.at));
            }
        }
        Ok(None)
    }

    fn insert_in_block(
        &mut self,
        directory: &Inode,
        logical: u32,
        inode: u32,
        kind: Kind,
        name: &[u8],
    ) -> Result<bool> {
        let Some((place, seal, end)) = self.names_block(directory, logical)? else {
            return Err(Error::Corrupt("a hash tree's node where names should be"));
        };
        block::insert(self.buffers.edit(place, seal)?, end, inode, kind, name)
    }

    /// Looks for a name. `.` is not one; `..` is.
    pub(crate) fn find_name(&mut self, directory: &Inode, name: &[u8]) -> Result<Option<Found>> {
        if name == b".." {
            return self.find_parent(directory).map(Some);
        }
        let place = if directory.flags().contains(InodeFlags::INDEX) {
            self.find_indexed(directory, name)?
        } else {
            let mut found = None;
            for logical in 0..self.directory_blocks(directory) {
                if let Some(at) = self.find_in_block(directory, logical, name)? {
                    found = Some((logical, at));
                    break;
                }
            }
            found
        };
        let Some((logical, at)) = place else { return Ok(None) };
        let Some((place, seal, end)) = self.names_block(directory, logical)? else { return Ok(None) };
        let entry = block::entry(self.buffers.get(place, seal)?, at, end)?;
        Ok(Some(Found { logical, at, inode: entry.inode }))
    }

    /// The entry `..`: the second one of the first block.
    fn find_parent(&mut self, directory: &Inode) -> Result<Found> {
        let (place, seal) = (self.directory_block(directory, 0)?, self.first_seal(directory));
        let bytes = self.buffers.get(place, seal)?;
        let entry = block::entry(bytes, 12, bytes.len())?;
        if entry.name != b".." {
            return Err(Error::Corrupt("a directory without an entry for its parent"));
        }
        Ok(Found { logical: 0, at: 12, inode: entry.inode })
    }

    fn first_seal(&self, directory: &Inode) -> Seal {
        match directory.flags().contains(InodeFlags::INDEX) {
            true => self.index_seal(directory),
            false => self.directory_seal(directory),
        }
    }

    /// Adds a zeroed block to a directory's end: its number there, and its place.
    fn append_directory_block(&mut self, directory: &mut Inode) -> Result<(u32, u64)> {
        let logical = self.directory_blocks(directory);
        let goal = match self.extent_from(directory, logical.saturating_sub(1))? {
            Some(last) => last.block + u64::from(last.length),
            None => self.inode_goal(directory.number),
        };
        let (block, _) = self.allocate_blocks(goal, 1, Purpose::Data)?;
        let extent = Extent { logical, length: 1, block, unwritten: false };
        self.insert_extent(directory, extent)?;
        self.charge(directory, 1);
        directory.set_size(directory.size() + self.geometry.block_size() as u64);
        let (seal, with_tail) = (self.directory_seal(directory), self.geometry.checksums);
        block::clear(self.buffers.create(block, seal), with_tail);
        Ok((logical, block))
    }

    /// Gives a new directory its first block, with `.` and `..`.
    pub(crate) fn make_directory(&mut self, directory: &mut Inode, parent: u32) -> Result<()> {
        let (_, place) = self.append_directory_block(directory)?;
        let (seal, end, number) = (self.directory_seal(directory), self.entries_end(), directory.number);
        let bytes = self.buffers.edit(place, seal)?;
        block::put(bytes, 0, 12, number, Kind::Directory, b".");
        block::put(bytes, 12, end - 12, parent, Kind::Directory, b"..");
        Ok(())
    }

    /// Enters a name that is not there yet. The directory must be written afterwards.
    pub(crate) fn insert_name(&mut self, directory: &mut Inode, name: &[u8], inode: u32, kind: Kind) -> Result<()> {
        if name.len() > NAME_MAX {
            return Err(Error::NameTooLong);
        }
        if directory.flags().contains(InodeFlags::INDEX) {
            return self.insert_indexed(directory, inode, kind, name);
        }
        let blocks = self.directory_blocks(directory);
        // The last block first: in the others there is seldom room.
        for logical in (0..blocks).rev() {
            if self.insert_in_block(directory, logical, inode, kind, name)? {
                return Ok(());
            }
        }
        if blocks == 1 && self.superblock.compatible().contains(Compatible::DIR_INDEX) {
            self.make_indexed(directory)?;
            return self.insert_indexed(directory, inode, kind, name);
        }
        let (logical, _) = self.append_directory_block(directory)?;
        self.insert_in_block(directory, logical, inode, kind, name).map(|_| ())
    }

    /// Takes a name out.
    pub(crate) fn remove_name(&mut self, directory: &Inode, found: &Found) -> Result<()> {
        let Some((place, seal, end)) = self.names_block(directory, found.logical)? else {
            return Err(Error::Corrupt("a hash tree's node where names should be"));
        };
        block::remove(self.buffers.edit(place, seal)?, found.at, end)
    }

    /// Makes a name, or `..`, lead elsewhere.
    pub(crate) fn redirect_name(&mut self, directory: &Inode, found: &Found, inode: u32, kind: Kind) -> Result<()> {
        let place = self.directory_block(directory, found.logical)?;
        let seal = if found.logical == 0 { self.first_seal(directory) } else { self.directory_seal(directory) };
        block::redirect(self.buffers.edit(place, seal)?, found.at, inode, kind);
        Ok(())
    }

    /// Whether there is nothing but `.` and `..`.
    pub(crate) fn is_empty_directory(&mut self, directory: &Inode) -> Result<bool> {
        let mut is_empty = true;
        self.for_each_by_position(directory, 0, &mut |_, _, _, _| {
            is_empty = false;
            false
        })?;
        Ok(is_empty)
    }

    /// Calls `each` with the cursor behind the entry, inode, kind and name of the entries from a cursor on, until it
    /// answers false. Without `.` and `..`. Cursors stay good when other names come and go, see [`order`].
    pub(crate) fn for_each_name(&mut self, directory: &Inode, cursor: u64, each: &mut EachName<'_>) -> Result<()> {
        match self.reading_order(directory)? {
            Some(hasher) => self.for_each_in_order(directory, &hasher, cursor, each),
            None => self.for_each_by_position(directory, cursor, each),
        }
    }

    fn for_each_by_position(&mut self, directory: &Inode, cursor: u64, each: &mut EachName<'_>) -> Result<()> {
        let shift = self.geometry.block_shift;
        let first = u32::try_from(cursor >> shift).unwrap_or(u32::MAX);
        for logical in first..self.directory_blocks(directory) {
            let Some((place, seal, end)) = self.names_block(directory, logical)? else { continue };
            let base = u64::from(logical) << shift;
            for entry in block::entries(self.buffers.get(place, seal)?, end) {
                let entry = entry?;
                let skip = entry.inode == 0 || matches!(entry.name, b"." | b"..") || base + (entry.at as u64) < cursor;
                if !skip && !each(base + (entry.at + entry.length) as u64, entry.inode, entry.kind, entry.name) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
