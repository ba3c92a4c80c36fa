//! A node of a tmpfs.

use super::Space;
use super::data::FileData;
use super::directory::Entries;
use super::xattrs::Xattrs;
use crate::anonymous::now_ns;
use crate::file::File;
use crate::inode::{Inode, InodeRef, Link, NewNode, RenameMode, XattrMode};
use crate::metadata::{DirEntry, FileKind, Metadata, SetAttributes, StatusFlags};
use crate::pipe::Pipe;
use crate::{FsError, FsResult, dev};
use alloc::{sync::Arc, vec::Vec};
use core::any::Any;
use core::sync::atomic::Ordering;
use hal::sync::SpinLock;
use sched::Mutex;

/// What Linux's tmpfs shows as a directory entry's size.
const ENTRY_BYTES: u64 = 20;
/// Entries listed under one hold of a directory's lock.
const LIST_PIECE: usize = 32;
/// Longest target of a symbolic link.
const LINK_MAX: usize = 4095;
/// Names that a file may have.
pub(super) const NLINK_MAX: u32 = i32::MAX as u32;

pub(super) enum Content {
    File(Arc<FileData>),
    Directory(Mutex<Entries>),
    Symlink(Vec<u8>),
    Fifo(Arc<Pipe>),
    Socket,
    Device(FileKind, u64),
}

struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    atime_ns: i64,
    mtime_ns: i64,
    ctime_ns: i64,
    btime_ns: i64,
}

/// A file, directory, link, pipe, socket name or device node.
pub(crate) struct Node {
    pub(super) space: Arc<Space>,
    ino: u64,
    pub(super) content: Content,
    attributes: SpinLock<Attributes>,
    xattrs: Xattrs,
}

impl Node {
    fn new(space: &Arc<Space>, make: impl FnOnce(u64) -> Content, mode: u32, nlink: u32) -> Arc<Self> {
        let ino = space.next_ino.fetch_add(1, Ordering::Relaxed);
        let now = now_ns();
        let attributes = Attributes {
            mode: mode & 0o7777,
            uid: 0,
            gid: 0,
            nlink,
            atime_ns: now,
            mtime_ns: now,
            ctime_ns: now,
            btime_ns: now,
        };
        Arc::new(Self {
            space: space.clone(),
            ino,
            content: make(ino),
            attributes: SpinLock::new(attributes),
            xattrs: Xattrs::default(),
        })
    }

    pub fn directory(space: &Arc<Space>, mode: u32) -> Arc<Self> {
        Self::new(space, |_| Content::Directory(Mutex::new(Entries::default())), mode, 2)
    }

    pub fn regular(space: &Arc<Space>, mode: u32) -> Arc<Self> {
        Self::new(space, |ino| Content::File(FileData::new(space, ino)), mode, 1)
    }

    pub fn set_nlink(&self, nlink: u32) {
        self.attributes.lock().nlink = nlink;
    }

    pub(super) fn file_kind(&self) -> FileKind {
        match &self.content {
            Content::File(_) => FileKind::Regular,
            Content::Directory(_) => FileKind::Directory,
            Content::Symlink(_) => FileKind::Symlink,
            Content::Fifo(_) => FileKind::Fifo,
            Content::Socket => FileKind::Socket,
            Content::Device(kind, _) => *kind,
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.content, Content::Directory(_))
    }

    pub(super) fn entries(&self) -> FsResult<&Mutex<Entries>> {
        match &self.content {
            Content::Directory(entries) => Ok(entries),
            _ => Err(FsError::NotDirectory),
        }
    }

    pub(super) fn data(&self) -> FsResult<&Arc<FileData>> {
        match &self.content {
            Content::File(data) => Ok(data),
            Content::Directory(_) => Err(FsError::IsDirectory),
            _ => Err(FsError::Invalid),
        }
    }

    pub(super) fn nlink(&self) -> u32 {
        self.attributes.lock().nlink
    }

    pub(super) fn add_links(&self, change: i32) {
        let now = now_ns();
        let mut attributes = self.attributes.lock();
        attributes.nlink = attributes.nlink.saturating_add_signed(change);
        attributes.ctime_ns = now;
    }

    /// Contents changed: mtime and ctime.
    pub(super) fn touch(&self) {
        let now = now_ns();
        let mut attributes = self.attributes.lock();
        attributes.mtime_ns = now;
        attributes.ctime_ns = now;
    }

    pub(super) fn touch_ctime(&self) {
        let now = now_ns();
        self.attributes.lock().ctime_ns = now;
    }

    /// Read: atime, but only when it is not newer than the last change (relatime).
    pub(super) fn touch_atime(&self) {
        let stale = {
            let attributes = self.attributes.lock();
            attributes.atime_ns <= attributes.mtime_ns || attributes.atime_ns <= attributes.ctime_ns
        };
        if stale {
            let now = now_ns();
            self.attributes.lock().atime_ns = now;
        }
    }

    pub(super) fn attributes(&self) -> Metadata {
        let (size, blocks) = match &self.content {
            Content::File(data) => (data.len_bytes(), data.allocated_pages() * 8),
            Content::Directory(entries) => ((entries.lock().len() as u64 + 2) * ENTRY_BYTES, 0),
            Content::Symlink(target) => (target.len() as u64, 0),
            _ => (0, 0),
        };
        let rdev = if let Content::Device(_, number) = self.content { number } else { 0 };
        let attributes = self.attributes.lock();
        Metadata {
            ino: self.ino,
            dev: self.space.dev,
            kind: self.file_kind(),
            mode: attributes.mode,
            nlink: attributes.nlink,
            uid: attributes.uid,
            gid: attributes.gid,
            size,
            blocks,
            atime_ns: attributes.atime_ns,
            mtime_ns: attributes.mtime_ns,
            ctime_ns: attributes.ctime_ns,
            btime_ns: attributes.btime_ns,
            rdev,
            block_bytes: 4096,
        }
    }

    /// A directory that was removed takes no names.
    pub(super) fn alive(&self) -> FsResult<()> {
        if self.nlink() == 0 { Err(FsError::NotFound) } else { Ok(()) }
    }
}

impl Inode for Node {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        self.attributes()
    }
    fn kind(&self) -> FileKind {
        self.file_kind()
    }
    fn lookup(&self, name: &[u8]) -> FsResult<InodeRef> {
        let entries = self.entries()?.lock();
        Ok(entries.get(name).ok_or(FsError::NotFound)?.clone())
    }
    fn create(&self, name: &[u8], node: NewNode, mode: u32) -> FsResult<InodeRef> {
        let _tree = self.space.tree.lock();
        let mut entries = self.entries()?.lock();
        if entries.get(name).is_some() {
            return Err(FsError::Exists);
        }
        self.alive()?;
        if let NewNode::Symlink(target) = &node
            && (target.is_empty() || target.len() > LINK_MAX)
        {
            return Err(if target.is_empty() { FsError::NotFound } else { FsError::NameTooLong });
        }
        self.space.charge_inode()?;
        let space = &self.space;
        let made = match node {
            NewNode::Regular => Node::regular(space, mode),
            NewNode::Directory => Node::directory(space, mode),
            NewNode::Symlink(target) => Node::new(space, |_| Content::Symlink(target), 0o777, 1),
            NewNode::Fifo => Node::new(space, |_| Content::Fifo(Pipe::unopened()), mode, 1),
            NewNode::Socket => Node::new(space, |_| Content::Socket, mode, 1),
            NewNode::CharDevice(number) => Node::new(space, |_| Content::Device(FileKind::CharDevice, number), mode, 1),
            NewNode::BlockDevice(number) => {
                Node::new(space, |_| Content::Device(FileKind::BlockDevice, number), mode, 1)
            }
        };
        entries.insert(name, made.clone());
        drop(entries);
        if made.is_directory() {
            self.add_links(1);
        }
        self.touch();
        Ok(made)
    }
    fn create_unnamed(&self, mode: u32) -> FsResult<InodeRef> {
        self.entries()?;
        self.space.charge_inode()?;
        let file = Node::regular(&self.space, mode);
        file.set_nlink(0);
        Ok(file)
    }
    fn unlink(&self, name: &[u8]) -> FsResult<()> {
        let _tree = self.space.tree.lock();
        let mut entries = self.entries()?.lock();
        if entries.get(name).ok_or(FsError::NotFound)?.is_directory() {
            return Err(FsError::IsDirectory);
        }
        let gone = entries.remove(name);
        drop(entries);
        self.touch();
        if let Some(gone) = gone {
            gone.add_links(-1);
        }
        Ok(())
    }
    fn rmdir(&self, name: &[u8]) -> FsResult<()> {
        let _tree = self.space.tree.lock();
        let mut entries = self.entries()?.lock();
        let victim = entries.get(name).ok_or(FsError::NotFound)?;
        if victim.entries()?.lock().len() > 0 {
            return Err(FsError::NotEmpty);
        }
        let gone = entries.remove(name);
        drop(entries);
        self.add_links(-1);
        self.touch();
        if let Some(gone) = gone {
            gone.set_nlink(0);
        }
        Ok(())
    }
    fn link(&self, name: &[u8], target: &InodeRef) -> FsResult<()> {
        self.add_name(name, target)
    }
    fn rename(&self, name: &[u8], to: &InodeRef, new_name: &[u8], mode: RenameMode) -> FsResult<()> {
        self.move_name(name, to, new_name, mode)
    }
    fn readlink(&self) -> FsResult<Link> {
        match &self.content {
            Content::Symlink(target) => Ok(Link::Path(target.clone())),
            _ => Err(FsError::Invalid),
        }
    }
    fn readdir(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        let entries = self.entries()?;
        let mut at = cursor;
        loop {
            let piece = entries.lock().list(at, LIST_PIECE);
            if piece.is_empty() {
                self.touch_atime();
                return Ok(());
            }
            for (cookie, name, node) in piece {
                if !emit(&DirEntry { name: &name, ino: node.ino, kind: node.file_kind(), next_cursor: cookie }) {
                    return Ok(());
                }
                at = cookie;
            }
        }
    }
    fn truncate(&self, size: u64) -> FsResult<()> {
        self.data()?.truncate(size)?;
        self.touch();
        Ok(())
    }
    fn set_attributes(&self, set: &SetAttributes) -> FsResult<()> {
        let now = now_ns();
        let mut attributes = self.attributes.lock();
        attributes.mode = set.mode.map_or(attributes.mode, |mode| mode & 0o7777);
        attributes.uid = set.uid.unwrap_or(attributes.uid);
        attributes.gid = set.gid.unwrap_or(attributes.gid);
        attributes.atime_ns = set.atime_ns.unwrap_or(attributes.atime_ns);
        attributes.mtime_ns = set.mtime_ns.unwrap_or(attributes.mtime_ns);
        attributes.ctime_ns = now;
        Ok(())
    }
    fn open(self: Arc<Self>, status: StatusFlags) -> FsResult<Arc<dyn File>> {
        match &self.content {
            Content::File(_) | Content::Directory(_) => Ok(self),
            Content::Fifo(pipe) => pipe.open_named(status),
            Content::Device(FileKind::CharDevice, number) => dev::open_char(*number),
            Content::Symlink(_) => Err(FsError::Loop),
            _ => Err(FsError::NoSuchAddress),
        }
    }
    fn xattr(&self, name: &[u8]) -> FsResult<Vec<u8>> {
        self.xattrs.get(name, self.file_kind())
    }
    fn set_xattr(&self, name: &[u8], value: &[u8], mode: XattrMode) -> FsResult<()> {
        self.xattrs.set(name, value, mode, self.file_kind())?;
        self.touch_ctime();
        Ok(())
    }
    fn remove_xattr(&self, name: &[u8]) -> FsResult<()> {
        self.xattrs.remove(name, self.file_kind())?;
        self.touch_ctime();
        Ok(())
    }
    fn xattrs(&self) -> FsResult<Vec<Vec<u8>>> {
        Ok(self.xattrs.names())
    }
    fn backing(&self) -> Option<Arc<dyn mm::Backing>> {
        match &self.content {
            Content::File(data) => Some(data.clone()),
            _ => None,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.space.inodes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_sub(1)).ok();
        // A deep tree must not recurse on a small stack.
        let Content::Directory(entries) = &mut self.content else { return };
        let mut doomed: Vec<Arc<Node>> = entries.get_mut().take_nodes().collect();
        while let Some(node) = doomed.pop() {
            if let Some(mut node) = Arc::into_inner(node)
                && let Content::Directory(entries) = &mut node.content
            {
                doomed.extend(entries.get_mut().take_nodes());
            }
        }
    }
}
