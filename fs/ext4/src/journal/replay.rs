//! Finding what an unclean end left in the log.

use super::format::{
    BlockType, COMMIT_CHECKSUM, REVOKE_COUNT, REVOKE_ENTRIES, Tag, block_checksum, block_type, for_each_tag,
    tag_checksum, tail_size,
};
use super::log::Layout;
use super::superblock::{Features, JournalSuperblock};
use crate::Result;
use crate::buffers::Frozen;
use crate::bytes::be32_at;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What a replay found.
pub struct Replayed {
    /// Blocks to be written home: the newest copy of each.
    pub blocks: BTreeMap<u64, Frozen>,
    /// Transactions that were whole.
    pub transactions: u32,
    /// A number that no transaction in the log has.
    pub next_sequence: u32,
}

struct Whole {
    sequence: u32,
    /// Each logged block: its place in the journal and its tag.
    blocks: Vec<(u32, Tag)>,
}

/// Reads the log of a journal from its beginning to the first transaction that is not whole.
///
/// A transaction counts when its commit block is there and all checksums are right; a block that a later transaction
/// revoked does not count. Nothing is written.
pub fn replay(layout: &Layout, superblock: &JournalSuperblock) -> Result<Replayed> {
    let mut found = Replayed { blocks: BTreeMap::new(), transactions: 0, next_sequence: superblock.sequence() };
    if superblock.start() == 0 {
        return Ok(found);
    }
    let mut scan = Scan {
        layout,
        features: superblock.features(),
        seed: superblock.seed(),
        at: superblock.start(),
        left: layout.length,
    };
    let mut revoked: BTreeMap<u64, u32> = BTreeMap::new();
    let mut whole = Vec::new();
    let mut sequence = superblock.sequence();
    while let Some(transaction) = scan.transaction(sequence, &mut revoked)? {
        whole.push(transaction);
        sequence = sequence.wrapping_add(1);
    }
    for transaction in &whole {
        for (place, tag) in &transaction.blocks {
            let is_revoked = revoked.get(&tag.block).is_some_and(|by| by.wrapping_sub(transaction.sequence) < 1 << 31);
            if tag.deleted || is_revoked {
                continue;
            }
            let mut data = layout.read(*place)?;
            if tag.escaped {
                data[..4].copy_from_slice(&super::format::MAGIC.to_be_bytes());
            }
            found.blocks.insert(tag.block, Arc::from(data));
        }
    }
    found.transactions = whole.len() as u32;
    // The number after the one that was not whole: parts of that one may still lie about.
    found.next_sequence = sequence.wrapping_add(1);
    Ok(found)
}

struct Scan<'a> {
    layout: &'a Layout,
    features: Features,
    seed: u32,
    at: u32,
    /// Blocks that may still be read before the ring has been seen once.
    left: u32,
}

impl Scan<'_> {
    fn next_place(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        let place = self.at;
        self.at = self.layout.next(self.at);
        Some(place)
    }

    /// The transaction at this place, if it is whole. Its revocations are noted only then.
    fn transaction(&mut self, sequence: u32, revoked: &mut BTreeMap<u64, u32>) -> Result<Option<Whole>> {
        let mut whole = Whole { sequence, blocks: Vec::new() };
        let mut revocations = Vec::new();
        loop {
            let Some(place) = self.next_place() else { return Ok(None) };
            let block = self.layout.read(place)?;
            match block_type(&block, sequence) {
                Some(BlockType::Descriptor) if self.tail_is_right(&block) => {
                    if !self.take_blocks(&block, &mut whole)? {
                        return Ok(None);
                    }
                }
                Some(BlockType::Revoke) if self.tail_is_right(&block) => {
                    self.take_revocations(&block, &mut revocations)
                }
                Some(BlockType::Commit) if self.record_is_right(&block) => break,
                _ => return Ok(None),
            }
        }
        for block in revocations {
            revoked.insert(block, sequence);
        }
        Ok(Some(whole))
    }

    fn tail_is_right(&self, block: &[u8]) -> bool {
        let at = block.len() - 4;
        !self.features.has_checksums() || be32_at(block, at) == block_checksum(self.seed, block, at)
    }

    fn record_is_right(&self, block: &[u8]) -> bool {
        !self.features.has_checksums()
            || be32_at(block, COMMIT_CHECKSUM) == block_checksum(self.seed, block, COMMIT_CHECKSUM)
    }

    /// Notes the blocks of a descriptor. False if one of them is not what its tag says.
    fn take_blocks(&mut self, descriptor: &[u8], whole: &mut Whole) -> Result<bool> {
        let mut tags = Vec::new();
        for_each_tag(descriptor, self.features, |tag| tags.push(tag));
        for tag in tags {
            let Some(place) = self.next_place() else { return Ok(false) };
            if self.features.has_checksums() {
                let data = self.layout.read(place)?;
                if tag_checksum(self.seed, whole.sequence, &data, self.features) != tag.checksum {
                    return Ok(false);
                }
            }
            whole.blocks.push((place, tag));
        }
        Ok(true)
    }

    fn take_revocations(&self, block: &[u8], revocations: &mut Vec<u64>) {
        let entry = if self.features.contains(Features::BITS_64) { 8 } else { 4 };
        let end = (be32_at(block, REVOKE_COUNT) as usize).min(block.len() - tail_size(self.features));
        let mut at = REVOKE_ENTRIES;
        while at + entry <= end {
            let upper = if entry == 8 { u64::from(be32_at(block, at)) << 32 } else { 0 };
            revocations.push(upper | u64::from(be32_at(block, at + entry - 4)));
            at += entry;
        }
    }
}
