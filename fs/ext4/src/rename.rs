//! Moving a name.

use crate::attributes::{Kind, Time};
use crate::directory::Found;
use crate::layout::Inode;
use crate::names::Unlinked;
use crate::{Error, Result, Volume};

/// How a rename treats its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenameMode {
    /// Replaces it.
    Replace,
    /// Refuses an existing one.
    NoReplace,
    /// Swaps the two.
    Exchange,
}

impl Volume {
    /// Moves a name to another directory or name, in one transaction. Answers what was replaced. That no directory gets
    /// below itself is the caller's to see to.
    pub fn rename(
        &mut self,
        from: u32,
        name: &[u8],
        to: u32,
        new_name: &[u8],
        mode: RenameMode,
        now: Time,
    ) -> Result<Option<Unlinked>> {
        self.check_writable()?;
        let source = self.read_directory_inode(from)?;
        let target = self.read_directory_inode(to)?;
        let moved = self.find_name(&source, name)?.ok_or(Error::NotFound)?;
        let replaced = self.find_name(&target, new_name)?;
        let inode = self.read_inode(moved.inode)?;
        match (mode, replaced) {
            (RenameMode::Exchange, None) => Err(Error::NotFound),
            (RenameMode::NoReplace, Some(_)) => Err(Error::Exists),
            (_, Some(replaced)) if replaced.inode == moved.inode => Ok(None),
            (RenameMode::Exchange, Some(other)) => {
                self.exchange(source, moved, inode, target, other, now)?;
                Ok(None)
            }
            (_, replaced) => self.replace(source, name, inode, target, new_name, replaced, now),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "two directories, two names and what they lead to: none can go")]
    fn replace(
        &mut self,
        source: Inode,
        name: &[u8],
        mut inode: Inode,
        mut target: Inode,
        new_name: &[u8],
        replaced: Option<Found>,
        now: Time,
    ) -> Result<Option<Unlinked>> {
        let (from, to, number) = (source.number, target.number, inode.number);
        let kind = inode.kind().ok_or(Error::NotFound)?;
        let is_directory = kind == Kind::Directory;
        let old = match &replaced {
            Some(found) => Some(self.read_inode(found.inode)?),
            None => None,
        };
        match (&old, is_directory) {
            (Some(old), true) if old.kind() != Some(Kind::Directory) => return Err(Error::NotDirectory),
            (Some(old), false) if old.kind() == Some(Kind::Directory) => return Err(Error::IsDirectory),
            (Some(old), true) if !self.is_empty_directory(old)? => return Err(Error::NotEmpty),
            (None, true) if from != to => self.check_subdirectory(&target)?,
            _ => (),
        }
        match &replaced {
            Some(found) => self.redirect_name(&target, found, number, kind)?,
            None => self.insert_name(&mut target, new_name, number, kind)?,
        }
        if is_directory && from != to && old.is_none() {
            self.add_link(&mut target);
        }
        self.touch(&mut target, now)?;
        // Entering the name may have moved the old one.
        let mut source = self.read_directory_inode(from)?;
        let moved = self.find_name(&source, name)?.ok_or(Error::NotFound)?;
        self.remove_name(&source, &moved)?;
        self.touch(&mut source, now)?;
        inode.set_changed(now);
        self.write_inode(&mut inode)?;
        if is_directory {
            // The source has one less below it, unless the moved one stays there and replaces none.
            if from != to || old.is_some() {
                let mut source = self.read_directory_inode(from)?;
                self.remove_subdirectory(&mut source, now)?;
            }
            if from != to {
                self.set_parent(&inode, to)?;
            }
        }
        match old {
            Some(mut old) if is_directory => self.bury_directory(&mut old, now).map(Some),
            Some(mut old) => self.drop_link(&mut old, now).map(Some),
            None => Ok(None),
        }
    }

    fn exchange(
        &mut self,
        source: Inode,
        moved: Found,
        mut inode: Inode,
        target: Inode,
        other: Found,
        now: Time,
    ) -> Result<()> {
        let (from, to) = (source.number, target.number);
        let mut second = self.read_inode(other.inode)?;
        let (kind, other_kind) = (inode.kind().ok_or(Error::NotFound)?, second.kind().ok_or(Error::NotFound)?);
        self.redirect_name(&source, &moved, second.number, other_kind)?;
        self.redirect_name(&target, &other, inode.number, kind)?;
        for inode in [&mut inode, &mut second] {
            inode.set_changed(now);
            self.write_inode(inode)?;
        }
        let (out, back) = (kind == Kind::Directory, other_kind == Kind::Directory);
        if from != to {
            if out {
                self.set_parent(&inode, to)?;
            }
            if back {
                self.set_parent(&second, from)?;
            }
        }
        for (directory, gains, loses) in [(from, back && !out, out && !back), (to, out && !back, back && !out)] {
            let mut directory = self.read_directory_inode(directory)?;
            if from != to && gains {
                self.add_link(&mut directory);
            }
            if from != to && loses {
                self.remove_subdirectory(&mut directory, now)?;
            } else {
                self.touch(&mut directory, now)?;
            }
        }
        Ok(())
    }

    fn set_parent(&mut self, directory: &Inode, parent: u32) -> Result<()> {
        let found = self.find_name(directory, b"..")?.ok_or(Error::Corrupt("a directory without a parent"))?;
        self.redirect_name(directory, &found, parent, Kind::Directory)
    }
}
