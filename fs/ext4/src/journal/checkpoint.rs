//! Writing committed blocks to their homes, so that the log can be used again.

use super::log::{Journal, Layout};
use crate::Result;
use crate::buffers::Frozen;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Blocks on their way home, with all that is needed to write them without a lock. No commit may be under way.
pub struct Checkpoint {
    layout: Arc<Layout>,
    superblock: Vec<u8>,
    pub(crate) blocks: Vec<(u64, Frozen)>,
    pub(crate) tail: u32,
}

impl Journal {
    /// A checkpoint of everything that is committed: after it the log begins where the next transaction will go.
    pub fn checkpoint(&mut self, blocks: Vec<(u64, Frozen)>) -> Checkpoint {
        self.superblock.set_beginning(self.head, self.sequence);
        let superblock = self.superblock.sealed().to_vec();
        Checkpoint { layout: Arc::clone(&self.layout), superblock, blocks, tail: self.head }
    }

    /// Writes blocks home and leaves the log as it is.
    pub fn write_home(&self, blocks: Vec<(u64, Frozen)>) -> Result<()> {
        send_home(&self.layout, &blocks)
    }

    /// The journal's superblock saying that the log is empty, for a clean end.
    pub fn closing(&mut self) -> Checkpoint {
        self.superblock.set_beginning(0, self.sequence);
        let superblock = self.superblock.sealed().to_vec();
        Checkpoint { layout: Arc::clone(&self.layout), superblock, blocks: Vec::new(), tail: self.head }
    }
}

impl Checkpoint {
    /// Writes the blocks and then the journal's superblock. Errors: `Io`; the log still holds everything then.
    pub fn write(&self) -> Result<()> {
        send_home(&self.layout, &self.blocks)?;
        let (offset, _) = self.layout.place(0)?;
        self.layout.device.write(offset, &self.superblock)?;
        // Before the ring's old blocks are written over, the new beginning must be there.
        self.layout.device.flush()?;
        Ok(())
    }
}

/// Writes blocks to their homes, neighbours in one transfer, and flushes.
fn send_home(layout: &Layout, blocks: &[(u64, Frozen)]) -> Result<()> {
    let mut rest = blocks;
    while let Some((first, _)) = rest.first() {
        let adjacent = (0..rest.len().min(64)).take_while(|&i| rest[i].0 == first + i as u64).count();
        let (now, later) = rest.split_at(adjacent);
        let bytes: Vec<u8> = now.iter().flat_map(|(_, data)| data.iter().copied()).collect();
        layout.device.write(first * layout.block_size as u64, &bytes)?;
        rest = later;
    }
    if !blocks.is_empty() {
        layout.device.flush()?;
    }
    Ok(())
}
