//! Threads, run queues, waiting, futexes and timers.
#![cfg_attr(feature = "bare", no_std)]
extern crate alloc;

mod completion;
mod cpu_set;
mod current;
pub mod futex;
pub mod hooks;
mod mutex;
mod park;
mod rw_lock;
mod spawn;
pub mod stat;
mod thread;
pub mod timer;
mod wait;

pub use completion::{Completion, Semaphore};
pub use cpu_set::CpuSet;
pub use current::{Current, current, try_current};
pub use hooks::{init_boot_cpu, run_idle, start_cpu};
pub use mutex::{Mutex, MutexGuard};
pub use park::{Interruptible, WakeReason, preempt_point, sleep_until, yield_now};
pub use rw_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use spawn::{Spawn, SpawnError, exit_current, reap, spawn, spawn_suspended};
pub use thread::{Thread, ThreadRef};
pub use wait::WaitQueue;
