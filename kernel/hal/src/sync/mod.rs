//! Locks that never sleep.

mod spin_lock;
pub use spin::Once;
pub use spin_lock::{SpinLock, SpinLockGuard};
