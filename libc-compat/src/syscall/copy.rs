//! Copies inside the kernel: sendfile, copy_file_range; splice and its kin are refused, which callers expect.

use super::file::written;
use super::{Call, Row, Support::*, SysResult, row};
use crate::uaccess::UserPtr;
use crate::user_io::TRANSFER_MAX;
use crate::{Errno, unsupported};
use alloc::sync::Arc;
use fs::{Access, FileKind, FsError, OpenFile, SeekFrom, SliceSource, StatusFlags, VecSink};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_sendfile, "sendfile", "ddxd", sendfile, Full, "sendfile(2)"),
    row(linux::__NR_copy_file_range, "copy_file_range", "dxdxdx", copy_file_range, Full, "copy_file_range(2)"),
    row(linux::__NR_splice, "splice", "dxdxdx", refuse_splice, Refused, "splice(2)"),
    row(linux::__NR_tee, "tee", "dddx", refuse_splice, Refused, "tee(2)"),
    row(linux::__NR_vmsplice, "vmsplice", "dxdx", refuse_splice, Refused, "vmsplice(2)"),
];

/// Bytes copied at once.
const PIECE: usize = 64 << 10;

/// Where a side of a copy stands: at an offset that the application keeps, or at the file's position.
enum Place {
    Given(UserPtr<u64>, u64),
    Position(u64),
}

impl Place {
    /// Reads the offset behind `pointer` (EFAULT, EINVAL), or takes the position.
    fn new(pointer: UserPtr<u64>, file: &OpenFile) -> Result<Self, Errno> {
        match pointer.non_null() {
            Some(pointer) => {
                let offset = pointer.read()?;
                if offset > i64::MAX as u64 { Err(Errno::EINVAL) } else { Ok(Self::Given(pointer, offset)) }
            }
            None => Ok(Self::Position(file.position())),
        }
    }
    fn offset(&self) -> u64 {
        match self {
            Self::Given(_, offset) | Self::Position(offset) => *offset,
        }
    }
    /// Tells the application or the file how far it went.
    fn advance(self, file: &OpenFile, count: u64) -> Result<(), Errno> {
        match self {
            Self::Given(pointer, offset) => pointer.write(offset + count),
            Self::Position(offset) => file.seek(SeekFrom::Start(offset + count)).map(|_| ()).map_err(Errno::from),
        }
    }
}

fn may_read(file: &OpenFile) -> Result<(), Errno> {
    if file.status().contains(StatusFlags::READ) { Ok(()) } else { Err(Errno::EBADF) }
}

fn may_write(file: &OpenFile) -> Result<(), Errno> {
    if file.status().contains(StatusFlags::WRITE) { Ok(()) } else { Err(Errno::EBADF) }
}

/// Sizes as Linux takes them: negative is EINVAL, large ones are cut.
fn length(count: u64) -> Result<usize, Errno> {
    if count > isize::MAX as u64 { Err(Errno::EINVAL) } else { Ok((count as usize).min(TRANSFER_MAX)) }
}

fn sendfile(call: &mut Call<'_>) -> SysResult {
    let files = &call.process().files;
    let input = files.get(call.int(1))?;
    may_read(&input)?;
    if input.file().access() == Access::Stream {
        return Err(if call.arg(2) == 0 { Errno::EINVAL } else { Errno::ESPIPE });
    }
    if input.metadata().kind == FileKind::Directory {
        return Err(Errno::EINVAL);
    }
    let output = files.get(call.int(0))?;
    may_write(&output)?;
    if output.status().contains(StatusFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    let place = Place::new(call.ptr(2), &input)?;
    let want = length(call.arg(3))?;
    let result = copy(&input, place.offset(), want, |_, bytes| output.write(&mut SliceSource::new(bytes)));
    if let Ok(count) = result {
        place.advance(&input, count as u64)?;
    }
    written(call, result)
}

/// Reads from `from` on and gives the bytes to `put(bytes before, bytes)` until it takes fewer than it was given.
fn copy(
    input: &OpenFile,
    from: u64,
    want: usize,
    mut put: impl FnMut(u64, &[u8]) -> fs::FsResult<usize>,
) -> fs::FsResult<usize> {
    let mut done = 0;
    while done < want {
        let mut sink = VecSink::new(PIECE.min(want - done));
        let step = input.read_at(from + done as u64, &mut sink).and_then(|got| match got {
            0 => Ok((0, 0)),
            got => put(done as u64, &sink.bytes).map(|taken| (got, taken)),
        });
        match step {
            Ok((got, taken)) => {
                done += taken;
                if got == 0 || taken < got {
                    break;
                }
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

fn copy_file_range(call: &mut Call<'_>) -> SysResult {
    let files = &call.process().files;
    let (input, output) = (files.get(call.int(0))?, files.get(call.int(2))?);
    if call.arg(5) != 0 {
        return Err(Errno::EINVAL);
    }
    for file in [&input, &output] {
        match file.metadata().kind {
            FileKind::Directory => return Err(Errno::EISDIR),
            FileKind::Regular => {}
            _ => return Err(Errno::EINVAL),
        }
    }
    may_read(&input)?;
    may_write(&output)?;
    if output.status().contains(StatusFlags::APPEND) {
        return Err(Errno::EBADF);
    }
    let (from, to) = (Place::new(call.ptr(1), &input)?, Place::new(call.ptr(3), &output)?);
    let want = length(call.arg(4))?;
    if same_file(&input, &output) && from.offset().abs_diff(to.offset()) < want as u64 {
        return Err(Errno::EINVAL);
    }
    let start = to.offset();
    if start.checked_add(want as u64).is_none_or(|end| end > i64::MAX as u64) {
        return Err(Errno::EFBIG);
    }
    let count =
        copy(&input, from.offset(), want, |done, bytes| output.write_at(start + done, &mut SliceSource::new(bytes)))
            .map_err(|error| if error == FsError::SeekPipe { Errno::EINVAL } else { error.into() })?;
    from.advance(&input, count as u64)?;
    to.advance(&output, count as u64)?;
    Ok(count as u64)
}

fn same_file(a: &Arc<OpenFile>, b: &Arc<OpenFile>) -> bool {
    let (a, b) = (a.metadata(), b.metadata());
    (a.dev, a.ino) == (b.dev, b.ino)
}

/// EINVAL is what splice(2) gives where a file system does not support it; callers then read and write.
fn refuse_splice(call: &mut Call<'_>) -> SysResult {
    unsupported!("splice, tee or vmsplice", call.number());
    Err(Errno::EINVAL)
}
