//! Inodes that have lost their last name while open, or are being cut short in several transactions: a list through
//! the inodes themselves (`s_last_orphan`, `i_dtime`), so that a mount after a crash finishes them.

use crate::attributes::Time;
use crate::layout::Inode;
use crate::{Error, Result, Volume};
use alloc::vec::Vec;

impl Volume {
    /// Puts an inode at the list's start. It is written by this.
    pub(crate) fn add_orphan(&mut self, inode: &mut Inode) -> Result<()> {
        if self.orphans.contains(&inode.number) {
            return self.write_inode(inode);
        }
        inode.set_deletion(self.superblock.last_orphan());
        self.write_inode(inode)?;
        self.superblock.set_last_orphan(inode.number);
        self.orphans.insert(0, inode.number);
        Ok(())
    }

    /// Takes an inode off the list. It must be written by the caller, who also gives it its deletion time.
    pub(crate) fn remove_orphan(&mut self, inode: &mut Inode) -> Result<()> {
        let Some(index) = self.orphans.iter().position(|number| *number == inode.number) else { return Ok(()) };
        let next = self.orphans.get(index + 1).copied().unwrap_or(0);
        if index == 0 {
            self.superblock.set_last_orphan(next);
        } else {
            let mut before = self.read_raw_inode(self.orphans[index - 1])?;
            before.set_deletion(next);
            self.write_inode(&mut before)?;
        }
        self.orphans.remove(index);
        inode.set_deletion(0);
        Ok(())
    }

    /// Finishes off what a crash left on the list.
    pub(crate) fn finish_orphans(&mut self, now: Time) -> Result<()> {
        let mut found = Vec::new();
        let mut number = self.superblock.last_orphan();
        while number != 0 {
            if number > self.geometry.inodes || found.contains(&number) || number < self.geometry.first_inode {
                return Err(Error::Corrupt("the list of orphans"));
            }
            found.push(number);
            number = self.read_raw_inode(number)?.deletion();
        }
        if found.is_empty() {
            return Ok(());
        }
        self.orphans = found.clone();
        for number in found {
            let inode = self.read_inode(number)?;
            if inode.links() == 0 {
                while !self.evict(number, now)? {
                    self.commit(now)?;
                }
            } else {
                while !self.trim(number)? {
                    self.commit(now)?;
                }
            }
        }
        self.commit(now)
    }
}
