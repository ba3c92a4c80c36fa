//! A node of a volume.

use super::contents::Contents;
use super::{Shared, nanoseconds, now, time};
use crate::anonymous::now_ns;
use crate::file::File;
use crate::inode::{Inode, InodeRef, Link, NewNode, RenameMode, XattrMode};
use crate::metadata::{DirEntry, FileKind, Metadata, SetAttributes, StatusFlags};
use crate::pipe::Pipe;
use crate::{FsError, FsResult, dev};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, Ordering};
use ext4::{Attributes, Kind};
use hal::sync::SpinLock;

/// Entries that are read under one hold of the engine's lock: about a block of them, which is read in one go.
const LIST_PIECE: usize = 256;

/// Times that only memory knows.
#[derive(Clone, Copy, Default)]
struct Times {
    accessed_ns: Option<i64>,
    modified_ns: Option<i64>,
    /// Whether the time of the last read is late enough to say nothing new.
    read_is_noted: bool,
}

/// A file, directory, link, pipe, socket name or device node.
pub(crate) struct Node {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u32,
    kind: Kind,
    contents: Option<Arc<Contents>>,
    pipe: Option<Arc<Pipe>>,
    times: SpinLock<Times>,
    /// Whether the last name is gone: the inode goes with the node.
    nameless: AtomicBool,
}

fn kind_of(kind: Kind) -> FileKind {
    match kind {
        Kind::Regular => FileKind::Regular,
        Kind::Directory => FileKind::Directory,
        Kind::Symlink => FileKind::Symlink,
        Kind::CharDevice => FileKind::CharDevice,
        Kind::BlockDevice => FileKind::BlockDevice,
        Kind::Fifo => FileKind::Fifo,
        Kind::Socket => FileKind::Socket,
    }
}

fn new_node(node: NewNode) -> ext4::NewNode {
    match node {
        NewNode::Regular => ext4::NewNode::Regular,
        NewNode::Directory => ext4::NewNode::Directory,
        NewNode::Symlink(target) => ext4::NewNode::Symlink(target),
        NewNode::Fifo => ext4::NewNode::Fifo,
        NewNode::Socket => ext4::NewNode::Socket,
        NewNode::CharDevice(number) => ext4::NewNode::CharDevice(number as u32),
        NewNode::BlockDevice(number) => ext4::NewNode::BlockDevice(number as u32),
    }
}

impl Node {
    pub fn new(shared: &Arc<Shared>, attributes: &Attributes) -> Arc<Self> {
        let number = attributes.inode;
        Arc::new_cyclic(|node| Self {
            shared: shared.clone(),
            number,
            kind: attributes.kind,
            contents: (attributes.kind == Kind::Regular)
                .then(|| Contents::new(shared, number, attributes.size, node.clone())),
            pipe: (attributes.kind == Kind::Fifo).then(Pipe::unopened),
            times: SpinLock::new(Times::default()),
            nameless: AtomicBool::new(attributes.links == 0),
        })
    }

    pub(super) fn set_nameless(&self, nameless: bool) {
        self.nameless.store(nameless, Ordering::SeqCst);
    }

    pub(super) fn contents(&self) -> Option<&Arc<Contents>> {
        self.contents.as_ref()
    }

    pub(super) fn data(&self) -> FsResult<&Arc<Contents>> {
        match (&self.contents, self.kind) {
            (Some(contents), _) => Ok(contents),
            (None, Kind::Directory) => Err(FsError::IsDirectory),
            (None, _) => Err(FsError::Invalid),
        }
    }

    fn writable(&self) -> FsResult<()> {
        if self.shared.read_only { Err(FsError::ReadOnly) } else { Ok(()) }
    }

    /// The contents have changed.
    pub(super) fn touch(self: &Arc<Self>) {
        {
            let mut times = self.times.lock();
            times.modified_ns = Some(now_ns());
            times.read_is_noted = false;
        }
        self.shared.note_dirty(self.clone());
    }

    /// The contents were read: noted when that is news (relatime).
    pub(super) fn touch_read(self: &Arc<Self>) {
        if self.shared.read_only || core::mem::replace(&mut self.times.lock().read_is_noted, true) {
            return;
        }
        let Ok(attributes) = self.shared.look(|volume| volume.attributes(self.number)) else { return };
        let now = now_ns();
        let mut times = self.times.lock();
        let modified = times.modified_ns.unwrap_or_else(|| nanoseconds(attributes.modified));
        let accessed = times.accessed_ns.unwrap_or_else(|| nanoseconds(attributes.accessed));
        let day = 86_400_000_000_000;
        if accessed > modified && now - accessed < day {
            return;
        }
        times.accessed_ns = Some(now);
        drop(times);
        self.shared.note_dirty(self.clone());
    }

    /// Brings the times that only memory knows into the running transaction.
    pub(super) fn settle_times(&self) -> FsResult<()> {
        let times = {
            let mut times = self.times.lock();
            let kept = Times { read_is_noted: times.read_is_noted, ..Times::default() };
            core::mem::replace(&mut *times, kept)
        };
        if times.accessed_ns.is_none() && times.modified_ns.is_none() {
            return Ok(());
        }
        let set = ext4::SetAttributes {
            accessed: times.accessed_ns.map(time),
            modified: times.modified_ns.map(time),
            changed: times.modified_ns.map(time),
            ..Default::default()
        };
        self.shared.change(|volume| volume.set_attributes(self.number, &set))
    }

    /// Everything of this node to the device and into the running transaction.
    pub(super) fn write_back(self: &Arc<Self>) -> FsResult<()> {
        // Before the first look: what changes meanwhile has a later one.
        let stamp = self.shared.stamp(self.number);
        let result = match &self.contents {
            Some(contents) => contents.write_pages(0..u64::MAX).and_then(|()| self.settle_times()),
            None => self.settle_times(),
        };
        if result.is_ok() || result == Err(FsError::ReadOnly) {
            self.shared.note_clean(self.number, stamp);
        }
        result
    }

    pub(super) fn attributes(&self) -> Metadata {
        let found = self.shared.look(|volume| volume.attributes(self.number)).unwrap_or(Attributes {
            inode: self.number,
            kind: self.kind,
            permissions: 0,
            user: 0,
            group: 0,
            links: 0,
            size: 0,
            sectors: 0,
            device: 0,
            generation: 0,
            accessed: now(),
            modified: now(),
            changed: now(),
            created: now(),
        });
        let times = *self.times.lock();
        Metadata {
            ino: u64::from(self.number),
            dev: self.shared.dev,
            kind: kind_of(self.kind),
            mode: u32::from(found.permissions),
            nlink: found.links,
            uid: found.user,
            gid: found.group,
            size: self.contents.as_ref().map_or(found.size, |contents| contents.len_bytes()),
            blocks: found.sectors,
            atime_ns: times.accessed_ns.unwrap_or_else(|| nanoseconds(found.accessed)),
            mtime_ns: times.modified_ns.unwrap_or_else(|| nanoseconds(found.modified)),
            ctime_ns: times.modified_ns.unwrap_or_else(|| nanoseconds(found.changed)),
            btime_ns: nanoseconds(found.created),
            rdev: u64::from(found.device),
            block_bytes: 4096,
        }
    }

    fn of<'a>(&self, node: &'a InodeRef) -> FsResult<&'a Node> {
        let other = (**node).as_any().downcast_ref::<Node>().ok_or(FsError::CrossDevice)?;
        if Arc::ptr_eq(&other.shared, &self.shared) { Ok(other) } else { Err(FsError::CrossDevice) }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut nodes = self.shared.nodes.lock();
        // A newer node may have the number.
        if nodes.get(&self.number).is_some_and(|known| known.strong_count() == 0) {
            nodes.remove(&self.number);
        }
        drop(nodes);
        // Freed by who looks for doomed inodes next: here is no place to sleep.
        if self.nameless.load(Ordering::SeqCst) && !self.shared.read_only {
            self.shared.doomed.lock().push(self.number);
        }
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
        kind_of(self.kind)
    }
    fn lookup(&self, name: &[u8]) -> FsResult<InodeRef> {
        let found = self.shared.look(|volume| {
            let number = volume.lookup(self.number, name)?;
            self.shared.node_of(volume, number)
        });
        Ok(found?)
    }
    fn create(&self, name: &[u8], node: NewNode, mode: u32) -> FsResult<InodeRef> {
        self.writable()?;
        if let NewNode::Symlink(target) = &node
            && target.is_empty()
        {
            return Err(FsError::NotFound);
        }
        let permissions = if matches!(node, NewNode::Symlink(_)) { 0o777 } else { mode as u16 & 0o7777 };
        let node = new_node(node);
        let made = self.shared.change(|volume| {
            let number = volume.create(self.number, name, &node, permissions, now())?;
            self.shared.node_of(volume, number)
        });
        Ok(made?)
    }
    fn create_unnamed(&self, mode: u32) -> FsResult<InodeRef> {
        self.writable()?;
        let mode = mode as u16 & 0o7777;
        let made = self.shared.change(|volume| {
            let number = volume.create_unnamed(self.number, mode, now())?;
            self.shared.node_of(volume, number)
        });
        Ok(made?)
    }
    fn unlink(&self, name: &[u8]) -> FsResult<()> {
        self.writable()?;
        self.shared.change(|volume| {
            let gone = volume.unlink(self.number, name, now())?;
            self.shared.note_lost(Some(gone));
            Ok(())
        })?;
        self.shared.bury_doomed();
        Ok(())
    }
    fn rmdir(&self, name: &[u8]) -> FsResult<()> {
        self.writable()?;
        self.shared.change(|volume| {
            let gone = volume.rmdir(self.number, name, now())?;
            self.shared.note_lost(Some(gone));
            Ok(())
        })?;
        self.shared.bury_doomed();
        Ok(())
    }
    fn link(&self, name: &[u8], target: &InodeRef) -> FsResult<()> {
        self.writable()?;
        let target = self.of(target)?;
        self.shared.change(|volume| {
            volume.link(self.number, name, target.number, now())?;
            target.set_nameless(false);
            Ok(())
        })
    }
    fn rename(&self, name: &[u8], to: &InodeRef, new_name: &[u8], mode: RenameMode) -> FsResult<()> {
        self.writable()?;
        let to = self.of(to)?.number;
        let mode = match mode {
            RenameMode::Replace => ext4::RenameMode::Replace,
            RenameMode::NoReplace => ext4::RenameMode::NoReplace,
            RenameMode::Exchange => ext4::RenameMode::Exchange,
        };
        self.shared.change(|volume| {
            let gone = volume.rename(self.number, name, to, new_name, mode, now())?;
            self.shared.note_lost(gone);
            Ok(())
        })?;
        self.shared.bury_doomed();
        Ok(())
    }
    fn readlink(&self) -> FsResult<Link> {
        Ok(Link::Path(self.shared.look(|volume| volume.read_link(self.number))?))
    }
    fn readdir(&self, cursor: u64, emit: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> FsResult<()> {
        let mut at = cursor;
        loop {
            let mut piece: Vec<(u64, u32, Kind, Vec<u8>)> = Vec::new();
            self.shared.look(|volume| {
                volume.read_directory(self.number, at, &mut |next, inode, kind, name| {
                    piece.push((next, inode, kind, name.to_vec()));
                    piece.len() < LIST_PIECE
                })
            })?;
            if piece.is_empty() {
                return Ok(());
            }
            for (next_cursor, inode, kind, name) in piece {
                if !emit(&DirEntry { name: &name, ino: u64::from(inode), kind: kind_of(kind), next_cursor }) {
                    return Ok(());
                }
                at = next_cursor;
            }
        }
    }
    fn truncate(&self, size: u64) -> FsResult<()> {
        self.writable()?;
        self.data()?.truncate(size)
    }
    fn set_attributes(&self, set: &SetAttributes) -> FsResult<()> {
        self.writable()?;
        self.settle_times()?;
        let set = ext4::SetAttributes {
            permissions: set.mode.map(|mode| mode as u16 & 0o7777),
            user: set.uid,
            group: set.gid,
            accessed: set.atime_ns.map(time),
            modified: set.mtime_ns.map(time),
            changed: Some(now()),
        };
        self.shared.change(|volume| volume.set_attributes(self.number, &set))
    }
    fn open(self: Arc<Self>, status: StatusFlags) -> FsResult<Arc<dyn File>> {
        match self.kind {
            Kind::Regular | Kind::Directory if status.contains(StatusFlags::WRITE) && self.shared.read_only => {
                Err(FsError::ReadOnly)
            }
            Kind::Regular | Kind::Directory => Ok(Arc::new(super::file::Opened::new(self))),
            Kind::Fifo => self.pipe.as_ref().ok_or(FsError::NoSuchAddress)?.open_named(status),
            Kind::CharDevice => dev::open_char(self.attributes().rdev),
            Kind::Symlink => Err(FsError::Loop),
            Kind::BlockDevice | Kind::Socket => Err(FsError::NoSuchAddress),
        }
    }
    fn xattr(&self, name: &[u8]) -> FsResult<Vec<u8>> {
        self.shared.look(|volume| volume.xattr(self.number, name)).map_err(unknown_prefix)
    }
    fn set_xattr(&self, name: &[u8], value: &[u8], mode: XattrMode) -> FsResult<()> {
        self.writable()?;
        let mode = match mode {
            XattrMode::Any => ext4::XattrMode::Any,
            XattrMode::Create => ext4::XattrMode::Create,
            XattrMode::Replace => ext4::XattrMode::Replace,
        };
        self.shared.change(|volume| volume.set_xattr(self.number, name, value, mode, now())).map_err(unknown_prefix)
    }
    fn remove_xattr(&self, name: &[u8]) -> FsResult<()> {
        self.writable()?;
        self.shared.change(|volume| volume.remove_xattr(self.number, name, now())).map_err(unknown_prefix)
    }
    fn xattrs(&self) -> FsResult<Vec<Vec<u8>>> {
        self.shared.look(|volume| volume.xattrs(self.number))
    }
    fn backing(&self) -> Option<Arc<dyn mm::Backing>> {
        self.contents.clone().map(|contents| contents as Arc<dyn mm::Backing>)
    }
}

/// A name space of attributes that does not exist.
fn unknown_prefix(error: FsError) -> FsError {
    if error == FsError::Invalid { FsError::NotSupported } else { error }
}
