//! Making and removing names.

use crate::allocator::Purpose;
use crate::attributes::{Kind, NewNode, Time};
use crate::buffers::Seal;
use crate::directory::NAME_MAX;
use crate::extents::{Extent, initialise_root};
use crate::inodes::ROOT;
use crate::layout::inode::BLOCK_SIZE;
use crate::layout::{Inode, InodeFlags, ReadOnlyCompatible};
use crate::{Error, Result, Volume};
use alloc::vec::Vec;

/// Most names of an inode; directories count no further and are given one link then.
const LINK_MAX: u16 = 65_000;

/// Takes the cursor to go on from, inode, kind and name of an entry; answers whether to go on.
pub type EachEntry<'a> = dyn FnMut(u64, u32, Kind, &[u8]) -> bool + 'a;

/// What became of an inode whose name was removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unlinked {
    /// The inode.
    pub inode: u32,
    /// Whether that was its last name: it is to be given to [`Volume::evict`] when nobody has it open.
    pub is_last: bool,
}

fn check_name(name: &[u8]) -> Result<()> {
    match name {
        b"" | b"." | b".." => Err(Error::Invalid),
        _ if name.len() > NAME_MAX => Err(Error::NameTooLong),
        _ if name.contains(&b'/') || name.contains(&0) => Err(Error::Invalid),
        _ => Ok(()),
    }
}

impl Volume {
    /// The top directory's inode.
    pub fn root(&self) -> u32 {
        ROOT
    }

    /// The inode under a name; `..` is one. Errors: `NotFound`, `NotDirectory`.
    pub fn lookup(&mut self, directory: u32, name: &[u8]) -> Result<u32> {
        let directory = self.read_directory_inode(directory)?;
        Ok(self.find_name(&directory, name)?.ok_or(Error::NotFound)?.inode)
    }

    /// Calls `each` with the cursor to go on from, inode, kind and name of the entries from a cursor on (0: the start)
    /// until it answers false. Without `.` and `..`.
    pub fn read_directory(&mut self, directory: u32, cursor: u64, each: &mut EachEntry<'_>) -> Result<()> {
        let directory = self.read_directory_inode(directory)?;
        self.for_each_name(&directory, cursor, &mut |next, inode, kind, name| {
            each(next, inode, kind.unwrap_or(Kind::Regular), name)
        })
    }

    /// Makes a node. Errors: `Exists`, `NoSpace`, `NameTooLong`, `TooManyLinks`.
    pub fn create(&mut self, directory: u32, name: &[u8], node: &NewNode, permissions: u16, now: Time) -> Result<u32> {
        self.check_writable()?;
        check_name(name)?;
        let mut parent = self.read_directory_inode(directory)?;
        if parent.links() == 0 {
            return Err(Error::NotFound);
        }
        if self.find_name(&parent, name)?.is_some() {
            return Err(Error::Exists);
        }
        let kind = node.kind();
        if kind == Kind::Directory {
            self.check_subdirectory(&parent)?;
        }
        let mut inode = self.new_inode(&parent, node, permissions, now)?;
        let made = self
            .furnish(&mut inode, node, directory)
            .and_then(|()| self.insert_name(&mut parent, name, inode.number, kind));
        if let Err(error) = made {
            self.undo_creation(&mut inode, now)?;
            return Err(error);
        }
        self.write_inode(&mut inode)?;
        if kind == Kind::Directory {
            self.add_link(&mut parent);
        }
        self.touch(&mut parent, now)?;
        Ok(inode.number)
    }

    /// Makes a file without a name; it is gone after a crash unless [`Volume::link`] has named it.
    pub fn create_unnamed(&mut self, directory: u32, permissions: u16, now: Time) -> Result<u32> {
        self.check_writable()?;
        let parent = self.read_directory_inode(directory)?;
        let mut inode = self.new_inode(&parent, &NewNode::Regular, permissions, now)?;
        inode.set_links(0);
        self.add_orphan(&mut inode)?;
        Ok(inode.number)
    }

    /// Gives a new inode the blocks that it cannot be without.
    fn furnish(&mut self, inode: &mut Inode, node: &NewNode, parent: u32) -> Result<()> {
        match node {
            NewNode::Directory => self.make_directory(inode, parent),
            NewNode::Symlink(target) => self.put_target(inode, target),
            _ => Ok(()),
        }
    }

    fn undo_creation(&mut self, inode: &mut Inode, now: Time) -> Result<()> {
        inode.set_links(0);
        if inode.flags().contains(InodeFlags::EXTENTS) {
            while let Some(taken) = self.take_extent(inode, 0, u32::MAX)? {
                (taken.block..taken.block + u64::from(taken.length)).for_each(|block| self.buffers.forget(block));
                self.free_blocks(taken.block, taken.length)?;
                self.charge(inode, -i64::from(taken.length));
            }
        }
        self.free_inode(inode, now)
    }

    fn put_target(&mut self, inode: &mut Inode, target: &[u8]) -> Result<()> {
        if target.is_empty() || target.len() >= self.geometry.block_size() {
            return Err(if target.is_empty() { Error::Invalid } else { Error::NameTooLong });
        }
        inode.set_size(target.len() as u64);
        if target.len() < BLOCK_SIZE {
            inode.block_mut()[..target.len()].copy_from_slice(target);
            return Ok(());
        }
        inode.set_flags(inode.flags() | InodeFlags::EXTENTS);
        initialise_root(inode.block_mut());
        let (block, _) = self.allocate_blocks(self.inode_goal(inode.number), 1, Purpose::Data)?;
        self.buffers.create(block, Seal::None)[..target.len()].copy_from_slice(target);
        self.charge(inode, 1);
        self.insert_extent(inode, Extent { logical: 0, length: 1, block, unwritten: false })
    }

    /// A symbolic link's target.
    pub fn read_link(&mut self, number: u32) -> Result<Vec<u8>> {
        let inode = self.read_inode(number)?;
        if inode.kind() != Some(Kind::Symlink) {
            return Err(Error::Invalid);
        }
        let length = usize::try_from(inode.size()).unwrap_or(usize::MAX);
        if !inode.flags().contains(InodeFlags::EXTENTS) {
            let target = inode.block().get(..length);
            return target.map(<[u8]>::to_vec).ok_or(Error::Corrupt("a symbolic link's length"));
        }
        let block = self.map_inode(&inode, 0, 1)?.block.ok_or(Error::Corrupt("a symbolic link with a hole"))?;
        let target = self.buffers.get(block, Seal::None)?.get(..length);
        target.map(<[u8]>::to_vec).ok_or(Error::Corrupt("a symbolic link's length"))
    }

    /// Takes a name off something that is no directory.
    pub fn unlink(&mut self, directory: u32, name: &[u8], now: Time) -> Result<Unlinked> {
        self.check_writable()?;
        check_name(name)?;
        let mut parent = self.read_directory_inode(directory)?;
        let found = self.find_name(&parent, name)?.ok_or(Error::NotFound)?;
        let mut inode = self.read_inode(found.inode)?;
        if inode.kind() == Some(Kind::Directory) {
            return Err(Error::IsDirectory);
        }
        self.remove_name(&parent, &found)?;
        self.touch(&mut parent, now)?;
        self.drop_link(&mut inode, now)
    }

    /// Removes an empty directory.
    pub fn rmdir(&mut self, directory: u32, name: &[u8], now: Time) -> Result<Unlinked> {
        self.check_writable()?;
        check_name(name)?;
        let mut parent = self.read_directory_inode(directory)?;
        let found = self.find_name(&parent, name)?.ok_or(Error::NotFound)?;
        let mut inode = self.read_directory_inode(found.inode)?;
        if !self.is_empty_directory(&inode)? {
            return Err(Error::NotEmpty);
        }
        self.remove_name(&parent, &found)?;
        self.remove_subdirectory(&mut parent, now)?;
        self.bury_directory(&mut inode, now)
    }

    /// An empty directory has lost its name.
    pub(crate) fn bury_directory(&mut self, inode: &mut Inode, now: Time) -> Result<Unlinked> {
        inode.set_links(0);
        inode.set_size(0);
        inode.set_changed(now);
        self.add_orphan(inode)?;
        Ok(Unlinked { inode: inode.number, is_last: true })
    }

    /// Something that is no directory has lost a name.
    pub(crate) fn drop_link(&mut self, inode: &mut Inode, now: Time) -> Result<Unlinked> {
        let links = inode.links().checked_sub(1).ok_or(Error::Corrupt("a name for an inode that has none"))?;
        inode.set_links(links);
        inode.set_changed(now);
        if links == 0 {
            self.add_orphan(inode)?
        } else {
            self.write_inode(inode)?
        }
        Ok(Unlinked { inode: inode.number, is_last: links == 0 })
    }

    /// Gives something that is no directory one more name.
    pub fn link(&mut self, directory: u32, name: &[u8], number: u32, now: Time) -> Result<()> {
        self.check_writable()?;
        check_name(name)?;
        let mut parent = self.read_directory_inode(directory)?;
        let mut inode = self.read_inode(number)?;
        let kind = inode.kind().filter(|kind| *kind != Kind::Directory).ok_or(Error::IsDirectory)?;
        if inode.links() >= LINK_MAX {
            return Err(Error::TooManyLinks);
        }
        if parent.links() == 0 {
            return Err(Error::NotFound);
        }
        if self.find_name(&parent, name)?.is_some() {
            return Err(Error::Exists);
        }
        self.insert_name(&mut parent, name, number, kind)?;
        self.touch(&mut parent, now)?;
        self.remove_orphan(&mut inode)?;
        inode.set_links(inode.links() + 1);
        inode.set_changed(now);
        self.write_inode(&mut inode)
    }

    pub(crate) fn check_subdirectory(&self, parent: &Inode) -> Result<()> {
        let uncounted = self.superblock.read_only_compatible().contains(ReadOnlyCompatible::DIR_NLINK);
        if parent.links() >= LINK_MAX && !uncounted { Err(Error::TooManyLinks) } else { Ok(()) }
    }

    /// A directory has one more below it; past the limit its links are not counted any more and say 1.
    pub(crate) fn add_link(&self, parent: &mut Inode) {
        let links = parent.links();
        parent.set_links(if links == 1 || links + 1 >= LINK_MAX { 1 } else { links + 1 });
    }

    /// A directory has one less below it. It is written by this.
    pub(crate) fn remove_subdirectory(&mut self, parent: &mut Inode, now: Time) -> Result<()> {
        if parent.links() > 2 {
            parent.set_links(parent.links() - 1);
        }
        self.touch(parent, now)
    }

    /// A directory's names have changed. It is written by this.
    pub(crate) fn touch(&mut self, directory: &mut Inode, now: Time) -> Result<()> {
        directory.set_modified(now);
        directory.set_changed(now);
        self.write_inode(directory)
    }
}
