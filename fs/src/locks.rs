//! Advisory locks: `flock` (owned by an open description) and byte ranges (POSIX: owned by a process; OFD: by an open
//! description, with its [identity](OpenFile::identity) as the owner's number).
//!
//! One table for all files, keyed by device and inode; a file without locks has no entry. The two families do not see
//! each other, as on Linux. A waiter sleeps on the table's one queue: contended file locks are rare.

use crate::io::Blocking;
use crate::{FsError, FsResult, OpenFile};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use hal::sync::SpinLock;
use hashbrown::HashMap;
use sched::{Interruptible, WaitQueue};

/// Strength of a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockKind {
    /// Many may hold it.
    Shared,
    /// One may hold it.
    Exclusive,
}

/// A range of bytes; `end` is exclusive, `u64::MAX` means for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockRange {
    /// First byte.
    pub start: u64,
    /// First byte behind it.
    pub end: u64,
}

/// Who holds a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockHolder {
    /// The process.
    pub owner: u64,
    /// Strength.
    pub kind: LockKind,
    /// The range.
    pub range: LockRange,
}

/// Device and inode.
type Key = (u64, u64);

#[derive(Default)]
struct FileLocks {
    /// Open descriptions and what they hold.
    flocks: Vec<(usize, LockKind)>,
    /// Owners in the order in which they came (who is in the way is told in it), each one's ranges in order of start. They
    /// do not overlap, and of one kind they do not touch.
    ranges: Vec<LockHolder>,
}

static TABLE: SpinLock<Option<HashMap<Key, FileLocks>>> = SpinLock::new(None);
static WAITERS: WaitQueue = WaitQueue::new();
/// Ranges held in all: closing a file looks at the table only when there are some.
static RANGES: AtomicUsize = AtomicUsize::new(0);

fn key(file: &OpenFile) -> Key {
    let metadata = file.metadata();
    (metadata.dev, metadata.ino)
}

fn with<R>(key: Key, act: impl FnOnce(&mut FileLocks) -> R) -> R {
    let mut table = TABLE.lock();
    let table = table.get_or_insert_default();
    let locks = table.entry(key).or_default();
    let before = locks.ranges.len();
    let result = act(locks);
    let after = locks.ranges.len();
    if after >= before {
        RANGES.fetch_add(after - before, Ordering::Relaxed);
    } else {
        RANGES.fetch_sub(before - after, Ordering::Relaxed);
    }
    if locks.flocks.is_empty() && locks.ranges.is_empty() {
        table.remove(&key);
    }
    result
}

/// Takes, changes or (None) gives back the description's `flock`. Errors: `WouldBlock`, `Interrupted`. Who changes what it holds
/// gives that back first, and has nothing when the change is refused (flock(2)).
pub fn flock(file: &OpenFile, kind: Option<LockKind>, blocking: Blocking) -> FsResult<()> {
    let key = key(file);
    let me = file.identity();
    let Some(kind) = kind else {
        with(key, |locks| locks.flocks.retain(|(holder, _)| *holder != me));
        WAITERS.wake_all();
        return Ok(());
    };
    file.note_locked();
    let attempt = || {
        with(key, |locks| {
            if locks.flocks.contains(&(me, kind)) {
                return true;
            }
            locks.flocks.retain(|(holder, _)| *holder != me);
            let mut others = locks.flocks.iter();
            let conflict = others.any(|&(_, held)| held == LockKind::Exclusive || kind == LockKind::Exclusive);
            if !conflict {
                locks.flocks.push((me, kind));
            }
            !conflict
        })
    };
    if attempt() {
        // A weaker lock may let others in.
        WAITERS.wake_all();
        return Ok(());
    }
    // Nothing is held any more.
    WAITERS.wake_all();
    wait(blocking, attempt)
}

/// Takes or (None) gives back a range for process `owner`. Errors: `WouldBlock`, `Interrupted`.
pub fn set_range(
    file: &OpenFile,
    owner: u64,
    range: LockRange,
    kind: Option<LockKind>,
    blocking: Blocking,
) -> FsResult<()> {
    if range.start >= range.end {
        return Err(FsError::Invalid);
    }
    let key = key(file);
    file.note_locked();
    let attempt = || {
        with(key, |locks| {
            if let Some(kind) = kind
                && conflict(locks, owner, range, kind).is_some()
            {
                return false;
            }
            replace(&mut locks.ranges, owner, range, kind);
            true
        })
    };
    wait(blocking, attempt)?;
    WAITERS.wake_all();
    Ok(())
}

/// Who keeps `owner` from taking the range (F_GETLK).
pub fn test_range(file: &OpenFile, owner: u64, range: LockRange, kind: LockKind) -> Option<LockHolder> {
    with(key(file), |locks| conflict(locks, owner, range, kind))
}

/// Gives back all ranges of `owner` on the file (any descriptor of it was closed).
pub fn release_owner(file: &OpenFile, owner: u64) {
    with(key(file), |locks| locks.ranges.retain(|held| held.owner != owner));
    WAITERS.wake_all();
}

/// Whether any range is held at all.
pub(crate) fn owner_has_locks(_owner: u64) -> bool {
    RANGES.load(Ordering::Relaxed) > 0
}

/// The description is going away: its `flock` goes, and the ranges that it owns itself (F_OFD_SETLK).
pub(crate) fn release_description(file: &OpenFile) {
    let me = file.identity();
    with(key(file), |locks| {
        locks.flocks.retain(|(holder, _)| *holder != me);
        locks.ranges.retain(|held| held.owner != me as u64);
    });
    WAITERS.wake_all();
}

fn wait(blocking: Blocking, attempt: impl Fn() -> bool) -> FsResult<()> {
    if attempt() {
        return Ok(());
    }
    if blocking == Blocking::Never {
        return Err(FsError::WouldBlock);
    }
    WAITERS.wait_until(None, Interruptible::Yes, || attempt().then_some(())).map_err(FsError::from)
}

fn conflict(locks: &FileLocks, owner: u64, range: LockRange, kind: LockKind) -> Option<LockHolder> {
    locks.ranges.iter().copied().find(|held| {
        held.owner != owner
            && held.range.start < range.end
            && range.start < held.range.end
            && (held.kind == LockKind::Exclusive || kind == LockKind::Exclusive)
    })
}

/// Cuts `range` out of what `owner` holds and puts the new lock in, as one with those of its kind that it overlaps or touches
/// (Linux: `posix_lock_inode`).
fn replace(ranges: &mut Vec<LockHolder>, owner: u64, range: LockRange, kind: Option<LockKind>) {
    let first = ranges.iter().position(|held| held.owner == owner).unwrap_or(ranges.len());
    let count = ranges[first..].iter().take_while(|held| held.owner == owner).count();
    let mut own = Vec::with_capacity(count + 2);
    let mut whole = range;
    for &held in &ranges[first..first + count] {
        let LockRange { start, end } = held.range;
        if Some(held.kind) == kind && start <= range.end && range.start <= end {
            whole = LockRange { start: whole.start.min(start), end: whole.end.max(end) };
            continue;
        }
        if start < range.start {
            own.push(LockHolder { range: LockRange { start, end: end.min(range.start) }, ..held });
        }
        if end > range.end {
            own.push(LockHolder { range: LockRange { start: start.max(range.end), end }, ..held });
        }
    }
    if let Some(kind) = kind {
        own.push(LockHolder { owner, kind, range: whole });
    }
    own.sort_by_key(|held| held.range.start);
    ranges.splice(first..first + count, own);
}
