//! The end of a process whose threads all wait for each other: every thread is in a futex wait without a timeout, no
//! timer is armed, and no handler for SIGINT or SIGTERM could let somebody outside end the wait. Linux would hang for
//! ever; here the run ends with [`ExitStatus::Deadlock`].
//!
//! A Java deadlock is not found here: the JVM catches SIGTERM, and Ctrl-\ prints its thread dump.

use crate::process::{ExitStatus, is_running_and, running};
use crate::signal::catches_termination;

/// Lets the idle loop look.
pub fn init() {
    sched::stat::idle_hook(check);
}

/// A vCPU has nothing to run. Interrupts on, on the idle thread.
fn check() {
    // Cheapest first: a vCPU asks this each time that it has nothing to do.
    if is_running_and(catches_termination) || !sched::stat::all_blocked_forever() {
        return;
    }
    let Some(process) = running() else { return };
    if catches_termination(&process) || process.is_ending() || process.thread_count() == 0 {
        return;
    }
    // Once more, now that the process is known not to have changed hands in between.
    if sched::stat::all_blocked_forever() {
        log::error!("deadlock: all {} threads wait for each other for ever", process.thread_count());
        process.request_exit(ExitStatus::Deadlock);
    }
}
