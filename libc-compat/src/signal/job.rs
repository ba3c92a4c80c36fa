//! Stopping and continuing the whole process (signal(7): SIGSTOP, SIGCONT).
//!
//! SIGTSTP, SIGTTIN and SIGTTOU have no default effect, as on Linux in an orphaned process group, which the group of the only
//! process is: nobody there could continue it.

use super::{SigSet, send, set};
use crate::process::Process;
use crate::task::Task;
use core::sync::atomic::{AtomicBool, Ordering};
use hal::context::WorkFlags;
use sched::{Interruptible, WaitQueue};

/// Signals that SIGCONT cancels.
const STOPS: SigSet = SigSet::of(set::SIGSTOP)
    .union(SigSet::of(set::SIGTSTP))
    .union(SigSet::of(set::SIGTTIN))
    .union(SigSet::of(set::SIGTTOU));

/// Whether the process is stopped, and who waits for its end.
pub struct Job {
    stopped: AtomicBool,
    continued: WaitQueue,
}

impl Job {
    /// Runs.
    pub const fn new() -> Self {
        Self { stopped: AtomicBool::new(false), continued: WaitQueue::new() }
    }

    /// Whether the process is stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Lets the threads run again, if they are stopped; the end of the process does it too.
    pub fn resume(&self) {
        self.stopped.store(false, Ordering::SeqCst);
        self.continued.wake_all();
    }
}

impl Default for Job {
    fn default() -> Self {
        Self::new()
    }
}

/// SIGSTOP was delivered: every thread stops before it goes back to the application.
pub fn stop(process: &Process) {
    process.signals.job.stopped.store(true, Ordering::SeqCst);
    for thread in process.lock_threads().values() {
        thread.work_flags().set(WorkFlags::SIGNAL);
        thread.kick();
    }
}

/// Waits while the process is stopped. Signals, but for SIGKILL and SIGCONT, wait too.
#[inline(always)]
pub fn wait_while_stopped(task: &Task) {
    if task.process().signals.job.is_stopped() {
        wait(task.process());
    }
}

#[cold]
fn wait(process: &Process) {
    let job = &process.signals.job;
    let goes_on = || (!job.is_stopped() || process.is_ending()).then_some(());
    // No deadline and deaf to signals: ends with `goes_on` only.
    let _ = job.continued.wait_until(None, Interruptible::No, goes_on);
}

/// A signal is being sent: stops and SIGCONT cancel each other, whoever blocks or ignores them.
#[inline(always)]
pub fn note_sent(process: &Process, signo: u8) {
    if signo == set::SIGCONT {
        send::discard_everywhere(process, STOPS);
        process.signals.job.resume();
    } else if STOPS.contains(signo) {
        send::discard_everywhere(process, SigSet::of(set::SIGCONT));
    }
}
