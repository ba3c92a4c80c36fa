//! Size and space of files, and when they are stored: truncate, fallocate, fsync, sync, and the hints about access.

use super::file::offset;
use super::{Call, Row, Support::*, SysResult, row};
use crate::{Errno, unsupported};
use fs::{Access, Allocate, FileKind, StatusFlags, SyncKind};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_truncate, "truncate", "sd", truncate, Full, "truncate(2)"),
    row(linux::__NR_ftruncate, "ftruncate", "dd", ftruncate, Full, "truncate(2)"),
    row(linux::__NR_fallocate, "fallocate", "dxdd", fallocate, Partial, "fallocate(2)"),
    row(linux::__NR_fsync, "fsync", "d", fsync, Full, "fsync(2)"),
    row(linux::__NR_fdatasync, "fdatasync", "d", fdatasync, Full, "fsync(2)"),
    row(linux::__NR_sync, "sync", "", sync, Full, "sync(2)"),
    row(linux::__NR_syncfs, "syncfs", "d", syncfs, Full, "sync(2)"),
    row(linux::__NR_sync_file_range, "sync_file_range", "dddx", sync_file_range, Full, "sync_file_range(2)"),
    row(linux::__NR_fadvise64, "fadvise64", "dddd", fadvise, Full, "posix_fadvise(2)"),
    row(linux::__NR_readahead, "readahead", "ddd", readahead, Full, "readahead(2)"),
];

fn truncate(call: &mut Call<'_>) -> SysResult {
    let size = offset(call.arg(1))?;
    let files = &call.process().files;
    let path = call.path(0)?;
    files.namespace().truncate(&files.base(linux::AT_FDCWD, &path)?, &path, size)?;
    Ok(0)
}

fn ftruncate(call: &mut Call<'_>) -> SysResult {
    let size = offset(call.arg(1))?;
    call.process().files.get(call.int(0))?.truncate(size)?;
    Ok(0)
}

fn fallocate(call: &mut Call<'_>) -> SysResult {
    const KEEP: u32 = linux::FALLOC_FL_KEEP_SIZE;
    let file = call.process().files.get(call.int(0))?;
    let (start, len) = (offset(call.arg(2))?, offset(call.arg(3))?);
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    let how = match call.uint(1) {
        0 => Allocate::Extend,
        KEEP => Allocate::KeepSize,
        mode if mode == linux::FALLOC_FL_PUNCH_HOLE | KEEP => Allocate::PunchHole,
        linux::FALLOC_FL_ZERO_RANGE => Allocate::Zero,
        mode if mode == linux::FALLOC_FL_ZERO_RANGE | KEEP => Allocate::ZeroKeepSize,
        mode => {
            unsupported!("fallocate mode", mode);
            if matches!(mode, linux::FALLOC_FL_COLLAPSE_RANGE | linux::FALLOC_FL_INSERT_RANGE) {
                // Known to Linux, which looks at the file before it asks the file system.
                file.may_allocate(start, len)?;
            }
            return Err(Errno::EOPNOTSUPP);
        }
    };
    file.allocate(how, start, len)?;
    Ok(0)
}

fn fsync(call: &mut Call<'_>) -> SysResult {
    call.process().files.get(call.int(0))?.sync(SyncKind::All)?;
    Ok(0)
}

fn fdatasync(call: &mut Call<'_>) -> SysResult {
    call.process().files.get(call.int(0))?.sync(SyncKind::Data)?;
    Ok(0)
}

/// sync(2) always succeeds.
fn sync(call: &mut Call<'_>) -> SysResult {
    if let Err(error) = call.process().files.namespace().sync() {
        log::warn!("sync: {error:?}");
    }
    Ok(0)
}

fn syncfs(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get(call.int(0))?;
    if let Some(place) = file.place() {
        place.mount().file_system.sync()?;
    }
    Ok(0)
}

/// Every range is written by writing the whole file's data.
fn sync_file_range(call: &mut Call<'_>) -> SysResult {
    let known = linux::SYNC_FILE_RANGE_WAIT_BEFORE | linux::SYNC_FILE_RANGE_WRITE | linux::SYNC_FILE_RANGE_WAIT_AFTER;
    let file = call.process().files.get(call.int(0))?;
    let (start, len) = (offset(call.arg(1))?, offset(call.arg(2))?);
    if call.uint(3) & !known != 0 || start.checked_add(len).is_none_or(|end| end > i64::MAX as u64) {
        return Err(Errno::EINVAL);
    }
    match file.metadata().kind {
        FileKind::Regular | FileKind::BlockDevice | FileKind::Directory | FileKind::Symlink => {}
        _ => return Err(Errno::ESPIPE),
    }
    if call.uint(3) != 0 {
        file.sync(SyncKind::Data)?;
    }
    Ok(0)
}

/// Hints. POSIX_FADV_WILLNEED reads ahead; the page cache needs none of the others.
fn fadvise(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get(call.int(0))?;
    if file.metadata().kind == FileKind::Fifo {
        return Err(Errno::ESPIPE);
    }
    let (start, len) = (call.arg(1) as i64, call.arg(2) as i64);
    if len < 0 || call.uint(3) > linux::POSIX_FADV_NOREUSE {
        return Err(Errno::EINVAL);
    }
    if call.uint(3) == linux::POSIX_FADV_WILLNEED && start >= 0 {
        prefetch(&file, start as u64, if len == 0 { u64::MAX } else { len as u64 });
    }
    Ok(0)
}

fn readahead(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get(call.int(0))?;
    if !file.status().contains(StatusFlags::READ) {
        return Err(Errno::EBADF);
    }
    if file.file().access() == Access::Stream || file.metadata().kind != FileKind::Regular {
        return Err(Errno::EINVAL);
    }
    prefetch(&file, offset(call.arg(1))?, call.arg(2));
    Ok(0)
}

/// The most that one hint reads, in bytes.
const PREFETCH_MAX: u64 = 4 << 20;

fn prefetch(file: &fs::OpenFile, start: u64, len: u64) {
    let Some(pages) = file.file().backing() else { return };
    let end = start.saturating_add(len.min(PREFETCH_MAX)).min(pages.size());
    if start < end {
        pages.prefetch(start / hal::addr::PAGE_SIZE..end.div_ceil(hal::addr::PAGE_SIZE));
    }
}
