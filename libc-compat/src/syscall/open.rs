//! Opening: open, openat, openat2, creat, memfd_create.

use super::{Call, Row, Support::*, SysResult, row};
use crate::file_context::FileContext;
use crate::uaccess::{UserPtr, UserSlice};
use crate::{Errno, unsupported};
use fs::memfd::Sealing;
use fs::{OnExec, OpenFlags, StatusFlags};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_open, "open", "sxo", open, Full, "open(2)"),
    row(linux::__NR_openat, "openat", "dsxo", openat, Full, "open(2)"),
    row(linux::__NR_openat2, "openat2", "dsxd", openat2, Partial, "openat2(2)"),
    row(linux::__NR_creat, "creat", "so", creat, Full, "open(2)"),
    row(linux::__NR_memfd_create, "memfd_create", "sx", memfd_create, Partial, "memfd_create(2)"),
];

/// O_LARGEFILE as x86-64 kernels show it in F_GETFL; the C library's constant is 0.
pub const O_LARGEFILE: u32 = 0o100_000;
/// The bit of O_TMPFILE that is not O_DIRECTORY.
const O_TMPFILE_BIT: u32 = 0o20_000_000;
/// Everything that open(2) knows.
const KNOWN: u32 = linux::O_ACCMODE
    | linux::O_CREAT
    | linux::O_EXCL
    | linux::O_NOCTTY
    | linux::O_TRUNC
    | linux::O_APPEND
    | linux::O_NONBLOCK
    | linux::O_DSYNC
    | linux::O_SYNC
    | linux::FASYNC
    | linux::O_DIRECT
    | O_LARGEFILE
    | linux::O_DIRECTORY
    | linux::O_NOFOLLOW
    | linux::O_NOATIME
    | linux::O_CLOEXEC
    | linux::O_PATH
    | O_TMPFILE_BIT;

fn open(call: &mut Call<'_>) -> SysResult {
    open_path(call, linux::AT_FDCWD, 0, call.uint(1), call.uint(2))
}

fn openat(call: &mut Call<'_>) -> SysResult {
    open_path(call, call.int(0), 1, call.uint(2), call.uint(3))
}

fn creat(call: &mut Call<'_>) -> SysResult {
    open_path(call, linux::AT_FDCWD, 0, linux::O_CREAT | linux::O_WRONLY | linux::O_TRUNC, call.uint(1))
}

/// Only RESOLVE_NO_SYMLINKS and RESOLVE_NO_MAGICLINKS of the ways to restrict a walk exist.
fn openat2(call: &mut Call<'_>) -> SysResult {
    const HOW_LEN: u64 = 24;
    let len = call.arg(3);
    if len < HOW_LEN {
        return Err(Errno::EINVAL);
    }
    if len > hal::addr::PAGE_SIZE {
        return Err(Errno::E2BIG);
    }
    let [flags, mode, resolve] = call.ptr::<[u64; 3]>(2).read()?;
    let mut rest = UserSlice::new(call.arg(2) + HOW_LEN, (len - HOW_LEN) as usize);
    while !rest.is_empty() {
        let mut byte = [0];
        rest.read(&mut byte)?;
        if byte != [0] {
            return Err(Errno::E2BIG);
        }
    }
    let creates = flags & u64::from(linux::O_CREAT | O_TMPFILE_BIT) != 0;
    if flags & !u64::from(KNOWN) != 0 || mode & !0o7777 != 0 || (mode != 0 && !creates) {
        return Err(Errno::EINVAL);
    }
    let supported = u64::from(linux::RESOLVE_NO_SYMLINKS);
    if resolve & !supported != 0 {
        unsupported!("openat2 resolve flags", resolve);
        return Err(Errno::EINVAL);
    }
    let path = call.path(1)?;
    let extra = if resolve & supported != 0 { OpenFlags::NO_SYMLINKS } else { OpenFlags::empty() };
    open_with(&call.process().files, call.int(0), &path, flags as u32, mode as u32, extra)
}

fn open_path(call: &Call<'_>, dirfd: i32, path_arg: usize, flags: u32, mode: u32) -> SysResult {
    let path = call.path(path_arg)?;
    open_with(&call.process().files, dirfd, &path, flags, mode, OpenFlags::empty())
}

fn open_with(files: &FileContext, dirfd: i32, path: &[u8], flags: u32, mode: u32, extra: OpenFlags) -> SysResult {
    let (open_flags, status) = decode(flags)?;
    let mode = mode & 0o7777 & !files.umask();
    let file = files.namespace().open(&files.base(dirfd, path)?, path, open_flags | extra, status, mode)?;
    files.insert(file, on_exec(flags & linux::O_CLOEXEC != 0))
}

/// FD_CLOEXEC from a flag.
pub fn on_exec(close: bool) -> OnExec {
    if close { OnExec::Close } else { OnExec::Keep }
}

/// O_ flags as `fs` knows them (EINVAL). Unknown bits are ignored by open(2), but counted.
fn decode(flags: u32) -> Result<(OpenFlags, StatusFlags), Errno> {
    if flags & !KNOWN != 0 {
        unsupported!("open flags", flags & !KNOWN);
    }
    let has = |bit| flags & bit != 0;
    let shown = StatusFlags::from_bits_truncate(flags) & (StatusFlags::DIRECTORY | StatusFlags::NOFOLLOW);
    if has(linux::O_PATH) {
        let mut open = OpenFlags::empty();
        open.set(OpenFlags::DIRECTORY, has(linux::O_DIRECTORY));
        open.set(OpenFlags::NOFOLLOW, has(linux::O_NOFOLLOW));
        return Ok((open, StatusFlags::PATH | shown));
    }
    let mut status = status_from_linux(flags) | shown;
    status |= match flags & linux::O_ACCMODE {
        linux::O_RDONLY => StatusFlags::READ,
        linux::O_WRONLY => StatusFlags::WRITE,
        // 3 is for ioctl only; Linux checks both permissions and allows neither transfer.
        linux::O_ACCMODE => StatusFlags::empty(),
        _ => StatusFlags::READ | StatusFlags::WRITE,
    };
    let mut open = OpenFlags::empty();
    if has(O_TMPFILE_BIT) {
        if !has(linux::O_DIRECTORY) || !status.contains(StatusFlags::WRITE) || has(linux::O_CREAT) {
            return Err(Errno::EINVAL);
        }
        return Ok((OpenFlags::TMPFILE, status | StatusFlags::TMPFILE));
    }
    // Linux 6.1 takes O_CREAT with O_DIRECTORY as it comes; 6.4 refuses it. Nobody relies on either.
    open.set(OpenFlags::CREATE, has(linux::O_CREAT));
    open.set(OpenFlags::EXCLUSIVE, has(linux::O_EXCL) && has(linux::O_CREAT));
    open.set(OpenFlags::TRUNCATE, has(linux::O_TRUNC));
    open.set(OpenFlags::DIRECTORY, has(linux::O_DIRECTORY));
    open.set(OpenFlags::NOFOLLOW, has(linux::O_NOFOLLOW));
    Ok((open, status))
}

/// The status flags among O_ flags, without the access mode.
pub fn status_from_linux(flags: u32) -> StatusFlags {
    const TAKEN: StatusFlags = StatusFlags::CHANGEABLE.union(StatusFlags::SYNC);
    let status = StatusFlags::from_bits_truncate(flags) & TAKEN;
    // Also the bit that O_SYNC adds to O_DSYNC means both (Linux: build_open_flags).
    if status.intersects(StatusFlags::SYNC.difference(StatusFlags::DSYNC)) {
        status | StatusFlags::SYNC
    } else {
        status
    }
}

/// O_ flags that fcntl(F_GETFL) shows. The access mode is 0 to 2 for what may be read, written, both, and for O_PATH 0; 3 for neither.
pub fn status_to_linux(status: StatusFlags) -> u32 {
    const ACCESS: StatusFlags = StatusFlags::READ.union(StatusFlags::WRITE);
    let access = if status.contains(StatusFlags::PATH) {
        linux::O_RDONLY
    } else {
        (status & ACCESS).bits().wrapping_sub(1) & linux::O_ACCMODE
    };
    (status - ACCESS).bits() | access
}

/// The bits of [`StatusFlags`] are Linux's.
const _: () = {
    let pairs = [
        (StatusFlags::APPEND, linux::O_APPEND),
        (StatusFlags::NONBLOCK, linux::O_NONBLOCK),
        (StatusFlags::DSYNC, linux::O_DSYNC),
        (StatusFlags::ASYNC, linux::FASYNC),
        (StatusFlags::DIRECT, linux::O_DIRECT),
        (StatusFlags::DIRECTORY, linux::O_DIRECTORY),
        (StatusFlags::NOFOLLOW, linux::O_NOFOLLOW),
        (StatusFlags::NOATIME, linux::O_NOATIME),
        (StatusFlags::SYNC, linux::O_SYNC),
        (StatusFlags::PATH, linux::O_PATH),
        (StatusFlags::TMPFILE, O_TMPFILE_BIT),
    ];
    let mut at = 0;
    while at < pairs.len() {
        assert!(pairs[at].0.bits() == pairs[at].1);
        at += 1;
    }
};

/// No pool of huge pages exists, so MFD_HUGETLB gets what a Linux without reserved huge pages says: ENOMEM. The JVM then
/// goes on without the flag, and gets large pages all the same where they fit.
fn memfd_create(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(1);
    let known = linux::MFD_CLOEXEC | linux::MFD_ALLOW_SEALING;
    let huge = linux::MFD_HUGETLB | (linux::MFD_HUGE_MASK << linux::MFD_HUGE_SHIFT);
    if flags & !(known | huge) != 0 {
        unsupported!("memfd_create flags", flags & !(known | huge));
        return Err(Errno::EINVAL);
    }
    let name = memfd_name(call.ptr(0))?;
    if flags & linux::MFD_HUGETLB != 0 {
        unsupported!("memfd_create MFD_HUGETLB", flags);
        return Err(Errno::ENOMEM);
    }
    if flags & huge != 0 {
        return Err(Errno::EINVAL);
    }
    let sealing = if flags & linux::MFD_ALLOW_SEALING != 0 { Sealing::Allowed } else { Sealing::Denied };
    let file = fs::memfd::create(&name, sealing)?;
    call.process().files.insert(file, on_exec(flags & linux::MFD_CLOEXEC != 0))
}

fn memfd_name(at: UserPtr<u8>) -> Result<alloc::vec::Vec<u8>, Errno> {
    match hal::user::copy_string(at.addr(), fs::memfd::NAME_MAX) {
        Ok(name) => Ok(name),
        Err(hal::user::StringError::Fault(_)) => Err(Errno::EFAULT),
        Err(hal::user::StringError::TooLong) => Err(Errno::EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_flags_survive_both_ways() {
        for flags in
            [linux::O_APPEND, linux::O_NONBLOCK, linux::O_DIRECT, linux::O_SYNC, linux::O_DSYNC, linux::O_NOATIME]
        {
            assert_eq!(status_to_linux(status_from_linux(flags) | StatusFlags::READ), flags);
        }
        let sync_alone = linux::O_SYNC & !linux::O_DSYNC;
        assert_eq!(status_from_linux(sync_alone), StatusFlags::SYNC);
    }

    #[test]
    fn access_modes_are_linuxs() {
        use StatusFlags as S;
        let shown = [S::READ, S::WRITE, S::READ | S::WRITE, S::empty(), S::PATH].map(status_to_linux);
        assert_eq!(shown, [linux::O_RDONLY, linux::O_WRONLY, linux::O_RDWR, linux::O_ACCMODE, linux::O_PATH]);
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(decode(linux::O_RDONLY | O_TMPFILE_BIT | linux::O_DIRECTORY).unwrap_err(), Errno::EINVAL);
        assert_eq!(decode(linux::O_RDWR | O_TMPFILE_BIT).unwrap_err(), Errno::EINVAL);
        let (open, status) = decode(linux::O_PATH | linux::O_CREAT | linux::O_WRONLY).unwrap();
        assert_eq!((open, status), (OpenFlags::empty(), StatusFlags::PATH));
    }
}
