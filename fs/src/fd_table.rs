//! Descriptors: small numbers for open descriptions.

use crate::{FsError, FsResult, OpenFile, locks};
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU32, Ordering};
use hal::sync::SpinLock;

/// Whether a descriptor survives `execve`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnExec {
    /// It stays open.
    Keep,
    /// It is closed (FD_CLOEXEC).
    Close,
}

#[derive(Clone)]
struct Slot {
    file: Arc<OpenFile>,
    on_exec: OnExec,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Option<Slot>>,
    /// No slot below is free.
    lowest_free: usize,
    used: usize,
}

/// A process's descriptors. `get` is one short spin lock and one count.
///
/// # Locks
/// The table's spin lock is a leaf; descriptions are dropped after it.
pub struct FdTable {
    slots: SpinLock<Slots>,
    /// RLIMIT_NOFILE: descriptors are below it.
    limit: AtomicU32,
}

impl FdTable {
    /// An empty table; descriptors stay below `limit`.
    pub const fn new(limit: u32) -> Self {
        Self {
            slots: SpinLock::new(Slots { slots: Vec::new(), lowest_free: 0, used: 0 }),
            limit: AtomicU32::new(limit),
        }
    }

    /// Sets RLIMIT_NOFILE; open descriptors above it stay.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// RLIMIT_NOFILE.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// The description behind `fd`. Errors: `BadHandle`.
    pub fn get(&self, fd: i32) -> FsResult<Arc<OpenFile>> {
        let slots = self.slots.lock();
        match slots.slots.get(fd as usize) {
            Some(Some(slot)) if fd >= 0 => Ok(slot.file.clone()),
            _ => Err(FsError::BadHandle),
        }
    }

    /// Puts a description at the lowest free descriptor from `min` on. Errors: `TooManyOpen`, `NoMemory`.
    pub fn insert(&self, file: Arc<OpenFile>, on_exec: OnExec, min: u32) -> FsResult<i32> {
        let limit = self.limit() as usize;
        let mut slots = self.slots.lock();
        let mut fd = slots.lowest_free.max(min as usize);
        while slots.slots.get(fd).is_some_and(Option::is_some) {
            fd += 1;
        }
        if fd >= limit {
            drop(slots);
            return Err(FsError::TooManyOpen);
        }
        slots.reach(fd)?;
        slots.put(fd, Slot { file, on_exec });
        if min as usize <= slots.lowest_free {
            slots.lowest_free = fd + 1;
        }
        Ok(fd as i32)
    }

    /// Puts a description at exactly `fd` and gives back what was there (`dup2`: to be closed with [`FdTable::finish`]).
    /// Errors: `BadHandle` (out of range), `NoMemory`.
    pub fn insert_at(&self, fd: i32, file: Arc<OpenFile>, on_exec: OnExec) -> FsResult<Option<Arc<OpenFile>>> {
        if fd < 0 || fd as u32 >= self.limit() {
            return Err(FsError::BadHandle);
        }
        let old = {
            let mut slots = self.slots.lock();
            slots.reach(fd as usize)?;
            slots.put(fd as usize, Slot { file, on_exec })
        };
        Ok(old.map(|slot| slot.file))
    }

    /// Takes a descriptor away and gives its description, to be closed with [`FdTable::finish`]. Errors: `BadHandle`.
    pub fn remove(&self, fd: i32) -> FsResult<Arc<OpenFile>> {
        if fd < 0 {
            return Err(FsError::BadHandle);
        }
        self.slots.lock().take(fd as usize).map(|slot| slot.file).ok_or(FsError::BadHandle)
    }

    /// Closes a descriptor on behalf of `owner` (the process, for POSIX locks). Errors: `BadHandle`.
    pub fn close(&self, fd: i32, owner: u64) -> FsResult<()> {
        Self::finish(self.remove(fd)?, owner);
        Ok(())
    }

    /// What closing does beyond forgetting the descriptor: the process's POSIX locks on the file go.
    pub fn finish(file: Arc<OpenFile>, owner: u64) {
        if file.was_locked() || locks::owner_has_locks(owner) {
            locks::release_owner(&file, owner);
        }
    }

    /// FD_CLOEXEC.
    pub fn on_exec(&self, fd: i32) -> FsResult<OnExec> {
        let slots = self.slots.lock();
        match slots.slots.get(fd as usize) {
            Some(Some(slot)) if fd >= 0 => Ok(slot.on_exec),
            _ => Err(FsError::BadHandle),
        }
    }

    /// Sets FD_CLOEXEC.
    pub fn set_on_exec(&self, fd: i32, on_exec: OnExec) -> FsResult<()> {
        let mut slots = self.slots.lock();
        match slots.slots.get_mut(fd as usize) {
            Some(Some(slot)) if fd >= 0 => {
                slot.on_exec = on_exec;
                Ok(())
            }
            _ => Err(FsError::BadHandle),
        }
    }

    /// Open descriptors in order.
    pub fn list(&self) -> Vec<i32> {
        loop {
            let used = self.slots.lock().used;
            let mut list = Vec::with_capacity(used + 8);
            let slots = self.slots.lock();
            if slots.used > list.capacity() {
                continue;
            }
            list.extend((0..slots.slots.len()).filter(|&fd| slots.slots[fd].is_some()).map(|fd| fd as i32));
            return list;
        }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.slots.lock().used
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes everything: the end of a process.
    pub fn clear(&self, owner: u64) {
        let all = core::mem::take(&mut *self.slots.lock());
        for slot in all.slots.into_iter().flatten() {
            Self::finish(slot.file, owner);
        }
    }

    /// Closes `first ..= last` (`close_range`).
    pub fn close_range(&self, first: u32, last: u32, owner: u64) {
        let end = self.slots.lock().slots.len() as u64;
        for fd in u64::from(first)..(u64::from(last) + 1).min(end) {
            if let Ok(file) = self.remove(fd as i32) {
                Self::finish(file, owner);
            }
        }
    }

    /// Closes what `execve` closes.
    pub fn close_on_exec(&self, owner: u64) {
        for fd in self.list() {
            if self.on_exec(fd) == Ok(OnExec::Close)
                && let Ok(file) = self.remove(fd)
            {
                Self::finish(file, owner);
            }
        }
    }
}

impl Slots {
    /// Makes room for `fd`: up to 16 MiB, which may not be there.
    fn reach(&mut self, fd: usize) -> FsResult<()> {
        if fd >= self.slots.len() {
            let len = (fd + 1).next_multiple_of(64);
            self.slots.try_reserve(len - self.slots.len()).map_err(|_| FsError::NoMemory)?;
            self.slots.resize(len, None);
        }
        Ok(())
    }

    fn put(&mut self, fd: usize, slot: Slot) -> Option<Slot> {
        let old = self.slots[fd].replace(slot);
        self.used += usize::from(old.is_none());
        old
    }

    fn take(&mut self, fd: usize) -> Option<Slot> {
        let slot = self.slots.get_mut(fd)?.take()?;
        self.used -= 1;
        self.lowest_free = self.lowest_free.min(fd);
        Some(slot)
    }
}
