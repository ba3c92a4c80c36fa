//! Attributes, changed: chmod, chown, utimensat and their kin (utime(2), utimes(2) and futimesat(2) are older forms).

use super::{Call, Row, Support::*, SysResult, row};
use crate::Errno;
use fs::{FileKind, FollowLast, Metadata, OpenFile, SetAttributes};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_chmod, "chmod", "so", chmod, Full, "chmod(2)"),
    row(linux::__NR_fchmod, "fchmod", "do", fchmod, Full, "chmod(2)"),
    row(linux::__NR_fchmodat, "fchmodat", "dso", fchmodat, Full, "chmod(2)"),
    row(linux::__NR_chown, "chown", "sdd", chown, Full, "chown(2)"),
    row(linux::__NR_fchown, "fchown", "ddd", fchown, Full, "chown(2)"),
    row(linux::__NR_lchown, "lchown", "sdd", lchown, Full, "chown(2)"),
    row(linux::__NR_fchownat, "fchownat", "dsddx", fchownat, Full, "chown(2)"),
    row(linux::__NR_utimensat, "utimensat", "dsxx", utimensat, Full, "utimensat(2)"),
    row(linux::__NR_utime, "utime", "sx", utime, Full, "utime(2)"),
    row(linux::__NR_utimes, "utimes", "sx", utimes, Full, "utime(2)"),
    row(linux::__NR_futimesat, "futimesat", "dsx", futimesat, Full, "futimesat(2)"),
];

fn set_at(call: &Call<'_>, dirfd: i32, path: &[u8], follow: FollowLast, set: &SetAttributes) -> SysResult {
    let files = &call.process().files;
    files.namespace().set_attributes(&files.base(dirfd, path)?, path, follow, set)?;
    Ok(0)
}

fn mode(bits: u32) -> SetAttributes {
    SetAttributes { mode: Some(bits & 0o7777), ..SetAttributes::default() }
}

fn chmod(call: &mut Call<'_>) -> SysResult {
    set_at(call, linux::AT_FDCWD, &call.path(0)?, FollowLast::Yes, &mode(call.uint(1)))
}

fn fchmod(call: &mut Call<'_>) -> SysResult {
    call.process().files.get(call.int(0))?.set_attributes(&mode(call.uint(1)))?;
    Ok(0)
}

fn fchmodat(call: &mut Call<'_>) -> SysResult {
    set_at(call, call.int(0), &call.path(1)?, FollowLast::Yes, &mode(call.uint(2)))
}

/// -1 leaves owner or group as it is. The set-ID bits go, for root too, but for directories and for a set-group-ID bit
/// that means mandatory locking (chown(2)).
fn owner(old: &Metadata, uid: u32, gid: u32) -> SetAttributes {
    const SET_UID: u32 = 0o4000;
    const SET_GID: u32 = 0o2000;
    const GROUP_EXECUTE: u32 = 0o010;
    let given = |id: u32| (id != u32::MAX).then_some(id);
    let mut gone = SET_UID;
    if old.mode & GROUP_EXECUTE != 0 {
        gone |= SET_GID;
    }
    let loses = old.kind != FileKind::Directory && old.mode & gone != 0;
    SetAttributes {
        uid: given(uid),
        gid: given(gid),
        mode: loses.then_some(old.mode & !gone),
        ..SetAttributes::default()
    }
}

fn chown_at(call: &Call<'_>, dirfd: i32, path: &[u8], follow: FollowLast, ids: [u32; 2]) -> SysResult {
    let place = call.process().files.resolve(dirfd, path, follow)?;
    place.writable()?;
    place.inode().set_attributes(&owner(&place.metadata(), ids[0], ids[1]))?;
    fs::event::notify::object(&place, fs::event::notify::Change::ATTRIBUTES);
    Ok(0)
}

fn chown_open(file: &OpenFile, ids: [u32; 2]) -> SysResult {
    file.set_attributes(&owner(&file.metadata(), ids[0], ids[1]))?;
    Ok(0)
}

fn chown(call: &mut Call<'_>) -> SysResult {
    chown_at(call, linux::AT_FDCWD, &call.path(0)?, FollowLast::Yes, [call.uint(1), call.uint(2)])
}

fn lchown(call: &mut Call<'_>) -> SysResult {
    chown_at(call, linux::AT_FDCWD, &call.path(0)?, FollowLast::No, [call.uint(1), call.uint(2)])
}

fn fchown(call: &mut Call<'_>) -> SysResult {
    chown_open(&*call.process().files.get(call.int(0))?, [call.uint(1), call.uint(2)])
}

fn fchownat(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(4);
    if flags & !(linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = call.path(1)?;
    let ids = [call.uint(2), call.uint(3)];
    if path.is_empty() && flags & linux::AT_EMPTY_PATH != 0 {
        if call.int(0) != linux::AT_FDCWD {
            return chown_open(&*call.process().files.get_any(call.int(0))?, ids);
        }
        return chown_at(call, linux::AT_FDCWD, b".", FollowLast::Yes, ids);
    }
    chown_at(call, call.int(0), &path, follow(flags), ids)
}

fn set_with_flags(call: &Call<'_>, dirfd: i32, path: &[u8], flags: u32, set: &SetAttributes) -> SysResult {
    if path.is_empty() && flags & linux::AT_EMPTY_PATH != 0 {
        let files = &call.process().files;
        if dirfd == linux::AT_FDCWD {
            return set_at(call, dirfd, b".", FollowLast::Yes, set);
        }
        files.get_any(dirfd)?.set_attributes(set)?;
        return Ok(0);
    }
    set_at(call, dirfd, path, follow(flags), set)
}

fn follow(flags: u32) -> FollowLast {
    if flags & linux::AT_SYMLINK_NOFOLLOW != 0 { FollowLast::No } else { FollowLast::Yes }
}

/// Access and modification time; `None` leaves one as it is.
type Times = [Option<i64>; 2];

fn times(times: Times) -> SetAttributes {
    SetAttributes { atime_ns: times[0], mtime_ns: times[1], ..SetAttributes::default() }
}

fn now() -> Option<i64> {
    Some(hal::clock::realtime_ns() as i64)
}

/// Nanoseconds since 1970 within what 64 bits hold.
fn join(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

fn utimensat(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(3);
    let given = match call.ptr::<[[i64; 2]; 2]>(2).non_null() {
        None => Ok([now(), now()]),
        Some(at) => {
            let [atime, mtime] = at.read()?;
            timespec(atime).and_then(|atime| Ok([atime, timespec(mtime)?]))
        }
    };
    if given == Ok([None, None]) {
        // Both UTIME_OMIT: nothing is looked at (utimensat(2)).
        return Ok(0);
    }
    if flags & !(linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    // A null path means the descriptor (futimens(3)).
    if call.arg(1) == 0 {
        if call.int(0) == linux::AT_FDCWD {
            return Err(Errno::EFAULT);
        }
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        call.process().files.get(call.int(0))?.set_attributes(&times(given?))?;
        return Ok(0);
    }
    let path = call.path(1)?;
    if given.is_err() && !(path.is_empty() && flags & linux::AT_EMPTY_PATH != 0) {
        // A bad path is told before bad times.
        call.process().files.resolve(call.int(0), &path, follow(flags))?;
    }
    set_with_flags(call, call.int(0), &path, flags, &times(given?))
}

fn timespec([seconds, nanoseconds]: [i64; 2]) -> Result<Option<i64>, Errno> {
    match nanoseconds {
        n if n == i64::from(linux::UTIME_NOW) => Ok(now()),
        n if n == i64::from(linux::UTIME_OMIT) => Ok(None),
        0..1_000_000_000 => Ok(Some(join(seconds, nanoseconds))),
        _ => Err(Errno::EINVAL),
    }
}

fn utime(call: &mut Call<'_>) -> SysResult {
    let given = match call.ptr::<[i64; 2]>(1).non_null() {
        None => [now(), now()],
        Some(at) => at.read()?.map(|seconds| Some(join(seconds, 0))),
    };
    set_at(call, linux::AT_FDCWD, &call.path(0)?, FollowLast::Yes, &times(given))
}

fn utimes(call: &mut Call<'_>) -> SysResult {
    let given = timevals(call, 1)?;
    set_at(call, linux::AT_FDCWD, &call.path(0)?, FollowLast::Yes, &times(given))
}

fn futimesat(call: &mut Call<'_>) -> SysResult {
    let given = timevals(call, 2)?;
    if call.arg(1) == 0 {
        call.process().files.get(call.int(0))?.set_attributes(&times(given))?;
        return Ok(0);
    }
    set_at(call, call.int(0), &call.path(1)?, FollowLast::Yes, &times(given))
}

fn timevals(call: &Call<'_>, arg: usize) -> Result<Times, Errno> {
    let Some(at) = call.ptr::<[[i64; 2]; 2]>(arg).non_null() else { return Ok([now(), now()]) };
    let mut out = [None; 2];
    for (slot, [seconds, microseconds]) in out.iter_mut().zip(at.read()?) {
        if !(0..1_000_000).contains(&microseconds) {
            return Err(Errno::EINVAL);
        }
        *slot = Some(join(seconds, microseconds * 1000));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_checked() {
        assert_eq!(timespec([5, 7]), Ok(Some(5_000_000_007)));
        assert_eq!(timespec([5, 1_000_000_000]), Err(Errno::EINVAL));
        assert_eq!(timespec([0, i64::from(linux::UTIME_OMIT)]), Ok(None));
        assert_eq!(join(i64::MAX, 1), i64::MAX);
        assert_eq!(join(-1, 5), -999_999_995);
    }
}
