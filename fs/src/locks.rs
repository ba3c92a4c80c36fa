//! Advisory locks: `flock` (owned by an open description) and POSIX byte ranges (owned by a process).
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
    /// Sorted by owner, then start; one owner's ranges do not overlap.
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

/// Takes, changes or (None) gives back the description's `flock`. Errors: `WouldBlock`, `Interrupted`.
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
            let conflict = locks
                .flocks
                .iter()
                .any(|&(holder, held)| holder != me && (held == LockKind::Exclusive || kind == LockKind::Exclusive));
            if !conflict {
                locks.flocks.retain(|(holder, _)| *holder != me);
                locks.flocks.push((me, kind));
            }
            !conflict
        })
    };
    wait(blocking, attempt)?;
    // A weaker lock may let others in.
    WAITERS.wake_all();
    Ok(())
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

/// The description is going away: its `flock` goes.
pub(crate) fn release_description(file: &OpenFile) {
    let me = file.identity();
    with(key(file), |locks| locks.flocks.retain(|(holder, _)| *holder != me));
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

/// Cuts `range` out of what `owner` holds and puts the new lock in.
fn replace(ranges: &mut Vec<LockHolder>, owner: u64, range: LockRange, kind: Option<LockKind>) {
    let mut rest = Vec::with_capacity(ranges.len() + 2);
    for held in ranges.drain(..) {
        if held.owner != owner || held.range.end <= range.start || range.end <= held.range.start {
            rest.push(held);
            continue;
        }
        if held.range.start < range.start {
            rest.push(LockHolder { range: LockRange { end: range.start, ..held.range }, ..held });
        }
        if held.range.end > range.end {
            rest.push(LockHolder { range: LockRange { start: range.end, ..held.range }, ..held });
        }
    }
    if let Some(kind) = kind {
        rest.push(LockHolder { owner, kind, range });
    }
    rest.sort_by_key(|held| (held.owner, held.range.start));
    *ranges = rest;
}
