//! Futexes (futex(2)): threads that wait until somebody says that a word of application memory has changed.
//!
//! Waiters are in hash buckets, each with a spin lock. The waiter's compare and its entry are one critical section, and
//! the waker takes the same lock, so a change of the word before the wake-up is never missed. Under the lock the word is
//! read by a load that cannot sleep ([`hal::user::load_u32_nofault`]); when its page is not there the caller gets
//! [`WaitError::Fault`], makes it be there and tries again. Nothing here reads or writes the word itself.

mod bucket;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

use crate::WakeReason;
use crate::park::{self, Wait};
use bucket::Node;
use hal::sync::atomic::{Ordering, fence};
use hal::user::UserFault;

/// What a futex word is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// 0 for a private futex, else the identity of the object that the memory is shared through.
    pub object: u64,
    /// Address of a private futex, else the byte offset in the object.
    pub offset: u64,
}

/// The bitset that meets every other.
pub const MATCH_ANY: u32 = u32::MAX;

/// Why a wait ended without a wake-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitError {
    /// The word has another value.
    Again,
    /// The deadline passed.
    TimedOut,
    /// A work flag SIGNAL or STOP is set.
    Interrupted,
    /// The word's page is not there: fault it in and call again.
    Fault(UserFault),
}

/// Why a requeue did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequeueError {
    /// The word has another value.
    Again,
    /// The word's page is not there: fault it in and call again.
    Fault(UserFault),
}

/// What a requeue did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requeued {
    /// Waiters woken.
    pub woken: usize,
    /// Waiters that wait on the other key now.
    pub moved: usize,
}

/// Waits until a wake on `key` whose bitset meets `bitset`. `deadline_ns` is [`hal::clock::now_ns`] time.
/// `still_expected` tells whether the word has the value that the caller saw; it is called under a spin lock.
pub fn wait(
    key: Key,
    bitset: u32,
    deadline_ns: Option<u64>,
    mut still_expected: impl FnMut() -> Result<bool, UserFault>,
) -> Result<(), WaitError> {
    let current = crate::current();
    let node = Node::new(&current, key, bitset);
    let bucket = bucket::of(key);
    let mut list = bucket.enter();
    match still_expected() {
        Ok(true) => {}
        Ok(false) => {
            bucket.leave();
            return Err(WaitError::Again);
        }
        Err(fault) => {
            bucket.leave();
            return Err(WaitError::Fault(fault));
        }
    }
    // SAFETY: the node stays here until it is woken or `withdraw` has taken it out.
    unsafe { list.push(&node, key) };
    drop(list);
    loop {
        let reason = park::park(&current, Wait::Futex, deadline_ns);
        if node.waiter.is_woken() {
            return Ok(());
        }
        let error = match reason {
            WakeReason::Woken => continue,
            WakeReason::TimedOut => WaitError::TimedOut,
            WakeReason::Interrupted => WaitError::Interrupted,
        };
        // A wake-up that came first counts: the waker was told that it woke somebody.
        return if node.withdraw() { Err(error) } else { Ok(()) };
    }
}

/// Wakes at most `count` waiters on `key` whose bitset meets `bitset`; how many.
#[inline(always)]
pub fn wake(key: Key, count: usize, bitset: u32) -> usize {
    let bucket = bucket::of(key);
    // The caller's store to the word comes before the look for waiters; a waiter's entry before its look at the word.
    fence(Ordering::SeqCst);
    if count == 0 || !bucket.has_waiters() {
        return 0;
    }
    bucket.wake(key, count, bitset)
}

/// FUTEX_WAKE_OP: `op` changes the second word and tells whether its waiters are woken too. It is called first and with
/// no lock held, so it may fault and sleep. Waiters that come between it and the wake-ups may be woken needlessly, which
/// futex(2) allows.
pub fn wake_op(
    first: Key,
    first_count: usize,
    second: Key,
    second_count: usize,
    op: impl FnOnce() -> Result<bool, UserFault>,
) -> Result<usize, UserFault> {
    let wakes_second = op()?;
    let woken = wake(first, first_count, MATCH_ANY);
    Ok(woken + if wakes_second { wake(second, second_count, MATCH_ANY) } else { 0 })
}

/// Wakes at most `wake_count` waiters of `from` and makes at most `requeue_count` others wait on `to`, without waking them.
/// `still_expected` is called under spin locks (FUTEX_CMP_REQUEUE; for FUTEX_REQUEUE it is `|| Ok(true)`).
pub fn requeue(
    from: Key,
    to: Key,
    wake_count: usize,
    requeue_count: usize,
    still_expected: impl FnMut() -> Result<bool, UserFault>,
) -> Result<Requeued, RequeueError> {
    bucket::requeue(from, to, wake_count, requeue_count, still_expected)
}
