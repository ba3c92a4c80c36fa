//! Metadata blocks in memory, and which of them the running transaction has touched.

use crate::bytes::{put_u32, u16_at, u32_at};
use crate::checksum::crc32c;
use crate::{Device, Error, Result};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use hashbrown::HashMap;

/// A block as it was at a commit.
pub type Frozen = Arc<[u8]>;

/// Clean blocks kept at the most before the longest unused quarter goes.
const CLEAN_MAX: usize = 4096;

/// What guards a block's contents. Checked when it is read, renewed when it is committed. Seeds: [`Inode::seed`] of the
/// owner, [`Superblock::checksum_seed`] for attributes.
///
/// [`Inode::seed`]: crate::layout::Inode::seed
/// [`Superblock::checksum_seed`]: crate::layout::Superblock::checksum_seed
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seal {
    /// Nothing, or a checksum kept elsewhere.
    None,
    /// `ext4_dir_entry_tail`.
    Directory(u32),
    /// `dx_tail`; either a hash tree's node, or the root, told apart by the second entry.
    Index(u32),
    /// `ext4_extent_tail`.
    Extents(u32),
    /// `h_checksum` of a block of extended attributes.
    Xattrs(u32),
}

impl Seal {
    /// Where the checksum lies, and what it has to be. None where there is nothing to check.
    fn compute(self, block: u64, data: &[u8]) -> Option<(usize, u32)> {
        let size = data.len();
        match self {
            Seal::None => None,
            Seal::Directory(seed) => Some((size - 4, crc32c(seed, &data[..size - 12]))),
            Seal::Index(seed) => {
                let count_at = if u16_at(data, 4) as usize == size { 8 } else { 0x20 };
                let limit = usize::from(u16_at(data, count_at));
                let count = usize::from(u16_at(data, count_at + 2));
                let tail = count_at + limit * 8;
                if tail + 8 > size || count > limit {
                    return Some((size - 4, !u32_at(data, size - 4)));
                }
                let sum = crc32c(crc32c(seed, &data[..count_at + count * 8]), &data[tail..tail + 4]);
                Some((tail + 4, crc32c(sum, &[0; 4])))
            }
            Seal::Extents(seed) => {
                let tail = 12 + 12 * usize::from(u16_at(data, 4));
                if tail + 4 > size {
                    return Some((size - 4, !u32_at(data, size - 4)));
                }
                Some((tail, crc32c(seed, &data[..tail])))
            }
            Seal::Xattrs(seed) => {
                let sum = crc32c(crc32c(seed, &block.to_le_bytes()), &data[..0x10]);
                Some((0x10, crc32c(crc32c(sum, &[0; 4]), &data[0x14..])))
            }
        }
    }

    fn check(self, block: u64, data: &[u8]) -> Result<()> {
        match self.compute(block, data) {
            Some((at, sum)) if u32_at(data, at) != sum => Err(Error::Corrupt(match self {
                Seal::Directory(_) => "checksum of a directory block",
                Seal::Index(_) => "checksum of a directory's hash tree",
                Seal::Extents(_) => "checksum of an extent block",
                _ => "checksum of a block of extended attributes",
            })),
            _ => Ok(()),
        }
    }

    fn renew(self, block: u64, data: &mut [u8]) {
        if let Some((at, sum)) = self.compute(block, data) {
            put_u32(data, at, sum);
        }
    }
}

struct Buffer {
    data: Box<[u8]>,
    seal: Seal,
    /// Whether the seal was looked at, or need not be.
    checked: bool,
    used: u64,
}

/// What a transaction changed.
#[derive(Default)]
pub struct Changes {
    /// Blocks, ascending, as they are to be.
    pub blocks: Vec<(u64, Frozen)>,
    /// Metadata blocks that were freed: a replay must not write older copies of them.
    pub revoked: Vec<u64>,
}

/// The blocks in memory.
pub struct Buffers {
    device: Arc<dyn Device>,
    block_size: usize,
    cached: HashMap<u64, Buffer>,
    dirty: BTreeSet<u64>,
    revoked: BTreeSet<u64>,
    /// Committed and not yet at home: newer than the device.
    committed: BTreeMap<u64, Frozen>,
    clock: u64,
}

impl Buffers {
    pub fn new(device: Arc<dyn Device>, block_size: usize) -> Self {
        Self {
            device,
            block_size,
            cached: HashMap::new(),
            dirty: BTreeSet::new(),
            revoked: BTreeSet::new(),
            committed: BTreeMap::new(),
            clock: 0,
        }
    }

    pub fn block_size(&self) -> usize {
        self.block_size
    }

    pub fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// A block's contents. Under [`Seal::None`] nothing is checked: for a look at what kind of block it is.
    /// Errors: `Io`, `Corrupt` by its seal.
    pub fn get(&mut self, block: u64, seal: Seal) -> Result<&[u8]> {
        Ok(&self.load(block, seal)?.data)
    }

    /// A block's contents, to be changed in the running transaction.
    pub fn edit(&mut self, block: u64, seal: Seal) -> Result<&mut [u8]> {
        self.load(block, seal)?;
        self.dirty.insert(block);
        let buffer = self.load(block, seal)?;
        buffer.seal = seal;
        Ok(&mut buffer.data)
    }

    /// A block that was just allocated, zeroed, in the running transaction.
    pub fn create(&mut self, block: u64, seal: Seal) -> &mut [u8] {
        self.dirty.insert(block);
        self.revoked.remove(&block);
        let data = vec![0; self.block_size].into_boxed_slice();
        let buffer = Buffer { data, seal, checked: true, used: self.clock };
        &mut self.cached.entry(block).insert(buffer).into_mut().data
    }

    /// A metadata block is freed.
    pub fn forget(&mut self, block: u64) {
        self.cached.remove(&block);
        self.dirty.remove(&block);
        self.revoked.insert(block);
    }

    fn load(&mut self, block: u64, seal: Seal) -> Result<&mut Buffer> {
        self.clock += 1;
        if !self.cached.contains_key(&block) {
            self.shrink(CLEAN_MAX);
            let data = self.fetch(block)?;
            self.cached.insert(block, Buffer { data, seal, checked: false, used: 0 });
        }
        let buffer = self.cached.get_mut(&block).ok_or(Error::Io)?;
        if !buffer.checked && seal != Seal::None {
            seal.check(block, &buffer.data)?;
            buffer.checked = true;
        }
        buffer.used = self.clock;
        Ok(buffer)
    }

    fn fetch(&self, block: u64) -> Result<Box<[u8]>> {
        if let Some(frozen) = self.committed.get(&block) {
            return Ok(Box::from(&frozen[..]));
        }
        let offset = block.checked_mul(self.block_size as u64).filter(|offset| *offset < self.device.size());
        let offset = offset.ok_or(Error::Corrupt("a block number beyond the volume"))?;
        let mut data = vec![0; self.block_size].into_boxed_slice();
        self.device.read(offset, &mut data)?;
        Ok(data)
    }

    /// Lets the longest unused clean blocks go, when more than `keep` are held.
    pub fn shrink(&mut self, keep: usize) {
        if self.cached.len().saturating_sub(self.dirty.len()) <= keep {
            return;
        }
        let mut ages: Vec<u64> = self.cached.values().map(|buffer| buffer.used).collect();
        let oldest = ages.len() - keep * 3 / 4;
        let (_, limit, _) = ages.select_nth_unstable(oldest.min(self.cached.len() - 1));
        let (limit, dirty) = (*limit, &self.dirty);
        self.cached.retain(|block, buffer| buffer.used > limit || dirty.contains(block));
    }

    /// Blocks that the running transaction has changed or revoked.
    pub fn running(&self) -> (usize, usize) {
        (self.dirty.len(), self.revoked.len())
    }

    /// Closes the running transaction: its blocks, sealed and copied. They count as committed from here on.
    pub fn take_changes(&mut self) -> Changes {
        let mut blocks = Vec::with_capacity(self.dirty.len());
        for block in core::mem::take(&mut self.dirty) {
            if let Some(buffer) = self.cached.get_mut(&block) {
                buffer.seal.renew(block, &mut buffer.data);
                let frozen: Frozen = Arc::from(&buffer.data[..]);
                self.committed.insert(block, Arc::clone(&frozen));
                blocks.push((block, frozen));
            }
        }
        let revoked = core::mem::take(&mut self.revoked).into_iter().collect();
        Changes { blocks, revoked }
    }

    /// Blocks that were revoked by a transaction which is in the log now: no copy of them goes home.
    pub fn drop_committed(&mut self, revoked: &[u64]) {
        for block in revoked {
            // Not when it has become metadata anew since.
            if !self.cached.contains_key(block) {
                self.committed.remove(block);
            }
        }
    }

    /// A block that a replay found in the log.
    pub fn put_committed(&mut self, block: u64, data: Frozen) {
        self.committed.insert(block, data);
    }

    /// What has to be written home.
    pub fn committed(&self) -> Vec<(u64, Frozen)> {
        self.committed.iter().map(|(block, data)| (*block, Arc::clone(data))).collect()
    }

    /// Whether anything has to be written home.
    pub fn has_committed(&self) -> bool {
        !self.committed.is_empty()
    }

    /// These are at home now; newer copies stay.
    pub fn clear_committed(&mut self, written: &[(u64, Frozen)]) {
        for (block, data) in written {
            if self.committed.get(block).is_some_and(|now| Arc::ptr_eq(now, data)) {
                self.committed.remove(block);
            }
        }
    }

    /// Forgets the clean copies of everything: what is on the device has changed below.
    pub fn invalidate(&mut self) {
        let dirty = &self.dirty;
        self.cached.retain(|block, _| dirty.contains(block));
    }
}
