//! Futexes.
use hal::user::UserFault;

/// What a futex word is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// 0 for private, else the backing's identity.
    pub object: u64,
    /// Address, or byte offset in the backing.
    pub offset: u64,
}
/// Every waiter.
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
    /// Waiters moved.
    pub moved: usize,
}
/// Waits until woken on `key`. `still_expected` is called under the bucket's spin lock.
pub fn wait(_key: Key, _bitset: u32, _deadline_ns: Option<u64>, _still_expected: impl FnMut() -> Result<bool, UserFault>) -> Result<(), WaitError> { unimplemented!() }
/// Wakes at most `count` waiters whose bitset meets `bitset`; how many.
pub fn wake(_key: Key, _count: usize, _bitset: u32) -> usize { unimplemented!() }
/// FUTEX_WAKE_OP: `op` changes the second word (no lock is held) and says whether its waiters are woken too.
pub fn wake_op(_first: Key, _first_count: usize, _second: Key, _second_count: usize, _op: impl FnOnce() -> Result<bool, UserFault>) -> Result<usize, UserFault> { unimplemented!() }
/// Wakes `wake_count` waiters of `from` and moves `requeue_count` others to `to`. `still_expected` (if the operation compares) is called under spin locks.
pub fn requeue(_from: Key, _to: Key, _wake_count: usize, _requeue_count: usize, _still_expected: impl FnMut() -> Result<bool, UserFault>) -> Result<Requeued, RequeueError> { unimplemented!() }
