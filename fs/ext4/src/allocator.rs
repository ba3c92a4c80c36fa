//! Which blocks are taken: allocation near a goal, and freeing.
//!
//! A block freed by a transaction is not given out before that transaction is in the log: until then a power cut brings
//! the file back that it belonged to.

use crate::buffers::Seal;
use crate::{Error, Result, Volume};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Who asks for a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Contents of files and directories: leaves the last few blocks alone.
    Data,
    /// Nodes of trees, without which contents already written could not be entered.
    Metadata,
}

/// Blocks that only metadata gets.
const METADATA_RESERVE: u64 = 64;
/// A run this long is taken even if the next one may be longer.
const GOOD_RUN: u32 = 16;

/// Freed blocks that a power cut may still bring back, as runs that do not overlap: start and length.
#[derive(Default)]
pub struct Pending {
    running: BTreeMap<u64, u64>,
    committing: BTreeMap<u64, u64>,
    blocks: u64,
}

impl Pending {
    fn add(&mut self, start: u64, length: u64) {
        self.running.insert(start, length);
        self.blocks += length;
    }

    /// The end of the pending run that `block` is in.
    fn end_of(&self, block: u64) -> Option<u64> {
        [&self.running, &self.committing].into_iter().find_map(|runs| {
            let (start, length) = runs.range(..=block).next_back()?;
            (block < start + length).then_some(start + length)
        })
    }

    /// The start of the first pending run in `from..to`.
    fn next_start(&self, from: u64, to: u64) -> Option<u64> {
        let first = |runs: &BTreeMap<u64, u64>| runs.range(from..to).next().map(|(start, _)| *start);
        [first(&self.running), first(&self.committing)].into_iter().flatten().min()
    }

    /// How many blocks wait.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// A transaction closes.
    pub fn close(&mut self) {
        let closed = core::mem::take(&mut self.running);
        self.committing.extend(closed);
    }

    /// What the commit under way frees.
    pub fn closed(&self) -> Vec<(u64, u64)> {
        self.committing.iter().map(|(start, length)| (*start, *length)).collect()
    }

    /// It is in the log: those runs can be used again.
    pub fn settle(&mut self) {
        let settled = core::mem::take(&mut self.committing);
        self.blocks -= settled.values().sum::<u64>();
    }
}

/// The first bit in `from..to` that is as wanted, or `to`.
fn find_bit(bitmap: &[u8], from: u32, to: u32, set: bool) -> u32 {
    let skip = if set { 0x00 } else { 0xff };
    let mut bit = from;
    while bit < to {
        let byte = bitmap[bit as usize / 8];
        if bit.is_multiple_of(8) && byte == skip {
            bit += 8;
            continue;
        }
        if (byte >> (bit % 8) & 1 == 1) == set {
            return bit;
        }
        bit += 1;
    }
    to
}

impl Volume {
    /// Blocks that files can still get.
    pub(crate) fn available_blocks(&self) -> u64 {
        self.free_blocks.saturating_sub(METADATA_RESERVE)
    }

    /// Takes between 1 and `wanted` blocks in a row, as near behind `goal` as there are. Errors: `NoSpace`; blocks may
    /// come free with the next commit then, see [`Volume::frees_are_pending`].
    pub(crate) fn allocate_blocks(&mut self, goal: u64, wanted: u32, purpose: Purpose) -> Result<(u64, u32)> {
        let reserve = if purpose == Purpose::Data { METADATA_RESERVE } else { 0 };
        let spare = self.free_blocks.saturating_sub(self.pending.blocks()).saturating_sub(reserve);
        if spare == 0 {
            return Err(Error::NoSpace);
        }
        let wanted = wanted.min(u32::try_from(spare).unwrap_or(u32::MAX)).max(1);
        let (first, goal_bit) = self.geometry.group_of(goal).unwrap_or((0, 0));
        for least in [wanted.min(GOOD_RUN), 1] {
            for step in 0..self.geometry.groups {
                let group = (first + step) % self.geometry.groups;
                if self.groups[group as usize].free_blocks() < least {
                    continue;
                }
                let from = if step == 0 { goal_bit } else { 0 };
                if let Some(found) = self.take_run(group, from, least, wanted)? {
                    return Ok(found);
                }
                if step == 0
                    && from > 0
                    && let Some(found) = self.take_run(group, 0, least, wanted)?
                {
                    return Ok(found);
                }
            }
        }
        Err(Error::NoSpace)
    }

    /// Takes the first run of at least `least` free blocks of a group, from bit `from` on.
    fn take_run(&mut self, group: u32, from: u32, least: u32, wanted: u32) -> Result<Option<(u64, u32)>> {
        let (start, length) = (self.geometry.group_start(group), self.geometry.group_length(group));
        let place = self.block_bitmap(group)?;
        let bitmap = self.buffers.get(place, Seal::None)?;
        let mut bit = from;
        loop {
            bit = find_bit(bitmap, bit, length, false);
            if bit >= length {
                return Ok(None);
            }
            if let Some(end) = self.pending.end_of(start + u64::from(bit)) {
                bit = (end - start).min(u64::from(length)) as u32;
                continue;
            }
            let most = length.min(bit.saturating_add(wanted));
            let mut end = find_bit(bitmap, bit, most, true);
            if let Some(pending) = self.pending.next_start(start + u64::from(bit), start + u64::from(end)) {
                end = (pending - start) as u32;
            }
            if end - bit >= least {
                self.mark(group, bit, end)?;
                return Ok(Some((start + u64::from(bit), end - bit)));
            }
            bit = end.max(bit + 1);
        }
    }

    fn mark(&mut self, group: u32, from: u32, to: u32) -> Result<()> {
        let place = self.block_bitmap(group)?;
        crate::groups::set_bits(self.buffers.edit(place, Seal::None)?, from, to);
        let descriptor = &mut self.groups[group as usize];
        let left = descriptor.free_blocks().checked_sub(to - from);
        descriptor.set_free_blocks(left.ok_or(Error::Corrupt("a group's count of free blocks"))?);
        self.free_blocks -= u64::from(to - from);
        self.note_group(group, true, false);
        Ok(())
    }

    /// Gives blocks back, as soon as the running transaction is in the log.
    pub(crate) fn free_blocks(&mut self, block: u64, count: u32) -> Result<()> {
        let (mut block, mut left) = (block, count);
        while left > 0 {
            let (group, bit) = self.geometry.group_of(block).ok_or(Error::Corrupt("a block beyond the volume"))?;
            let now = left.min(self.geometry.group_length(group) - bit);
            let place = self.block_bitmap(group)?;
            let bitmap = self.buffers.edit(place, Seal::None)?;
            if find_bit(bitmap, bit, bit + now, false) != bit + now {
                return Err(Error::Corrupt("a block in use that the bitmap calls free"));
            }
            for bit in bit..bit + now {
                bitmap[bit as usize / 8] &= !(1 << (bit % 8));
            }
            let descriptor = &mut self.groups[group as usize];
            let free = descriptor.free_blocks() + now;
            descriptor.set_free_blocks(free);
            self.free_blocks += u64::from(now);
            self.pending.add(block, u64::from(now));
            self.note_group(group, true, false);
            block += u64::from(now);
            left -= now;
        }
        Ok(())
    }

    /// Whether a commit would make freed blocks usable.
    pub fn frees_are_pending(&self) -> bool {
        self.pending.blocks() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_found_across_whole_bytes() {
        let bitmap = [0xff, 0xff, 0b1011_1111, 0x00];
        assert_eq!(find_bit(&bitmap, 0, 32, false), 22);
        assert_eq!(find_bit(&bitmap, 23, 32, false), 24);
        assert_eq!(find_bit(&bitmap, 24, 32, true), 32);
        assert_eq!(find_bit(&bitmap, 0, 20, false), 20);
    }

    #[test]
    fn freed_blocks_wait_for_their_commit() {
        let mut pending = Pending::default();
        pending.add(100, 10);
        assert_eq!(
            (pending.end_of(105), pending.end_of(110), pending.next_start(50, 200)),
            (Some(110), None, Some(100))
        );
        pending.close();
        pending.add(200, 1);
        assert_eq!(pending.closed().len(), 1);
        pending.settle();
        assert_eq!((pending.end_of(105), pending.end_of(200), pending.blocks()), (None, Some(201), 1));
    }
}
