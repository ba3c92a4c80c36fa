//! The superblock: 128 bytes at byte 1024.

use super::BLOCK;
use super::format::{u8_at, u16_at, u32_at, u64_at};
use crate::block::BlockDevice;
use core::fmt;

const OFFSET: usize = 1024;
const MAGIC: u32 = 0xe0f5_e1e2;
/// Compatible feature: the superblock has a checksum.
const HAS_CHECKSUM: u32 = 1;
/// Incompatible feature that only says how compressed data would be padded.
const ZERO_PADDING: u32 = 1;

/// Why an image cannot be mounted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MountError {
    /// The device cannot be read.
    Io,
    /// There is no EROFS image on the device.
    Magic,
    /// The superblock's checksum is wrong.
    Checksum,
    /// Blocks of another size than 4096 bytes (log2 given).
    BlockSize(u8),
    /// The image uses features that are not supported (bits given): compression, chunks, several devices, 48 bits.
    Features(u32),
    /// The image is longer than the device.
    Truncated,
    /// The root directory is damaged.
    Root,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io => f.write_str("the device cannot be read"),
            Self::Magic => f.write_str("no EROFS image"),
            Self::Checksum => f.write_str("the superblock's checksum is wrong"),
            Self::BlockSize(bits) => write!(f, "block size 2^{bits}, only 4096 is supported"),
            Self::Features(bits) => write!(f, "unsupported features {bits:#x} (make the image without compression)"),
            Self::Truncated => f.write_str("the image is longer than its device"),
            Self::Root => f.write_str("the root directory is damaged"),
        }
    }
}

/// What of the superblock is used later.
pub(super) struct Superblock {
    pub root_nid: u64,
    pub inode_count: u64,
    pub blocks: u64,
    pub meta_block: u64,
    /// Time of compact inodes, nanoseconds since 1970.
    pub build_time_ns: i64,
}

impl Superblock {
    pub fn read(device: &BlockDevice) -> Result<Self, MountError> {
        if device.len_bytes() < BLOCK {
            return Err(MountError::Magic);
        }
        device.pages().with_page(0, |page| Self::parse(page, device.len_bytes())).map_err(|_| MountError::Io)?
    }

    fn parse(block: &[u8; BLOCK as usize], device_bytes: u64) -> Result<Self, MountError> {
        let fields = &block[OFFSET..OFFSET + 128];
        if u32_at(fields, 0) != MAGIC {
            return Err(MountError::Magic);
        }
        let bits = u8_at(fields, 12);
        if bits != 12 {
            return Err(MountError::BlockSize(bits));
        }
        if u32_at(fields, 8) & HAS_CHECKSUM != 0 && checksum(&block[OFFSET..]) != u32_at(fields, 4) {
            return Err(MountError::Checksum);
        }
        let features = u32_at(fields, 80) & !ZERO_PADDING;
        let extra_devices = u16_at(fields, 86);
        let directory_bits = u8_at(fields, 90);
        if features != 0 || extra_devices != 0 || directory_bits != 0 {
            return Err(MountError::Features(features));
        }
        let blocks = u64::from(u32_at(fields, 36));
        if blocks * BLOCK > device_bytes {
            return Err(MountError::Truncated);
        }
        let seconds = u64_at(fields, 24).min(i64::MAX as u64 / 1_000_000_000 - 1) as i64;
        Ok(Self {
            root_nid: u64::from(u16_at(fields, 14)),
            inode_count: u64_at(fields, 16),
            blocks,
            meta_block: u64::from(u32_at(fields, 40)),
            build_time_ns: seconds * 1_000_000_000 + i64::from(u32_at(fields, 32) % 1_000_000_000),
        })
    }
}

/// CRC-32C from all ones, not inverted at the end, over the rest of the block with the checksum field as zeros.
fn checksum(bytes: &[u8]) -> u32 {
    // Reflected Castagnoli polynomial, four bits at a time.
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut index = 0;
        while index < 16 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 4 {
                value = if value & 1 == 1 { value >> 1 ^ 0x82f6_3b78 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    let mut crc = u32::MAX;
    for (at, &byte) in bytes.iter().enumerate() {
        let byte = if (4..8).contains(&at) { 0 } else { byte };
        crc ^= u32::from(byte);
        crc = crc >> 4 ^ TABLE[(crc & 15) as usize];
        crc = crc >> 4 ^ TABLE[(crc & 15) as usize];
    }
    crc
}
