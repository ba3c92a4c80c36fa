//! Threads: who runs where and when, and everything that waits.
//!
//! # Concept
//! A [`Thread`] runs on one vCPU at a time and stops in one way only: it *parks* (module `park`). Whoever wants it to run
//! again *unparks* it; an unpark that comes first is kept as a token, so no wake-up is lost, and a parked thread may
//! wake without cause, so every waiter checks what it waits for. Wait queues, sleeping locks, futexes and sleeps are
//! made from that pair. Application threads are those with [`Thread::ext`]; kernel threads have none.
//!
//! # Key types
//! [`Thread`], [`Current`], [`WaitQueue`], [`Mutex`], [`RwLock`], [`Completion`], [`futex::Key`], [`timer::Timer`].
//! Inside: `policy::RunQueue` (fair by virtual run time; pure), `timer::heap::TimerHeap` (pure), `machine` (the real
//! one, or std threads that park, chosen by the feature `bare`).
//!
//! # Neighbours
//! Below: `hal` (context switch, interrupts, clock, spin locks); stacks come from the provider that `mm` registers
//! there. Above: everybody. The kernel's wiring installs [`hooks`] into `hal::trap::Hooks`.
//!
//! # Policy
//! One queue a vCPU, ordered by virtual run time, with stealing by vCPUs that run out of work. A woken thread goes
//! where its cache is if that vCPU is idle, else to an idle one, else where it was; but a waker that always blocks soon
//! after it wakes somebody keeps the wakee on its own vCPU (a hand-over), and so does an interrupt that found its vCPU
//! idle. There is no periodic tick: a slice timer is armed only while a vCPU has a second thread to run.
//!
//! # Lock order
//! `Mutex`/`RwLock` (sleep) -> wait-queue, futex-bucket or timer spin locks (two buckets: lower index first)
//! -> timer heap -> run queue. Run queues never nest. The registry's lock is a leaf. A wake-up may come from an interrupt
//! handler or under any spin lock of a higher layer.
//!
//! # Specifications
//! futex(2), sched(7), proc(5) for state letters and load averages.
#![cfg_attr(feature = "bare", no_std)]
#![cfg_attr(feature = "loom", allow(dead_code, reason = "models have no idle threads, no ends and no clocks"))]
extern crate alloc;

mod completion;
mod cpu_clock;
mod cpu_set;
mod current;
pub mod futex;
pub mod hooks;
mod machine;
mod mutex;
mod park;
#[cfg_attr(
    not(any(feature = "bare", feature = "vcpus")),
    allow(dead_code, unused_imports, reason = "std schedules the host's threads")
)]
mod policy;
mod preemption;
mod registry;
mod rw_lock;
mod spawn;
pub mod stat;
mod thread;
pub mod timer;
mod wait;
mod waiter;

#[cfg(all(test, feature = "loom"))]
mod models;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

pub use completion::{Completion, Semaphore};
pub use cpu_set::CpuSet;
pub use current::{Current, current, try_current};
pub use hooks::{init_boot_cpu, run_idle, start_cpu};
pub use mutex::{Mutex, MutexGuard};
pub use park::{Interruptible, WakeReason, preempt_point, sleep_until, yield_now};
pub use policy::Class;
pub use rw_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use spawn::{Spawn, SpawnError, exit_current, limit_threads, reap, spawn, spawn_suspended};
pub use thread::{Thread, ThreadRef};
pub use wait::WaitQueue;
