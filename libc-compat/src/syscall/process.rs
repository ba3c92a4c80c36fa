//! The process and its surroundings: ids, names, what children would be. There is one process, it is root, and it
//! leads its own session and group.

use super::Support::{Accepted, Full, Partial, Refused};
use super::{Call, Errno, Row, SysResult, row};
use crate::uaccess::UserPtr;
use crate::unsupported;
use core::sync::atomic::Ordering;
use linux_raw_sys::general::*;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(__NR_getpid, "getpid", "", getpid, Full, "getpid(2)"),
    row(__NR_getppid, "getppid", "", zero, Full, "getppid(2)"),
    row(__NR_getpgrp, "getpgrp", "", getpid, Full, "getpgrp(2)"),
    row(__NR_getpgid, "getpgid", "d", own_id, Full, "getpgid(2)"),
    row(__NR_getsid, "getsid", "d", own_id, Full, "getsid(2)"),
    row(__NR_setpgid, "setpgid", "dd", leader, Refused, "setpgid(2)"),
    row(__NR_setsid, "setsid", "", leader, Refused, "setsid(2)"),
    row(__NR_getuid, "getuid", "", zero, Full, "getuid(2)"),
    row(__NR_geteuid, "geteuid", "", zero, Full, "geteuid(2)"),
    row(__NR_getgid, "getgid", "", zero, Full, "getgid(2)"),
    row(__NR_getegid, "getegid", "", zero, Full, "getegid(2)"),
    row(__NR_getresuid, "getresuid", "xxx", getresuid, Full, "getresuid(2)"),
    row(__NR_getresgid, "getresgid", "xxx", getresuid, Full, "getresgid(2)"),
    row(__NR_getgroups, "getgroups", "dx", zero, Full, "getgroups(2)"),
    row(__NR_setuid, "setuid", "d", only_root, Partial, "setuid(2)"),
    row(__NR_setgid, "setgid", "d", only_root, Partial, "setgid(2)"),
    row(__NR_setreuid, "setreuid", "dd", only_root, Partial, "setreuid(2)"),
    row(__NR_setregid, "setregid", "dd", only_root, Partial, "setregid(2)"),
    row(__NR_setresuid, "setresuid", "ddd", only_root, Partial, "setresuid(2)"),
    row(__NR_setresgid, "setresgid", "ddd", only_root, Partial, "setresgid(2)"),
    row(__NR_setgroups, "setgroups", "dx", zero, Accepted, "setgroups(2)"),
    row(__NR_wait4, "wait4", "dxxx", no_child, Full, "wait4(2)"),
    row(__NR_waitid, "waitid", "ddxxx", no_child, Full, "waitid(2)"),
    row(__NR_prctl, "prctl", "dxxxx", prctl, Partial, "prctl(2)"),
];

fn getpid(call: &mut Call<'_>) -> SysResult {
    Ok(call.process().pid().into())
}

fn zero(_call: &mut Call<'_>) -> SysResult {
    Ok(0)
}

fn own_id(call: &mut Call<'_>) -> SysResult {
    match call.int(0) {
        0 => getpid(call),
        id if id as u32 == call.process().pid() => getpid(call),
        _ => Err(Errno::ESRCH),
    }
}

fn leader(_call: &mut Call<'_>) -> SysResult {
    Err(Errno::EPERM)
}

fn getresuid(call: &mut Call<'_>) -> SysResult {
    for n in 0..3 {
        call.ptr::<u32>(n).write(0)?;
    }
    Ok(0)
}

/// Root may become root again, and nobody else: there is nothing here that it would be protected from.
fn only_root(call: &mut Call<'_>) -> SysResult {
    let number = call.number() as u32;
    let used = if number == __NR_setuid || number == __NR_setgid {
        1
    } else if number == __NR_setreuid || number == __NR_setregid {
        2
    } else {
        3
    };
    if (0..used).all(|n| matches!(call.int(n), 0 | -1)) {
        return Ok(0);
    }
    unsupported!("no other user than root, id", call.arg(0));
    Err(Errno::EPERM)
}

fn no_child(_call: &mut Call<'_>) -> SysResult {
    Err(Errno::ECHILD)
}

const PR_SET_PDEATHSIG: i32 = 1;
const PR_GET_PDEATHSIG: i32 = 2;
const PR_GET_DUMPABLE: i32 = 3;
const PR_SET_DUMPABLE: i32 = 4;
const PR_GET_KEEPCAPS: i32 = 7;
const PR_SET_NAME: i32 = 15;
const PR_GET_NAME: i32 = 16;
const PR_GET_SECCOMP: i32 = 21;
const PR_CAPBSET_READ: i32 = 23;
const PR_SET_TIMERSLACK: i32 = 29;
const PR_GET_TIMERSLACK: i32 = 30;
const PR_SET_CHILD_SUBREAPER: i32 = 36;
const PR_SET_NO_NEW_PRIVS: i32 = 38;
const PR_GET_NO_NEW_PRIVS: i32 = 39;
const PR_GET_THP_DISABLE: i32 = 42;
const PR_SET_VMA: i32 = 0x53564d41;

/// Highest capability (CAP_CHECKPOINT_RESTORE).
const CAP_LAST_CAP: u64 = 40;
const DEFAULT_SLACK_NS: u64 = 50_000;

fn prctl(call: &mut Call<'_>) -> SysResult {
    match call.int(0) {
        PR_SET_NAME => set_name(call),
        PR_GET_NAME => get_name(call),
        PR_GET_DUMPABLE => Ok(1),
        PR_SET_TIMERSLACK => {
            let slack = if call.arg(1) as i64 <= 0 { DEFAULT_SLACK_NS } else { call.arg(1) };
            call.task().timer_slack_ns.store(slack, Ordering::Relaxed);
            Ok(0)
        }
        PR_GET_TIMERSLACK => Ok(call.task().timer_slack_ns.load(Ordering::Relaxed)),
        PR_GET_PDEATHSIG => call.ptr::<u32>(1).write(0).map(|()| 0),
        PR_SET_NO_NEW_PRIVS if call.arg(1) != 1 => Err(Errno::EINVAL),
        PR_SET_NO_NEW_PRIVS => {
            call.process().no_new_privileges.store(true, Ordering::Relaxed);
            Ok(0)
        }
        PR_GET_NO_NEW_PRIVS => Ok(call.process().no_new_privileges.load(Ordering::Relaxed).into()),
        PR_CAPBSET_READ if call.arg(1) <= CAP_LAST_CAP => Ok(1),
        // True already, or about processes that do not exist here.
        PR_SET_DUMPABLE | PR_SET_PDEATHSIG | PR_SET_CHILD_SUBREAPER => Ok(0),
        PR_GET_KEEPCAPS | PR_GET_SECCOMP | PR_GET_THP_DISABLE => Ok(0),
        // As a Linux built without CONFIG_ANON_VMA_NAME.
        PR_SET_VMA => Err(Errno::EINVAL),
        operation => {
            unsupported!("prctl operation", operation);
            Err(Errno::EINVAL)
        }
    }
}

/// Bytes of a thread's name with its NUL (TASK_COMM_LEN).
const NAME_BYTES: usize = 16;

fn set_name(call: &mut Call<'_>) -> SysResult {
    let name = match hal::user::copy_string(call.arg(1), NAME_BYTES - 1) {
        Ok(name) => name,
        // A longer one is cut.
        Err(hal::user::StringError::TooLong) => UserPtr::<[u8; NAME_BYTES - 1]>::new(call.arg(1)).read()?.to_vec(),
        Err(error) => return Err(error.into()),
    };
    call.thread().set_name_bytes(&name);
    Ok(0)
}

fn get_name(call: &mut Call<'_>) -> SysResult {
    call.ptr(1).write(call.thread().name_bytes())?;
    Ok(0)
}
