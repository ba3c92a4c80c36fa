//! Reading and writing: read, write and their positioned and vectored kin, lseek, and the calls that copy inside the kernel.

use super::{Call, Row, Support::*, SysResult, row};
use crate::user_io::{self, UserVec};
use crate::{Errno, unsupported};
use alloc::sync::Arc;
use fs::{Extent, OpenFile, SeekFrom};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_read, "read", "dxd", read, Full, "read(2)"),
    row(linux::__NR_write, "write", "dxd", write, Full, "write(2)"),
    row(linux::__NR_pread64, "pread64", "dxdd", pread, Full, "pread(2)"),
    row(linux::__NR_pwrite64, "pwrite64", "dxdd", pwrite, Full, "pread(2)"),
    row(linux::__NR_readv, "readv", "dxd", readv, Full, "readv(2)"),
    row(linux::__NR_writev, "writev", "dxd", writev, Full, "readv(2)"),
    row(linux::__NR_preadv, "preadv", "dxdd", preadv, Full, "readv(2)"),
    row(linux::__NR_pwritev, "pwritev", "dxdd", pwritev, Full, "readv(2)"),
    row(linux::__NR_preadv2, "preadv2", "dxdddx", preadv2, Partial, "readv(2)"),
    row(linux::__NR_pwritev2, "pwritev2", "dxdddx", pwritev2, Partial, "readv(2)"),
    row(linux::__NR_lseek, "lseek", "ddd", lseek, Full, "lseek(2)"),
];

fn read(call: &mut Call<'_>) -> SysResult {
    // Of what O_PATH opened `readable` says EBADF.
    let file = call.process().files.get_any(call.int(0))?;
    let reader = file.readable()?;
    let mut buffer = user_io::buffer(call.arg(1), call.arg(2))?;
    Ok(reader.read(&mut buffer)? as u64)
}

fn write(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get_any(call.int(0))?;
    let writer = file.writable()?;
    let mut buffer = user_io::buffer(call.arg(1), call.arg(2))?;
    written(call, writer.write(&mut buffer))
}

/// The result of a write; a broken pipe is also told by SIGPIPE (write(2), EPIPE).
#[inline(always)]
pub fn written(call: &Call<'_>, result: fs::FsResult<usize>) -> SysResult {
    result.map(|count| count as u64).map_err(|error| not_written(call, error))
}

#[cold]
fn not_written(call: &Call<'_>, error: fs::FsError) -> Errno {
    if error == fs::FsError::BrokenPipe {
        crate::signal::send::raise(call.task(), call.thread(), crate::signal::set::SIGPIPE);
    }
    error.into()
}

/// An offset argument (EINVAL if negative).
pub fn offset(value: u64) -> Result<u64, Errno> {
    if value > i64::MAX as u64 { Err(Errno::EINVAL) } else { Ok(value) }
}

/// The description of a call with an offset (EBADF, ESPIPE): told before a bad buffer.
fn positioned(call: &Call<'_>) -> Result<Arc<OpenFile>, Errno> {
    let file = call.process().files.get(call.int(0))?;
    file.positioned()?;
    Ok(file)
}

fn pread(call: &mut Call<'_>) -> SysResult {
    let offset = offset(call.arg(3))?;
    let file = positioned(call)?;
    let reader = file.readable()?;
    let mut buffer = user_io::buffer(call.arg(1), call.arg(2))?;
    Ok(reader.read_at(offset, &mut buffer)? as u64)
}

fn pwrite(call: &mut Call<'_>) -> SysResult {
    let offset = offset(call.arg(3))?;
    let file = positioned(call)?;
    let writer = file.writable()?;
    let mut buffer = user_io::buffer(call.arg(1), call.arg(2))?;
    written(call, writer.write_at(offset, &mut buffer))
}

fn readv(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get(call.int(0))?;
    let reader = file.readable()?;
    let mut buffers = UserVec::read(call.arg(1), call.arg(2))?;
    if buffers.is_empty() {
        return Ok(0);
    }
    Ok(reader.read(&mut buffers)? as u64)
}

fn writev(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get(call.int(0))?;
    let writer = file.writable()?;
    let mut buffers = UserVec::read(call.arg(1), call.arg(2))?;
    if buffers.is_empty() {
        return Ok(0);
    }
    written(call, writer.write(&mut buffers))
}

fn preadv(call: &mut Call<'_>) -> SysResult {
    let offset = offset(call.arg(3))?;
    let file = positioned(call)?;
    let reader = file.readable()?;
    let mut buffers = UserVec::read(call.arg(1), call.arg(2))?;
    if buffers.is_empty() {
        return Ok(0);
    }
    Ok(reader.read_at(offset, &mut buffers)? as u64)
}

fn pwritev(call: &mut Call<'_>) -> SysResult {
    let offset = offset(call.arg(3))?;
    let file = positioned(call)?;
    let writer = file.writable()?;
    let mut buffers = UserVec::read(call.arg(1), call.arg(2))?;
    if buffers.is_empty() {
        return Ok(0);
    }
    written(call, writer.write_at(offset, &mut buffers))
}

/// Offset -1 stands for the file's position. No RWF_ flag has an effect here that the open flags do not have.
fn preadv2(call: &mut Call<'_>) -> SysResult {
    no_rwf_flags(call)?;
    if call.arg(3) == u64::MAX { readv(call) } else { preadv(call) }
}

fn pwritev2(call: &mut Call<'_>) -> SysResult {
    no_rwf_flags(call)?;
    if call.arg(3) == u64::MAX { writev(call) } else { pwritev(call) }
}

/// RWF_HIPRI is only a hint; the others change what the call promises.
fn no_rwf_flags(call: &Call<'_>) -> Result<(), Errno> {
    let flags = call.uint(5);
    if flags & !linux::RWF_HIPRI != 0 {
        unsupported!("preadv2/pwritev2 flags", flags);
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(())
}

fn lseek(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get(call.int(0))?;
    let distance = call.arg(1) as i64;
    let whence = call.uint(2);
    if whence > linux::SEEK_HOLE {
        return Err(Errno::EINVAL);
    }
    if !file.has_position()? {
        return Ok(0);
    }
    let absolute = |negative: Errno| u64::try_from(distance).map_err(|_| negative);
    let to = match whence {
        linux::SEEK_SET => SeekFrom::Start(absolute(Errno::EINVAL)?),
        linux::SEEK_CUR => SeekFrom::Current(distance),
        linux::SEEK_END => SeekFrom::End(distance),
        linux::SEEK_DATA => SeekFrom::Next(Extent::Data, absolute(Errno::ENXIO)?),
        _ => SeekFrom::Next(Extent::Hole, absolute(Errno::ENXIO)?),
    };
    Ok(file.seek(to)?)
}
