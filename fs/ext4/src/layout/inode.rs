//! `struct ext4_inode`.

use crate::attributes::{Kind, Time};
use crate::bytes::{high, low, put_u16, put_u32, u16_at, u32_at};
use crate::checksum::crc32c;
use alloc::vec;
use alloc::vec::Vec;
use bitflags::bitflags;

bitflags! {
    /// `i_flags`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct InodeFlags: u32 {
        const IMMUTABLE = 0x10;
        const APPEND = 0x20;
        /// A directory with a hash tree.
        const INDEX = 0x1000;
        /// `i_blocks` counts file system blocks.
        const HUGE_FILE = 0x4_0000;
        const EXTENTS = 0x8_0000;
        const INLINE_DATA = 0x1000_0000;
    }
}

/// Where `i_block`, the root of the extent tree or a short link's target, lies.
pub const BLOCK: usize = 0x28;
/// Size of `i_block` in bytes.
pub const BLOCK_SIZE: usize = 60;
/// Where what an inode may have more than 128 bytes begins.
const EXTRA: usize = 0x80;
const CHECKSUM_LOW: usize = 0x7c;
const CHECKSUM_HIGH: usize = 0x82;

/// An inode: a copy of its bytes, with its number.
#[derive(Clone)]
pub struct Inode {
    pub number: u32,
    raw: Vec<u8>,
}

impl Inode {
    pub fn parse(number: u32, raw: &[u8]) -> Self {
        Self { number, raw: raw.to_vec() }
    }

    /// An empty one. `extra` is how many bytes after the first 128 have a meaning.
    pub fn new(number: u32, size: usize, extra: u16) -> Self {
        let mut raw = vec![0; size];
        if size > EXTRA {
            put_u16(&mut raw, EXTRA, extra.min((size - EXTRA) as u16) & !3);
        }
        Self { number, raw }
    }

    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub fn mode(&self) -> u16 {
        u16_at(&self.raw, 0x0)
    }

    pub fn set_mode(&mut self, mode: u16) {
        put_u16(&mut self.raw, 0x0, mode);
    }

    /// None for a mode that names no kind.
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_mode(self.mode())
    }

    pub fn owner(&self) -> (u32, u32) {
        let join = |low_at, high_at| u32::from(u16_at(&self.raw, low_at)) | u32::from(u16_at(&self.raw, high_at)) << 16;
        (join(0x2, 0x78), join(0x18, 0x7a))
    }

    pub fn set_owner(&mut self, user: u32, group: u32) {
        for (value, low_at, high_at) in [(user, 0x2, 0x78), (group, 0x18, 0x7a)] {
            put_u16(&mut self.raw, low_at, value as u16);
            put_u16(&mut self.raw, high_at, (value >> 16) as u16);
        }
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        u64::from(u32_at(&self.raw, 0x4)) | u64::from(u32_at(&self.raw, 0x6c)) << 32
    }

    pub fn set_size(&mut self, size: u64) {
        put_u32(&mut self.raw, 0x4, low(size));
        put_u32(&mut self.raw, 0x6c, high(size));
    }

    pub fn links(&self) -> u16 {
        u16_at(&self.raw, 0x1a)
    }

    pub fn set_links(&mut self, links: u16) {
        put_u16(&mut self.raw, 0x1a, links);
    }

    /// Space in use, in 512-byte sectors.
    pub fn sectors(&self, block_shift: u32) -> u64 {
        let count = u64::from(u32_at(&self.raw, 0x1c)) | u64::from(u16_at(&self.raw, 0x74)) << 32;
        if self.flags().contains(InodeFlags::HUGE_FILE) { count << (block_shift - 9) } else { count }
    }

    /// Sets the space in use; over 2^48 sectors in units of blocks, as `huge_file` has it.
    pub fn set_sectors(&mut self, sectors: u64, block_shift: u32) {
        let mut flags = self.flags();
        let huge = sectors >= 1 << 48;
        flags.set(InodeFlags::HUGE_FILE, huge);
        self.set_flags(flags);
        let count = if huge { sectors >> (block_shift - 9) } else { sectors };
        put_u32(&mut self.raw, 0x1c, low(count));
        put_u16(&mut self.raw, 0x74, (count >> 32) as u16);
    }

    pub fn flags(&self) -> InodeFlags {
        InodeFlags::from_bits_retain(u32_at(&self.raw, 0x20))
    }

    pub fn set_flags(&mut self, flags: InodeFlags) {
        put_u32(&mut self.raw, 0x20, flags.bits());
    }

    pub fn generation(&self) -> u32 {
        u32_at(&self.raw, 0x64)
    }

    pub fn set_generation(&mut self, generation: u32) {
        put_u32(&mut self.raw, 0x64, generation);
    }

    /// Block of extended attributes; 0: none.
    pub fn xattr_block(&self) -> u64 {
        u64::from(u32_at(&self.raw, 0x68)) | u64::from(u16_at(&self.raw, 0x76)) << 32
    }

    pub fn set_xattr_block(&mut self, block: u64) {
        put_u32(&mut self.raw, 0x68, low(block));
        put_u16(&mut self.raw, 0x76, high(block) as u16);
    }

    /// Time of deletion, or the next orphan while the inode is one.
    pub fn deletion(&self) -> u32 {
        u32_at(&self.raw, 0x14)
    }

    pub fn set_deletion(&mut self, value: u32) {
        put_u32(&mut self.raw, 0x14, value);
    }

    pub fn block(&self) -> &[u8] {
        &self.raw[BLOCK..BLOCK + BLOCK_SIZE]
    }

    pub fn block_mut(&mut self) -> &mut [u8] {
        &mut self.raw[BLOCK..BLOCK + BLOCK_SIZE]
    }

    /// Bytes after the first 128 that have a meaning.
    fn extra(&self) -> usize {
        if self.raw.len() > EXTRA { usize::from(u16_at(&self.raw, EXTRA)) } else { 0 }
    }

    fn has(&self, field: usize) -> bool {
        field + 4 <= EXTRA + self.extra() && field + 4 <= self.raw.len()
    }

    /// The room behind the fields, where small extended attributes live.
    pub fn tail(&self) -> &[u8] {
        self.raw.get(EXTRA + self.extra()..).filter(|_| self.extra() > 0).unwrap_or(&[])
    }

    pub fn tail_mut(&mut self) -> &mut [u8] {
        let at = EXTRA + self.extra();
        if self.extra() == 0 {
            return &mut [];
        }
        self.raw.get_mut(at..).unwrap_or(&mut [])
    }

    fn time(&self, at: usize, extra_at: usize) -> Time {
        let seconds = i64::from(u32_at(&self.raw, at).cast_signed());
        if !self.has(extra_at) {
            return Time { seconds, nanoseconds: 0 };
        }
        let extra = u32_at(&self.raw, extra_at);
        Time { seconds: seconds + (i64::from(extra & 3) << 32), nanoseconds: (extra >> 2).min(999_999_999) }
    }

    fn set_time(&mut self, at: usize, extra_at: usize, time: Time) {
        put_u32(&mut self.raw, at, time.seconds as u32);
        if self.has(extra_at) {
            let epoch = ((time.seconds - i64::from(time.seconds as i32)) >> 32) as u32 & 3;
            put_u32(&mut self.raw, extra_at, epoch | time.nanoseconds << 2);
        }
    }

    pub fn accessed(&self) -> Time {
        self.time(0x8, 0x8c)
    }

    pub fn changed(&self) -> Time {
        self.time(0xc, 0x84)
    }

    pub fn modified(&self) -> Time {
        self.time(0x10, 0x88)
    }

    pub fn created(&self) -> Time {
        if self.has(0x90) { self.time(0x90, 0x94) } else { self.changed() }
    }

    pub fn set_accessed(&mut self, time: Time) {
        self.set_time(0x8, 0x8c, time);
    }

    pub fn set_changed(&mut self, time: Time) {
        self.set_time(0xc, 0x84, time);
    }

    pub fn set_modified(&mut self, time: Time) {
        self.set_time(0x10, 0x88, time);
    }

    pub fn set_created(&mut self, time: Time) {
        if self.has(0x94) {
            self.set_time(0x90, 0x94, time);
        }
    }

    /// What the checksums of this inode's directory and extent blocks start from.
    pub fn seed(&self, volume_seed: u32) -> u32 {
        crc32c(crc32c(volume_seed, &self.number.to_le_bytes()), &self.generation().to_le_bytes())
    }

    fn has_wide_checksum(&self) -> bool {
        self.extra() >= 4
    }

    fn compute_checksum(&self, volume_seed: u32) -> u32 {
        let mut sum = crc32c(self.seed(volume_seed), &self.raw[..CHECKSUM_LOW]);
        sum = crc32c(sum, &[0, 0]);
        sum = crc32c(sum, &self.raw[CHECKSUM_LOW + 2..EXTRA.min(self.raw.len())]);
        if self.raw.len() > EXTRA {
            sum = crc32c(sum, &self.raw[EXTRA..CHECKSUM_HIGH]);
            let rest = if self.has_wide_checksum() {
                sum = crc32c(sum, &[0, 0]);
                CHECKSUM_HIGH + 2
            } else {
                CHECKSUM_HIGH
            };
            sum = crc32c(sum, &self.raw[rest..]);
        }
        sum
    }

    /// Whether the checksum is right.
    pub fn is_intact(&self, volume_seed: u32) -> bool {
        let sum = self.compute_checksum(volume_seed);
        u16_at(&self.raw, CHECKSUM_LOW) == sum as u16
            && (!self.has_wide_checksum() || u16_at(&self.raw, CHECKSUM_HIGH) == (sum >> 16) as u16)
    }

    /// Renews the checksum.
    pub fn seal(&mut self, volume_seed: u32) {
        let sum = self.compute_checksum(volume_seed);
        put_u16(&mut self.raw, CHECKSUM_LOW, sum as u16);
        if self.has_wide_checksum() {
            put_u16(&mut self.raw, CHECKSUM_HIGH, (sum >> 16) as u16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_reach_from_1901_to_2446() {
        let mut inode = Inode::new(12, 256, 32);
        for seconds in [-0x8000_0000, -1, 0, 0x7fff_ffff, 0x8000_0000, 0x1_7fff_ffff, 0x3_7fff_ffff] {
            let time = Time { seconds, nanoseconds: 999_999_999 };
            inode.set_modified(time);
            assert_eq!(inode.modified(), time);
        }
    }

    #[test]
    fn a_sealed_inode_is_intact_until_a_bit_changes() {
        let mut inode = Inode::new(12, 256, 32);
        inode.set_size(0x1_0000_0001);
        inode.seal(7);
        assert!(inode.is_intact(7) && !inode.is_intact(8));
        inode.set_links(2);
        assert!(!inode.is_intact(7));
    }
}
