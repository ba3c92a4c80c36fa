//! Sending: queue the signal, then make a thread look.

use super::action::{DefaultAction, default_action};
use super::info::{SI_USER, SigInfo};
use super::job;
use super::queue::Queued;
use super::set::{self, SigSet};
use crate::Errno;
use crate::process::{ExitStatus, Process, task_of};
use crate::task::Task;
use hal::context::WorkFlags;
use sched::Thread;

/// Sends to the process: any thread that does not block the signal takes it (kill(2), alarm(2), timers).
pub fn send_to_process(process: &Process, info: SigInfo) -> Result<(), Errno> {
    let signo = info.signo();
    if signo == set::SIGKILL {
        process.request_exit(ExitStatus::Signaled { signo, core: false });
        return Ok(());
    }
    job::note_sent(process, signo);
    let threads = process.lock_threads();
    // As Linux: whether an ignored signal is dropped is asked of the first thread.
    let first = threads.values().next().and_then(|thread| task_of(thread));
    if first.is_none_or(|task| is_dropped(process, task, signo)) {
        return Ok(());
    }
    match process.signals.pending.push(info) {
        Queued::Full => return Err(Errno::EAGAIN),
        Queued::Already => return Ok(()),
        Queued::Yes => process.signals.source.notify(fs::Readiness::READ),
    }
    let Some(thread) = threads.values().find(|thread| wants(thread, signo)) else { return Ok(()) };
    if kills_at_once(process, thread, signo) {
        drop(threads);
        process.request_exit(ExitStatus::Signaled { signo, core: false });
    } else {
        wake(thread);
    }
    Ok(())
}

/// Sends to one thread (tgkill(2), SIGEV_THREAD_ID).
pub fn send_to_thread(thread: &Thread, info: SigInfo) -> Result<(), Errno> {
    let Some(task) = task_of(thread) else { return Err(Errno::ESRCH) };
    let signo = info.signo();
    if signo == set::SIGKILL {
        task.process().request_exit(ExitStatus::Signaled { signo, core: false });
        return Ok(());
    }
    job::note_sent(task.process(), signo);
    if is_dropped(task.process(), task, signo) {
        return Ok(());
    }
    if task.signals.pending.push(info) == Queued::Full {
        return Err(Errno::EAGAIN);
    }
    task.process().signals.source.notify(fs::Readiness::READ);
    if kills_at_once(task.process(), thread, signo) {
        task.process().request_exit(ExitStatus::Signaled { signo, core: false });
    } else if wants(thread, signo) {
        wake(thread);
    }
    Ok(())
}

/// Sends to the calling thread, as the kernel itself does it for SIGPIPE and SIGXFSZ of a write.
pub fn raise(task: &Task, thread: &Thread, signo: u8) {
    // A standard signal is never refused.
    let _ = send_to_thread(thread, SigInfo::sent(signo, SI_USER, task.process().pid()));
}

/// kill(2) from outside of the machine's only process: the control channel, the power button.
pub fn send_from_outside(process: &Process, signo: u8) {
    if signo == 0 || signo > set::MAX {
        return;
    }
    // Refused only when memory is out; whoever asks outside can ask again.
    let _ = send_to_process(process, SigInfo::sent(signo, SI_USER, 0));
}

/// The signal would have no effect, and is not blocked (a blocked one is kept: its action may change meanwhile).
fn is_dropped(process: &Process, task: &Task, signo: u8) -> bool {
    process.signals.actions.ignored().contains(signo)
        && !task.signals.mask().contains(signo)
        && !task.signals.waited().contains(signo)
}

/// Whether a signal to the process, or to a thread of it, would have no effect.
pub(crate) fn drops(process: &Process, thread: Option<u32>, signo: u8) -> bool {
    if !process.signals.actions.ignored().contains(signo) {
        return false;
    }
    let threads = process.lock_threads();
    let receiver = match thread {
        None => threads.values().next(),
        Some(tid) => threads.get(&tid),
    };
    receiver.and_then(|thread| task_of(thread)).is_none_or(|task| is_dropped(process, task, signo))
}

fn wants(thread: &Thread, signo: u8) -> bool {
    task_of(thread).is_some_and(|task| !task.signals.mask().contains(signo) || task.signals.waited().contains(signo))
}

/// Whether the signal ends the process without waiting for `thread`'s turn to find that out (Linux: `complete_signal`). What leaves a
/// core comes when the thread does: its registers are of interest.
fn kills_at_once(process: &Process, thread: &Thread, signo: u8) -> bool {
    let has_default_action = !process.signals.actions.ignored().union(process.signals.actions.caught()).contains(signo);
    has_default_action
        && default_action(signo) == DefaultAction::Terminate
        && task_of(thread).is_some_and(|task| !task.signals.mask().contains(signo))
        && !process.signals.job.is_stopped()
}

fn wake(thread: &Thread) {
    thread.work_flags().set(WorkFlags::SIGNAL);
    thread.kick();
}

/// Finds another thread than `leaving` (which now blocks them, or ends) for the process's pending signals.
pub(crate) fn retarget(process: &Process, leaving: u32) {
    let pending = process.signals.pending.set();
    if pending.is_empty() {
        return;
    }
    let threads = process.lock_threads();
    let mut left = pending;
    for thread in threads.values().filter(|thread| thread.id() != leaving) {
        let Some(task) = task_of(thread) else { continue };
        let takes = left.without(task.signals.mask().without(task.signals.waited()));
        if !takes.is_empty() {
            wake(thread);
            left = left.without(takes);
        }
        if left.is_empty() {
            return;
        }
    }
}

/// What is pending of `gone` goes: an action became "ignore" (sigaction(2), POSIX 3.3.1.3), or a stop is cancelled.
pub(crate) fn discard_everywhere(process: &Process, gone: SigSet) {
    process.signals.pending.discard(gone);
    let threads = process.lock_threads();
    for task in threads.values().filter_map(|thread| task_of(thread)) {
        task.signals.pending.discard(gone);
    }
}
