//! Pending signals: a standard one once, real-time ones in order with all their infos (signal(7), "Queueing").

use super::info::{SI_USER, SigInfo};
use super::set::{FIRST_REAL_TIME, SigSet};
use alloc::collections::VecDeque;
use core::sync::atomic::{AtomicU64, Ordering};
use hal::sync::SpinLock;

/// The pending signals of a thread or of a process.
pub struct Pending {
    queue: SpinLock<VecDeque<SigInfo>>,
    /// Which signals are pending; changed under the lock, read without.
    set: AtomicU64,
}

/// What became of a signal that was to be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It is pending now.
    Yes,
    /// A standard signal that was pending already.
    Already,
    /// No memory for its info.
    Full,
}

impl Default for Pending {
    fn default() -> Self {
        Self::new()
    }
}

impl Pending {
    /// Nothing pending.
    pub const fn new() -> Self {
        Self { queue: SpinLock::new(VecDeque::new()), set: AtomicU64::new(0) }
    }

    /// Which signals are pending.
    #[inline(always)]
    pub fn set(&self) -> SigSet {
        SigSet(self.set.load(Ordering::SeqCst))
    }

    /// How many infos wait.
    pub fn count(&self) -> usize {
        self.queue.lock().len()
    }

    /// Adds a signal.
    pub fn push(&self, info: SigInfo) -> Queued {
        let signo = info.signo();
        let mut queue = self.queue.lock();
        // A timer's signal is always queued: its delivery is what arms the timer again.
        if signo < FIRST_REAL_TIME && info.timer_key().is_none() && self.set().contains(signo) {
            return Queued::Already;
        }
        if let Some(key) = info.timer_key() {
            // One signal of a timer at most: what is left of an earlier setting gives its place to the new one.
            let same = |old: &&mut SigInfo| old.timer_key().is_some_and(|old| old.id == key.id);
            if let Some(old) = queue.iter_mut().find(same) {
                *old = info;
                return Queued::Yes;
            }
        }
        let room = queue.try_reserve(1).is_ok();
        if room {
            queue.push_back(info);
        } else if signo >= FIRST_REAL_TIME && info.code != SI_USER {
            return Queued::Full;
        }
        // Without room the signal itself still comes, with an info that says nothing (as Linux does it).
        self.set.fetch_or(SigSet::of(signo).0, Ordering::SeqCst);
        Queued::Yes
    }

    /// Takes the first signal that is in `wanted`.
    pub fn take(&self, wanted: SigSet) -> Option<SigInfo> {
        if self.set().intersection(wanted).is_empty() {
            return None;
        }
        let mut queue = self.queue.lock();
        let signo = self.set().intersection(wanted).first()?;
        let is_it = |info: &SigInfo| info.signo() == signo;
        let info = match queue.iter().position(is_it) {
            Some(at) => queue.remove(at).unwrap_or(SigInfo::new(signo, SI_USER)),
            None => SigInfo::new(signo, SI_USER),
        };
        if !queue.iter().any(is_it) {
            self.set.fetch_and(!SigSet::of(signo).0, Ordering::SeqCst);
        }
        Some(info)
    }

    /// Drops all that are in `signals`.
    pub fn discard(&self, signals: SigSet) {
        if self.set().intersection(signals).is_empty() {
            return;
        }
        let mut queue = self.queue.lock();
        queue.retain(|info| !signals.contains(info.signo()));
        self.set.fetch_and(!signals.0, Ordering::SeqCst);
    }
}
