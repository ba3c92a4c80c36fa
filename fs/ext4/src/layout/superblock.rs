//! `struct ext4_super_block`: 1024 bytes at byte 1024 of the device.

use super::features::{Compatible, Incompatible, ReadOnlyCompatible};
use crate::bytes::{high, low, put_u16, put_u32, split_u64, u16_at, u32_at};
use crate::checksum::crc32c;
use alloc::boxed::Box;

/// Where it lies on the device, in bytes.
pub const OFFSET: u64 = 1024;
/// Its size in bytes.
pub const SIZE: usize = 1024;
const MAGIC: u16 = 0xef53;
const CHECKSUM: usize = 0x3fc;

/// The superblock. Getters are named as in the documentation of the format.
#[derive(Clone)]
pub struct Superblock {
    raw: Box<[u8; SIZE]>,
}

impl Superblock {
    /// Over its bytes. None without ext4's magic number.
    pub fn parse(raw: Box<[u8; SIZE]>) -> Option<Self> {
        (u16_at(&raw[..], 0x38) == MAGIC).then_some(Self { raw })
    }

    pub fn raw(&self) -> &[u8] {
        &self.raw[..]
    }

    pub fn compatible(&self) -> Compatible {
        Compatible::from_bits_retain(u32_at(self.raw(), 0x5c))
    }

    pub fn incompatible(&self) -> Incompatible {
        Incompatible::from_bits_retain(u32_at(self.raw(), 0x60))
    }

    pub fn read_only_compatible(&self) -> ReadOnlyCompatible {
        ReadOnlyCompatible::from_bits_retain(u32_at(self.raw(), 0x64))
    }

    pub fn has_metadata_checksums(&self) -> bool {
        self.read_only_compatible().contains(ReadOnlyCompatible::METADATA_CHECKSUM)
    }

    pub fn inodes_count(&self) -> u32 {
        u32_at(self.raw(), 0x0)
    }

    pub fn blocks_count(&self) -> u64 {
        match self.incompatible().contains(Incompatible::BITS_64) {
            true => split_u64(self.raw(), 0x4, 0x150),
            false => u64::from(u32_at(self.raw(), 0x4)),
        }
    }

    /// Blocks that only root may use.
    pub fn reserved_blocks(&self) -> u64 {
        split_u64(self.raw(), 0x8, 0x154)
    }

    pub fn first_data_block(&self) -> u64 {
        u64::from(u32_at(self.raw(), 0x14))
    }

    /// log2 of the block size, if it is 1, 2 or 4 KiB.
    pub fn block_shift(&self) -> Option<u32> {
        let shift = u32_at(self.raw(), 0x18);
        (shift <= 2).then_some(10 + shift)
    }

    pub fn blocks_per_group(&self) -> u32 {
        u32_at(self.raw(), 0x20)
    }

    pub fn inodes_per_group(&self) -> u32 {
        u32_at(self.raw(), 0x28)
    }

    pub fn magic_revision(&self) -> u32 {
        u32_at(self.raw(), 0x4c)
    }

    /// First inode that a file may have.
    pub fn first_inode(&self) -> u32 {
        u32_at(self.raw(), 0x54)
    }

    pub fn inode_size(&self) -> usize {
        usize::from(u16_at(self.raw(), 0x58))
    }

    pub fn uuid(&self) -> &[u8] {
        &self.raw[0x68..0x78]
    }

    pub fn journal_inode(&self) -> u32 {
        u32_at(self.raw(), 0xe0)
    }

    /// Blocks kept behind the group descriptors for growing.
    pub fn reserved_descriptor_blocks(&self) -> u64 {
        u64::from(u16_at(self.raw(), 0xce))
    }

    pub fn hash_seed(&self) -> [u32; 4] {
        core::array::from_fn(|i| u32_at(self.raw(), 0xec + 4 * i))
    }

    pub fn default_hash_version(&self) -> u8 {
        self.raw[0xfc]
    }

    /// Whether names are hashed as unsigned characters.
    pub fn unsigned_hash(&self) -> bool {
        u32_at(self.raw(), 0x160) & 2 != 0
    }

    /// Size of a group descriptor in bytes.
    pub fn descriptor_size(&self) -> usize {
        match self.incompatible().contains(Incompatible::BITS_64) {
            true => usize::from(u16_at(self.raw(), 0xfe)),
            false => 32,
        }
    }

    /// Bytes beyond the first 128 that a new inode uses.
    pub fn wanted_extra_isize(&self) -> u16 {
        u16_at(self.raw(), 0x15e).max(u16_at(self.raw(), 0x15c))
    }

    /// The two groups that hold copies under `sparse_super2`.
    pub fn backup_groups(&self) -> [u32; 2] {
        [u32_at(self.raw(), 0x24c), u32_at(self.raw(), 0x250)]
    }

    /// What metadata checksums start from.
    pub fn checksum_seed(&self) -> u32 {
        match self.incompatible().contains(Incompatible::CHECKSUM_SEED) {
            true => u32_at(self.raw(), 0x270),
            false => crc32c(!0, self.uuid()),
        }
    }

    /// Notes that this mount met an error.
    pub fn set_has_errors(&mut self) {
        let state = u16_at(self.raw(), 0x3a) | 2;
        put_u16(&mut self.raw[..], 0x3a, state);
    }

    pub fn last_orphan(&self) -> u32 {
        u32_at(self.raw(), 0xe8)
    }

    pub fn set_last_orphan(&mut self, inode: u32) {
        put_u32(&mut self.raw[..], 0xe8, inode);
    }

    pub fn set_free(&mut self, blocks: u64, inodes: u32) {
        put_u32(&mut self.raw[..], 0xc, low(blocks));
        if self.incompatible().contains(Incompatible::BITS_64) {
            put_u32(&mut self.raw[..], 0x158, high(blocks));
        }
        put_u32(&mut self.raw[..], 0x10, inodes);
    }

    /// Marks the journal as one that a next mount must look into, or not.
    pub fn set_needs_recovery(&mut self, yes: bool) {
        let mut features = self.incompatible();
        features.set(Incompatible::RECOVER, yes);
        put_u32(&mut self.raw[..], 0x60, features.bits());
    }

    /// Notes a mount at `seconds` since 1970.
    pub fn note_mount(&mut self, seconds: u32) {
        put_u32(&mut self.raw[..], 0x2c, seconds);
        let mounts = u16_at(self.raw(), 0x34).saturating_add(1);
        put_u16(&mut self.raw[..], 0x34, mounts);
    }

    /// Notes the time of a write.
    pub fn note_write(&mut self, seconds: u32) {
        put_u32(&mut self.raw[..], 0x30, seconds);
    }

    /// Whether its checksum is right, where it has one.
    pub fn is_intact(&self) -> bool {
        !self.has_metadata_checksums() || u32_at(self.raw(), CHECKSUM) == crc32c(!0, &self.raw[..CHECKSUM])
    }

    /// Renews its checksum, where it has one.
    pub fn seal(&mut self) {
        if self.has_metadata_checksums() {
            let sum = crc32c(!0, &self.raw[..CHECKSUM]);
            put_u32(&mut self.raw[..], CHECKSUM, sum);
        }
    }
}
