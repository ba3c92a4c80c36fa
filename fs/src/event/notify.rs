//! Watches on files and directories, and the queue that tells of what happened to them (inotify(7)).
//!
//! The operations of the tree and of open descriptions call [`entry`] and [`object`]; while nobody watches anything
//! that is one load. Watches are found by the inode, which a watch keeps alive, so its address names it.
//!
//! Lock order: `MARKS` -> a queue's `state`; both are leaves under every lock of the tree.

use crate::anonymous::{metadata, next_ino};
use crate::file::File;
use crate::io::{Blocking, Sink};
use crate::metadata::{FileKind, Metadata, StatusFlags};
use crate::poll::{PollSource, Readiness};
use crate::{Dentry, FsError, FsResult, InodeRef, OpenFile};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::{string::String, vec::Vec};
use bitflags::bitflags;
use core::any::Any;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use hal::sync::SpinLock;
use sched::{Interruptible, WaitQueue};

bitflags! {
    /// What happened; the numbers are those of inotify(7).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Change: u32 {
        /// Was read.
        const ACCESS = 0x1;
        /// Was written or cut.
        const MODIFY = 0x2;
        /// Attributes changed.
        const ATTRIBUTES = 0x4;
        /// Was closed after being open for writing.
        const CLOSE_WRITE = 0x8;
        /// Was closed otherwise.
        const CLOSE_OTHER = 0x10;
        /// Was opened.
        const OPEN = 0x20;
        /// An entry left the directory.
        const MOVED_FROM = 0x40;
        /// An entry came into the directory.
        const MOVED_TO = 0x80;
        /// An entry was made.
        const CREATE = 0x100;
        /// An entry was removed.
        const DELETE = 0x200;
        /// The watched object itself is gone.
        const DELETE_SELF = 0x400;
        /// The watched object itself got another name.
        const MOVE_SELF = 0x800;
        /// Events were lost.
        const OVERFLOW = 0x4000;
        /// The watch is gone.
        const IGNORED = 0x8000;
        /// The event is about a directory.
        const DIRECTORY = 0x4000_0000;
        /// The watch ends with its first event.
        const ONE_SHOT = 0x8000_0000;
        /// What can be watched for.
        const ALL = 0xfff;
    }
}

/// Events that wait in one queue at most (Linux: `max_queued_events`).
const QUEUE_MAX: usize = 16384;
/// Bytes of an event without its name, and what names are padded to.
const HEADER: usize = 16;

/// How a watch on something that is watched already is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchMode {
    /// Replaces what is watched for.
    Replace,
    /// Adds to it.
    Add,
    /// Refuses with `Exists`.
    Create,
}

struct Mark {
    queue: Weak<NotifyQueue>,
    wd: i32,
    mask: Change,
    /// Keeps the inode, and so its address, for this watch.
    _inode: InodeRef,
}

/// The watches of all queues, by the address of the inode.
static MARKS: SpinLock<BTreeMap<usize, Vec<Mark>>> = SpinLock::new(BTreeMap::new());
/// How many there are.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);
static COOKIE: AtomicU32 = AtomicU32::new(0);

struct Event {
    wd: i32,
    mask: Change,
    cookie: u32,
    name: Vec<u8>,
}

impl Event {
    fn bytes(&self) -> usize {
        HEADER + if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(HEADER) }
    }
}

struct State {
    events: VecDeque<Event>,
    bytes: usize,
    /// The inode of each watch.
    watches: BTreeMap<i32, usize>,
    next_wd: i32,
}

/// A queue of events with its watches.
pub struct NotifyQueue {
    me: Weak<NotifyQueue>,
    ino: u64,
    state: SpinLock<State>,
    readable: WaitQueue,
    source: PollSource,
}

fn address(inode: &InodeRef) -> usize {
    Arc::as_ptr(inode).addr()
}

impl NotifyQueue {
    /// A queue that watches nothing.
    pub fn open(status: StatusFlags) -> Arc<OpenFile> {
        let state = State { events: VecDeque::new(), bytes: 0, watches: BTreeMap::new(), next_wd: 1 };
        let queue = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            ino: next_ino(),
            state: SpinLock::new(state),
            readable: WaitQueue::new(),
            source: PollSource::new(),
        });
        OpenFile::anonymous(queue, status | StatusFlags::READ)
    }

    /// Watches `inode` for `mask`; the watch's number. Errors: `Exists` ([`WatchMode::Create`]), `NoSpace`.
    pub fn watch(&self, inode: &InodeRef, mask: Change, mode: WatchMode) -> FsResult<i32> {
        let mut marks = MARKS.lock();
        let here = marks.entry(address(inode)).or_default();
        if let Some(mark) = here.iter_mut().find(|mark| core::ptr::eq(mark.queue.as_ptr(), self)) {
            match mode {
                WatchMode::Create => return Err(FsError::Exists),
                WatchMode::Add => mark.mask |= mask,
                WatchMode::Replace => mark.mask = mask,
            }
            return Ok(mark.wd);
        }
        let mut state = self.state.lock();
        let wd = state.next_wd;
        state.next_wd = wd.checked_add(1).ok_or(FsError::NoSpace)?;
        state.watches.insert(wd, address(inode));
        here.push(Mark { queue: self.me.clone(), wd, mask, _inode: inode.clone() });
        ACTIVE.fetch_add(1, Ordering::SeqCst);
        Ok(wd)
    }

    /// Ends watch `wd`. Errors: `Invalid`.
    pub fn unwatch(&self, wd: i32) -> FsResult<()> {
        let inode = self.state.lock().watches.remove(&wd).ok_or(FsError::Invalid)?;
        let gone = self.take_mark(inode, wd);
        self.push(wd, Change::IGNORED, 0, b"");
        drop(gone);
        Ok(())
    }

    fn take_mark(&self, inode: usize, wd: i32) -> Option<Mark> {
        let mut marks = MARKS.lock();
        let here = marks.get_mut(&inode)?;
        let at = here.iter().position(|mark| mark.wd == wd && core::ptr::eq(mark.queue.as_ptr(), self))?;
        let mark = here.swap_remove(at);
        if here.is_empty() {
            marks.remove(&inode);
        }
        ACTIVE.fetch_sub(1, Ordering::SeqCst);
        Some(mark)
    }

    fn push(&self, wd: i32, mask: Change, cookie: u32, name: &[u8]) {
        let mut state = self.state.lock();
        if let Some(last) = state.events.back()
            && (last.wd, last.mask) == (wd, mask)
            && mask != Change::IGNORED
            && last.name == name
        {
            // Told already.
            return;
        }
        let event = match state.events.len() {
            ..QUEUE_MAX => Event { wd, mask, cookie, name: name.to_vec() },
            QUEUE_MAX => Event { wd: -1, mask: Change::OVERFLOW, cookie: 0, name: Vec::new() },
            _ => return,
        };
        state.bytes += event.bytes();
        state.events.push_back(event);
        drop(state);
        self.readable.wake_all();
        self.source.notify(Readiness::READ);
    }

    /// The next event, if it fits into `room` bytes; `None` if there is none.
    fn take(&self, room: usize) -> Option<FsResult<Event>> {
        let mut state = self.state.lock();
        let bytes = state.events.front()?.bytes();
        if bytes > room {
            return Some(Err(FsError::Invalid));
        }
        state.bytes -= bytes;
        state.events.pop_front().map(Ok)
    }
}

impl Drop for NotifyQueue {
    fn drop(&mut self) {
        let watches = core::mem::take(&mut self.state.get_mut().watches);
        for (wd, inode) in watches {
            drop(self.take_mark(inode, wd));
        }
    }
}

impl File for NotifyQueue {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, sink: &mut dyn Sink, blocking: Blocking) -> FsResult<usize> {
        let mut done = 0;
        loop {
            let room = sink.remaining();
            let event = match self.take(room) {
                Some(Err(_)) if done > 0 => return Ok(done),
                Some(event) => event?,
                None if done > 0 => return Ok(done),
                None if blocking == Blocking::Never => return Err(FsError::WouldBlock),
                None => self.readable.wait_until(None, Interruptible::Yes, || self.take(room))??,
            };
            let mut bytes = Vec::with_capacity(event.bytes());
            let name_bytes = (event.bytes() - HEADER) as u32;
            for word in [event.wd as u32, event.mask.bits(), event.cookie, name_bytes] {
                bytes.extend_from_slice(&word.to_ne_bytes());
            }
            bytes.extend_from_slice(&event.name);
            bytes.resize(event.bytes(), 0);
            done += sink.put(&bytes)?;
        }
    }
    fn metadata(&self) -> Metadata {
        metadata(self.ino)
    }
    fn poll(&self) -> Readiness {
        if self.state.lock().events.is_empty() { Readiness::empty() } else { Readiness::READ }
    }
    fn wait_source(&self) -> Option<&PollSource> {
        Some(&self.source)
    }
    fn pending_bytes(&self) -> FsResult<usize> {
        Ok(self.state.lock().bytes)
    }
    fn label(&self) -> String {
        String::from("anon_inode:inotify")
    }
}

/// Whether anything is watched at all.
#[inline(always)]
pub(crate) fn active() -> bool {
    ACTIVE.load(Ordering::Relaxed) != 0
}

/// A number that ties the two halves of a move together.
pub(crate) fn next_cookie() -> u32 {
    COOKIE.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

fn tell(inode: &InodeRef, change: Change, cookie: u32, name: &[u8]) {
    // What a lock must not be held for: the last reference to a queue or an inode may go here.
    let mut ended: Vec<Arc<NotifyQueue>> = Vec::new();
    let mut gone: Vec<Mark> = Vec::new();
    let mut marks = MARKS.lock();
    if let Some(here) = marks.get_mut(&address(inode)) {
        let kind = change & Change::ALL;
        for mark in here.iter_mut().filter(|mark| mark.mask.intersects(kind)) {
            let Some(queue) = mark.queue.upgrade() else { continue };
            queue.push(mark.wd, change, cookie, name);
            if mark.mask.contains(Change::ONE_SHOT) && queue.state.lock().watches.remove(&mark.wd).is_some() {
                queue.push(mark.wd, Change::IGNORED, 0, b"");
                mark.mask = Change::empty();
            }
            ended.push(queue);
        }
        if kind == Change::DELETE_SELF {
            for mark in here.iter_mut().filter(|mark| !mark.mask.is_empty()) {
                let Some(queue) = mark.queue.upgrade() else { continue };
                if queue.state.lock().watches.remove(&mark.wd).is_some() {
                    queue.push(mark.wd, Change::IGNORED, 0, b"");
                }
                mark.mask = Change::empty();
                ended.push(queue);
            }
        }
        let mut at = 0;
        while at < here.len() {
            if here[at].mask.is_empty() {
                gone.push(here.swap_remove(at));
                ACTIVE.fetch_sub(1, Ordering::SeqCst);
            } else {
                at += 1;
            }
        }
        if here.is_empty() {
            marks.remove(&address(inode));
        }
    }
    drop(marks);
}

/// `change` happened to the entry `name` of directory `dir`.
pub(crate) fn entry(dir: &Dentry, change: Change, cookie: u32, name: &[u8], kind: FileKind) {
    if active() {
        tell(dir.inode(), change | directory(kind), cookie, name);
    }
}

/// `change` happened to `inode` itself; who watches its directory is not told.
pub(crate) fn itself(inode: &InodeRef, change: Change) {
    if active() {
        tell(inode, change, 0, b"");
    }
}

/// `change` happened to what is at `place`: its directory hears of it too.
pub fn object(place: &Arc<Dentry>, change: Change) {
    if active() {
        let change = change | directory(place.kind());
        if !place.unlinked() {
            let parent = place.parent_or_self();
            if !Arc::ptr_eq(&parent, place) {
                tell(parent.inode(), change, 0, &place.name());
            }
        }
        tell(place.inode(), change, 0, b"");
    }
}

fn directory(kind: FileKind) -> Change {
    if kind == FileKind::Directory { Change::DIRECTORY } else { Change::empty() }
}
