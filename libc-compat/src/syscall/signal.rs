//! Signal calls. What happens to signals is in [`crate::signal`].

use super::Support::{Full, Partial};
use super::time::TimeSpec;
use super::{Call, Errno, Row, SysResult, row};
use crate::process::Process;
use crate::signal::action::Action;
use crate::signal::info::{SI_TKILL, SI_USER, SigInfo};
use crate::signal::layout::AltStack;
use crate::signal::set::{MAX, SIGKILL, SIGSTOP};
use crate::signal::{SigSet, deliver, frame, send, set};
use crate::task::Task;
use crate::uaccess::UserPtr;
use hal::context::WorkFlags;
use linux_raw_sys::general::*;
use sched::{Interruptible, Thread, WaitQueue};

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(__NR_rt_sigaction, "rt_sigaction", "dxxd", rt_sigaction, Full, "rt_sigaction(2)"),
    row(__NR_rt_sigprocmask, "rt_sigprocmask", "dxxd", rt_sigprocmask, Full, "rt_sigprocmask(2)"),
    row(__NR_rt_sigreturn, "rt_sigreturn", "", rt_sigreturn, Full, "rt_sigreturn(2)"),
    row(__NR_rt_sigpending, "rt_sigpending", "xd", rt_sigpending, Full, "rt_sigpending(2)"),
    row(__NR_rt_sigsuspend, "rt_sigsuspend", "xd", rt_sigsuspend, Full, "rt_sigsuspend(2)"),
    row(__NR_rt_sigtimedwait, "rt_sigtimedwait", "xxxd", rt_sigtimedwait, Full, "rt_sigtimedwait(2)"),
    row(__NR_rt_sigqueueinfo, "rt_sigqueueinfo", "ddx", rt_sigqueueinfo, Full, "rt_sigqueueinfo(2)"),
    row(__NR_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", "dddx", rt_tgsigqueueinfo, Full, "rt_tgsigqueueinfo(2)"),
    row(__NR_sigaltstack, "sigaltstack", "xx", sigaltstack, Full, "sigaltstack(2)"),
    row(__NR_pause, "pause", "", pause, Full, "pause(2)"),
    row(__NR_kill, "kill", "dd", kill, Partial, "kill(2)"),
    row(__NR_tkill, "tkill", "dd", tkill, Full, "tkill(2)"),
    row(__NR_tgkill, "tgkill", "ddd", tgkill, Full, "tgkill(2)"),
];

/// The kernel's `sigset_t` is 8 bytes; every call says so.
fn check_set_size(size: u64) -> Result<(), Errno> {
    if size == size_of::<u64>() as u64 { Ok(()) } else { Err(Errno::EINVAL) }
}

/// A signal number, 1 to 64.
fn signal_number(number: i32) -> Result<u8, Errno> {
    if (1..=MAX.into()).contains(&number) { Ok(number as u8) } else { Err(Errno::EINVAL) }
}

fn rt_sigaction(call: &mut Call<'_>) -> SysResult {
    check_set_size(call.arg(3))?;
    let signo = signal_number(call.int(0))?;
    let actions = &call.process().signals.actions;
    let old = match call.ptr::<Action>(1).non_null() {
        None => actions.get(signo),
        Some(_) if signo == SIGKILL || signo == SIGSTOP => return Err(Errno::EINVAL),
        Some(new) => {
            let new = new.read()?;
            let old = actions.replace(signo, Action { mask: SigSet(new.mask).without(SigSet::UNBLOCKABLE).0, ..new });
            if actions.ignored().contains(signo) {
                send::discard_everywhere(call.process(), SigSet::of(signo));
            }
            old
        }
    };
    call.ptr(2).write_if_given(old)?;
    Ok(0)
}

fn rt_sigprocmask(call: &mut Call<'_>) -> SysResult {
    check_set_size(call.arg(3))?;
    let task = call.task();
    let old = task.signals.mask();
    if let Some(given) = call.ptr::<u64>(1).non_null() {
        let given = SigSet(given.read()?);
        let new = match call.uint(0) {
            SIG_BLOCK => old.union(given),
            SIG_UNBLOCK => old.without(given),
            SIG_SETMASK => given,
            _ => return Err(Errno::EINVAL),
        };
        task.set_signal_mask(call.thread(), new);
    }
    call.ptr(2).write_if_given(old.0)?;
    Ok(0)
}

/// A frame that cannot be read or makes no sense is SIGSEGV, as on Linux; the registers do not matter any more then.
fn rt_sigreturn(call: &mut Call<'_>) -> SysResult {
    let (task, thread) = (call.task(), call.thread());
    let registers = call.frame();
    if frame::pop(registers, task, thread).is_err() {
        log::info!("thread {}: bad signal frame at {:#x}", task.tid(), registers.rsp);
        registers.error = frame::NO_RESTART;
        let info = SigInfo::new(set::SIGSEGV, crate::signal::info::SI_KERNEL);
        deliver::deliver_fault(registers, thread, task, &info);
    }
    Ok(registers.rax)
}

fn rt_sigpending(call: &mut Call<'_>) -> SysResult {
    // As Linux: a shorter set is allowed.
    if call.arg(1) > 8 {
        return Err(Errno::EINVAL);
    }
    let task = call.task();
    let pending = task.signals.pending.set().union(call.process().signals.pending.set());
    let blocked = pending.intersection(task.signals.mask());
    hal::user::copy_to(call.arg(0), &blocked.0.to_ne_bytes()[..call.arg(1) as usize])?;
    Ok(0)
}

fn rt_sigsuspend(call: &mut Call<'_>) -> SysResult {
    check_set_size(call.arg(1))?;
    let mask = SigSet(call.ptr::<u64>(0).read()?);
    call.task().set_temporary_mask(call.thread(), mask);
    wait_for_signal()
}

fn pause(_call: &mut Call<'_>) -> SysResult {
    wait_for_signal()
}

/// Sleeps until a signal is to be delivered.
fn wait_for_signal() -> SysResult {
    let nobody = WaitQueue::new();
    // Nobody wakes it: it ends by interruption only.
    while nobody.wait_until(None, Interruptible::Yes, || None::<()>) != Err(sched::WakeReason::Interrupted) {}
    Err(Errno::ERESTARTNOHAND)
}

fn rt_sigtimedwait(call: &mut Call<'_>) -> SysResult {
    check_set_size(call.arg(3))?;
    let wanted = SigSet(call.ptr::<u64>(0).read()?).without(SigSet::UNBLOCKABLE);
    let deadline = match call.ptr::<TimeSpec>(2).non_null() {
        None => None,
        Some(timeout) => Some(hal::clock::now_ns().saturating_add(timeout.read()?.to_ns()?)),
    };
    let info = wait_for(call.task(), call.thread(), wanted, deadline)?;
    if let Some(to) = call.ptr::<SigInfo>(1).non_null() {
        info.write(to)?;
    }
    Ok(info.signo().into())
}

/// Takes a signal of `wanted` that is pending for the calling thread or its process, or waits for one. EAGAIN after the deadline, EINTR
/// when another one is to be delivered.
pub(super) fn wait_for(task: &Task, thread: &Thread, wanted: SigSet, deadline: Option<u64>) -> Result<SigInfo, Errno> {
    task.signals.set_waited(wanted);
    let taken = wait_until_pending(task, thread, wanted, deadline);
    task.signals.set_waited(SigSet::EMPTY);
    taken
}

fn wait_until_pending(task: &Task, thread: &Thread, wanted: SigSet, deadline: Option<u64>) -> Result<SigInfo, Errno> {
    let process = task.process();
    let nobody = WaitQueue::new();
    loop {
        // Cleared before looking, so that a signal that comes later sets it again.
        thread.work_flags().clear(WorkFlags::SIGNAL);
        let pending = || task.take_signal(wanted);
        if let Some(info) = pending() {
            task.recheck_signals(thread);
            return Ok(info);
        }
        if !task.deliverable_signals().is_empty() {
            task.recheck_signals(thread);
            return Err(Errno::EINTR);
        }
        match nobody.wait_until(deadline, Interruptible::Yes, || None::<()>) {
            Err(sched::WakeReason::TimedOut) => return Err(Errno::EAGAIN),
            _ if thread.work_flags().any(WorkFlags::STOP) => return Err(Errno::EINTR),
            _ if process.signals.job.is_stopped() => {
                thread.work_flags().set(WorkFlags::SIGNAL);
                return Err(Errno::EINTR);
            }
            _ => {}
        }
    }
}

/// The info that the application gives to rt_sigqueueinfo, with the number that it names beside it.
fn given_info(from: UserPtr<SigInfo>, signo: u8) -> Result<SigInfo, Errno> {
    let mut info = from.read()?;
    info.signo = signo.into();
    // Not to be taken for one of a kernel timer: the key is the kernel's.
    info.fields[2] = if info.code == crate::signal::info::SI_TIMER { 0 } else { info.fields[2] };
    Ok(info)
}

/// Only to oneself may a signal say that it comes from the kernel, kill(2) or tkill(2) (EPERM, before the receiver is looked for).
fn check_origin(info: &SigInfo, is_to_self: bool) -> Result<(), Errno> {
    const SI_TKILL: i32 = -6;
    if is_to_self || (info.code < 0 && info.code != SI_TKILL) { Ok(()) } else { Err(Errno::EPERM) }
}

fn rt_sigqueueinfo(call: &mut Call<'_>) -> SysResult {
    if call.int(1) == 0 && call.int(0) as u32 == call.process().pid() {
        // Nothing is sent; it was asked whether it could be.
        return Ok(0);
    }
    let signo = signal_number(call.int(1))?;
    let info = given_info(call.ptr(2), signo)?;
    check_origin(&info, call.int(0) as u32 == call.process().pid())?;
    if call.int(0) as u32 != call.process().pid() {
        // Any thread's id names the process here too (Linux: pid_task of the tgid or a thread).
        call.process().thread(call.int(0) as u32).ok_or(Errno::ESRCH)?;
    }
    check_queue_limit(call.process())?;
    send::send_to_process(call.process(), info)?;
    Ok(0)
}

fn rt_tgsigqueueinfo(call: &mut Call<'_>) -> SysResult {
    let signo = signal_number(call.int(2))?;
    let info = given_info(call.ptr(3), signo)?;
    if call.int(0) <= 0 || call.int(1) <= 0 {
        return Err(Errno::EINVAL);
    }
    check_origin(&info, call.int(1) as u32 == call.task().tid())?;
    let thread = thread_of(call, call.int(0), call.int(1))?;
    check_queue_limit(call.process())?;
    send::send_to_thread(&thread, info)?;
    Ok(0)
}

/// RLIMIT_SIGPENDING (sigqueue(3): EAGAIN).
fn check_queue_limit(process: &Process) -> Result<(), Errno> {
    let limit = process.limits.soft(RLIMIT_SIGPENDING);
    if process.signals.pending.count() as u64 >= limit { Err(Errno::EAGAIN) } else { Ok(()) }
}

fn sigaltstack(call: &mut Call<'_>) -> SysResult {
    let task = call.task();
    let (start, bytes, flags) = task.signals.alternate_stack();
    let stack_pointer = call.frame().rsp;
    if let Some(new) = call.ptr::<AltStack>(0).non_null() {
        replace_alternate_stack(task, stack_pointer, &new.read()?)?;
    }
    let state = if task.signals.on_alternate_stack(stack_pointer) { SS_ONSTACK } else { flags & SS_DISABLE };
    let old = AltStack { sp: start, flags: (state | flags & SS_AUTODISARM) as i32, pad: 0, size: bytes };
    call.ptr(1).write_if_given(old)?;
    Ok(0)
}

/// sigaltstack(2)'s new stack, for rt_sigreturn too. EPERM while it is in use.
pub(crate) fn replace_alternate_stack(task: &Task, stack_pointer: u64, new: &AltStack) -> Result<(), Errno> {
    let flags = new.flags as u32;
    let mode = flags & !SS_AUTODISARM;
    if task.signals.on_alternate_stack(stack_pointer) {
        return Err(Errno::EPERM);
    }
    match mode {
        SS_DISABLE => task.signals.set_alternate_stack(0, 0, SS_DISABLE),
        0 | SS_ONSTACK if new.size < minimum_stack_bytes() => return Err(Errno::ENOMEM),
        0 | SS_ONSTACK => task.signals.set_alternate_stack(new.sp, new.size, flags & SS_AUTODISARM),
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}

/// MINSIGSTKSZ (2048), as Linux checks it without `strict_sas_size`.
fn minimum_stack_bytes() -> u64 {
    2048
}

/// Bytes that a signal frame takes at most, for AT_MINSIGSTKSZ (Linux: `get_sigframe_size`).
pub fn frame_bytes() -> u64 {
    let unaligned = crate::signal::layout::FRAME_BYTES + hal::user::xsave_size() as u64 + 4 + 64 + 16 + 8;
    unaligned.next_multiple_of(16)
}

/// What kill, tkill and tgkill send; `None` for signal 0, which only checks.
fn sent_info(call: &Call<'_>, number: i32, code: i32) -> Result<Option<SigInfo>, Errno> {
    if number == 0 {
        return Ok(None);
    }
    Ok(Some(SigInfo::sent(signal_number(number)?, code, call.process().pid())))
}

/// There is one process, alone in its group.
fn kill(call: &mut Call<'_>) -> SysResult {
    let info = sent_info(call, call.int(1), SI_USER)?;
    let pid = call.process().pid() as i32;
    match call.int(0) {
        // Everybody but the caller and init: nobody.
        -1 => return Err(Errno::ESRCH),
        to if to == pid || to == 0 || to == -pid => {}
        // As Linux: a thread's id stands for its process.
        to if to > 0 && call.process().thread(to as u32).is_some() => {}
        _ => return Err(Errno::ESRCH),
    }
    if let Some(info) = info {
        send::send_to_process(call.process(), info)?;
    }
    Ok(0)
}

fn thread_of(call: &Call<'_>, pid: i32, tid: i32) -> Result<sched::ThreadRef, Errno> {
    if pid <= 0 || tid <= 0 {
        return Err(Errno::EINVAL);
    }
    if pid as u32 != call.process().pid() {
        return Err(Errno::ESRCH);
    }
    call.process().thread(tid as u32).ok_or(Errno::ESRCH)
}

fn tgkill(call: &mut Call<'_>) -> SysResult {
    let thread = thread_of(call, call.int(0), call.int(1))?;
    if let Some(info) = sent_info(call, call.int(2), SI_TKILL)? {
        send::send_to_thread(&thread, info)?;
    }
    Ok(0)
}

fn tkill(call: &mut Call<'_>) -> SysResult {
    let thread = thread_of(call, call.process().pid() as i32, call.int(0))?;
    if let Some(info) = sent_info(call, call.int(1), SI_TKILL)? {
        send::send_to_thread(&thread, info)?;
    }
    Ok(0)
}
