//! Appending a transaction to the log.

use super::format::{
    BlockType, COMMIT_CHECKSUM, COMMIT_TIME, HEADER, MAGIC, REVOKE_COUNT, REVOKE_ENTRIES, Tag, block_checksum,
    put_header, put_tag, tag_checksum, tag_size, tail_size,
};
use super::log::{Journal, Layout};
use super::superblock::Features;
use crate::attributes::Time;
use crate::buffers::{Changes, Frozen};
use crate::bytes::{be32_at, put_be32};
use crate::{Error, Result};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// Log blocks that are written in one transfer.
const BATCH: usize = 64;

/// A transaction on its way into the log: everything that is needed to write it, so that it needs no lock.
pub struct Commit {
    layout: Arc<Layout>,
    features: Features,
    seed: u32,
    uuid: Vec<u8>,
    pub(crate) changes: Changes,
    pub(crate) sequence: u32,
    start: u32,
    time: Time,
}

impl Journal {
    /// Takes a place in the log for a transaction; the caller has made sure of the room.
    pub fn append(&mut self, changes: Changes, time: Time) -> Result<Commit> {
        let needed = self.needed(changes.blocks.len(), changes.revoked.len());
        if needed > self.free() as usize {
            return Err(Error::Corrupt("a transaction is larger than the journal"));
        }
        let commit = Commit {
            layout: Arc::clone(&self.layout),
            features: self.features(),
            seed: self.superblock.seed(),
            uuid: self.superblock.uuid().to_vec(),
            changes,
            sequence: self.sequence,
            start: self.head,
            time,
        };
        self.head = self.layout.advance(self.head, needed as u32);
        self.sequence = self.sequence.wrapping_add(1);
        Ok(commit)
    }
}

impl Commit {
    /// Writes the transaction and returns when it would survive a power cut. What else was written to the device
    /// before, file contents above all, is then safe too. Errors: `Io`; the volume must be given up for writing then.
    pub fn write(&self) -> Result<()> {
        let mut writer = Writer { layout: &self.layout, next: self.start, batch: Vec::new(), batch_start: self.start };
        self.write_revocations(&mut writer)?;
        self.write_blocks(&mut writer)?;
        writer.send()?;
        // The record must not be there before what it vouches for is.
        self.layout.device.flush()?;
        writer.push(&self.record())?;
        writer.send()?;
        self.layout.device.flush()?;
        Ok(())
    }

    fn seal_tail(&self, block: &mut [u8]) {
        if self.features.has_checksums() {
            let at = block.len() - 4;
            let sum = block_checksum(self.seed, block, at);
            put_be32(block, at, sum);
        }
    }

    fn write_revocations(&self, writer: &mut Writer<'_>) -> Result<()> {
        let wide = self.features.contains(Features::BITS_64);
        let entry = if wide { 8 } else { 4 };
        let room = self.layout.block_size - tail_size(self.features) - REVOKE_ENTRIES;
        // As many to a block as `Journal::needed` counted.
        for revoked in self.changes.revoked.chunks(room / 8) {
            let mut block = vec![0; self.layout.block_size];
            put_header(&mut block, BlockType::Revoke, self.sequence);
            put_be32(&mut block, REVOKE_COUNT, (REVOKE_ENTRIES + revoked.len() * entry) as u32);
            for (at, number) in (REVOKE_ENTRIES..).step_by(entry).zip(revoked) {
                if wide {
                    put_be32(&mut block, at, (number >> 32) as u32);
                }
                put_be32(&mut block, at + entry - 4, *number as u32);
            }
            self.seal_tail(&mut block);
            writer.push(&block)?;
        }
        Ok(())
    }

    fn write_blocks(&self, writer: &mut Writer<'_>) -> Result<()> {
        let room = self.layout.block_size - tail_size(self.features) - HEADER - self.uuid.len();
        for group in self.changes.blocks.chunks(room / tag_size(self.features)) {
            let mut descriptor = vec![0; self.layout.block_size];
            put_header(&mut descriptor, BlockType::Descriptor, self.sequence);
            let mut at = HEADER;
            for (index, (block, data)) in group.iter().enumerate() {
                let logged = Logged::of(data);
                let checksum = tag_checksum(self.seed, self.sequence, logged.bytes(), self.features);
                let tag = Tag { block: *block, escaped: logged.is_escaped(), deleted: false, checksum };
                let next = put_tag(&mut descriptor, at, &tag, index + 1 == group.len(), self.features);
                if at == HEADER {
                    descriptor[next - self.uuid.len()..next].copy_from_slice(&self.uuid);
                }
                at = next;
            }
            self.seal_tail(&mut descriptor);
            writer.push(&descriptor)?;
            group.iter().try_for_each(|(_, data)| writer.push(Logged::of(data).bytes()))?;
        }
        Ok(())
    }

    fn record(&self) -> Vec<u8> {
        let mut block = vec![0; self.layout.block_size];
        put_header(&mut block, BlockType::Commit, self.sequence);
        put_be32(&mut block, COMMIT_TIME, (self.time.seconds >> 32) as u32);
        put_be32(&mut block, COMMIT_TIME + 4, self.time.seconds as u32);
        put_be32(&mut block, COMMIT_TIME + 8, self.time.nanoseconds);
        if self.features.has_checksums() {
            let sum = block_checksum(self.seed, &block, COMMIT_CHECKSUM);
            put_be32(&mut block, COMMIT_CHECKSUM, sum);
        }
        block
    }
}

/// A block's form in the log, where none but a header may begin with the magic number.
enum Logged<'a> {
    AsItIs(&'a Frozen),
    Escaped(Vec<u8>),
}

impl<'a> Logged<'a> {
    fn of(data: &'a Frozen) -> Self {
        if be32_at(data, 0) != MAGIC {
            return Self::AsItIs(data);
        }
        let mut copy = data.to_vec();
        copy[..4].fill(0);
        Self::Escaped(copy)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::AsItIs(data) => data,
            Self::Escaped(copy) => copy,
        }
    }

    fn is_escaped(&self) -> bool {
        matches!(self, Self::Escaped(_))
    }
}

/// Gathers log blocks into few transfers.
struct Writer<'a> {
    layout: &'a Layout,
    next: u32,
    batch: Vec<u8>,
    batch_start: u32,
}

impl Writer<'_> {
    fn push(&mut self, block: &[u8]) -> Result<()> {
        self.batch.extend_from_slice(block);
        self.next = self.layout.next(self.next);
        let full = self.batch.len() >= BATCH * self.layout.block_size;
        if full || self.next == self.layout.first { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<()> {
        let (mut rest, mut at) = (&self.batch[..], self.batch_start);
        while !rest.is_empty() {
            let (offset, blocks) = self.layout.place(at)?;
            let (now, later) = rest.split_at(rest.len().min(blocks as usize * self.layout.block_size));
            self.layout.device.write(offset, now)?;
            at += (now.len() / self.layout.block_size) as u32;
            rest = later;
        }
        self.batch.clear();
        self.batch_start = self.next;
        Ok(())
    }
}
