//! How a process ends. One status is decided, by the first that asks; every thread is told to stop; the last one out
//! closes the descriptors, gives the address space back and wakes who waits.

use super::{Process, RUNNING};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use hal::context::WorkFlags;
use hal::sync::SpinLock;
use sched::Completion;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// By exit_group(2), or by exit(2) of its last thread.
    Exited(u8),
    /// By a signal whose action is to end the process; `core` for the kind that dumps core on Linux.
    Signaled {
        /// The signal's number.
        signo: u8,
        /// It is of the kind that dumps core.
        core: bool,
    },
    /// Every thread waited for another for ever.
    Deadlock,
    /// Memory was out.
    OutOfMemory,
}

impl ExitStatus {
    /// What a shell shows: the code, or 128 plus the signal. 137 (SIGKILL) when memory was out, 122 for a deadlock.
    pub fn shell_code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled { signo, .. } => 128 + signo,
            Self::Deadlock => 122,
            Self::OutOfMemory => 137,
        }
    }
}

/// The end of a process, as far as it has come.
pub(super) struct ExitState {
    status: SpinLock<Option<ExitStatus>>,
    first_thread_code: AtomicU8,
    out_of_memory: AtomicBool,
    pub(super) finished: Completion,
}

impl ExitState {
    pub(super) const fn new() -> Self {
        Self {
            status: SpinLock::new(None),
            first_thread_code: AtomicU8::new(0),
            out_of_memory: AtomicBool::new(false),
            finished: Completion::new(),
        }
    }
    pub(super) fn requested(&self) -> Option<ExitStatus> {
        *self.status.lock()
    }
}

impl Process {
    /// The process ends with `status` (the first one counts): every thread, blocked, runnable or running, stops
    /// before it goes back to the application. Does not wait. May be called from a timer or the idle hook.
    pub fn request_exit(&self, status: ExitStatus) {
        let status = match status {
            // A JVM answers the SIGBUS that memory's end is told with by a report and abort(3): the cause counts.
            ExitStatus::Signaled { core: true, .. } if self.exit.out_of_memory.load(Ordering::Relaxed) => {
                ExitStatus::OutOfMemory
            }
            status => status,
        };
        let threads = self.lock_threads();
        {
            let mut decided = self.exit.status.lock();
            if decided.is_some() {
                return;
            }
            *decided = Some(status);
        }
        self.signals.job.resume();
        for thread in threads.values() {
            thread.work_flags().set(WorkFlags::STOP);
            thread.kick();
        }
    }

    /// Memory is out; true for the first who says so.
    pub(crate) fn note_out_of_memory(&self) -> bool {
        !self.exit.out_of_memory.swap(true, Ordering::Relaxed)
    }

    /// Whether the process is ending.
    pub fn is_ending(&self) -> bool {
        self.exit.requested().is_some()
    }

    /// The calling thread leaves the process with `code`; the last one out ends it. Without an exit_group the status
    /// is the first thread's code (wait(2)). User memory must not be touched after.
    pub(crate) fn leave(&self, thread: &sched::Thread, code: u8) {
        if thread.id() == self.pid() {
            self.exit.first_thread_code.store(code, Ordering::Relaxed);
        }
        let mut threads = self.lock_threads();
        let left = threads.remove(&thread.id());
        self.ended_cpu_ns.fetch_add(thread.cpu_time_ns(), Ordering::Relaxed);
        // A thread that was born while the process ended was never in the list.
        let is_last = left.is_some() && threads.is_empty();
        drop(threads);
        if is_last {
            let code = self.exit.first_thread_code.load(Ordering::Relaxed);
            self.exit.status.lock().get_or_insert(ExitStatus::Exited(code));
            self.finish();
        }
    }

    /// Everything that the process owned is given back. Runs on its last thread.
    fn finish(&self) {
        self.timers.clear();
        self.files.close_all();
        mm::space().clear();
        let ended = RUNNING.lock().take();
        drop(ended);
        self.exit.finished.complete();
    }

    /// Waits for the end.
    pub(super) fn wait(&self) -> ExitStatus {
        self.exit.finished.wait();
        self.exit.requested().expect("the last thread decides the status before it completes the end")
    }
}
