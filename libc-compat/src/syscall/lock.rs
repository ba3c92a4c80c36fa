//! File locks: flock, and the record locks of fcntl (F_SETLK and kin, F_OFD_SETLK and kin).

use super::{Call, Row, Support::*, SysResult, row};
use crate::Errno;
use crate::uaccess::plain;
use fs::locks::{self, LockHolder, LockKind, LockRange};
use fs::{Blocking, FsError, OpenFile, StatusFlags};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[row(linux::__NR_flock, "flock", "dx", flock, Full, "flock(2)")];

fn flock(call: &mut Call<'_>) -> SysResult {
    let operation = call.uint(1);
    let blocking = if operation & linux::LOCK_NB != 0 { Blocking::Never } else { Blocking::Wait };
    let kind = match operation & !linux::LOCK_NB {
        linux::LOCK_SH => Some(LockKind::Shared),
        linux::LOCK_EX => Some(LockKind::Exclusive),
        linux::LOCK_UN => None,
        _ => return Err(Errno::EINVAL),
    };
    let file = call.process().files.get(call.int(0))?;
    locks::flock(&file, kind, blocking)?;
    Ok(0)
}

/// `struct flock`, its padding written out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Flock {
    kind: i16,
    whence: i16,
    pad: u32,
    start: i64,
    len: i64,
    pid: i32,
    pad_end: u32,
}
plain!(Flock);

impl Flock {
    /// The range from the whence and length, which may be negative (EINVAL, EOVERFLOW).
    fn range(&self, file: &OpenFile) -> Result<LockRange, Errno> {
        let base = match self.whence as u32 {
            linux::SEEK_SET => 0,
            linux::SEEK_CUR => file.position() as i64,
            linux::SEEK_END => file.metadata().size as i64,
            _ => return Err(Errno::EINVAL),
        };
        range(base, self.start, self.len)
    }
}

/// fcntl(2): a positive length covers what follows, a negative one what comes before, 0 everything from there on.
fn range(base: i64, start: i64, len: i64) -> Result<LockRange, Errno> {
    let start = base.checked_add(start).ok_or(Errno::EOVERFLOW)?;
    let (first, end) = match len {
        0 => (start, None),
        1.. => (start, Some(start.checked_add(len - 1).ok_or(Errno::EOVERFLOW)?)),
        _ => (start.checked_add(len).ok_or(Errno::EINVAL)?, Some(start - 1)),
    };
    if first < 0 {
        return Err(Errno::EINVAL);
    }
    let end = end.map_or(u64::MAX, |last| if last == i64::MAX { u64::MAX } else { last as u64 + 1 });
    Ok(LockRange { start: first as u64, end })
}

/// Who holds record locks: the process, or with the OFD commands the open description.
fn owner(call: &Call<'_>, file: &OpenFile, lock: &Flock) -> Result<u64, Errno> {
    match call.uint(1) {
        linux::F_OFD_GETLK | linux::F_OFD_SETLK | linux::F_OFD_SETLKW => {
            if lock.pid != 0 {
                return Err(Errno::EINVAL);
            }
            Ok(file.identity() as u64)
        }
        _ => Ok(call.process().files.lock_owner()),
    }
}

/// F_GETLK, F_OFD_GETLK.
pub fn test(call: &Call<'_>, file: &OpenFile) -> SysResult {
    let pointer = call.ptr::<Flock>(2);
    let mut lock = pointer.read()?;
    let kind = match lock.kind as u32 {
        linux::F_RDLCK => LockKind::Shared,
        linux::F_WRLCK => LockKind::Exclusive,
        _ => return Err(Errno::EINVAL),
    };
    let range = lock.range(file)?;
    match locks::test_range(file, owner(call, file, &lock)?, range, kind) {
        None => lock.kind = linux::F_UNLCK as i16,
        Some(holder) => describe(call, &mut lock, &holder),
    }
    pointer.write(lock)?;
    Ok(0)
}

fn describe(call: &Call<'_>, lock: &mut Flock, holder: &LockHolder) {
    lock.kind = match holder.kind {
        LockKind::Shared => linux::F_RDLCK,
        LockKind::Exclusive => linux::F_WRLCK,
    } as i16;
    lock.whence = linux::SEEK_SET as i16;
    lock.start = holder.range.start as i64;
    lock.len = if holder.range.end == u64::MAX { 0 } else { (holder.range.end - holder.range.start) as i64 };
    // A lock of an open description has no process.
    let of_process = holder.owner == call.process().files.lock_owner();
    lock.pid = if of_process { call.process().pid() as i32 } else { -1 };
}

/// F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW.
pub fn set(call: &Call<'_>, file: &OpenFile) -> SysResult {
    let lock = call.ptr::<Flock>(2).read()?;
    let range = lock.range(file)?;
    let status = file.status();
    let kind = match lock.kind as u32 {
        linux::F_RDLCK if !status.contains(StatusFlags::READ) => return Err(Errno::EBADF),
        linux::F_WRLCK if !status.contains(StatusFlags::WRITE) => return Err(Errno::EBADF),
        linux::F_RDLCK => Some(LockKind::Shared),
        linux::F_WRLCK => Some(LockKind::Exclusive),
        linux::F_UNLCK => None,
        _ => return Err(Errno::EINVAL),
    };
    let waits = matches!(call.uint(1), linux::F_SETLKW | linux::F_OFD_SETLKW);
    let blocking = if waits { Blocking::Wait } else { Blocking::Never };
    match locks::set_range(file, owner(call, file, &lock)?, range, kind, blocking) {
        Ok(()) => Ok(0),
        Err(FsError::WouldBlock) => Err(Errno::EAGAIN),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_may_be_negative_zero_or_too_large() {
        let whole = LockRange { start: 0, end: u64::MAX };
        assert_eq!(range(0, 0, 0), Ok(whole));
        assert_eq!(range(0, 0, i64::MAX), Ok(LockRange { start: 0, end: i64::MAX as u64 }));
        assert_eq!(range(0, 1, i64::MAX), Ok(LockRange { start: 1, end: u64::MAX }));
        assert_eq!(range(0, 2, i64::MAX), Err(Errno::EOVERFLOW));
        assert_eq!(range(100, 0, -10), Ok(LockRange { start: 90, end: 100 }));
        assert_eq!(range(5, 0, -10), Err(Errno::EINVAL));
        assert_eq!(range(0, -1, 5), Err(Errno::EINVAL));
    }
}
