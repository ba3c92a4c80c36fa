//! A mounted volume.

use crate::allocator::Pending;
use crate::attributes::Time;
use crate::buffers::Buffers;
use crate::groups::Geometry;
use crate::journal::{Checkpoint, Commit, Journal};
use crate::layout::{Group, Superblock};
use crate::{Device, Error, Result};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// How to mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Write nothing, not even what the journal holds: that is looked through in memory.
    pub read_only: bool,
    /// The only size of blocks that the caller can use, in bytes.
    pub block_size: Option<usize>,
}

/// Space and limits, as statfs(2) tells them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statistics {
    /// Bytes of a block.
    pub block_size: u32,
    /// Blocks of the volume.
    pub blocks: u64,
    /// Blocks that can be had.
    pub free_blocks: u64,
    /// Blocks that can be had by others than root.
    pub available_blocks: u64,
    /// Inodes.
    pub inodes: u32,
    /// Free ones.
    pub free_inodes: u32,
}

/// A mounted volume. Every operation either fails without having changed anything that a commit would keep half done,
/// or is in the running transaction as a whole.
pub struct Volume {
    pub(crate) buffers: Buffers,
    pub(crate) geometry: Geometry,
    pub(crate) superblock: Superblock,
    /// Head of the orphans' list as the log has it.
    pub(crate) logged_orphan: u32,
    pub(crate) groups: Vec<Group>,
    /// Groups whose descriptor has changed, and whether their block and inode bitmaps have.
    pub(crate) changed_groups: BTreeMap<u32, (bool, bool)>,
    /// Whether the block and the inode bitmap of each group have been checked.
    pub(crate) checked_bitmaps: Vec<(bool, bool)>,
    pub(crate) free_blocks: u64,
    pub(crate) free_inodes: u32,
    pub(crate) pending: Pending,
    /// Inodes that a mount after a crash has to finish off, the newest first.
    pub(crate) orphans: Vec<u32>,
    /// None while mounted read-only.
    pub(crate) journal: Option<Journal>,
    /// Why nothing is written any more.
    pub(crate) given_up: Option<Error>,
    pub(crate) generation: u32,
}

impl Volume {
    /// The disk.
    pub fn device(&self) -> &Arc<dyn Device> {
        self.buffers.device()
    }

    /// log2 of the block size in bytes: 10, 11 or 12.
    pub fn block_shift(&self) -> u32 {
        self.geometry.block_shift
    }

    /// Whether changes are refused.
    pub fn is_read_only(&self) -> bool {
        self.journal.is_none() || self.given_up.is_some()
    }

    /// The error that made the volume read-only, if one did.
    pub fn failure(&self) -> Option<Error> {
        self.given_up
    }

    /// Gives the volume up for writing after a failed write of contents, a commit or a checkpoint, like Linux's
    /// `errors=remount-ro`: what is on the device stays as the log has it.
    pub fn give_up(&mut self, error: Error) {
        if self.given_up.is_none() {
            self.given_up = Some(error);
            self.superblock.set_has_errors();
        }
    }

    /// Errors: `ReadOnly`.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.is_read_only() { Err(Error::ReadOnly) } else { Ok(()) }
    }

    /// Space and limits.
    pub fn statistics(&self) -> Statistics {
        let free = self.available_blocks();
        Statistics {
            block_size: 1 << self.geometry.block_shift,
            blocks: self.geometry.blocks,
            free_blocks: free,
            available_blocks: free.saturating_sub(self.superblock.reserved_blocks()),
            inodes: self.geometry.inodes,
            free_inodes: self.free_inodes,
        }
    }

    /// The volume's identifier.
    pub fn uuid(&self) -> [u8; 16] {
        let mut uuid = [0; 16];
        uuid.copy_from_slice(self.superblock.uuid());
        uuid
    }

    /// Lets clean metadata go, all but so many blocks.
    pub fn shrink(&mut self, keep: usize) {
        self.buffers.shrink(keep);
    }

    /// Whether the running transaction should be committed before more is put into it.
    pub fn needs_commit(&self) -> bool {
        let Some(journal) = &self.journal else { return false };
        let (blocks, revoked) = self.buffers.running();
        blocks + revoked / 64 > (journal.capacity() as usize / 8).min(4096)
    }

    /// Whether there is anything to commit.
    pub fn has_changes(&self) -> bool {
        let (blocks, revoked) = self.buffers.running();
        blocks > 0 || revoked > 0 || !self.changed_groups.is_empty() || self.superblock_has_changed()
    }

    /// Whether a checkpoint is due before the next commit: the log has no room for it, or is half full.
    pub fn needs_checkpoint(&self) -> bool {
        let Some(journal) = &self.journal else { return false };
        let (blocks, revoked) = self.buffers.running();
        // What a commit adds to the running blocks: descriptors, bitmaps' groups, the superblock.
        let needed = journal.needed(blocks + self.changed_groups.len() + 1, revoked);
        needed > journal.free() as usize || journal.free() < journal.capacity() / 2
    }

    /// Whether the log holds what is not at home yet.
    pub fn has_log(&self) -> bool {
        self.journal.is_some() && self.given_up.is_none() && self.buffers.has_committed()
    }

    /// Closes the running transaction. None if it is empty. The commit before must be finished, and no
    /// [`Volume::needs_checkpoint`] be open.
    pub fn begin_commit(&mut self, now: Time) -> Result<Option<Commit>> {
        self.check_writable()?;
        if !self.has_changes() {
            return Ok(None);
        }
        if let Err(error) = self.settle_groups() {
            self.give_up(error);
            return Err(error);
        }
        let changes = self.buffers.take_changes();
        self.pending.close();
        let Some(journal) = &mut self.journal else { return Err(Error::ReadOnly) };
        match journal.append(changes, now) {
            Ok(commit) => Ok(Some(commit)),
            Err(error) => {
                self.give_up(error);
                Err(error)
            }
        }
    }

    /// Runs of blocks (first, how many) that the commit under way frees. Once it is in the log, and until
    /// [`Volume::finish_commit`], nobody needs their contents and nobody gets them: the moment for a discard.
    pub fn freed_by_commit(&self) -> Vec<(u64, u64)> {
        self.pending.closed()
    }

    /// The commit is in the log: what it freed can be used again.
    pub fn finish_commit(&mut self, commit: Commit) {
        self.buffers.drop_committed(&commit.changes.revoked);
        self.pending.settle();
    }

    /// Starts to bring everything that is in the log home.
    pub fn begin_checkpoint(&mut self) -> Result<Checkpoint> {
        self.check_writable()?;
        let blocks = self.buffers.committed();
        let Some(journal) = &mut self.journal else { return Err(Error::ReadOnly) };
        Ok(journal.checkpoint(blocks))
    }

    /// It is at home: the log's room is free.
    pub fn finish_checkpoint(&mut self, checkpoint: Checkpoint) {
        self.buffers.clear_committed(&checkpoint.blocks);
        if let Some(journal) = &mut self.journal {
            journal.tail = checkpoint.tail;
        }
    }

    /// Commits the running transaction from start to end, with a checkpoint before it if one is due; without changes
    /// just flushes, for the sake of contents that were written. For who holds the volume alone: mounting, unmounting,
    /// tests.
    pub fn commit(&mut self, now: Time) -> Result<()> {
        if self.needs_checkpoint() {
            self.checkpoint()?;
        }
        let Some(commit) = self.begin_commit(now)? else { return Ok(self.buffers.device().flush()?) };
        if let Err(error) = commit.write() {
            self.give_up(error);
            return Err(error);
        }
        self.finish_commit(commit);
        Ok(())
    }

    /// Brings everything that is in the log home, from start to end.
    pub fn checkpoint(&mut self) -> Result<()> {
        let checkpoint = self.begin_checkpoint()?;
        if let Err(error) = checkpoint.write() {
            self.give_up(error);
            return Err(error);
        }
        self.finish_checkpoint(checkpoint);
        Ok(())
    }

    /// Ends the mount cleanly: nothing is left in the log.
    pub fn unmount(mut self, now: Time) -> Result<()> {
        self.close(now)
    }

    /// Brings everything home and marks the volume as clean. Nothing can be changed afterwards.
    pub fn close(&mut self, now: Time) -> Result<()> {
        if self.journal.is_none() {
            return Ok(());
        }
        self.check_writable()?;
        self.commit(now)?;
        self.checkpoint()?;
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.closing().write()?;
        self.superblock.set_free(self.free_blocks, self.free_inodes);
        self.superblock.note_write(now.seconds as u32);
        self.superblock.set_needs_recovery(false);
        self.journal = None;
        self.write_superblock()
    }

    /// Writes the superblock past the journal, and flushes.
    pub(crate) fn write_superblock(&mut self) -> Result<()> {
        self.superblock.seal();
        let device = self.buffers.device();
        device.write(crate::layout::superblock::OFFSET, self.superblock.raw())?;
        device.flush()?;
        Ok(())
    }
}
