//! Futexes (futex(2), futex(7)): keys, clocks and errors; the queues are sched's.
//!
//! A private key is the address; a shared one is object and offset of a shared mapping, or the address in private
//! memory, so that pthread_join's shared wait meets the kernel's wake at a thread's end.

use super::Support::Partial;
use super::time::{TimeSpec, deadline_from_realtime};
use super::{Call, Errno, Row, SysResult, futex_pi, row};
use crate::task::{Restart, Task};
use crate::uaccess::{UserPtr, plain};
use crate::unsupported;
use core::sync::atomic::Ordering;
use hal::user::{self, AtomicOp, UserFault};
use linux_raw_sys::general::*;
use sched::futex::{self as queues, Key, MATCH_ANY, RequeueError, WaitError};

/// The rows of this family.
pub const ROWS: &[Row] = &[row(__NR_futex, "futex", "xxdxxx", futex, Partial, "futex(2)")];

const COMMAND_MASK: u32 = !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);

fn futex(call: &mut Call<'_>) -> SysResult {
    let operation = call.uint(1);
    let value = call.uint(2);
    let is_private = operation & FUTEX_PRIVATE_FLAG != 0;
    let word = call.arg(0);
    match operation & COMMAND_MASK {
        // A bad time is refused first (Linux: `futex_init_timeout` comes before `do_futex`).
        FUTEX_WAIT if operation & FUTEX_CLOCK_REALTIME != 0 => {
            absolute_deadline(call, true)?;
            Err(Errno::ENOSYS)
        }
        FUTEX_WAKE | FUTEX_WAKE_BITSET | FUTEX_REQUEUE | FUTEX_CMP_REQUEUE | FUTEX_WAKE_OP
            if operation & FUTEX_CLOCK_REALTIME != 0 =>
        {
            Err(Errno::ENOSYS)
        }
        FUTEX_WAKE => wake(word, is_private, value, MATCH_ANY),
        FUTEX_WAIT => {
            let deadline = match call.ptr::<TimeSpec>(3).non_null() {
                None => None,
                Some(timeout) => Some(hal::clock::now_ns().saturating_add(timeout.read()?.to_ns()?)),
            };
            wait(call, Wait { word, is_private, value, bitset: MATCH_ANY, deadline })
        }
        FUTEX_WAIT_BITSET => {
            let deadline = absolute_deadline(call, operation & FUTEX_CLOCK_REALTIME != 0)?;
            wait(call, Wait { word, is_private, value, bitset: call.uint(5), deadline })
        }
        FUTEX_WAKE_BITSET => wake(word, is_private, value, call.uint(5)),
        FUTEX_REQUEUE => requeue(call, is_private, None),
        FUTEX_CMP_REQUEUE => requeue(call, is_private, Some(call.uint(5))),
        FUTEX_WAKE_OP => wake_op(call, is_private),
        // The older call's clock is CLOCK_REALTIME, without a flag.
        FUTEX_LOCK_PI => futex_pi::lock(call, is_private, absolute_deadline(call, true)?),
        FUTEX_LOCK_PI2 => {
            let deadline = absolute_deadline(call, operation & FUTEX_CLOCK_REALTIME != 0)?;
            futex_pi::lock(call, is_private, deadline)
        }
        FUTEX_TRYLOCK_PI => futex_pi::try_lock(call, is_private),
        FUTEX_UNLOCK_PI => futex_pi::unlock(call, is_private),
        command => {
            unsupported!("futex command", command);
            Err(Errno::ENOSYS)
        }
    }
}

/// The deadline that the fourth argument points to, as [`hal::clock::now_ns`] time.
fn absolute_deadline(call: &Call<'_>, is_realtime: bool) -> Result<Option<u64>, Errno> {
    let Some(timeout) = call.ptr::<TimeSpec>(3).non_null() else { return Ok(None) };
    let time = timeout.read()?.to_ns()?;
    Ok(Some(if is_realtime { deadline_from_realtime(time) } else { time }))
}

#[inline(always)]
pub(super) fn key(word: u64, is_private: bool) -> Result<Key, Errno> {
    if word & 3 != 0 {
        return Err(Errno::EINVAL);
    }
    user::check(word, 4)?;
    if !is_private && let Some((object, offset)) = mm::space().backing_at(word) {
        return Ok(Key { object, offset });
    }
    if !is_private && user::load_u32_nofault(word).is_err() {
        // A shared word is looked up by its page, so there has to be one (Linux: `get_futex_key`).
        user::prefault_read(word)?;
    }
    Ok(Key { object: 0, offset: word })
}

struct Wait {
    word: u64,
    is_private: bool,
    value: u32,
    bitset: u32,
    /// [`hal::clock::now_ns`] time.
    deadline: Option<u64>,
}

#[inline(always)]
fn wait(call: &mut Call<'_>, wait: Wait) -> SysResult {
    if wait.bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let key = key(wait.word, wait.is_private)?;
    let still_expected = || Ok(user::load_u32_nofault(wait.word)? == wait.value);
    loop {
        return match queues::wait(key, wait.bitset, wait.deadline, still_expected) {
            Ok(()) => Ok(0),
            Err(WaitError::Again) => Err(Errno::EAGAIN),
            Err(WaitError::TimedOut) => Err(Errno::ETIMEDOUT),
            Err(WaitError::Interrupted) => Err(interrupted(call, &wait)),
            Err(WaitError::Fault(fault)) => {
                user::prefault_read(fault.addr)?;
                continue;
            }
        };
    }
}

/// A wait without a timeout starts anew; one with a timeout goes on with the same end.
fn interrupted(call: &Call<'_>, wait: &Wait) -> Errno {
    let Some(deadline) = wait.deadline else { return Errno::ERESTARTSYS };
    let state = [wait.word, wait.value as u64 | (wait.bitset as u64) << 32, deadline, wait.is_private as u64];
    call.task().set_restart(Restart { handler: resume, state });
    Errno::ERESTART_RESTARTBLOCK
}

fn resume(call: &mut Call<'_>, state: [u64; 4]) -> SysResult {
    let [word, packed, deadline, is_private] = state;
    wait(
        call,
        Wait {
            word,
            is_private: is_private != 0,
            value: packed as u32,
            bitset: (packed >> 32) as u32,
            deadline: Some(deadline),
        },
    )
}

/// How many to wake: Linux wakes one even for 0 or less.
fn wake_count(value: u32) -> usize {
    (value as i32).max(1) as usize
}

#[inline(always)]
fn wake(word: u64, is_private: bool, value: u32, bitset: u32) -> SysResult {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    Ok(queues::wake(key(word, is_private)?, wake_count(value), bitset) as u64)
}

/// The kernel's own wake of a word that glibc waits on without FUTEX_PRIVATE_FLAG. A bad address wakes nobody.
pub(crate) fn wake_shared(word: u64, count: usize) {
    if let Ok(key) = key(word, false) {
        queues::wake(key, count, MATCH_ANY);
    }
}

fn requeue(call: &mut Call<'_>, is_private: bool, expected: Option<u32>) -> SysResult {
    let (wake_count, requeue_count) = (call.int(2), call.arg(3) as i32);
    if wake_count < 0 || requeue_count < 0 {
        return Err(Errno::EINVAL);
    }
    let word = call.arg(0);
    let from = key(word, is_private)?;
    let to = key(call.arg(4), is_private)?;
    let still_expected = || match expected {
        Some(expected) => Ok(user::load_u32_nofault(word)? == expected),
        None => Ok(true),
    };
    loop {
        return match queues::requeue(from, to, wake_count as usize, requeue_count as usize, still_expected) {
            Ok(done) => Ok((done.woken + done.moved) as u64),
            Err(RequeueError::Again) => Err(Errno::EAGAIN),
            Err(RequeueError::Fault(fault)) => {
                user::prefault_read(fault.addr)?;
                continue;
            }
        };
    }
}

fn wake_op(call: &mut Call<'_>, is_private: bool) -> SysResult {
    let second_word = call.arg(4);
    let first = key(call.arg(0), is_private)?;
    let second = key(second_word, is_private)?;
    let operation = WakeOp::decode(call.uint(5))?;
    let change = || -> Result<bool, UserFault> {
        let old = user::fetch_op_u32(second_word, operation.change, operation.argument)?;
        Ok(operation.compares(old as i32))
    };
    let first_count = wake_count(call.uint(2));
    let second_count = wake_count(call.arg(3) as u32);
    if operation.comparison > FUTEX_OP_CMP_GE {
        // The word is changed before an unknown comparison is refused (Linux: `futex_atomic_op_inuser`).
        change()?;
        return Err(Errno::ENOSYS);
    }
    Ok(queues::wake_op(first, first_count, second, second_count, change)? as u64)
}

/// The third value of FUTEX_WAKE_OP: `op << 28 | cmp << 24 | oparg << 12 | cmparg`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WakeOp {
    change: AtomicOp,
    argument: u32,
    comparison: u32,
    compared: i32,
}

impl WakeOp {
    pub(crate) fn decode(word: u32) -> Result<Self, Errno> {
        let signed = |bits: u32| (bits << 20) as i32 >> 20;
        let mut argument = signed(word >> 12 & 0xfff) as u32;
        if word >> 28 & FUTEX_OP_OPARG_SHIFT != 0 {
            argument = 1 << (argument & 31);
        }
        let change = match word >> 28 & 7 {
            FUTEX_OP_SET => AtomicOp::Set,
            FUTEX_OP_ADD => AtomicOp::Add,
            FUTEX_OP_OR => AtomicOp::Or,
            FUTEX_OP_ANDN => AtomicOp::AndNot,
            FUTEX_OP_XOR => AtomicOp::Xor,
            _ => return Err(Errno::ENOSYS),
        };
        let comparison = word >> 24 & 0xf;
        Ok(Self { change, argument, comparison, compared: signed(word & 0xfff) })
    }

    pub(crate) fn compares(&self, old: i32) -> bool {
        match self.comparison {
            FUTEX_OP_CMP_EQ => old == self.compared,
            FUTEX_OP_CMP_NE => old != self.compared,
            FUTEX_OP_CMP_LT => old < self.compared,
            FUTEX_OP_CMP_LE => old <= self.compared,
            FUTEX_OP_CMP_GT => old > self.compared,
            _ => old >= self.compared,
        }
    }
}

/// `struct robust_list_head`.
#[repr(C)]
#[derive(Clone, Copy)]
struct RobustListHead {
    first: u64,
    futex_offset: i64,
    pending: u64,
}
plain!(RobustListHead);

/// How long a robust list may be (Linux: ROBUST_LIST_LIMIT), so that a ring cannot hold the thread for ever.
const ROBUST_LIST_LIMIT: usize = 2048;

/// The thread ends: marks each lock that it holds as "owner died" and wakes a waiter (set_robust_list(2); Linux:
/// `exit_robust_list`). A list with a bad pointer ends there.
pub(crate) fn release_robust_list(task: &Task) {
    let list = task.robust_list.swap(0, Ordering::Relaxed);
    if list == 0 {
        return;
    }
    let Ok(head) = UserPtr::<RobustListHead>::new(list).read() else { return };
    let word_of = |entry: u64| (entry & !1).wrapping_add_signed(head.futex_offset);
    let mut entry = head.first;
    for _ in 0..ROBUST_LIST_LIMIT {
        if entry & !1 == list {
            break;
        }
        // The next link first: a waiter may free the entry once the lock is given up.
        let next = UserPtr::<u64>::new(entry & !1).read();
        if entry & !1 != head.pending & !1 && give_up(task.tid(), word_of(entry), entry & 1 != 0, false).is_err() {
            return;
        }
        let Ok(next) = next else { return };
        entry = next;
    }
    if head.pending != 0 {
        let _ = give_up(task.tid(), word_of(head.pending), head.pending & 1 != 0, true);
    }
}

/// Gives up one lock word if thread `tid` holds it. `pending`: it was about to be taken or released.
fn give_up(tid: u32, word: u64, is_pi: bool, pending: bool) -> Result<(), Errno> {
    if word & 3 != 0 {
        return Err(Errno::EINVAL);
    }
    loop {
        let value = user::read_u32(word)?;
        if pending && !is_pi && value == 0 {
            wake_shared(word, 1);
            return Ok(());
        }
        if value & FUTEX_TID_MASK != tid {
            return Ok(());
        }
        let new = value & FUTEX_WAITERS | FUTEX_OWNER_DIED;
        if user::compare_exchange_u32(word, value, new)?.is_ok() {
            if value & FUTEX_WAITERS != 0 {
                wake_shared(word, 1);
            }
            return Ok(());
        }
    }
}
