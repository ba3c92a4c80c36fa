//! Locks whose word names the owner (futex(2), "Priority-inheritance futexes"): pthread mutexes with
//! PTHREAD_PRIO_INHERIT.
//!
//! The word is the owner's thread id, with FUTEX_WAITERS set as long as somebody waits or may wait; a free lock that
//! has waiters is FUTEX_WAITERS alone, which no fast path of libc takes, so nobody is forgotten. The queue is an ordinary futex
//! queue: a waiter enters only while the word names an owner and has the mark. The scheduler is fair, so nothing is inherited.

use super::futex::key;
use super::{Call, Errno, SysResult};
use hal::user;
use linux_raw_sys::general::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};
use sched::futex::{self as queues, MATCH_ANY, WaitError};

/// FUTEX_LOCK_PI; `deadline` is [`hal::clock::now_ns`] time.
pub(super) fn lock(call: &Call<'_>, is_private: bool, deadline: Option<u64>) -> SysResult {
    let word = call.arg(0);
    let key = key(word, is_private)?;
    loop {
        let Some(value) = take(call, word)? else { return Ok(0) };
        let marked = value | FUTEX_WAITERS;
        if value != marked && user::compare_exchange_u32(word, value, marked)?.is_err() {
            continue;
        }
        match queues::wait(key, MATCH_ANY, deadline, || Ok(user::load_u32_nofault(word)? == marked)) {
            Ok(()) | Err(WaitError::Again) => {}
            Err(WaitError::TimedOut) => return Err(Errno::ETIMEDOUT),
            Err(WaitError::Interrupted) => return Err(Errno::ERESTARTNOINTR),
            Err(WaitError::Fault(fault)) => user::prefault_read(fault.addr)?,
        }
    }
}

/// FUTEX_TRYLOCK_PI.
pub(super) fn try_lock(call: &Call<'_>, is_private: bool) -> SysResult {
    key(call.arg(0), is_private)?;
    match take(call, call.arg(0))? {
        None => Ok(0),
        Some(_) => Err(Errno::EAGAIN),
    }
}

/// Takes a free lock: `None`; else the word as its living owner keeps it. EDEADLK for the owner itself, ESRCH when the owner
/// has ended.
fn take(call: &Call<'_>, word: u64) -> Result<Option<u32>, Errno> {
    let tid = call.task().tid();
    loop {
        let value = user::read_u32(word)?;
        match value & FUTEX_TID_MASK {
            0 => {
                let marks = value & (FUTEX_WAITERS | FUTEX_OWNER_DIED);
                if user::compare_exchange_u32(word, value, marks | tid)?.is_ok() {
                    return Ok(None);
                }
            }
            owner if owner == tid => return Err(Errno::EDEADLK),
            owner if call.process().thread(owner).is_none() => {
                // It may just have given the lock up at its end.
                if user::read_u32(word)? == value {
                    return Err(Errno::ESRCH);
                }
            }
            _ => return Ok(Some(value)),
        }
    }
}

/// FUTEX_UNLOCK_PI. EPERM for who is not the owner.
pub(super) fn unlock(call: &Call<'_>, is_private: bool) -> SysResult {
    let word = call.arg(0);
    let key = key(word, is_private)?;
    loop {
        let value = user::read_u32(word)?;
        if value & FUTEX_TID_MASK != call.task().tid() {
            return Err(Errno::EPERM);
        }
        let mark = value & FUTEX_WAITERS;
        if user::compare_exchange_u32(word, value, mark)?.is_err() {
            continue;
        }
        if mark != 0 && queues::wake(key, 1, MATCH_ANY) == 0 {
            // Nobody waits any more; unless somebody has taken it since, it is free for the fast path again.
            let _ = user::compare_exchange_u32(word, mark, 0)?;
        }
        return Ok(0);
    }
}
