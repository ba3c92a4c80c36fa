//! On the way back to the application: the pending signal that comes next, its action, and what becomes of an
//! interrupted system call (signal(7), "Interruption of system calls and library functions by signal handlers").

use super::action::{Action, DEFAULT, DefaultAction, IGNORE, default_action};
use super::frame::{self, NO_RESTART};
use super::info::SigInfo;
use super::job;
use super::set::{self, SigSet};
use crate::Errno;
use crate::process::ExitStatus;
use crate::task::Task;
use hal::context::WorkFlags;
use hal::trap::TrapFrame;
use linux_raw_sys::general as linux;
use sched::Thread;

/// Delivers one signal, or finds that there is none. Called with SIGNAL set in the thread's work flags; sets it again
/// while more are deliverable.
pub fn deliver(frame: &mut TrapFrame, thread: &Thread, task: &Task) {
    thread.work_flags().clear(WorkFlags::SIGNAL);
    loop {
        job::wait_while_stopped(task);
        let Some(info) = take(task) else { break };
        let action = task.process().signals.actions.take(info.signo());
        match action.handler {
            IGNORE => {}
            DEFAULT => match default_action(info.signo()) {
                DefaultAction::Ignore => {}
                DefaultAction::Stop if info.signo() == set::SIGSTOP => job::stop(task.process()),
                // See `job`.
                DefaultAction::Stop => {}
                DefaultAction::Terminate | DefaultAction::Core => return die(task, info.signo()),
            },
            _ => {
                settle_for_handler(frame, &action);
                run_handler(frame, thread, task, &action, &info);
                return task.recheck_signals(thread);
            }
        }
    }
    settle_without_handler(frame);
    task.restore_saved_mask(thread);
}

/// The next signal that the thread does not block: its own first.
fn take(task: &Task) -> Option<SigInfo> {
    let wanted = SigSet(!task.signals.mask().0);
    task.take_signal(wanted)
}

/// A fault's signal, at once. One that is blocked or ignored kills (signal(7): the behaviour is undefined; Linux:
/// `force_sig_info`).
pub fn deliver_fault(frame: &mut TrapFrame, thread: &Thread, task: &Task, info: &SigInfo) {
    let signo = info.signo();
    let action = task.process().signals.actions.take(signo);
    if action.is_handler() && !task.signals.mask().contains(signo) {
        run_handler(frame, thread, task, &action, info);
        task.recheck_signals(thread);
    } else {
        die(task, signo);
    }
}

fn run_handler(frame: &mut TrapFrame, thread: &Thread, task: &Task, action: &Action, info: &SigInfo) {
    let saved = task.take_mask_for_frame();
    if frame::push(frame, task, action, info, saved).is_err() {
        // No room for the frame: SIGSEGV with its default action, whatever its handler is.
        log::info!("thread {}: no room for a signal frame at {:#x}", task.tid(), frame.rsp);
        return die(task, set::SIGSEGV);
    }
    let mut mask = task.signals.mask().union(SigSet(action.mask));
    if !action.has(linux::SA_NODEFER) {
        mask = mask.union(SigSet::of(info.signo()));
    }
    task.set_signal_mask(thread, mask);
}

/// The process ends by `signo`.
pub fn die(task: &Task, signo: u8) {
    let core = default_action(signo) == DefaultAction::Core;
    task.process().request_exit(ExitStatus::Signaled { signo, core });
}

/// The restart code that the interrupted call left, if it did.
fn restart_code(frame: &TrapFrame) -> Option<Errno> {
    if !frame.is_syscall() || frame.error == NO_RESTART {
        return None;
    }
    Errno::from_rax(frame.rax).filter(|error| error.is_restart())
}

/// A handler is about to run: the call fails with EINTR, or starts anew after it.
fn settle_for_handler(frame: &mut TrapFrame, action: &Action) {
    match restart_code(frame) {
        None => {}
        Some(Errno::ERESTARTNOINTR) => restart_as(frame, frame.error),
        Some(Errno::ERESTARTSYS) if action.has(linux::SA_RESTART) => restart_as(frame, frame.error),
        Some(_) => frame.rax = Errno::EINTR.to_rax(),
    }
}

/// No handler runs: the application does not notice the interruption.
fn settle_without_handler(frame: &mut TrapFrame) {
    match restart_code(frame) {
        None => {}
        Some(Errno::ERESTART_RESTARTBLOCK) => restart_as(frame, linux::__NR_restart_syscall.into()),
        Some(_) => restart_as(frame, frame.error),
    }
}

/// Goes back to the `syscall` instruction, two bytes long, with `number` in RAX.
fn restart_as(frame: &mut TrapFrame, number: u64) {
    frame.rax = number;
    frame.rip = frame.rip.wrapping_sub(2);
}
