//! Data volumes: ext4 on a block device. The crate `ext4` keeps names, inodes, extents and the journal; here are the
//! contents of files in memory, their way to the device, and the moments at which things are made safe.
//!
//! # A write's way to the disk
//! [`contents`] copies into a page, has blocks allocated for it (so that a full disk is told to the writer, not to
//! nobody) and marks it dirty. [`writeback`], called by fsync, msync, by a writer when too much is dirty, when memory is
//! short, or every five seconds, sends dirty pages to the device, then tells the engine that they count, and
//! [`Shared::commit`] puts the running transaction into the log. Whoever waits for a commit while one is being written
//! shares the next one.
//!
//! Lock order: a file's `content` -> its `writing` -> `Shared::committer` -> `Shared::engine` -> a file's `pages` (spin).

mod contents;
mod direct;
mod disk;
mod file;
mod node;
#[cfg(test)]
mod tests;
mod writeback;

use crate::anonymous::now_ns;
use crate::inode::{FileSystem, InodeRef};
use crate::metadata::FsStat;
use crate::page_cache::PAGE;
use crate::{FsError, FsResult};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use ext4::{Error, Options, Time, Volume};
use hal::hil::{Block, SECTOR_SIZE};
use hal::sync::{Once, SpinLock};
use node::Node;
use sched::{Interruptible, Mutex, WaitQueue};

/// How long a change may stay in memory alone, in nanoseconds: Linux's commit interval.
const FLUSH_INTERVAL_NS: u64 = 5_000_000_000;
/// How long metadata may be in the log alone, in nanoseconds: as long as Linux leaves its pages dirty. The log's room would
/// allow more, but a replay is short this way, who looks at a running machine's image from outside finds all but the last
/// changes, and the copies' memory comes free.
const CHECKPOINT_INTERVAL_NS: u64 = 30_000_000_000;
/// Blocks in a row that are worth a discard: 64 KiB.
const DISCARD_MIN: u64 = 16;
/// Metadata blocks that stay in memory when it is short.
const METADATA_KEPT: usize = 256;

/// The mounted volumes, for the end of the machine and for memory that is short.
static VOLUMES: SpinLock<Vec<Arc<Shared>>> = SpinLock::new(Vec::new());

/// The engine with the number of the transaction that runs in it.
struct Engine {
    volume: Volume,
    running: u64,
}

/// A node with something that only memory knows.
struct Dirty {
    node: Arc<Node>,
    /// Of its last change: who has written the node back since an older one has not written everything.
    stamp: u64,
}

/// What all nodes of a volume share.
pub(crate) struct Shared {
    engine: Mutex<Engine>,
    /// The last transaction that is in the log. Held while one is written.
    committer: Mutex<u64>,
    device: Arc<dyn Block>,
    dev: u64,
    read_only: bool,
    /// Every node in memory, by inode number.
    nodes: SpinLock<BTreeMap<u32, Weak<Node>>>,
    /// Nodes with dirty pages or times, also those that are being written back: they must not go.
    dirty: SpinLock<BTreeMap<u32, Dirty>>,
    /// The stamp of the last change.
    changes: AtomicU64,
    /// Inodes without a name that nobody holds any more.
    doomed: SpinLock<Vec<u32>>,
    dirty_pages: AtomicU64,
    /// Memory is short, and dirty pages could be given back if they were clean.
    is_pressed: AtomicBool,
    pressed: WaitQueue,
    said_failure: AtomicBool,
}

/// A mounted ext4 volume.
pub struct Ext4 {
    shared: Arc<Shared>,
    root: Arc<Node>,
}

/// The time for the engine.
fn time(ns: i64) -> Time {
    Time { seconds: ns.div_euclid(1_000_000_000), nanoseconds: ns.rem_euclid(1_000_000_000) as u32 }
}

fn nanoseconds(time: Time) -> i64 {
    time.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(time.nanoseconds))
}

fn now() -> Time {
    time(now_ns())
}

fn error(error: Error) -> FsError {
    match error {
        Error::NotFound => FsError::NotFound,
        Error::Exists => FsError::Exists,
        Error::NotDirectory => FsError::NotDirectory,
        Error::IsDirectory => FsError::IsDirectory,
        Error::NotEmpty => FsError::NotEmpty,
        Error::NoSpace => FsError::NoSpace,
        Error::NameTooLong => FsError::NameTooLong,
        Error::TooManyLinks => FsError::TooManyLinks,
        Error::TooBig => FsError::TooBig,
        Error::ReadOnly => FsError::ReadOnly,
        Error::NoData => FsError::NoData,
        Error::Invalid => FsError::Invalid,
        Error::Io | Error::Corrupt(_) => FsError::Io,
    }
}

impl Ext4 {
    /// Mounts the volume on `device`. The error is a sentence for the user.
    pub fn mount(device: Arc<dyn Block>, read_only: bool) -> Result<Arc<Self>, String> {
        static DEVICES: AtomicU64 = AtomicU64::new(0xfe00);
        let disk = Arc::new(disk::Disk::new(device.clone()));
        let options = Options { read_only: read_only || device.read_only(), block_size: Some(PAGE) };
        let volume = Volume::mount(disk, options, now()).map_err(|error| error.to_string())?;
        let root = volume.root();
        let shared = Arc::new(Shared {
            engine: Mutex::new(Engine { volume, running: 1 }),
            committer: Mutex::new(0),
            device,
            dev: DEVICES.fetch_add(1, Ordering::Relaxed),
            read_only: options.read_only,
            nodes: SpinLock::new(BTreeMap::new()),
            dirty: SpinLock::new(BTreeMap::new()),
            changes: AtomicU64::new(0),
            doomed: SpinLock::new(Vec::new()),
            dirty_pages: AtomicU64::new(0),
            is_pressed: AtomicBool::new(false),
            pressed: WaitQueue::new(),
            said_failure: AtomicBool::new(false),
        });
        let root = shared.look(|volume| shared.node_of(volume, root));
        let root = root.map_err(|error| format!("its top directory cannot be read: {error:?}"))?;
        VOLUMES.lock().push(shared.clone());
        if !options.read_only {
            let worker = shared.clone();
            let start = Box::new(move || worker.flush_for_ever());
            sched::spawn(sched::Spawn { name: "ext4-flush", ext: None, affinity: None, start })
                .map_err(|error| format!("no thread to write it back: {error:?}"))?;
        }
        // One for all volumes: there are few places.
        static RECLAIMER: Once<()> = Once::new();
        RECLAIMER.call_once(|| mm::frame::register_reclaimer(reclaim));
        Ok(Arc::new(Self { shared, root }))
    }
}

impl FileSystem for Ext4 {
    fn root(&self) -> InodeRef {
        self.root.clone()
    }
    fn type_name(&self) -> &'static str {
        "ext4"
    }
    fn statistics(&self) -> FsStat {
        let engine = self.shared.engine.lock();
        let found = engine.volume.statistics();
        FsStat {
            magic: 0xef53,
            block_bytes: u64::from(found.block_size),
            blocks: found.blocks,
            blocks_free: found.free_blocks,
            files: u64::from(found.inodes),
            files_free: u64::from(found.free_inodes),
            id: self.shared.dev,
            name_max: 255,
            read_only: engine.volume.is_read_only(),
        }
    }
    fn read_only(&self) -> bool {
        self.shared.read_only || self.shared.said_failure.load(Ordering::Relaxed)
    }
    fn options(&self) -> String {
        String::from(",relatime")
    }
    fn sync(&self) -> FsResult<()> {
        self.shared.sync_all()
    }
}

impl Shared {
    /// Runs `change` on the engine, and a commit before it if the running transaction is large enough. When the volume
    /// is full, what waits to be freed is freed and `change` tried once more.
    fn change<R>(&self, mut change: impl FnMut(&mut Volume) -> ext4::Result<R>) -> FsResult<R> {
        let mut result = self.try_change(&mut change);
        if matches!(result, Err(Error::NoSpace)) && self.make_space() {
            result = self.try_change(&mut change);
        }
        result.map_err(|cause| {
            if let Error::Corrupt(what) = cause {
                log::error!("ext4: {what} is wrong: run e2fsck on the image");
            }
            error(cause)
        })
    }

    fn try_change<R>(&self, change: &mut impl FnMut(&mut Volume) -> ext4::Result<R>) -> Result<R, Error> {
        {
            let mut engine = self.engine.lock();
            if !engine.volume.needs_commit() && !engine.volume.needs_checkpoint() {
                return change(&mut engine.volume);
            }
        }
        self.commit_running()?;
        change(&mut self.engine.lock().volume)
    }

    /// Reads through the engine.
    fn look<R>(&self, look: impl FnOnce(&mut Volume) -> ext4::Result<R>) -> FsResult<R> {
        look(&mut self.engine.lock().volume).map_err(error)
    }

    /// Frees what has lost its last name, and makes freed blocks usable. False if there is nothing to gain.
    fn make_space(&self) -> bool {
        self.bury_doomed();
        self.engine.lock().volume.frees_are_pending() && self.commit_running().is_ok()
    }

    /// Puts everything that has been changed so far into the log. Returns when it is safe, together with all contents
    /// that were written to the device before.
    fn commit(&self) -> FsResult<()> {
        self.commit_running().map_err(error)
    }

    fn commit_running(&self) -> Result<(), Error> {
        let wanted = self.engine.lock().running;
        let mut done = self.committer.lock();
        if *done >= wanted {
            return Ok(());
        }
        let result = self.write_commit(&mut done);
        if let Err(error) = result {
            self.give_up(error);
        }
        result
    }

    fn write_commit(&self, done: &mut u64) -> Result<(), Error> {
        if self.engine.lock().volume.needs_checkpoint() {
            self.write_checkpoint()?;
        }
        let (commit, number) = {
            let mut engine = self.engine.lock();
            let commit = engine.volume.begin_commit(now())?;
            engine.running += 1;
            (commit, engine.running - 1)
        };
        match commit {
            Some(commit) => {
                commit.write()?;
                self.discard_freed();
                self.engine.lock().volume.finish_commit(commit);
            }
            // Contents may have been written all the same.
            None => self.device.flush().map_err(|_| Error::Io)?,
        }
        *done = number;
        Ok(())
    }

    /// Tells the device what the commit that is in the log now has freed (decision 13).
    fn discard_freed(&self) {
        if !self.device.can_discard() {
            return;
        }
        let freed = self.engine.lock().volume.freed_by_commit();
        for (start, count) in freed.into_iter().filter(|(_, count)| *count >= DISCARD_MIN) {
            let sectors = PAGE as u64 / SECTOR_SIZE;
            // Only space is lost when it fails.
            if let Err(error) = self.device.discard(start * sectors, count * sectors) {
                log::warn!("ext4: {}: discard of {count} blocks: {error}", self.device.identity());
                return;
            }
        }
    }

    /// Called while the committer is held.
    fn write_checkpoint(&self) -> Result<(), Error> {
        let checkpoint = self.engine.lock().volume.begin_checkpoint()?;
        checkpoint.write()?;
        self.engine.lock().volume.finish_checkpoint(checkpoint);
        Ok(())
    }

    /// Brings home what the log holds.
    fn checkpoint(&self) {
        let _committer = self.committer.lock();
        if !self.engine.lock().volume.has_log() {
            return;
        }
        if let Err(error) = self.write_checkpoint() {
            self.give_up(error);
        }
    }

    /// A write to the device has failed: the volume is read-only from now on, as Linux's `errors=remount-ro`.
    fn give_up(&self, cause: Error) {
        self.engine.lock().volume.give_up(cause);
        if cause != Error::ReadOnly && !self.said_failure.swap(true, Ordering::Relaxed) {
            log::error!("ext4: {} failed ({cause:?}): the volume is read-only from now on", self.device.identity());
        }
    }

    /// The node of an inode: the one in memory, or a new one. Called while the engine is held, so that the inode is
    /// still the one that was meant.
    fn node_of(self: &Arc<Self>, volume: &mut Volume, number: u32) -> ext4::Result<Arc<Node>> {
        let known = self.nodes.lock().get(&number).and_then(Weak::upgrade);
        if let Some(node) = known {
            return Ok(node);
        }
        let made = Node::new(self, &volume.attributes(number)?);
        self.nodes.lock().insert(number, Arc::downgrade(&made));
        Ok(made)
    }

    /// An inode has lost a name; called while the engine is held. If it was the last, the inode is freed as soon as
    /// nobody has the node.
    fn note_lost(&self, gone: Option<ext4::Unlinked>) {
        let Some(gone) = gone.filter(|gone| gone.is_last) else { return };
        let node = self.nodes.lock().get(&gone.inode).and_then(Weak::upgrade);
        match node {
            Some(node) => node.set_nameless(true),
            None => self.doomed.lock().push(gone.inode),
        }
    }

    /// Keeps a node in memory until it has been written.
    fn note_dirty(&self, node: Arc<Node>) {
        let stamp = self.changes.fetch_add(1, Ordering::Relaxed);
        let replaced = self.dirty.lock().insert(node.number, Dirty { node, stamp });
        drop(replaced);
    }

    /// The stamp of a node's last change.
    fn stamp(&self, number: u32) -> Option<u64> {
        self.dirty.lock().get(&number).map(|dirty| dirty.stamp)
    }

    /// A node is as it was at `stamp` on the device. It stays on the list until then: a sync of the volume waits for who
    /// writes it.
    fn note_clean(&self, number: u32, stamp: Option<u64>) {
        let gone = {
            let mut dirty = self.dirty.lock();
            let is_clean = dirty.get(&number).is_some_and(|dirty| Some(dirty.stamp) == stamp);
            if is_clean { dirty.remove(&number) } else { None }
        };
        drop(gone);
    }

    /// Frees the inodes that have lost their last name and their last user.
    fn bury_doomed(&self) {
        loop {
            let Some(number) = self.doomed.lock().pop() else { return };
            loop {
                match self.try_change(&mut |volume| volume.evict(number, now())) {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(Error::ReadOnly) => break,
                    Err(cause) => {
                        log::error!("ext4: inode {number} is not freed ({cause:?}): the next mount or e2fsck does it");
                        break;
                    }
                }
            }
        }
    }

    /// Writes every dirty file back and commits.
    fn sync_all(&self) -> FsResult<()> {
        if self.read_only {
            return Ok(());
        }
        let result = self.write_all();
        self.bury_doomed();
        result.and(self.commit())
    }

    /// Writes every dirty file back, and waits for those that others write. Safe only after a commit.
    fn write_all(&self) -> FsResult<()> {
        let dirty: Vec<Arc<Node>> = self.dirty.lock().values().map(|dirty| dirty.node.clone()).collect();
        let mut result = Ok(());
        for node in dirty {
            // The others all the same.
            result = result.and(node.write_back());
        }
        result
    }

    fn flush_for_ever(&self) {
        let mut until = hal::clock::now_ns() + FLUSH_INTERVAL_NS;
        let mut checkpoint_at = hal::clock::now_ns() + CHECKPOINT_INTERVAL_NS;
        loop {
            let is_pressed = || self.is_pressed.swap(false, Ordering::Relaxed).then_some(());
            if self.pressed.wait_until(Some(until), Interruptible::No, is_pressed).is_ok() {
                // An error is told to who syncs.
                let _result = self.write_all();
                continue;
            }
            until = hal::clock::now_ns() + FLUSH_INTERVAL_NS;
            if hal::clock::now_ns() >= checkpoint_at {
                self.checkpoint();
                checkpoint_at = hal::clock::now_ns() + CHECKPOINT_INTERVAL_NS;
            }
            let idle = self.dirty.lock().is_empty() && self.doomed.lock().is_empty();
            if idle && !self.engine.lock().volume.has_changes() {
                continue;
            }
            if let Err(error) = self.sync_all() {
                log::warn!("ext4: writing back: {error:?}");
            }
        }
    }

    /// Everything to the device, and the journal empty: the end of the machine.
    fn close(&self) -> FsResult<()> {
        self.sync_all()?;
        if self.read_only {
            return Ok(());
        }
        let _committer = self.committer.lock();
        self.engine.lock().volume.close(now()).map_err(error)
    }
}

/// Makes all volumes whole before the machine is switched off. Problems are one line each in the answer.
pub fn close_all() -> Vec<String> {
    let volumes = core::mem::take(&mut *VOLUMES.lock());
    let close = |volume: &Arc<Shared>| {
        let name = volume.device.identity();
        volume.close().err().map(|error| format!("volume {name} could not be written back whole: {error:?}"))
    };
    volumes.iter().filter_map(close).collect()
}

/// Gives clean pages back. Runs inside an allocation: only tries locks, allocates nothing.
fn reclaim(goal: usize) -> usize {
    let mut freed = 0;
    // Twice round: the first clears the marks of use.
    let Some(rounds) = VOLUMES.try_lock().map(|volumes| volumes.len() * 2) else { return 0 };
    for round in 0..rounds {
        let shared = {
            let Some(volumes) = VOLUMES.try_lock() else { return freed };
            let Some(shared) = volumes.get(round % volumes.len().max(1)) else { break };
            shared.clone()
        };
        freed += shared.shrink_nodes(goal.saturating_sub(freed));
        if freed < goal && shared.dirty_pages.load(Ordering::Relaxed) > 0 {
            shared.is_pressed.store(true, Ordering::Relaxed);
            shared.pressed.wake_all();
        }
        if let Some(mut engine) = shared.engine.try_lock() {
            engine.volume.shrink(METADATA_KEPT);
        }
        if freed >= goal {
            break;
        }
    }
    freed
}

impl Shared {
    fn shrink_nodes(&self, goal: usize) -> usize {
        let mut freed = 0;
        let mut from = 0;
        while freed < goal {
            let node = {
                let Some(nodes) = self.nodes.try_lock() else { break };
                let next = nodes.range(from..).find_map(|(number, node)| Some((*number, node.upgrade()?)));
                let Some((number, node)) = next else { break };
                from = number + 1;
                node
            };
            freed += node.contents().map_or(0, |contents| contents.shrink(goal - freed));
        }
        freed
    }
}
