//! Descriptors: close, dup and kin, pipes, fcntl (without its locks, which are in `lock`).

use super::open::{O_LARGEFILE, on_exec, status_from_linux, status_to_linux};
use super::{Call, Row, Support::*, SysResult, lock, row};
use crate::uaccess::UserPtr;
use crate::{Errno, unsupported};
use alloc::sync::Arc;
use fs::memfd::{self, Seals};
use fs::{OnExec, OpenFile, StatusFlags};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_close, "close", "d", close, Full, "close(2)"),
    row(linux::__NR_close_range, "close_range", "ddx", close_range, Partial, "close_range(2)"),
    row(linux::__NR_dup, "dup", "d", dup, Full, "dup(2)"),
    row(linux::__NR_dup2, "dup2", "dd", dup2, Full, "dup(2)"),
    row(linux::__NR_dup3, "dup3", "ddx", dup3, Full, "dup(2)"),
    row(linux::__NR_pipe, "pipe", "x", pipe, Full, "pipe(2)"),
    row(linux::__NR_pipe2, "pipe2", "xx", pipe2, Full, "pipe(2)"),
    row(linux::__NR_fcntl, "fcntl", "ddx", fcntl, Partial, "fcntl(2)"),
];

const CLOSE_RANGE_UNSHARE: u32 = 2;
const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// F_GETFD's and F_SETFD's only bit.
const FD_CLOEXEC: u32 = 1;

fn close(call: &mut Call<'_>) -> SysResult {
    call.process().files.close(call.int(0))?;
    Ok(0)
}

/// CLOSE_RANGE_UNSHARE makes no difference: the only descriptor table is not shared with another process.
fn close_range(call: &mut Call<'_>) -> SysResult {
    let (first, last, flags) = (call.uint(0), call.uint(1), call.uint(2));
    if flags & !(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    let files = &call.process().files;
    if flags & CLOSE_RANGE_CLOEXEC == 0 {
        files.close_range(first, last);
        return Ok(0);
    }
    for fd in files.fds.list() {
        if (first..=last).contains(&(fd as u32)) {
            // A descriptor that another thread closed meanwhile needs no flag.
            let _ = files.fds.set_on_exec(fd, OnExec::Close);
        }
    }
    Ok(0)
}

fn dup(call: &mut Call<'_>) -> SysResult {
    let files = &call.process().files;
    files.insert(files.get_any(call.int(0))?, OnExec::Keep)
}

fn dup2(call: &mut Call<'_>) -> SysResult {
    if call.int(0) == call.int(1) {
        call.process().files.get_any(call.int(0))?;
        return Ok(u64::from(call.uint(1)));
    }
    replace(call, OnExec::Keep)
}

fn dup3(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(2);
    if flags & !linux::O_CLOEXEC != 0 || call.int(0) == call.int(1) {
        return Err(Errno::EINVAL);
    }
    replace(call, on_exec(flags & linux::O_CLOEXEC != 0))
}

/// Puts the first descriptor's description at the second. A thread that waits on what was there goes on waiting on it.
fn replace(call: &Call<'_>, on_exec: OnExec) -> SysResult {
    let files = &call.process().files;
    let file = files.get_any(call.int(0))?;
    if let Some(old) = files.fds.insert_at(call.int(1), file, on_exec)? {
        files.finish(old);
    }
    Ok(u64::from(call.uint(1)))
}

fn pipe(call: &mut Call<'_>) -> SysResult {
    make_pipe(call, 0)
}

fn pipe2(call: &mut Call<'_>) -> SysResult {
    make_pipe(call, call.uint(1))
}

fn make_pipe(call: &Call<'_>, flags: u32) -> SysResult {
    if flags & !(linux::O_CLOEXEC | linux::O_NONBLOCK | linux::O_DIRECT) != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & linux::O_DIRECT != 0 {
        unsupported!("pipe2 O_DIRECT", flags);
        return Err(Errno::EINVAL);
    }
    let (reader, writer) = fs::pipe::pipe(status_from_linux(flags));
    insert_pair(call, call.ptr(0), [reader, writer], on_exec(flags & linux::O_CLOEXEC != 0))
}

/// Gives two descriptions numbers and tells the application; all or nothing (pipe(2), socketpair(2)).
pub fn insert_pair(call: &Call<'_>, to: UserPtr<[i32; 2]>, pair: [Arc<OpenFile>; 2], on_exec: OnExec) -> SysResult {
    let files = &call.process().files;
    let [first, second] = pair;
    let first = files.insert(first, on_exec)? as i32;
    let result = match files.insert(second, on_exec) {
        Ok(second) => to.write([first, second as i32]).inspect_err(|_| {
            let _ = files.close(second as i32);
        }),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        let _ = files.close(first);
        return Err(error);
    }
    Ok(0)
}

fn fcntl(call: &mut Call<'_>) -> SysResult {
    let files = &call.process().files;
    let (fd, command) = (call.int(0), call.uint(1));
    let file = files.get_any(fd)?;
    match command {
        linux::F_DUPFD => return duplicate(call, file, OnExec::Keep),
        linux::F_DUPFD_CLOEXEC => return duplicate(call, file, OnExec::Close),
        linux::F_GETFD => {
            return Ok(if files.fds.on_exec(fd)? == OnExec::Close { u64::from(FD_CLOEXEC) } else { 0 });
        }
        linux::F_SETFD => {
            files.fds.set_on_exec(fd, on_exec(call.uint(2) & FD_CLOEXEC != 0))?;
            return Ok(0);
        }
        linux::F_GETFL => return Ok(u64::from(flags_of(&file))),
        _ => {}
    }
    // What O_PATH opened takes none of the rest (open(2)).
    if file.status().contains(StatusFlags::PATH) {
        return Err(Errno::EBADF);
    }
    match command {
        linux::F_SETFL => {
            file.set_status(status_from_linux(call.uint(2)));
            Ok(0)
        }
        linux::F_GETLK | linux::F_OFD_GETLK => lock::test(call, &file),
        linux::F_SETLK | linux::F_SETLKW | linux::F_OFD_SETLK | linux::F_OFD_SETLKW => lock::set(call, &file),
        linux::F_GETPIPE_SZ => Ok(fs::pipe::capacity(&file)? as u64),
        linux::F_SETPIPE_SZ => Ok(fs::pipe::set_capacity(&file, call.uint(2) as usize)? as u64),
        linux::F_GET_SEALS | linux::F_ADD_SEALS => seals(call, &file),
        // Owner and signal of SIGIO: kept nowhere, because no signal is ever sent.
        linux::F_GETOWN | linux::F_GETSIG => Ok(0),
        linux::F_SETOWN | linux::F_SETSIG | linux::F_SETOWN_EX => {
            unsupported!("fcntl signal-driven input and output", command);
            Ok(0)
        }
        linux::F_GETLEASE => Ok(u64::from(linux::F_UNLCK)),
        linux::F_GET_RW_HINT | linux::F_GET_FILE_RW_HINT => {
            call.ptr::<u64>(2).write(0)?;
            Ok(0)
        }
        linux::F_SET_RW_HINT | linux::F_SET_FILE_RW_HINT => Ok(0),
        _ => {
            unsupported!("fcntl command", command);
            Err(Errno::EINVAL)
        }
    }
}

fn duplicate(call: &Call<'_>, file: Arc<OpenFile>, on_exec: OnExec) -> SysResult {
    let files = &call.process().files;
    let min = call.uint(2);
    if min >= files.fds.limit() {
        return Err(Errno::EINVAL);
    }
    Ok(files.fds.insert(file, on_exec, min)? as u64)
}

/// Status flags as F_GETFL and /proc/self/fdinfo show them.
pub fn flags_of(file: &OpenFile) -> u32 {
    let status = file.status();
    let large = if file.place().is_some() && !status.contains(StatusFlags::PATH) { O_LARGEFILE } else { 0 };
    status_to_linux(status) | large
}

/// F_GET_SEALS, F_ADD_SEALS (memfd_create(2)).
fn seals(call: &Call<'_>, file: &Arc<OpenFile>) -> SysResult {
    // The bits of `fs` are Linux's.
    const _: () =
        assert!(Seals::FUTURE_WRITE.bits() == linux::F_SEAL_FUTURE_WRITE && Seals::SEAL.bits() == linux::F_SEAL_SEAL);
    if call.uint(1) == linux::F_GET_SEALS {
        return Ok(u64::from(memfd::seals(file).ok_or(Errno::EINVAL)?.bits()));
    }
    let is_written = |backing: &dyn mm::Backing| mm::space().is_mapped_for_writing(backing.id());
    memfd::add_seals(file, call.uint(2), &is_written)?;
    Ok(0)
}
