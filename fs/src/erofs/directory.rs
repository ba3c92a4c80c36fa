//! Directory blocks: entries of 12 bytes, then their names, both in ascending order of the names.

use super::format::{u8_at, u16_at, u64_at};
use crate::metadata::FileKind;
use core::cmp::Ordering;

const ENTRY: usize = 12;
const NAME_MAX: usize = 255;
/// More entries than a block can have: the stride of readdir cursors.
pub(super) const CURSOR_STRIDE: u64 = 512;

/// One directory block, its head checked.
pub(super) struct Block<'a> {
    bytes: &'a [u8],
    count: usize,
}

/// An entry.
pub(super) struct Entry<'a> {
    pub nid: u64,
    pub name: &'a [u8],
    /// None: unknown type, the inode tells.
    pub kind: Option<FileKind>,
}

impl<'a> Block<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let names_at = usize::from(u16_at(bytes, 8));
        if bytes.len() < ENTRY || names_at < ENTRY || names_at % ENTRY != 0 || names_at >= bytes.len() {
            return Err("directory block without a proper head");
        }
        Ok(Self { bytes, count: names_at / ENTRY })
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn entry(&self, index: usize) -> Result<Entry<'a>, &'static str> {
        let record = &self.bytes[index * ENTRY..];
        let start = usize::from(u16_at(record, 8));
        let end = if index + 1 < self.count { usize::from(u16_at(record, ENTRY + 8)) } else { self.bytes.len() };
        let name = self.bytes.get(start..end).ok_or("directory entry's name out of order")?;
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        if start < self.count * ENTRY || name.is_empty() || name.len() > NAME_MAX || name.contains(&b'/') {
            return Err("directory entry with an improper name");
        }
        let kind = match u8_at(record, 10) {
            1 => Some(FileKind::Regular),
            2 => Some(FileKind::Directory),
            3 => Some(FileKind::CharDevice),
            4 => Some(FileKind::BlockDevice),
            5 => Some(FileKind::Fifo),
            6 => Some(FileKind::Socket),
            7 => Some(FileKind::Symlink),
            _ => None,
        };
        Ok(Entry { nid: u64_at(record, 0), name, kind })
    }

    /// The node under `name`; or on which side of this block the name would be.
    pub fn find(&self, name: &[u8]) -> Result<Result<u64, Ordering>, &'static str> {
        let first = self.entry(0)?;
        match name.cmp(first.name) {
            Ordering::Equal => return Ok(Ok(first.nid)),
            Ordering::Less => return Ok(Err(Ordering::Less)),
            Ordering::Greater => {}
        }
        let (mut low, mut high) = (1, self.count);
        while low < high {
            let middle = (low + high) / 2;
            let entry = self.entry(middle)?;
            match name.cmp(entry.name) {
                Ordering::Equal => return Ok(Ok(entry.nid)),
                Ordering::Less => high = middle,
                Ordering::Greater => low = middle + 1,
            }
        }
        // Behind the last one, or in a gap between two of this block.
        Ok(Err(if low == self.count { Ordering::Greater } else { Ordering::Equal }))
    }
}
