//! A file's blocks as the page cache sees them: where they are, getting new ones, cutting off.

use crate::allocator::Purpose;
use crate::attributes::{Kind, Time};
use crate::extents::{Extent, Mapping};
use crate::inodes::ROOT;
use crate::layout::{Inode, InodeFlags};
use crate::{Error, Result, Volume};

/// Extents that one step of a long operation frees at the most, so that its transaction stays small.
const STEP: usize = 64;
/// Most blocks of a new extent.
const EXTENT_MAX: u32 = 32767;

impl Volume {
    fn read_file_inode(&mut self, number: u32) -> Result<Inode> {
        let inode = self.read_inode(number)?;
        match inode.kind() {
            Some(Kind::Directory) => Err(Error::IsDirectory),
            Some(Kind::Regular) if inode.flags().contains(InodeFlags::EXTENTS) => Ok(inode),
            Some(Kind::Regular) => Err(Error::Corrupt("a file with the block lists of ext3")),
            _ => Err(Error::Invalid),
        }
    }

    /// Largest file size in bytes.
    pub fn size_max(&self) -> u64 {
        // The last block number is kept as the mark "no block".
        (u64::from(u32::MAX)) << self.geometry.block_shift
    }

    /// Where up to `most` blocks of a file from `logical` on are.
    pub fn map(&mut self, number: u32, logical: u32, most: u32) -> Result<Mapping> {
        let inode = self.read_file_inode(number)?;
        self.map_inode(&inode, logical, most.max(1))
    }

    /// Gives each block of `logical..logical + count` that has none a place; new ones are unwritten. May do less than
    /// asked for: the answer says where the first blocks of the range are. Errors: `NoSpace` (see
    /// [`Volume::frees_are_pending`]), `TooBig`.
    pub fn allocate(&mut self, number: u32, logical: u32, count: u32) -> Result<Mapping> {
        self.check_writable()?;
        if count == 0 || logical.checked_add(count).is_none() {
            return Err(Error::TooBig);
        }
        let mut inode = self.read_file_inode(number)?;
        let mapping = self.map_inode(&inode, logical, count)?;
        if mapping.block.is_some() {
            return Ok(mapping);
        }
        let goal = self.goal_for(&inode, logical)?;
        let wanted = mapping.length.min(EXTENT_MAX);
        let (block, length) = self.allocate_blocks(goal, wanted, Purpose::Data)?;
        let extent = Extent { logical, length, block, unwritten: true };
        if let Err(error) = self.insert_extent(&mut inode, extent) {
            self.free_blocks(block, length)?;
            return Err(error);
        }
        self.charge(&mut inode, i64::from(length));
        self.write_inode(&mut inode)?;
        Ok(Mapping { logical, length, block: Some(block), unwritten: true })
    }

    /// Where the next block of a file should lie: behind the one before it.
    fn goal_for(&mut self, inode: &Inode, logical: u32) -> Result<u64> {
        let before = match logical.checked_sub(1) {
            Some(before) => self.map_inode(inode, before, 1)?.block,
            None => None,
        };
        Ok(before.map_or_else(|| self.inode_goal(inode.number), |block| block + 1))
    }

    /// The contents of `logical..logical + count` are on the device: they count from now on. `size`, if it is larger
    /// than the size on disk, becomes that.
    pub fn written(&mut self, number: u32, logical: u32, count: u32, size: u64) -> Result<()> {
        self.check_writable()?;
        let mut inode = self.read_file_inode(number)?;
        let end = logical.saturating_add(count);
        let mut at = logical;
        let mut changed = false;
        while at < end {
            let mapping = self.map_inode(&inode, at, end - at)?;
            if mapping.block.is_some() && mapping.unwritten {
                let taken = self.take_extent(&mut inode, at, at + mapping.length)?;
                let taken = taken.ok_or(Error::Corrupt("an extent that vanished"))?;
                self.insert_extent(&mut inode, Extent { unwritten: false, ..taken })?;
                changed = true;
            }
            at += mapping.length;
        }
        if size > inode.size() {
            inode.set_size(size);
            changed = true;
        }
        if changed { self.write_inode(&mut inode) } else { Ok(()) }
    }

    /// Sets a file's size on disk. Cutting off takes [`Volume::trim`] until that answers true; a crash in between
    /// leaves it to the next mount. The caller sees to the zeros behind the end in the last block.
    pub fn set_size(&mut self, number: u32, size: u64, now: Time) -> Result<()> {
        self.check_writable()?;
        if size > self.size_max() {
            return Err(Error::TooBig);
        }
        let mut inode = self.read_file_inode(number)?;
        let shrinks = size < inode.size();
        inode.set_size(size);
        inode.set_modified(now);
        inode.set_changed(now);
        let beyond = self.first_beyond(&inode);
        if shrinks && self.extent_from(&inode, beyond)?.is_some() {
            return self.add_orphan(&mut inode);
        }
        self.write_inode(&mut inode)
    }

    fn first_beyond(&self, inode: &Inode) -> u32 {
        let block = 1_u64 << self.geometry.block_shift;
        u32::try_from(inode.size().div_ceil(block)).unwrap_or(u32::MAX)
    }

    /// Frees blocks behind a file's end, a limited number of extents a call. True when there is nothing left to do;
    /// otherwise call again, with a commit in between if [`Volume::needs_commit`].
    pub fn trim(&mut self, number: u32) -> Result<bool> {
        self.check_writable()?;
        let mut inode = self.read_inode(number)?;
        let beyond = self.first_beyond(&inode);
        let done = self.free_range(&mut inode, beyond, u32::MAX)?;
        if done && inode.links() > 0 {
            self.remove_orphan(&mut inode)?;
        }
        self.write_inode(&mut inode)?;
        Ok(done)
    }

    /// Frees the blocks of `logical..logical + count`: they read as zeros. True when done, see [`Volume::trim`].
    pub fn punch(&mut self, number: u32, logical: u32, count: u32, now: Time) -> Result<bool> {
        self.check_writable()?;
        let mut inode = self.read_file_inode(number)?;
        inode.set_modified(now);
        inode.set_changed(now);
        let done = self.free_range(&mut inode, logical, logical.saturating_add(count))?;
        self.write_inode(&mut inode)?;
        Ok(done)
    }

    fn free_range(&mut self, inode: &mut Inode, from: u32, to: u32) -> Result<bool> {
        if !inode.flags().contains(InodeFlags::EXTENTS) {
            return Ok(true);
        }
        for _ in 0..STEP {
            let Some(taken) = self.take_extent(inode, from, to)? else { return Ok(true) };
            if inode.kind() == Some(Kind::Directory) || inode.kind() == Some(Kind::Symlink) {
                (taken.block..taken.block + u64::from(taken.length)).for_each(|block| self.buffers.forget(block));
            }
            self.free_blocks(taken.block, taken.length)?;
            self.charge(inode, -i64::from(taken.length));
        }
        Ok(self.extent_from(inode, from)?.is_none_or(|next| next.logical >= to))
    }

    /// Frees an inode without a name that nobody holds open any more, a limited number of extents a call. True when it
    /// is gone; otherwise call again, see [`Volume::trim`].
    pub fn evict(&mut self, number: u32, now: Time) -> Result<bool> {
        self.check_writable()?;
        let mut inode = self.read_inode(number)?;
        if inode.links() > 0 || number == ROOT {
            return Ok(true);
        }
        if !self.free_range(&mut inode, 0, u32::MAX)? {
            self.write_inode(&mut inode)?;
            return Ok(false);
        }
        self.release_xattrs(&mut inode)?;
        self.remove_orphan(&mut inode)?;
        self.free_inode(&mut inode, now)?;
        Ok(true)
    }
}
