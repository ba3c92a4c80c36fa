//! Block groups: where their bitmaps and tables are, and keeping descriptors and bitmap checksums true.

use crate::buffers::Seal;
use crate::checksum::{crc16, crc32c};
use crate::layout::group::CHECKSUM;
use crate::layout::{Compatible, Group, GroupFlags, ReadOnlyCompatible, Superblock};
use crate::{Error, MountError, Result, Volume};
use alloc::format;

/// Numbers of a volume that never change while it is mounted.
#[derive(Clone)]
pub struct Geometry {
    /// log2 of the block size in bytes.
    pub block_shift: u32,
    /// Blocks of the volume.
    pub blocks: u64,
    /// Block that group 0 begins with: 1 with blocks of 1 KiB, else 0.
    pub first_data_block: u64,
    pub blocks_per_group: u32,
    pub inodes_per_group: u32,
    pub inodes: u32,
    pub first_inode: u32,
    pub inode_size: usize,
    pub descriptor_size: usize,
    pub groups: u32,
    /// What metadata checksums start from.
    pub seed: u32,
    /// Whether metadata has checksums.
    pub checksums: bool,
}

impl Geometry {
    /// Reads it from a superblock; a sentence about what is impossible in it otherwise.
    pub fn of(superblock: &Superblock, device_size: u64) -> core::result::Result<Self, MountError> {
        let refuse = |what: &str| Err(MountError(format!("the superblock is damaged or of another kind: {what}")));
        let Some(block_shift) = superblock.block_shift() else { return refuse("blocks are not of 1, 2 or 4 KiB") };
        let block_size = 1u32 << block_shift;
        let first_data_block = superblock.first_data_block();
        let blocks = superblock.blocks_count();
        let (blocks_per_group, inodes_per_group) = (superblock.blocks_per_group(), superblock.inodes_per_group());
        if superblock.magic_revision() == 0 {
            return refuse("revision 0 (of before 1997)");
        }
        if first_data_block != u64::from(block_shift == 10) || blocks <= first_data_block {
            return refuse("first data block");
        }
        if blocks_per_group == 0 || blocks_per_group > 8 * block_size || blocks_per_group % 8 != 0 {
            return refuse("blocks per group");
        }
        let inode_size = superblock.inode_size();
        if !inode_size.is_power_of_two() || inode_size < 128 || inode_size > block_size as usize {
            return refuse("inode size");
        }
        let per_block = block_size / inode_size as u32;
        if inodes_per_group == 0 || inodes_per_group > 8 * block_size || inodes_per_group % per_block != 0 {
            return refuse("inodes per group");
        }
        let descriptor_size = superblock.descriptor_size();
        if !descriptor_size.is_power_of_two() || !(32..=1024).contains(&descriptor_size) {
            return refuse("descriptor size");
        }
        let bytes = blocks.saturating_mul(u64::from(block_size));
        if bytes > device_size {
            return Err(MountError(format!("it is {bytes} bytes long, but the device has only {device_size}")));
        }
        let groups = (blocks - first_data_block).div_ceil(u64::from(blocks_per_group));
        let Ok(groups) = u32::try_from(groups) else { return refuse("more than 2^32 groups") };
        if groups.checked_mul(inodes_per_group) != Some(superblock.inodes_count()) {
            return refuse("the number of inodes is not that of the groups");
        }
        Ok(Self {
            block_shift,
            blocks,
            first_data_block,
            blocks_per_group,
            inodes_per_group,
            inodes: superblock.inodes_count(),
            first_inode: superblock.first_inode(),
            inode_size,
            descriptor_size,
            groups,
            seed: superblock.checksum_seed(),
            checksums: superblock.has_metadata_checksums(),
        })
    }

    pub fn block_size(&self) -> usize {
        1 << self.block_shift
    }

    pub fn group_start(&self, group: u32) -> u64 {
        self.first_data_block + u64::from(group) * u64::from(self.blocks_per_group)
    }

    /// Blocks of a group: the last one may be short.
    pub fn group_length(&self, group: u32) -> u32 {
        (self.blocks - self.group_start(group)).min(u64::from(self.blocks_per_group)) as u32
    }

    /// Group of a block, and its bit there. None beyond the volume.
    pub fn group_of(&self, block: u64) -> Option<(u32, u32)> {
        let within = block.checked_sub(self.first_data_block).filter(|_| block < self.blocks)?;
        let per_group = u64::from(self.blocks_per_group);
        Some(((within / per_group) as u32, (within % per_group) as u32))
    }

    /// Descriptors in a block.
    pub fn descriptors_per_block(&self) -> u32 {
        (self.block_size() / self.descriptor_size) as u32
    }

    /// Blocks of descriptors.
    pub fn descriptor_blocks(&self) -> u32 {
        self.groups.div_ceil(self.descriptors_per_block())
    }

    /// Block with a group's descriptor, and the byte there.
    pub fn descriptor_place(&self, group: u32) -> (u64, usize) {
        let per_block = self.descriptors_per_block();
        let block = self.first_data_block + 1 + u64::from(group / per_block);
        (block, (group % per_block) as usize * self.descriptor_size)
    }

    /// Blocks of a group's inode table.
    pub fn table_blocks(&self) -> u32 {
        self.inodes_per_group / (self.block_size() / self.inode_size) as u32
    }
}

/// Sets the bits `from..to`.
pub fn set_bits(bitmap: &mut [u8], from: u32, to: u32) {
    for bit in from..to {
        bitmap[bit as usize / 8] |= 1 << (bit % 8);
    }
}

/// Whether a group begins with copies of superblock and descriptors.
fn has_copy(superblock: &Superblock, group: u32) -> bool {
    if superblock.compatible().contains(Compatible::SPARSE_SUPER2) {
        return group == 0 || superblock.backup_groups().contains(&group);
    }
    if group <= 1 || !superblock.read_only_compatible().contains(ReadOnlyCompatible::SPARSE_SUPER) {
        return true;
    }
    let is_power_of = |base: u32| {
        let mut power = base;
        while power < group {
            match power.checked_mul(base) {
                Some(next) => power = next,
                None => return false,
            }
        }
        power == group
    };
    is_power_of(3) || is_power_of(5) || is_power_of(7)
}

impl Volume {
    /// Block of a group's block bitmap, which is made first if it never was. Its checksum is looked at once.
    pub(crate) fn block_bitmap(&mut self, group: u32) -> Result<u64> {
        let descriptor = &self.groups[group as usize];
        let block = descriptor.block_bitmap();
        if descriptor.flags().contains(GroupFlags::BLOCK_UNINIT) {
            self.make_block_bitmap(group, block);
        } else if self.geometry.checksums && !self.checked_bitmaps[group as usize].0 {
            let kept = descriptor.bitmap_checksums().0;
            let bytes = self.geometry.blocks_per_group as usize / 8;
            let sum = crc32c(self.geometry.seed, &self.buffers.get(block, Seal::None)?[..bytes]);
            if self.groups[group as usize].kept_checksum(sum) != kept {
                return Err(Error::Corrupt("checksum of a block bitmap"));
            }
        }
        self.checked_bitmaps[group as usize].0 = true;
        Ok(block)
    }

    fn make_block_bitmap(&mut self, group: u32, block: u64) {
        let geometry = self.geometry.clone();
        let (start, length) = (geometry.group_start(group), geometry.group_length(group));
        let own = if has_copy(&self.superblock, group) {
            1 + geometry.descriptor_blocks() + self.superblock.reserved_descriptor_blocks() as u32
        } else {
            0
        };
        let descriptor = &self.groups[group as usize];
        let places = [
            (descriptor.block_bitmap(), 1),
            (descriptor.inode_bitmap(), 1),
            (descriptor.inode_table(), geometry.table_blocks()),
        ];
        let bitmap = self.buffers.create(block, Seal::None);
        set_bits(bitmap, 0, own);
        for (place, count) in places {
            for block in place..place + u64::from(count) {
                if block >= start && block < start + u64::from(length) {
                    let bit = (block - start) as u32;
                    set_bits(bitmap, bit, bit + 1);
                }
            }
        }
        set_bits(bitmap, length, 8 * geometry.block_size() as u32);
        let flags = self.groups[group as usize].flags() - GroupFlags::BLOCK_UNINIT;
        self.groups[group as usize].set_flags(flags);
        self.note_group(group, true, false);
    }

    /// Block of a group's inode bitmap, which is made first if it never was. Its checksum is looked at once.
    pub(crate) fn inode_bitmap(&mut self, group: u32) -> Result<u64> {
        let descriptor = &self.groups[group as usize];
        let (block, flags) = (descriptor.inode_bitmap(), descriptor.flags());
        if flags.contains(GroupFlags::INODE_UNINIT) {
            let (inodes, bits) = (self.geometry.inodes_per_group, 8 * self.geometry.block_size() as u32);
            set_bits(self.buffers.create(block, Seal::None), inodes, bits);
            let descriptor = &mut self.groups[group as usize];
            descriptor.set_flags(flags - GroupFlags::INODE_UNINIT);
            descriptor.set_unused_inodes(inodes);
            self.note_group(group, false, true);
        } else if self.geometry.checksums && !self.checked_bitmaps[group as usize].1 {
            let kept = descriptor.bitmap_checksums().1;
            let bytes = self.geometry.inodes_per_group as usize / 8;
            let sum = crc32c(self.geometry.seed, &self.buffers.get(block, Seal::None)?[..bytes]);
            if self.groups[group as usize].kept_checksum(sum) != kept {
                return Err(Error::Corrupt("checksum of an inode bitmap"));
            }
        }
        self.checked_bitmaps[group as usize].1 = true;
        Ok(block)
    }

    /// A group's descriptor has changed, and perhaps its bitmaps.
    pub(crate) fn note_group(&mut self, group: u32, block_bitmap: bool, inode_bitmap: bool) {
        let noted = self.changed_groups.entry(group).or_insert((false, false));
        noted.0 |= block_bitmap;
        noted.1 |= inode_bitmap;
    }

    /// Brings what changed in groups and superblock into the running transaction.
    pub(crate) fn settle_groups(&mut self) -> Result<()> {
        for (group, (block_bitmap, inode_bitmap)) in core::mem::take(&mut self.changed_groups) {
            let index = group as usize;
            if self.geometry.checksums && block_bitmap {
                let (place, bytes) = (self.groups[index].block_bitmap(), self.geometry.blocks_per_group as usize / 8);
                let sum = crc32c(self.geometry.seed, &self.buffers.get(place, Seal::None)?[..bytes]);
                self.groups[index].set_block_bitmap_checksum(sum);
            }
            if self.geometry.checksums && inode_bitmap {
                let (place, bytes) = (self.groups[index].inode_bitmap(), self.geometry.inodes_per_group as usize / 8);
                let sum = crc32c(self.geometry.seed, &self.buffers.get(place, Seal::None)?[..bytes]);
                self.groups[index].set_inode_bitmap_checksum(sum);
            }
            let sum = self.descriptor_checksum(group);
            self.groups[index].set_checksum(sum);
            let (place, at) = self.geometry.descriptor_place(group);
            let raw = self.groups[index].raw();
            self.buffers.edit(place, Seal::None)?[at..at + raw.len()].copy_from_slice(raw);
        }
        if self.superblock_has_changed() {
            self.logged_orphan = self.superblock.last_orphan();
            self.superblock.seal();
            let at = if self.geometry.first_data_block == 0 { 1024 } else { 0 };
            let block = self.buffers.edit(self.geometry.first_data_block, Seal::None)?;
            block[at..at + 1024].copy_from_slice(self.superblock.raw());
        }
        Ok(())
    }

    /// Whether the superblock has to go into the running transaction. Its two sectors share a checksum, and a write
    /// torn between them leaves a volume that nothing opens: so it goes only when the list of orphans asks for it. Its
    /// counts of free blocks and inodes are renewed at the end of the mount, and summed up from the groups by whoever
    /// mounts next.
    pub(crate) fn superblock_has_changed(&self) -> bool {
        self.superblock.last_orphan() != self.logged_orphan
    }

    /// The checksum that a group's descriptor has to have.
    pub(crate) fn descriptor_checksum(&self, group: u32) -> u16 {
        let raw = self.groups[group as usize].raw();
        let number = group.to_le_bytes();
        if self.geometry.checksums {
            let mut sum = crc32c(crc32c(self.geometry.seed, &number), &raw[..CHECKSUM]);
            sum = crc32c(crc32c(sum, &[0, 0]), &raw[CHECKSUM + 2..]);
            sum as u16
        } else if self.superblock.read_only_compatible().contains(ReadOnlyCompatible::GDT_CHECKSUM) {
            crc16(&[self.superblock.uuid(), &number, &raw[..CHECKSUM], &raw[CHECKSUM + 2..]])
        } else {
            0
        }
    }
}

/// The descriptors of all groups, checked. Called while mounting, before anything is written.
pub fn read_groups(volume: &mut Volume) -> core::result::Result<(), MountError> {
    for group in 0..volume.geometry.groups {
        let (block, at) = volume.geometry.descriptor_place(group);
        let size = volume.geometry.descriptor_size;
        let raw = volume.buffers.get(block, Seal::None);
        let raw = raw.map_err(|_| MountError(format!("the descriptor of group {group} cannot be read")))?;
        volume.groups.push(Group::parse(&raw[at..at + size]));
        let descriptor = &volume.groups[group as usize];
        if descriptor.checksum() != volume.descriptor_checksum(group) {
            return Err(MountError(format!(
                "the checksum of group {group}'s descriptor is wrong: run e2fsck on the image"
            )));
        }
        let table_end = descriptor.inode_table().saturating_add(u64::from(volume.geometry.table_blocks()));
        let is_inside = |block: u64| block > volume.geometry.first_data_block && block < volume.geometry.blocks;
        if !is_inside(descriptor.block_bitmap())
            || !is_inside(descriptor.inode_bitmap())
            || !is_inside(descriptor.inode_table())
            || table_end > volume.geometry.blocks
        {
            return Err(MountError(format!("group {group} has its bitmaps or inodes beyond the volume")));
        }
        volume.free_blocks += u64::from(descriptor.free_blocks());
        volume.free_inodes = volume.free_inodes.saturating_add(descriptor.free_inodes());
    }
    Ok(())
}
