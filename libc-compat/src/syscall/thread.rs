//! Threads: birth, death, and what hangs on them.

use super::Support::{Accepted, Full, Partial, Refused};
use super::{Call, Errno, Row, SysResult, row};
use crate::process::task_of;
use crate::signal::send;
use crate::task::{Start, Task};
use crate::uaccess::{UserPtr, plain};
use crate::unsupported;
use alloc::boxed::Box;
use core::sync::atomic::Ordering;
use hal::addr::USER_END;
use hal::context::WorkFlags;
use linux_raw_sys::general::*;
use sched::{Spawn, Thread};

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(__NR_clone, "clone", "xxxxx", clone, Partial, "clone(2)"),
    row(__NR_clone3, "clone3", "xd", clone3, Partial, "clone(2)"),
    row(__NR_fork, "fork", "", no_process, Refused, "fork(2)"),
    row(__NR_vfork, "vfork", "", no_process, Refused, "vfork(2)"),
    row(__NR_execve, "execve", "sxx", no_process, Refused, "execve(2)"),
    row(__NR_exit, "exit", "d", exit, Full, "exit(2)"),
    row(__NR_exit_group, "exit_group", "d", exit_group, Full, "exit_group(2)"),
    row(__NR_gettid, "gettid", "", gettid, Full, "gettid(2)"),
    row(__NR_set_tid_address, "set_tid_address", "x", set_tid_address, Full, "set_tid_address(2)"),
    row(__NR_set_robust_list, "set_robust_list", "xd", set_robust_list, Full, "set_robust_list(2)"),
    row(__NR_get_robust_list, "get_robust_list", "dxx", get_robust_list, Full, "get_robust_list(2)"),
    row(__NR_arch_prctl, "arch_prctl", "xx", arch_prctl, Partial, "arch_prctl(2)"),
    row(__NR_rseq, "rseq", "xdxx", rseq, Refused, "rseq(2)"),
    row(__NR_membarrier, "membarrier", "dxd", membarrier, Partial, "membarrier(2)"),
    row(__NR_restart_syscall, "restart_syscall", "", restart_syscall, Accepted, "restart_syscall(2)"),
];

/// What makes a clone a thread of this process.
const THREAD_FLAGS: u64 = (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD) as u64;
/// What else a thread may be born with.
const OPTIONAL_FLAGS: u64 =
    (CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED)
        as u64;

/// `struct clone_args`, version 0 (64 bytes) plus what newer kernels added.
#[repr(C)]
#[derive(Clone, Copy)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}
plain!(CloneArgs);

struct NewThread {
    flags: u64,
    stack_pointer: u64,
    parent_tid: UserPtr<u32>,
    child_tid: UserPtr<u32>,
    tls: u64,
}

fn clone(call: &mut Call<'_>) -> SysResult {
    let flags = call.arg(0);
    let new = NewThread {
        flags: flags & !0xff,
        stack_pointer: call.arg(1),
        parent_tid: call.ptr(2),
        child_tid: call.ptr(3),
        tls: call.arg(4),
    };
    spawn(call, new)
}

fn clone3(call: &mut Call<'_>) -> SysResult {
    const VERSION_0_BYTES: usize = 64;
    let size = call.arg(1) as usize;
    if size < VERSION_0_BYTES {
        return Err(Errno::EINVAL);
    }
    if size > size_of::<CloneArgs>() {
        return Err(Errno::E2BIG);
    }
    let mut bytes = [0u8; size_of::<CloneArgs>()];
    hal::user::copy_from(&mut bytes[..size], call.arg(0))?;
    // SAFETY: `CloneArgs` is plain, and the array has its size.
    let args = unsafe { core::mem::transmute::<[u8; size_of::<CloneArgs>()], CloneArgs>(bytes) };
    if args.set_tid_size != 0 || args.exit_signal > 64 || (args.stack == 0) != (args.stack_size == 0) {
        return Err(Errno::EINVAL);
    }
    let new = NewThread {
        flags: args.flags,
        stack_pointer: args.stack.wrapping_add(args.stack_size),
        parent_tid: UserPtr::new(args.parent_tid),
        child_tid: UserPtr::new(args.child_tid),
        tls: args.tls,
    };
    spawn(call, new)
}

/// fork(2) and its kin: there is one process.
fn no_process(_call: &mut Call<'_>) -> SysResult {
    unsupported!("no second process: fork, vfork or execve", 0);
    Err(Errno::EPERM)
}

fn spawn(call: &mut Call<'_>, new: NewThread) -> SysResult {
    let with = |flag: u32| new.flags & flag as u64 != 0;
    if with(CLONE_THREAD) && !with(CLONE_SIGHAND)
        || with(CLONE_SIGHAND) && !with(CLONE_VM)
        || with(CLONE_FS) && (with(CLONE_NEWNS) || with(CLONE_NEWUSER))
    {
        return Err(Errno::EINVAL);
    }
    if new.flags & THREAD_FLAGS != THREAD_FLAGS || new.flags & !(THREAD_FLAGS | OPTIONAL_FLAGS) != 0 {
        unsupported!("no second process: clone with flags", new.flags);
        return Err(Errno::EPERM);
    }
    let mut frame = call.frame().clone();
    frame.rax = 0;
    frame.force_iret();
    if new.stack_pointer != 0 {
        frame.rsp = new.stack_pointer;
    }
    let fs_base = if with(CLONE_SETTLS) { new.tls } else { hal::context::fs_base() };
    if frame.rsp > USER_END || fs_base >= USER_END {
        return Err(Errno::EPERM);
    }
    let parent = call.task();
    let task = Task::new(parent.process_ref().clone(), Start { frame, fs_base });
    task.signals.inherit_mask(parent.signals.mask());
    if with(CLONE_CHILD_CLEARTID) {
        task.clear_child_tid.store(new.child_tid.addr(), Ordering::Relaxed);
    }
    let thread = sched::spawn_suspended(Spawn {
        name: &call.thread().name(),
        ext: Some(Box::new(task)),
        affinity: Some(call.thread().affinity()),
        start: Box::new(crate::task::run_new),
    })?;
    let tid = thread.id();
    task_of(&thread).expect("the thread was made with a task").set_tid(tid);
    super::sched_params::inherit(call, &thread);
    // As Linux: a bad pointer here is not an error.
    if with(CLONE_PARENT_SETTID) {
        let _ = new.parent_tid.write(tid);
    }
    if with(CLONE_CHILD_SETTID) {
        let _ = new.child_tid.write(tid);
    }
    if !call.process().add_thread(&thread) {
        // The process is ending; the new thread sees it before its first instruction.
        thread.work_flags().set(WorkFlags::STOP);
    }
    thread.start();
    Ok(tid.into())
}

fn exit(call: &mut Call<'_>) -> SysResult {
    let code = call.int(0) as u8;
    release_user_state(call.task());
    leave(call.thread(), call.task(), code)
}

fn exit_group(call: &mut Call<'_>) -> SysResult {
    let code = call.int(0) as u8;
    call.process().request_exit(crate::process::ExitStatus::Exited(code));
    leave(call.thread(), call.task(), code)
}

/// The process ends and the thread may not go back. Nobody is left who could look at its robust list or tid word.
pub(crate) fn leave_stopped(thread: &Thread, task: &Task) -> ! {
    leave(thread, task, 0)
}

fn leave(thread: &Thread, task: &Task, code: u8) -> ! {
    send::retarget(task.process(), thread.id());
    task.process().leave(thread, code);
    sched::exit_current()
}

/// What the thread promised others at its end: robust futexes are given up, the tid word is cleared and its waiter
/// woken. After this the thread's user memory is never touched again: a joiner may free it.
fn release_user_state(task: &Task) {
    super::futex::release_robust_list(task);
    let word = UserPtr::<u32>::new(task.clear_child_tid.load(Ordering::Relaxed));
    if !word.is_null() && word.write(0).is_ok() {
        super::futex::wake_shared(word.addr(), 1);
    }
}

fn gettid(call: &mut Call<'_>) -> SysResult {
    Ok(call.task().tid().into())
}

fn set_tid_address(call: &mut Call<'_>) -> SysResult {
    call.task().clear_child_tid.store(call.arg(0), Ordering::Relaxed);
    Ok(call.task().tid().into())
}

fn set_robust_list(call: &mut Call<'_>) -> SysResult {
    if call.arg(1) != size_of::<robust_list_head>() as u64 {
        return Err(Errno::EINVAL);
    }
    call.task().robust_list.store(call.arg(0), Ordering::Relaxed);
    Ok(0)
}

fn get_robust_list(call: &mut Call<'_>) -> SysResult {
    let head = match call.int(0) {
        0 => call.task().robust_list.load(Ordering::Relaxed),
        tid => {
            let thread = call.process().thread(tid as u32).ok_or(Errno::ESRCH)?;
            task_of(&thread).ok_or(Errno::ESRCH)?.robust_list.load(Ordering::Relaxed)
        }
    };
    call.ptr::<u64>(2).write(size_of::<robust_list_head>() as u64)?;
    call.ptr::<u64>(1).write(head)?;
    Ok(0)
}

fn arch_prctl(call: &mut Call<'_>) -> SysResult {
    const ARCH_SET_FS: u64 = 0x1002;
    const ARCH_GET_FS: u64 = 0x1003;
    const ARCH_GET_GS: u64 = 0x1004;
    match call.arg(0) {
        ARCH_SET_FS if call.arg(1) >= USER_END => Err(Errno::EPERM),
        ARCH_SET_FS => {
            hal::context::set_fs_base(call.arg(1));
            Ok(0)
        }
        ARCH_GET_FS => call.ptr(1).write(hal::context::fs_base()).map(|()| 0),
        // GS is the kernel's, always; the application's is 0.
        ARCH_GET_GS => call.ptr(1).write(0u64).map(|()| 0),
        operation => {
            unsupported!("arch_prctl operation", operation);
            Err(Errno::EINVAL)
        }
    }
}

/// Refused until aborts of critical sections are complete; glibc then does without.
fn rseq(_call: &mut Call<'_>) -> SysResult {
    Err(Errno::ENOSYS)
}

fn membarrier(call: &mut Call<'_>) -> SysResult {
    const QUERY: i32 = 0;
    const GLOBAL: i32 = 1 << 0;
    const PRIVATE_EXPEDITED: i32 = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;
    if call.uint(1) != 0 {
        return Err(Errno::EINVAL);
    }
    match call.int(0) {
        QUERY => Ok((GLOBAL | PRIVATE_EXPEDITED | REGISTER_PRIVATE_EXPEDITED) as u64),
        REGISTER_PRIVATE_EXPEDITED => {
            call.process().uses_membarrier.store(true, Ordering::Relaxed);
            Ok(0)
        }
        PRIVATE_EXPEDITED if !call.process().uses_membarrier.load(Ordering::Relaxed) => Err(Errno::EPERM),
        GLOBAL | PRIVATE_EXPEDITED => {
            visit_every_cpu(call.thread());
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Runs on every vCPU once: each has then been through a context switch, which is a full barrier.
fn visit_every_cpu(thread: &Thread) {
    core::sync::atomic::fence(Ordering::SeqCst);
    let before = thread.affinity();
    for cpu in 0..hal::cpu::count() {
        if thread.set_affinity(sched::CpuSet::only(cpu)) {
            sched::yield_now();
        }
    }
    thread.set_affinity(before);
    core::sync::atomic::fence(Ordering::SeqCst);
}

/// Goes on with a call that a signal without a handler interrupted.
fn restart_syscall(call: &mut Call<'_>) -> SysResult {
    match call.task().take_restart() {
        Some(restart) => (restart.handler)(call, restart.state),
        None => Err(Errno::EINTR),
    }
}
