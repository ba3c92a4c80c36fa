//! Little-endian fields, and the two forms of an inode.

use super::BLOCK;
use crate::metadata::FileKind;

/// The field at `at`; zeros where the bytes end (callers hand in records of full length).
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|field| field.try_into().ok()).unwrap_or([0; N])
}

pub(super) fn u8_at(bytes: &[u8], at: usize) -> u8 {
    field::<1>(bytes, at)[0]
}
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(field(bytes, at))
}
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(field(bytes, at))
}
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(field(bytes, at))
}

/// Bytes of a compact inode, and the unit of inode numbers.
pub(super) const COMPACT: usize = 32;
/// Bytes of an extended inode.
pub(super) const EXTENDED: usize = 64;

/// Where a file's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// Whole blocks one after the other.
    Plain,
    /// As `Plain`, but the last, partial block follows the inode.
    Inline,
}

/// An inode's fields, whichever form it had.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawInode {
    pub layout: Layout,
    pub kind: FileKind,
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    /// First block, or the device number.
    pub union: u32,
    /// None in a compact inode: the image's build time.
    pub mtime_ns: Option<i64>,
    /// Bytes of the inode and its extended attributes: what follows is the inline tail.
    pub record_bytes: u64,
}

/// Whether the inode that starts with these 32 bytes is an extended one.
pub(super) fn is_extended(bytes: &[u8]) -> bool {
    u16_at(bytes, 0) & 1 == 1
}

impl RawInode {
    /// From 32 or 64 bytes, as [`is_extended`] says.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let format = u16_at(bytes, 0);
        if format >> 4 != 0 {
            return Err("unknown format bits");
        }
        let layout = match format >> 1 & 7 {
            0 => Layout::Plain,
            2 => Layout::Inline,
            1 | 3 => return Err("compressed, not supported"),
            4 => return Err("made of chunks, not supported"),
            _ => return Err("unknown layout"),
        };
        let mode = u32::from(u16_at(bytes, 4));
        let kind = match mode >> 12 {
            0o01 => FileKind::Fifo,
            0o02 => FileKind::CharDevice,
            0o04 => FileKind::Directory,
            0o06 => FileKind::BlockDevice,
            0o10 => FileKind::Regular,
            0o12 => FileKind::Symlink,
            0o14 => FileKind::Socket,
            _ => return Err("unknown kind of file"),
        };
        let xattr_units = u64::from(u16_at(bytes, 2));
        let xattr_bytes = if xattr_units == 0 { 0 } else { 12 + 4 * (xattr_units - 1) };
        let union = u32_at(bytes, 16);
        let mode = mode & 0o7777;
        Ok(if is_extended(bytes) {
            let seconds = u64_at(bytes, 32).min(i64::MAX as u64 / 1_000_000_000 - 1) as i64;
            Self {
                layout,
                kind,
                mode,
                nlink: u32_at(bytes, 44),
                uid: u32_at(bytes, 24),
                gid: u32_at(bytes, 28),
                size: u64_at(bytes, 8),
                union,
                mtime_ns: Some(seconds * 1_000_000_000 + i64::from(u32_at(bytes, 40) % 1_000_000_000)),
                record_bytes: EXTENDED as u64 + xattr_bytes,
            }
        } else {
            Self {
                layout,
                kind,
                mode,
                nlink: u16_at(bytes, 6).into(),
                uid: u16_at(bytes, 24).into(),
                gid: u16_at(bytes, 26).into(),
                size: u32_at(bytes, 8).into(),
                union,
                mtime_ns: None,
                record_bytes: COMPACT as u64 + xattr_bytes,
            }
        })
    }
}

/// Where the bytes of a file lie on the device, checked against the image's length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    /// First block of the whole blocks.
    pub first_block: u64,
    /// Blocks of the file that lie there; the last one may be partial.
    pub blocks: u64,
    /// Byte on the device and length of what follows the inode.
    pub tail: Option<(u64, usize)>,
}

impl Extent {
    /// `record_at` is the inode's byte on the device, `image_blocks` the image's length.
    pub fn of(raw: &RawInode, record_at: u64, image_blocks: u64) -> Result<Self, &'static str> {
        let mut blocks = raw.size.div_ceil(BLOCK);
        let mut tail = None;
        if raw.layout == Layout::Inline && blocks > 0 {
            blocks -= 1;
            let start = record_at.checked_add(raw.record_bytes).ok_or("inline data behind the end")?;
            let len = raw.size - blocks * BLOCK;
            if start % BLOCK + len > BLOCK {
                return Err("inline data crosses a block");
            }
            if start + len > image_blocks * BLOCK {
                return Err("inline data behind the end");
            }
            tail = Some((start, len as usize));
        }
        let first_block = u64::from(raw.union);
        if blocks > 0 && first_block.checked_add(blocks).is_none_or(|end| end > image_blocks) {
            return Err("data behind the end of the image");
        }
        Ok(Self { first_block, blocks, tail })
    }
}
