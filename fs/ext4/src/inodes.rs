//! Inodes: reading, writing, making, giving back.

use crate::attributes::{Attributes, Kind, NewNode, SetAttributes, Time};
use crate::buffers::Seal;
use crate::bytes::{put_u32, u32_at};
use crate::extents::initialise_root;
use crate::layout::{GroupFlags, Inode, InodeFlags};
use crate::{Error, Result, Volume};

/// The top directory.
pub const ROOT: u32 = 2;

impl Volume {
    /// Block with an inode, and the byte there.
    fn inode_place(&self, number: u32) -> Result<(u32, u64, usize)> {
        let index = number.checked_sub(1).filter(|_| number <= self.geometry.inodes);
        let index = index.ok_or(Error::Corrupt("an inode number beyond the volume"))?;
        let (group, within) = (index / self.geometry.inodes_per_group, index % self.geometry.inodes_per_group);
        let byte = within as usize * self.geometry.inode_size;
        let block = self.groups[group as usize].inode_table() + (byte >> self.geometry.block_shift) as u64;
        Ok((group, block, byte & (self.geometry.block_size() - 1)))
    }

    /// An inode, whatever its state. Errors: `Io`, `Corrupt` by its checksum.
    pub(crate) fn read_raw_inode(&mut self, number: u32) -> Result<Inode> {
        let (_, block, at) = self.inode_place(number)?;
        let size = self.geometry.inode_size;
        let inode = Inode::parse(number, &self.buffers.get(block, Seal::None)?[at..at + size]);
        if self.geometry.checksums && !inode.is_intact(self.geometry.seed) {
            return Err(Error::Corrupt("checksum of an inode"));
        }
        Ok(inode)
    }

    /// An inode in use.
    pub(crate) fn read_inode(&mut self, number: u32) -> Result<Inode> {
        let inode = self.read_raw_inode(number)?;
        if inode.kind().is_none() {
            return Err(Error::NotFound);
        }
        if inode.flags().contains(InodeFlags::INLINE_DATA) {
            return Err(Error::Corrupt("contents in an inode, without the feature for it"));
        }
        Ok(inode)
    }

    /// A directory in use.
    pub(crate) fn read_directory_inode(&mut self, number: u32) -> Result<Inode> {
        let inode = self.read_inode(number)?;
        if inode.kind() == Some(Kind::Directory) { Ok(inode) } else { Err(Error::NotDirectory) }
    }

    /// Puts an inode into the running transaction.
    pub(crate) fn write_inode(&mut self, inode: &mut Inode) -> Result<()> {
        if self.geometry.checksums {
            inode.seal(self.geometry.seed);
        }
        let (_, block, at) = self.inode_place(inode.number)?;
        let raw = inode.raw();
        self.buffers.edit(block, Seal::None)?[at..at + raw.len()].copy_from_slice(raw);
        Ok(())
    }

    /// A block near which an inode's contents should lie.
    pub(crate) fn inode_goal(&self, number: u32) -> u64 {
        let group = number.saturating_sub(1) / self.geometry.inodes_per_group;
        self.geometry.group_start(group.min(self.geometry.groups - 1))
    }

    /// What the outside sees of an inode.
    pub fn attributes(&mut self, number: u32) -> Result<Attributes> {
        let inode = self.read_inode(number)?;
        let kind = inode.kind().ok_or(Error::NotFound)?;
        let (user, group) = inode.owner();
        Ok(Attributes {
            inode: number,
            kind,
            permissions: inode.mode() & 0o7777,
            user,
            group,
            links: u32::from(inode.links()),
            size: inode.size(),
            sectors: inode.sectors(self.geometry.block_shift),
            device: if matches!(kind, Kind::CharDevice | Kind::BlockDevice) { device_number(inode.block()) } else { 0 },
            generation: inode.generation(),
            accessed: inode.accessed(),
            modified: inode.modified(),
            changed: inode.changed(),
            created: inode.created(),
        })
    }

    /// Changes attributes.
    pub fn set_attributes(&mut self, number: u32, set: &SetAttributes) -> Result<()> {
        self.check_writable()?;
        let mut inode = self.read_inode(number)?;
        if let Some(permissions) = set.permissions {
            inode.set_mode(inode.mode() & 0o170_000 | permissions & 0o7777);
        }
        let (user, group) = inode.owner();
        inode.set_owner(set.user.unwrap_or(user), set.group.unwrap_or(group));
        if let Some(time) = set.accessed {
            inode.set_accessed(time);
        }
        if let Some(time) = set.modified {
            inode.set_modified(time);
        }
        if let Some(time) = set.changed {
            inode.set_changed(time);
        }
        self.write_inode(&mut inode)
    }

    /// Takes a free inode for a child of `parent`. Directories are spread, files stay with their directory.
    pub(crate) fn allocate_inode(&mut self, parent: u32, is_directory: bool) -> Result<u32> {
        let groups = self.geometry.groups;
        let near = parent.saturating_sub(1) / self.geometry.inodes_per_group;
        let first = if is_directory { self.group_for_directory(near) } else { near };
        for step in 0..groups {
            let group = (first + step) % groups;
            if self.groups[group as usize].free_inodes() > 0
                && let Some(number) = self.take_inode(group, is_directory)?
            {
                return Ok(number);
            }
        }
        Err(Error::NoSpace)
    }

    /// A group with more than its share of free inodes and blocks: the parent's own if it will do.
    fn group_for_directory(&self, near: u32) -> u32 {
        let groups = self.geometry.groups;
        let (inodes, blocks) = (self.free_inodes / groups, (self.free_blocks / u64::from(groups)) as u32);
        (0..groups)
            .map(|step| (near + step) % groups)
            .find(|group| {
                let descriptor = &self.groups[*group as usize];
                descriptor.free_inodes() >= inodes && descriptor.free_blocks() >= blocks && descriptor.free_inodes() > 0
            })
            .unwrap_or(near)
    }

    fn take_inode(&mut self, group: u32, is_directory: bool) -> Result<Option<u32>> {
        let inodes = self.geometry.inodes_per_group;
        let place = self.inode_bitmap(group)?;
        let reserved = if group == 0 { self.geometry.first_inode - 1 } else { 0 };
        let bitmap = self.buffers.edit(place, Seal::None)?;
        let Some(bit) = (reserved..inodes).find(|bit| bitmap[*bit as usize / 8] >> (bit % 8) & 1 == 0) else {
            return Ok(None);
        };
        bitmap[bit as usize / 8] |= 1 << (bit % 8);
        self.prepare_table(group, bit);
        let descriptor = &mut self.groups[group as usize];
        let left = descriptor.free_inodes().checked_sub(1).ok_or(Error::Corrupt("a group's count of free inodes"))?;
        descriptor.set_free_inodes(left);
        descriptor.set_unused_inodes(descriptor.unused_inodes().min(inodes - 1 - bit));
        if is_directory {
            descriptor.set_directories(descriptor.directories() + 1);
        }
        self.free_inodes = self.free_inodes.saturating_sub(1);
        self.note_group(group, false, true);
        Ok(Some(group * inodes + bit + 1))
    }

    /// Zeroes the block of the table where inode `bit` lies, if it was never in use and may hold anything.
    fn prepare_table(&mut self, group: u32, bit: u32) {
        let descriptor = &self.groups[group as usize];
        if descriptor.flags().contains(GroupFlags::INODE_ZEROED) {
            return;
        }
        let per_block = (self.geometry.block_size() / self.geometry.inode_size) as u32;
        let used = self.geometry.inodes_per_group - descriptor.unused_inodes();
        let block = descriptor.inode_table() + u64::from(bit / per_block);
        if used <= bit / per_block * per_block {
            self.buffers.create(block, Seal::None);
        }
    }

    /// Gives an inode's number back. Its blocks are gone already.
    pub(crate) fn free_inode(&mut self, inode: &mut Inode, now: Time) -> Result<()> {
        let is_directory = inode.kind() == Some(Kind::Directory);
        inode.set_deletion(now.seconds as u32);
        inode.set_size(0);
        inode.set_mode(0);
        self.write_inode(inode)?;
        let (group, ..) = self.inode_place(inode.number)?;
        let bit = (inode.number - 1) % self.geometry.inodes_per_group;
        let place = self.inode_bitmap(group)?;
        let bitmap = self.buffers.edit(place, Seal::None)?;
        if bitmap[bit as usize / 8] >> (bit % 8) & 1 == 0 {
            return Err(Error::Corrupt("an inode in use that the bitmap calls free"));
        }
        bitmap[bit as usize / 8] &= !(1 << (bit % 8));
        let descriptor = &mut self.groups[group as usize];
        descriptor.set_free_inodes(descriptor.free_inodes() + 1);
        if is_directory {
            descriptor.set_directories(descriptor.directories().saturating_sub(1));
        }
        self.free_inodes += 1;
        self.note_group(group, false, true);
        Ok(())
    }

    /// Makes an inode without a name; it is not written yet.
    pub(crate) fn new_inode(&mut self, parent: &Inode, node: &NewNode, permissions: u16, now: Time) -> Result<Inode> {
        let kind = node.kind();
        let number = self.allocate_inode(parent.number, kind == Kind::Directory)?;
        let extra = self.superblock.wanted_extra_isize();
        let mut inode = Inode::new(number, self.geometry.inode_size, extra);
        self.generation = self.generation.wrapping_mul(0x5851_f42d).wrapping_add(now.nanoseconds | 1);
        inode.set_generation(self.generation);
        inode.set_mode(kind.mode_bits() | permissions & 0o7777);
        inode.set_owner(0, 0);
        inode.set_links(if kind == Kind::Directory { 2 } else { 1 });
        inode.set_accessed(now);
        inode.set_changed(now);
        inode.set_modified(now);
        inode.set_created(now);
        match node {
            NewNode::Regular | NewNode::Directory => {
                inode.set_flags(InodeFlags::EXTENTS);
                initialise_root(inode.block_mut());
            }
            NewNode::CharDevice(number) | NewNode::BlockDevice(number) => put_u32(inode.block_mut(), 4, *number),
            // A target that does not fit the inode gets its block by the caller.
            NewNode::Symlink(_) | NewNode::Fifo | NewNode::Socket => (),
        }
        Ok(inode)
    }
}

/// Device number of a node: the old 16-bit form in the first word, or the wide one in the second.
fn device_number(block: &[u8]) -> u32 {
    match u32_at(block, 0) {
        0 => u32_at(block, 4),
        old => old,
    }
}
