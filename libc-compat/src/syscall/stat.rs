//! Attributes, read: both generations of stat, statx, access, statfs.

use super::{Call, Row, Support::*, SysResult, row};
use crate::file_context::FileContext;
use crate::uaccess::plain;
use crate::{Errno, unsupported};
use fs::{FileKind, FollowLast, FsStat, Metadata};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_stat, "stat", "sx", stat, Full, "stat(2)"),
    row(linux::__NR_lstat, "lstat", "sx", lstat, Full, "stat(2)"),
    row(linux::__NR_fstat, "fstat", "dx", fstat, Full, "stat(2)"),
    row(linux::__NR_newfstatat, "newfstatat", "dsxx", newfstatat, Full, "stat(2)"),
    row(linux::__NR_statx, "statx", "dsxxx", statx, Full, "statx(2)"),
    row(linux::__NR_access, "access", "sx", access, Full, "access(2)"),
    row(linux::__NR_faccessat, "faccessat", "dsx", faccessat, Full, "access(2)"),
    row(linux::__NR_faccessat2, "faccessat2", "dsxx", faccessat2, Full, "access(2)"),
    row(linux::__NR_statfs, "statfs", "sx", statfs, Full, "statfs(2)"),
    row(linux::__NR_fstatfs, "fstatfs", "dx", fstatfs, Full, "statfs(2)"),
];

/// `struct stat`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Stat {
    dev: u64,
    ino: u64,
    nlink: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    pad: u32,
    rdev: u64,
    size: i64,
    block_bytes: i64,
    blocks: i64,
    atime: [i64; 2],
    mtime: [i64; 2],
    ctime: [i64; 2],
    unused: [i64; 3],
}
plain!(Stat);

/// `struct statx_timestamp`.
#[derive(Clone, Copy)]
#[repr(C)]
struct StatxTime {
    seconds: i64,
    nanoseconds: u32,
    reserved: i32,
}

/// `struct statx`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Statx {
    mask: u32,
    block_bytes: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    spare0: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    atime: StatxTime,
    btime: StatxTime,
    ctime: StatxTime,
    mtime: StatxTime,
    rdev: [u32; 2],
    dev: [u32; 2],
    mount_id: u64,
    direct_io: [u32; 2],
    spare: [u64; 12],
}
plain!(Statx);

/// `struct statfs`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Statfs {
    magic: i64,
    block_bytes: i64,
    blocks: u64,
    blocks_free: u64,
    blocks_available: u64,
    files: u64,
    files_free: u64,
    id: [i32; 2],
    name_max: i64,
    fragment_bytes: i64,
    flags: i64,
    spare: [i64; 4],
}
plain!(Statfs);

/// The S_IFMT bits.
pub fn type_bits(kind: FileKind) -> u32 {
    match kind {
        FileKind::Regular => linux::S_IFREG,
        FileKind::Directory => linux::S_IFDIR,
        FileKind::Symlink => linux::S_IFLNK,
        FileKind::CharDevice => linux::S_IFCHR,
        FileKind::BlockDevice => linux::S_IFBLK,
        FileKind::Fifo => linux::S_IFIFO,
        FileKind::Socket => linux::S_IFSOCK,
        FileKind::Anonymous => 0,
    }
}

/// Seconds and nanoseconds; the latter are never negative.
fn time(ns: i64) -> [i64; 2] {
    [ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000)]
}

impl Stat {
    fn new(m: &Metadata) -> Self {
        Self {
            dev: m.dev,
            ino: m.ino,
            nlink: u64::from(m.nlink),
            mode: type_bits(m.kind) | m.mode,
            uid: m.uid,
            gid: m.gid,
            pad: 0,
            rdev: m.rdev,
            size: m.size as i64,
            block_bytes: i64::from(m.block_bytes),
            blocks: m.blocks as i64,
            atime: time(m.atime_ns),
            mtime: time(m.mtime_ns),
            ctime: time(m.ctime_ns),
            unused: [0; 3],
        }
    }
}

fn stat(call: &mut Call<'_>) -> SysResult {
    by_path(call, FollowLast::Yes)
}

fn lstat(call: &mut Call<'_>) -> SysResult {
    by_path(call, FollowLast::No)
}

fn by_path(call: &Call<'_>, follow: FollowLast) -> SysResult {
    let place = call.process().files.resolve(linux::AT_FDCWD, &call.path(0)?, follow)?;
    call.ptr(1).write(Stat::new(&place.metadata()))?;
    Ok(0)
}

fn fstat(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get_any(call.int(0))?;
    call.ptr(1).write(Stat::new(&file.metadata()))?;
    Ok(0)
}

fn newfstatat(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(3);
    let known = linux::AT_SYMLINK_NOFOLLOW | linux::AT_NO_AUTOMOUNT | linux::AT_EMPTY_PATH | linux::AT_STATX_SYNC_TYPE;
    if flags & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let metadata = at(&call.process().files, call, flags)?.0;
    call.ptr(2).write(Stat::new(&metadata))?;
    Ok(0)
}

/// Attributes of what arguments 0 and 1 name, and the id of its mount. The usual `("", AT_EMPTY_PATH)` costs no copy of a string.
fn at(files: &FileContext, call: &Call<'_>, flags: u32) -> Result<(Metadata, u64), Errno> {
    let dirfd = call.int(0);
    let path = call.path(1)?;
    if path.is_empty() && flags & linux::AT_EMPTY_PATH != 0 {
        if dirfd == linux::AT_FDCWD {
            let place = files.cwd();
            return Ok((place.metadata(), place.mount().id));
        }
        let file = files.get_any(dirfd)?;
        return Ok((file.metadata(), file.place().map_or(0, |place| place.mount().id)));
    }
    let follow = if flags & linux::AT_SYMLINK_NOFOLLOW != 0 { FollowLast::No } else { FollowLast::Yes };
    let place = files.resolve(dirfd, &path, follow)?;
    Ok((place.metadata(), place.mount().id))
}

fn statx(call: &mut Call<'_>) -> SysResult {
    let (flags, mask) = (call.uint(2), call.uint(3));
    let known = linux::AT_SYMLINK_NOFOLLOW | linux::AT_NO_AUTOMOUNT | linux::AT_EMPTY_PATH | linux::AT_STATX_SYNC_TYPE;
    if flags & !known != 0
        || flags & linux::AT_STATX_SYNC_TYPE == linux::AT_STATX_SYNC_TYPE
        || mask & linux::STATX__RESERVED != 0
    {
        return Err(Errno::EINVAL);
    }
    let (m, mount_id) = at(&call.process().files, call, flags)?;
    let stamp = |ns: i64| {
        let [seconds, nanoseconds] = time(ns);
        StatxTime { seconds, nanoseconds: nanoseconds as u32, reserved: 0 }
    };
    let numbers = |device: u64| [crate::procfs::major(device) as u32, crate::procfs::minor(device) as u32];
    call.ptr(4).write(Statx {
        mask: linux::STATX_BASIC_STATS | linux::STATX_BTIME | (mask & linux::STATX_MNT_ID),
        block_bytes: m.block_bytes,
        attributes: 0,
        nlink: m.nlink,
        uid: m.uid,
        gid: m.gid,
        mode: (type_bits(m.kind) | m.mode) as u16,
        spare0: 0,
        ino: m.ino,
        size: m.size,
        blocks: m.blocks,
        attributes_mask: 0,
        atime: stamp(m.atime_ns),
        btime: stamp(m.btime_ns),
        ctime: stamp(m.ctime_ns),
        mtime: stamp(m.mtime_ns),
        rdev: numbers(m.rdev),
        dev: numbers(m.dev),
        mount_id: if mask & linux::STATX_MNT_ID != 0 { mount_id } else { 0 },
        direct_io: [0; 2],
        spare: [0; 12],
    })?;
    Ok(0)
}

fn access(call: &mut Call<'_>) -> SysResult {
    check_access(call, linux::AT_FDCWD, 0, call.uint(1), 0)
}

fn faccessat(call: &mut Call<'_>) -> SysResult {
    check_access(call, call.int(0), 1, call.uint(2), 0)
}

fn faccessat2(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(3);
    if flags & !(linux::AT_EACCESS | linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    check_access(call, call.int(0), 1, call.uint(2), flags)
}

/// For root: everything may be read; written, unless the file system is read-only; executed, if it is a directory or anybody may.
fn check_access(call: &Call<'_>, dirfd: i32, path_arg: usize, mode: u32, flags: u32) -> SysResult {
    let (write, execute) = (mode & linux::W_OK != 0, mode & linux::X_OK != 0);
    if mode & !(linux::R_OK | linux::W_OK | linux::X_OK) != 0 {
        return Err(Errno::EINVAL);
    }
    let files = &call.process().files;
    let path = call.path(path_arg)?;
    if path.is_empty() && flags & linux::AT_EMPTY_PATH != 0 && dirfd != linux::AT_FDCWD {
        let file = files.get_any(dirfd)?;
        let denied = execute && !executable(&file.metadata());
        return if denied { Err(Errno::EACCES) } else { Ok(0) };
    }
    let follow = if flags & linux::AT_SYMLINK_NOFOLLOW != 0 { FollowLast::No } else { FollowLast::Yes };
    let place = files.resolve(dirfd, &path, follow)?;
    if execute && !executable(&place.metadata()) {
        return Err(Errno::EACCES);
    }
    // Devices, pipes and sockets of a read-only file system may be written.
    if write && matches!(place.kind(), FileKind::Regular | FileKind::Directory | FileKind::Symlink) {
        place.writable()?;
    }
    Ok(0)
}

fn executable(m: &Metadata) -> bool {
    m.kind == FileKind::Directory || m.mode & 0o111 != 0
}

/// ST_VALID: the flags word means something.
const ST_VALID: i64 = 0x20;
const ST_RDONLY: i64 = 1;
const ST_RELATIME: i64 = 0x1000;

impl Statfs {
    fn new(s: &FsStat) -> Self {
        Self {
            magic: s.magic as i64,
            block_bytes: s.block_bytes as i64,
            blocks: s.blocks,
            blocks_free: s.blocks_free,
            blocks_available: s.blocks_free,
            files: s.files,
            files_free: s.files_free,
            id: [s.id as i32, (s.id >> 32) as i32],
            name_max: s.name_max as i64,
            fragment_bytes: s.block_bytes as i64,
            flags: ST_VALID | ST_RELATIME | if s.read_only { ST_RDONLY } else { 0 },
            spare: [0; 4],
        }
    }
}

fn statfs(call: &mut Call<'_>) -> SysResult {
    let files = &call.process().files;
    let path = call.path(0)?;
    let stat = files.namespace().statistics(&files.base(linux::AT_FDCWD, &path)?, &path)?;
    call.ptr(1).write(Statfs::new(&stat))?;
    Ok(0)
}

/// Magic numbers of the file systems that hold objects without a place (statfs(2)).
const PIPEFS_MAGIC: u64 = 0x5049_5045;
const SOCKFS_MAGIC: u64 = 0x534f_434b;
const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;

fn fstatfs(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get_any(call.int(0))?;
    let stat = match file.place() {
        Some(place) => place.mount().file_system.statistics(),
        None => match file.metadata().kind {
            FileKind::Fifo => nameless(PIPEFS_MAGIC),
            FileKind::Socket => nameless(SOCKFS_MAGIC),
            FileKind::Anonymous => nameless(ANON_INODE_FS_MAGIC),
            _ => {
                unsupported!("fstatfs of an object without a place", call.arg(0));
                return Err(Errno::ENOSYS);
            }
        },
    };
    call.ptr(1).write(Statfs::new(&stat))?;
    Ok(0)
}

fn nameless(magic: u64) -> FsStat {
    FsStat { magic, block_bytes: 4096, name_max: 255, ..FsStat::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{offset_of, size_of};

    #[test]
    fn layouts_are_those_of_linux() {
        assert_eq!(size_of::<Stat>(), size_of::<linux::stat>());
        assert_eq!(offset_of!(Stat, size), offset_of!(linux::stat, st_size));
        assert_eq!(offset_of!(Stat, ctime), offset_of!(linux::stat, st_ctime));
        assert_eq!(size_of::<Statx>(), 256);
        assert_eq!(offset_of!(Statx, btime), offset_of!(linux::statx, stx_btime));
        assert_eq!(offset_of!(Statx, dev), offset_of!(linux::statx, stx_dev_major));
        assert_eq!(offset_of!(Statx, mount_id), offset_of!(linux::statx, stx_mnt_id));
        assert_eq!(size_of::<Statfs>(), size_of::<linux::statfs64>());
        assert_eq!(offset_of!(Statfs, flags), offset_of!(linux::statfs64, f_flags));
    }

    #[test]
    fn times_before_1970_have_positive_nanoseconds() {
        assert_eq!(time(-1), [-1, 999_999_999]);
        assert_eq!(time(1_500_000_000), [1, 500_000_000]);
    }
}
