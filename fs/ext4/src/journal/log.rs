//! The ring: where the next transaction goes and what room is left.

use super::format::{HEADER, UUID, tag_size, tail_size};
use super::superblock::{Features, JournalSuperblock};
use crate::{Device, Error, Result};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// Journal blocks that lie one behind the other on the volume.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// First block in the journal.
    pub logical: u32,
    /// Where that is on the volume.
    pub block: u64,
    /// How many.
    pub count: u32,
}

/// Where the blocks of the ring are, for those who write or read it without the volume's lock.
pub struct Layout {
    pub device: Arc<dyn Device>,
    pub block_size: usize,
    pub first: u32,
    pub length: u32,
    pub runs: Vec<Run>,
}

impl Layout {
    /// Byte offset on the device of a journal block, and how many blocks follow it without a gap.
    pub fn place(&self, logical: u32) -> Result<(u64, u32)> {
        let run = self.runs.iter().find(|run| (run.logical..run.logical + run.count).contains(&logical));
        let run = run.ok_or(Error::Corrupt("the journal has a hole"))?;
        let within = logical - run.logical;
        Ok(((run.block + u64::from(within)) * self.block_size as u64, run.count - within))
    }

    /// The ring's next block.
    pub fn next(&self, logical: u32) -> u32 {
        self.advance(logical, 1)
    }

    /// `count` further on in the ring.
    pub fn advance(&self, logical: u32, count: u32) -> u32 {
        let ring = self.length - self.first;
        self.first + (logical - self.first + count) % ring
    }

    /// Reads a journal block.
    pub fn read(&self, logical: u32) -> Result<Vec<u8>> {
        let mut data = vec![0; self.block_size];
        self.device.read(self.place(logical)?.0, &mut data)?;
        Ok(data)
    }
}

/// A journal that is open for writing.
pub struct Journal {
    pub layout: Arc<Layout>,
    pub superblock: JournalSuperblock,
    /// Where the next transaction goes.
    pub head: u32,
    /// Its number.
    pub sequence: u32,
    /// Where the first one lies whose copies are not at home; `head` if there is none.
    pub tail: u32,
}

impl Journal {
    pub fn features(&self) -> Features {
        self.superblock.features()
    }

    /// Blocks of the ring.
    pub fn capacity(&self) -> u32 {
        self.layout.length - self.layout.first
    }

    /// Blocks that can still be written. One stays free, so that full and empty differ.
    pub fn free(&self) -> u32 {
        let ring = self.capacity();
        (self.tail + ring - self.head + ring - 1) % ring
    }

    /// Log blocks that a transaction of so many blocks and revocations takes.
    pub fn needed(&self, blocks: usize, revoked: usize) -> usize {
        let room = self.layout.block_size - tail_size(self.features());
        let tags = (room - HEADER - UUID) / tag_size(self.features());
        let entries = (room - super::format::REVOKE_ENTRIES) / 8;
        blocks + blocks.div_ceil(tags) + revoked.div_ceil(entries) + 1
    }
}
