//! Scheduling calls (sched(7)): yield, affinity, niceness, policies.

use super::Support::{Full, Partial};
use super::{Call, Errno, Row, SysResult, row};
use crate::process::task_of;
use core::sync::atomic::Ordering;
use hal::cpu::MAX_CPUS;
use linux_raw_sys::general::*;
use sched::{Class, CpuSet, ThreadRef};

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(__NR_sched_yield, "sched_yield", "", sched_yield, Full, "sched_yield(2)"),
    row(__NR_sched_getaffinity, "sched_getaffinity", "ddx", sched_getaffinity, Full, "sched_getaffinity(2)"),
    row(__NR_sched_setaffinity, "sched_setaffinity", "ddx", sched_setaffinity, Full, "sched_setaffinity(2)"),
    row(__NR_sched_getscheduler, "sched_getscheduler", "d", sched_getscheduler, Full, "sched_setscheduler(2)"),
    row(__NR_sched_setscheduler, "sched_setscheduler", "ddx", sched_setscheduler, Full, "sched_setscheduler(2)"),
    row(__NR_sched_getparam, "sched_getparam", "dx", sched_getparam, Full, "sched_getparam(2)"),
    row(__NR_sched_setparam, "sched_setparam", "dx", sched_setparam, Full, "sched_setparam(2)"),
    row(__NR_sched_get_priority_max, "sched_get_priority_max", "d", priority_max, Full, "sched_get_priority_max(2)"),
    row(__NR_sched_get_priority_min, "sched_get_priority_min", "d", priority_min, Full, "sched_get_priority_min(2)"),
    row(__NR_sched_rr_get_interval, "sched_rr_get_interval", "dx", rr_interval, Partial, "sched_rr_get_interval(2)"),
    row(__NR_getpriority, "getpriority", "dd", getpriority, Full, "getpriority(2)"),
    row(__NR_setpriority, "setpriority", "ddd", setpriority, Full, "setpriority(2)"),
    row(__NR_getcpu, "getcpu", "xxx", getcpu, Full, "getcpu(2)"),
];

/// Bytes of the kernel's CPU set.
const SET_BYTES: u64 = (MAX_CPUS / 8) as u64;

fn sched_yield(_call: &mut Call<'_>) -> SysResult {
    sched::yield_now();
    Ok(0)
}

/// The thread that a call names; 0 is the caller.
fn thread(call: &Call<'_>, tid: i32) -> Result<ThreadRef, Errno> {
    if tid < 0 {
        return Err(Errno::EINVAL);
    }
    let tid = if tid == 0 { call.task().tid() } else { tid as u32 };
    call.process().thread(tid).ok_or(Errno::ESRCH)
}

fn machine() -> CpuSet {
    CpuSet::first(hal::cpu::count())
}

fn sched_getaffinity(call: &mut Call<'_>) -> SysResult {
    let len = call.arg(1) as u32 as u64;
    if len < SET_BYTES || !len.is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    let set = match call.int(0) {
        0 => call.thread().affinity(),
        tid => thread(call, tid)?.affinity(),
    };
    call.ptr(2).write(set.intersection(machine()).bits())?;
    Ok(SET_BYTES)
}

fn sched_setaffinity(call: &mut Call<'_>) -> SysResult {
    let thread = thread(call, call.int(0))?;
    let len = (call.arg(1) as usize).min(SET_BYTES as usize);
    let mut bytes = [0u8; SET_BYTES as usize];
    hal::user::copy_from(&mut bytes[..len], call.arg(2))?;
    let set = CpuSet::from_bits(u64::from_le_bytes(bytes)).intersection(machine());
    if set.is_empty() || !thread.set_affinity(set) {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

/// Policy (with SCHED_RESET_ON_FORK) and priority of a thread.
fn policy_of(thread: &sched::Thread) -> (u32, u32) {
    let word = task_of(thread).map_or(0, |task| task.policy.load(Ordering::Relaxed));
    (word as u32, (word >> 32) as u32)
}

fn sched_getscheduler(call: &mut Call<'_>) -> SysResult {
    Ok(policy_of(&*thread(call, call.int(0))?).0.into())
}

/// The thread and the priority that sched_setscheduler and sched_setparam are given. A null pointer is EINVAL, as on Linux.
fn parameters(call: &Call<'_>, argument: usize) -> Result<(ThreadRef, u32), Errno> {
    if call.arg(argument) == 0 || call.int(0) < 0 {
        return Err(Errno::EINVAL);
    }
    let priority = call.ptr::<u32>(argument).read()?;
    Ok((thread(call, call.int(0))?, priority))
}

fn sched_setscheduler(call: &mut Call<'_>) -> SysResult {
    if call.int(1) < 0 {
        return Err(Errno::EINVAL);
    }
    let (thread, priority) = parameters(call, 2)?;
    set_policy(&thread, call.uint(1), priority)
}

/// The three ordinary policies differ in weight only. A thread with a real-time policy has so much weight that it leaves others little,
/// but it is not strictly first: nothing here could end it if it never slept.
fn set_policy(thread: &sched::Thread, policy: u32, priority: u32) -> SysResult {
    let class = match (policy & !SCHED_RESET_ON_FORK, priority) {
        (SCHED_NORMAL | SCHED_BATCH, 0) => Class::Fair,
        (SCHED_IDLE, 0) => Class::Idle,
        (SCHED_FIFO | SCHED_RR, 1..=99) => Class::RealTime,
        _ => return Err(Errno::EINVAL),
    };
    thread.set_class(class);
    if let Some(task) = task_of(thread) {
        task.policy.store(u64::from(policy) | u64::from(priority) << 32, Ordering::Relaxed);
    }
    Ok(0)
}

/// What a new thread has from its maker (sched(7), "The reset-on-fork flag").
pub(super) fn inherit(call: &Call<'_>, new: &sched::Thread) {
    let (mut nice, (mut policy, mut priority)) = (call.thread().nice(), policy_of(call.thread()));
    if policy & SCHED_RESET_ON_FORK != 0 {
        policy &= !SCHED_RESET_ON_FORK;
        if priority > 0 {
            (policy, priority, nice) = (SCHED_NORMAL, 0, 0);
        }
        nice = nice.max(0);
    }
    if nice != 0 {
        new.set_nice(nice);
    }
    if policy != 0 {
        // Valid for the maker, hence for the new thread.
        let _ = set_policy(new, policy, priority);
    }
}

fn sched_getparam(call: &mut Call<'_>) -> SysResult {
    if call.arg(1) == 0 {
        return Err(Errno::EINVAL);
    }
    let (_, priority) = policy_of(&*thread(call, call.int(0))?);
    call.ptr(1).write(priority)?;
    Ok(0)
}

fn sched_setparam(call: &mut Call<'_>) -> SysResult {
    let (thread, priority) = parameters(call, 1)?;
    set_policy(&thread, policy_of(&thread).0, priority)
}

fn priority_max(call: &mut Call<'_>) -> SysResult {
    priority_bound(call.uint(0), 99)
}

fn priority_min(call: &mut Call<'_>) -> SysResult {
    priority_bound(call.uint(0), 1)
}

fn priority_bound(policy: u32, real_time: u64) -> SysResult {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(real_time),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// A fair thread's slice, about as long as on an unloaded Linux.
fn rr_interval(call: &mut Call<'_>) -> SysResult {
    let nsec = match policy_of(&*thread(call, call.int(0))?).0 & !SCHED_RESET_ON_FORK {
        SCHED_FIFO => 0,
        SCHED_RR => 100_000_000,
        _ => 4_000_000,
    };
    call.ptr(1).write(super::time::TimeSpec { sec: 0, nsec })?;
    Ok(0)
}

const PRIO_PROCESS: i32 = 0;
const PRIO_PGRP: i32 = 1;
const PRIO_USER: i32 = 2;

/// The threads that getpriority and setpriority mean: one, or all (there is one group and one user).
fn priority_targets(call: &Call<'_>) -> Result<alloc::vec::Vec<ThreadRef>, Errno> {
    match (call.int(0), call.int(1)) {
        (PRIO_PROCESS, who) => {
            let tid = if who == 0 { call.task().tid() } else { who as u32 };
            Ok(alloc::vec![call.process().thread(tid).ok_or(Errno::ESRCH)?])
        }
        (PRIO_PGRP, who) if who == 0 || who as u32 == call.process().pid() => Ok(call.process().threads()),
        (PRIO_USER, 0) => Ok(call.process().threads()),
        (PRIO_PGRP | PRIO_USER, _) => Err(Errno::ESRCH),
        _ => Err(Errno::EINVAL),
    }
}

/// As the call gives it, 20 minus the niceness, so that it is never negative; libc turns it back.
fn getpriority(call: &mut Call<'_>) -> SysResult {
    let nicest = priority_targets(call)?.iter().map(|thread| thread.nice()).min().ok_or(Errno::ESRCH)?;
    Ok((20 - nicest) as u64)
}

fn setpriority(call: &mut Call<'_>) -> SysResult {
    let nice = call.int(2).clamp(-20, 19);
    for thread in priority_targets(call)? {
        thread.set_nice(nice);
    }
    Ok(0)
}

fn getcpu(call: &mut Call<'_>) -> SysResult {
    let cpu = {
        let _masked = hal::irq::IrqGuard::mask();
        hal::cpu::id() as u32
    };
    call.ptr(0).write_if_given(cpu)?;
    call.ptr::<u32>(1).write_if_given(0)?;
    Ok(0)
}
