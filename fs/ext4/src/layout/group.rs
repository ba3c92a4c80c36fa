//! `struct ext4_group_desc`.

use crate::bytes::{put_u16, u16_at, u32_at};
use alloc::vec::Vec;
use bitflags::bitflags;

bitflags! {
    /// `bg_flags`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct GroupFlags: u16 {
        /// The inode bitmap and table were never written.
        const INODE_UNINIT = 1;
        /// The block bitmap was never written.
        const BLOCK_UNINIT = 2;
        /// The inode table was zeroed.
        const INODE_ZEROED = 4;
    }
}

/// Where the checksum lies in a descriptor.
pub const CHECKSUM: usize = 0x1e;

/// A group descriptor, as the bytes that it has on disk: 32, or 64 with `64bit`.
#[derive(Clone)]
pub struct Group {
    raw: Vec<u8>,
}

impl Group {
    pub fn parse(raw: &[u8]) -> Self {
        Self { raw: raw.to_vec() }
    }

    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    fn is_wide(&self) -> bool {
        self.raw.len() >= 64
    }

    fn wide_u32(&self, at: usize, high_at: usize) -> u64 {
        let upper = if self.is_wide() { u32_at(&self.raw, high_at) } else { 0 };
        u64::from(u32_at(&self.raw, at)) | u64::from(upper) << 32
    }

    fn wide_u16(&self, at: usize, high_at: usize) -> u32 {
        let upper = if self.is_wide() { u16_at(&self.raw, high_at) } else { 0 };
        u32::from(u16_at(&self.raw, at)) | u32::from(upper) << 16
    }

    fn put_wide_u16(&mut self, at: usize, high_at: usize, value: u32) {
        put_u16(&mut self.raw, at, value as u16);
        if self.is_wide() {
            put_u16(&mut self.raw, high_at, (value >> 16) as u16);
        }
    }

    pub fn block_bitmap(&self) -> u64 {
        self.wide_u32(0x0, 0x20)
    }

    pub fn inode_bitmap(&self) -> u64 {
        self.wide_u32(0x4, 0x24)
    }

    pub fn inode_table(&self) -> u64 {
        self.wide_u32(0x8, 0x28)
    }

    pub fn free_blocks(&self) -> u32 {
        self.wide_u16(0xc, 0x2c)
    }

    pub fn set_free_blocks(&mut self, count: u32) {
        self.put_wide_u16(0xc, 0x2c, count);
    }

    pub fn free_inodes(&self) -> u32 {
        self.wide_u16(0xe, 0x2e)
    }

    pub fn set_free_inodes(&mut self, count: u32) {
        self.put_wide_u16(0xe, 0x2e, count);
    }

    pub fn directories(&self) -> u32 {
        self.wide_u16(0x10, 0x30)
    }

    pub fn set_directories(&mut self, count: u32) {
        self.put_wide_u16(0x10, 0x30, count);
    }

    pub fn flags(&self) -> GroupFlags {
        GroupFlags::from_bits_retain(u16_at(&self.raw, 0x12))
    }

    pub fn set_flags(&mut self, flags: GroupFlags) {
        put_u16(&mut self.raw, 0x12, flags.bits());
    }

    /// Inodes at the end of the table that were never used.
    pub fn unused_inodes(&self) -> u32 {
        self.wide_u16(0x1c, 0x32)
    }

    pub fn set_unused_inodes(&mut self, count: u32) {
        self.put_wide_u16(0x1c, 0x32, count);
    }

    /// The checksums of the two bitmaps; without `64bit` just 16 bits of each are kept.
    pub fn bitmap_checksums(&self) -> (u32, u32) {
        (self.wide_u16(0x18, 0x38), self.wide_u16(0x1a, 0x3a))
    }

    pub fn set_block_bitmap_checksum(&mut self, sum: u32) {
        self.put_wide_u16(0x18, 0x38, sum);
    }

    pub fn set_inode_bitmap_checksum(&mut self, sum: u32) {
        self.put_wide_u16(0x1a, 0x3a, sum);
    }

    /// The bits of a bitmap's checksum that are kept.
    pub fn kept_checksum(&self, sum: u32) -> u32 {
        if self.is_wide() { sum } else { sum & 0xffff }
    }

    pub fn checksum(&self) -> u16 {
        u16_at(&self.raw, CHECKSUM)
    }

    pub fn set_checksum(&mut self, sum: u16) {
        put_u16(&mut self.raw, CHECKSUM, sum);
    }
}
