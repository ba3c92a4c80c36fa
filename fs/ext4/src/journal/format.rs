//! Blocks of the log: `journal_header_t` and the forms behind it. All numbers are big-endian.

use super::superblock::Features;
use crate::bytes::{be16_at, be32_at, put_be16, put_be32};
use crate::checksum::crc32c;

pub const MAGIC: u32 = 0xc03b_3998;
pub const HEADER: usize = 12;

/// `h_blocktype`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockType {
    Descriptor = 1,
    Commit = 2,
    Revoke = 5,
}

/// Writes a header.
pub fn put_header(block: &mut [u8], kind: BlockType, sequence: u32) {
    put_be32(block, 0, MAGIC);
    put_be32(block, 4, kind as u32);
    put_be32(block, 8, sequence);
}

/// The type of a block of transaction `sequence`, if it is one with a header.
pub fn block_type(block: &[u8], sequence: u32) -> Option<BlockType> {
    if be32_at(block, 0) != MAGIC || be32_at(block, 8) != sequence {
        return None;
    }
    [BlockType::Descriptor, BlockType::Commit, BlockType::Revoke]
        .into_iter()
        .find(|kind| *kind as u32 == be32_at(block, 4))
}

const TAG_ESCAPE: u32 = 1;
const TAG_SAME_UUID: u32 = 2;
const TAG_DELETED: u32 = 4;
const TAG_LAST: u32 = 8;

/// A descriptor's note on one block that follows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// Its home.
    pub block: u64,
    /// Whether its first four bytes were the magic number and are zeros in the log.
    pub escaped: bool,
    /// Whether it counts for nothing.
    pub deleted: bool,
    /// Checksum over sequence and contents, as many bits as the form has.
    pub checksum: u32,
}

/// Size of a tag in bytes, without the identifier that the first one of a descriptor carries.
pub fn tag_size(features: Features) -> usize {
    if features.contains(Features::CHECKSUM_3) {
        return 16;
    }
    let mut size = 8;
    if features.contains(Features::CHECKSUM_2) {
        size += 2;
    }
    if features.contains(Features::BITS_64) {
        size += 4;
    }
    size
}

/// Bytes of the identifier behind a descriptor's first tag.
pub const UUID: usize = 16;

/// Room that a block's own checksum takes at its end.
pub fn tail_size(features: Features) -> usize {
    if features.has_checksums() { 4 } else { 0 }
}

/// Writes a tag at `at` in a descriptor; returns where the next one goes.
pub fn put_tag(block: &mut [u8], at: usize, tag: &Tag, last: bool, features: Features) -> usize {
    let first = at == HEADER;
    let mut flags = 0;
    flags |= if tag.escaped { TAG_ESCAPE } else { 0 };
    flags |= if first { 0 } else { TAG_SAME_UUID };
    flags |= if last { TAG_LAST } else { 0 };
    put_be32(block, at, tag.block as u32);
    if features.contains(Features::CHECKSUM_3) {
        put_be32(block, at + 4, flags);
        put_be32(block, at + 8, (tag.block >> 32) as u32);
        put_be32(block, at + 12, tag.checksum);
    } else {
        put_be16(block, at + 4, tag.checksum as u16);
        put_be16(block, at + 6, flags as u16);
        if features.contains(Features::BITS_64) {
            put_be32(block, at + 8, (tag.block >> 32) as u32);
        }
    }
    at + tag_size(features) + if first { UUID } else { 0 }
}

/// Calls `each` for the tags of a descriptor, in order.
pub fn for_each_tag(block: &[u8], features: Features, mut each: impl FnMut(Tag)) {
    let (size, end) = (tag_size(features), block.len() - tail_size(features));
    let mut at = HEADER;
    while at + size <= end {
        let wide = features.contains(Features::CHECKSUM_3);
        let flags = if wide { be32_at(block, at + 4) } else { u32::from(be16_at(block, at + 6)) };
        let checksum = if wide { be32_at(block, at + 12) } else { u32::from(be16_at(block, at + 4)) };
        let upper = if wide || features.contains(Features::BITS_64) { be32_at(block, at + 8) } else { 0 };
        each(Tag {
            block: u64::from(be32_at(block, at)) | u64::from(upper) << 32,
            escaped: flags & TAG_ESCAPE != 0,
            deleted: flags & TAG_DELETED != 0,
            checksum,
        });
        at += size + if flags & TAG_SAME_UUID == 0 { UUID } else { 0 };
        if flags & TAG_LAST != 0 {
            break;
        }
    }
}

/// The checksum of a logged block, as its tag keeps it.
pub fn tag_checksum(seed: u32, sequence: u32, data: &[u8], features: Features) -> u32 {
    let sum = crc32c(crc32c(seed, &sequence.to_be_bytes()), data);
    match features {
        _ if features.contains(Features::CHECKSUM_3) => sum,
        _ if features.contains(Features::CHECKSUM_2) => sum & 0xffff,
        _ => 0,
    }
}

/// The checksum of a block with a header, with the field at `at` taken as zero.
pub fn block_checksum(seed: u32, block: &[u8], at: usize) -> u32 {
    crc32c(crc32c(crc32c(seed, &block[..at]), &[0; 4]), &block[at + 4..])
}

/// Where a commit block keeps its checksum.
pub const COMMIT_CHECKSUM: usize = 16;
/// Where it keeps its time: 64 bits of seconds, 32 of nanoseconds.
pub const COMMIT_TIME: usize = 48;
/// Where a revoke block keeps the number of its bytes in use.
pub const REVOKE_COUNT: usize = 12;
/// Where its block numbers begin.
pub const REVOKE_ENTRIES: usize = 16;
