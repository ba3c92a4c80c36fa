//! Readiness: who can be read or written now, and who is told when that changes. Nothing here scans.

use crate::{FsError, FsResult};
use alloc::{sync::Arc, vec::Vec};
use bitflags::bitflags;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use hal::sync::SpinLock;

bitflags! {
    /// What an object is ready for.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Readiness: u32 {
        /// A read gives bytes, the end or an error at once.
        const READ = 1;
        /// A write takes bytes or gives an error at once.
        const WRITE = 2;
        /// Urgent data.
        const PRIORITY = 4;
        /// An error is pending. Always reported.
        const ERROR = 8;
        /// The other end is gone. Always reported.
        const HANGUP = 16;
        /// The other end sends no more.
        const READ_HANGUP = 32;
        /// Not an open descriptor. Always reported.
        const INVALID = 64;
    }
}

impl Readiness {
    /// What is reported without being asked for.
    pub const ALWAYS: Self = Self::ERROR.union(Self::HANGUP).union(Self::INVALID);
}

/// Someone who wants to hear of changes.
pub trait PollWatcher: Send + Sync {
    /// `what` may have become ready. Called with interrupts off and the source's lock held: only wake and enqueue.
    /// True when an exclusive watcher took the event, so that no other exclusive one need hear it.
    fn notify(&self, what: Readiness) -> bool;
    /// The object can't be read any more, and nothing else is the matter with it. Called as [`Self::notify`] is, which takes it back.
    fn drained(&self) {}
    /// Whether one exclusive watcher is enough (EPOLLEXCLUSIVE).
    fn exclusive(&self) -> bool {
        false
    }
}

/// The list of watchers of one object. Embedded in the object; `notify` costs one load while nobody watches.
pub struct PollSource {
    count: AtomicUsize,
    /// What there ever was to tell, beside that bytes come and go.
    ends: AtomicU32,
    watchers: SpinLock<Vec<Arc<dyn PollWatcher>>>,
}

/// What comes and goes.
const FLOWS: Readiness = Readiness::READ.union(Readiness::WRITE).union(Readiness::PRIORITY);

impl PollSource {
    /// Nobody watches.
    pub const fn new() -> Self {
        Self { count: AtomicUsize::new(0), ends: AtomicU32::new(0), watchers: SpinLock::new(Vec::new()) }
    }

    /// Tells the watchers. May be called in interrupt context and under spin locks. Change the object's state first.
    pub fn notify(&self, what: Readiness) {
        if !FLOWS.contains(what) {
            self.ends.fetch_or(what.bits(), Ordering::Relaxed);
        }
        core::sync::atomic::fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let watchers = self.watchers.lock();
        let mut taken = false;
        for watcher in watchers.iter() {
            if watcher.exclusive() {
                taken = taken || watcher.notify(what);
            } else {
                watcher.notify(what);
            }
        }
    }

    /// A reader has left nothing: watchers need not ask before they are told again. `is_empty`, asked under the lock of the watchers,
    /// says whether that still holds; who makes the object readable notifies after it is so. The end of an object stays readable: it is never drained then.
    pub fn drained(&self, is_empty: impl FnOnce() -> bool) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let watchers = self.watchers.lock();
        if self.ends.load(Ordering::Relaxed) & !FLOWS.bits() == 0 && is_empty() {
            for watcher in watchers.iter() {
                watcher.drained();
            }
        }
    }

    /// Adds a watcher. Look at the object's readiness after this, not before. Errors: `NoMemory` (a source may have any number).
    pub fn attach(&self, watcher: Arc<dyn PollWatcher>) -> FsResult<()> {
        let mut watchers = self.watchers.lock();
        watchers.try_reserve(1).map_err(|_| FsError::NoMemory)?;
        watchers.push(watcher);
        self.count.store(watchers.len(), Ordering::Relaxed);
        drop(watchers);
        core::sync::atomic::fence(Ordering::SeqCst);
        Ok(())
    }

    /// Removes a watcher; it hears nothing more once this has returned.
    pub fn detach(&self, watcher: &Arc<dyn PollWatcher>) {
        let mut watchers = self.watchers.lock();
        let found = watchers.iter().position(|known| core::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(watcher)));
        // What leaves the list is dropped after the lock.
        let _gone = found.map(|index| watchers.swap_remove(index));
        self.count.store(watchers.len(), Ordering::Relaxed);
        drop(watchers);
    }
}

impl Default for PollSource {
    fn default() -> Self {
        Self::new()
    }
}

pub mod epoll;
mod wait;
pub use epoll::{Epoll, EpollEvent, EpollInterest, EpollMode};
pub use wait::{PollRequest, poll};
