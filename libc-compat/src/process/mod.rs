//! The process: one at a time, many in sequence.
//!
//! It is made by [`start`] from regions that jvm-host has already mapped, lives as long as one of its threads, and
//! ends as [`exit`] describes. [`running`] is the one that runs now.

pub mod exit;
pub mod limits;
mod start;

pub use exit::ExitStatus;
pub use limits::Limits;
pub use start::{ProcessHandle, ProcessSpec, StartError, start};

use crate::file_context::FileContext;
use crate::signal::ProcessSignals;
use crate::syscall::timer::ProcessTimers;
use crate::task::Task;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use hal::sync::SpinLock;
use sched::ThreadRef;

/// What was started, as /proc/self shows it. Byte strings without their NUL.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Absolute path of the executable.
    pub exe: Vec<u8>,
    /// Arguments, with the program's name as the first.
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value` strings.
    pub env: Vec<Vec<u8>>,
    /// The auxiliary vector as it lies on the initial stack.
    pub auxv: Vec<u8>,
    /// Where its parts lie.
    pub layout: crate::procfs::Layout,
}

/// The process.
pub struct Process {
    pid: AtomicU32,
    /// What was started.
    pub program: Program,
    /// Descriptors, working directory, umask.
    pub files: FileContext,
    /// Resource limits.
    pub limits: Limits,
    /// Signal actions and what is pending for the process as a whole.
    pub signals: ProcessSignals,
    /// timer_create(2), setitimer(2), alarm(2).
    pub timers: ProcessTimers,
    /// brk(2).
    pub heap: sched::Mutex<Break>,
    /// PR_SET_NO_NEW_PRIVS was asked for: kept, there is nobody to gain a privilege from.
    pub(crate) no_new_privileges: AtomicBool,
    /// MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED was asked for.
    pub(crate) uses_membarrier: AtomicBool,
    threads: SpinLock<BTreeMap<u32, ThreadRef>>,
    /// CPU time of threads that have ended, nanoseconds.
    ended_cpu_ns: AtomicU64,
    /// Start, [`hal::clock::now_ns`] time.
    pub start_ns: u64,
    exit: exit::ExitState,
}

/// The program break.
#[derive(Clone, Copy, Debug, Default)]
pub struct Break {
    /// Where the heap begins.
    pub start: u64,
    /// Where it ends now.
    pub end: u64,
}

static RUNNING: SpinLock<Option<Arc<Process>>> = SpinLock::new(None);

/// The process that runs now, for callers outside of it (procfs from a kernel thread, the control channel).
pub fn running() -> Option<Arc<Process>> {
    RUNNING.lock().clone()
}

/// Whether a process runs and `is_so` of it, asked under a spin lock: for who may not come to hold the last reference.
pub(crate) fn is_running_and(is_so: impl FnOnce(&Process) -> bool) -> bool {
    RUNNING.lock().as_deref().is_some_and(is_so)
}

impl Process {
    /// Its id: that of its first thread.
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// Living threads in order of their ids.
    pub fn threads(&self) -> Vec<ThreadRef> {
        self.threads.lock().values().cloned().collect()
    }

    /// How many threads live.
    pub fn thread_count(&self) -> usize {
        self.threads.lock().len()
    }

    /// The thread with id `tid`.
    pub fn thread(&self, tid: u32) -> Option<ThreadRef> {
        self.threads.lock().get(&tid).cloned()
    }

    /// The threads' list, locked, for senders of signals.
    pub(crate) fn lock_threads(&self) -> hal::sync::SpinLockGuard<'_, BTreeMap<u32, ThreadRef>> {
        self.threads.lock()
    }

    /// Puts a thread that does not run yet into the list; false once the process is ending.
    pub(crate) fn add_thread(&self, thread: &ThreadRef) -> bool {
        let mut threads = self.threads.lock();
        if self.exit.requested().is_some() {
            return false;
        }
        threads.insert(thread.id(), thread.clone());
        true
    }

    /// Time that its threads spent on vCPUs, nanoseconds.
    pub fn cpu_time_ns(&self) -> u64 {
        let threads = self.threads.lock();
        let living: u64 = threads.values().map(|thread| thread.cpu_time_ns()).sum();
        living + self.ended_cpu_ns.load(Ordering::Relaxed)
    }
}

/// The [`Task`] of an application thread.
#[inline(always)]
pub fn task_of(thread: &sched::Thread) -> Option<&Task> {
    thread.ext_as::<Task>()
}
