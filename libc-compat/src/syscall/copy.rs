//! Copies inside the kernel: sendfile, copy_file_range; splice and its kin are refused, which callers expect.

use super::file::{offset, written};
use super::{Call, Row, Support::*, SysResult, row};
use crate::uaccess::UserPtr;
use crate::user_io::TRANSFER_MAX;
use crate::{Errno, unsupported};
use fs::{
    Access, FileKind, FsResult, MAX_OFFSET, OpenFile, SeekFrom, SliceSink, SliceSource, Source, StatusFlags, VecSink,
};
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
    /// Reads the offset behind `pointer` (EFAULT), or takes the position.
    fn new(pointer: UserPtr<u64>, file: &OpenFile) -> Result<Self, Errno> {
        match pointer.non_null() {
            Some(pointer) => {
                let offset = pointer.read()?;
                Ok(Self::Given(pointer, offset))
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

/// Sizes as Linux takes them: negative is EINVAL, large ones are cut.
fn length(count: u64) -> Result<usize, Errno> {
    if count > isize::MAX as u64 { Err(Errno::EINVAL) } else { Ok((count as usize).min(TRANSFER_MAX)) }
}

fn sendfile(call: &mut Call<'_>) -> SysResult {
    let files = &call.process().files;
    let input = files.get(call.int(1))?;
    input.readable()?;
    let is_stream = input.file().access() == Access::Stream;
    if is_stream && call.arg(2) != 0 {
        return Err(Errno::ESPIPE);
    }
    let place = Place::new(call.ptr(2), &input)?;
    offset(place.offset().saturating_add(call.arg(3)))?;
    let output = files.get(call.int(0))?;
    output.writable()?;
    // What has no position (a socket) is refused at once; an eventfd, whose position never moves, where it is to be read.
    if input.has_position().is_err() || output.status().contains(StatusFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    let want = length(call.arg(3))?;
    if want == 0 {
        return Ok(0);
    }
    // Whatever there is to send.
    offset(output.position().saturating_add(want as u64))?;
    if is_stream || input.metadata().kind == FileKind::Directory {
        return Err(Errno::EINVAL);
    }
    let mut source = FileSource::new(&input, place.offset(), want);
    // Where there is nothing to send, nobody asks whether it could be sent.
    if source.is_at_end()? {
        return Ok(0);
    }
    if output.metadata().kind == FileKind::Anonymous {
        return Err(Errno::EINVAL);
    }
    let result = if output.file().access() == Access::Stream {
        output.write(&mut source)
    } else {
        copy(&input, place.offset(), want, |_, bytes| output.write(&mut SliceSource::new(bytes)))
    };
    if let Ok(count) = result {
        place.advance(&input, count as u64)?;
    }
    written(call, result)
}

/// A file's bytes on their way into a socket or pipe, which copies them from the page cache itself.
struct FileSource<'a> {
    file: &'a OpenFile,
    offset: u64,
    left: usize,
}

impl<'a> FileSource<'a> {
    /// At most `want` bytes from `offset` on.
    fn new(file: &'a OpenFile, offset: u64, want: usize) -> Self {
        let metadata = file.metadata();
        // Files without a size of their own (/proc) end where a read says so.
        let left = match metadata.size.checked_sub(offset) {
            Some(rest) if metadata.size > 0 => want.min(usize::try_from(rest).unwrap_or(want)),
            None if metadata.size > 0 => 0,
            _ => want,
        };
        Self { file, offset, left }
    }

    /// Whether there is nothing. A file that tells no size is asked for a byte.
    fn is_at_end(&self) -> FsResult<bool> {
        let tells_size = self.file.metadata().size > 0;
        Ok(self.left == 0 || !tells_size && self.file.read_at(self.offset, &mut SliceSink::new(&mut [0]))? == 0)
    }
}

impl Source for FileSource<'_> {
    fn take(&mut self, buffer: &mut [u8]) -> FsResult<usize> {
        let most = buffer.len().min(self.left);
        let count = self.file.read_at(self.offset, &mut SliceSink::new(&mut buffer[..most]))?;
        self.offset += count as u64;
        // Shorter than it was: there is no more.
        self.left = if count == 0 { 0 } else { self.left - count };
        Ok(count)
    }
    fn remaining(&self) -> usize {
        self.left
    }
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
    let kinds = [input.metadata().kind, output.metadata().kind];
    if kinds.contains(&FileKind::Directory) {
        return Err(Errno::EISDIR);
    }
    if kinds != [FileKind::Regular; 2] {
        return Err(Errno::EINVAL);
    }
    input.readable()?;
    output.writable()?;
    if output.status().contains(StatusFlags::APPEND) {
        return Err(Errno::EBADF);
    }
    let (from, to) = (Place::new(call.ptr(1), &input)?, Place::new(call.ptr(3), &output)?);
    let (source, target) = (input.metadata(), output.metadata());
    if source.dev != target.dev {
        return Err(Errno::EXDEV);
    }
    let count = call.arg(4);
    let (from_offset, to_offset) = (from.offset(), to.offset());
    if from_offset.checked_add(count).is_none() || to_offset.checked_add(count).is_none() {
        return Err(Errno::EOVERFLOW);
    }
    offset(from_offset)?;
    offset(to_offset)?;
    // No more than there is; only then do ranges of one file meet.
    let count = count.min(source.size.saturating_sub(from_offset));
    if to_offset >= MAX_OFFSET {
        return Err(Errno::EFBIG);
    }
    let count = count.min(MAX_OFFSET.saturating_sub(to_offset));
    if source.ino == target.ino && to_offset + count > from_offset && to_offset < from_offset + count {
        return Err(Errno::EINVAL);
    }
    let want = length(count)?;
    let count =
        copy(&input, from_offset, want, |done, bytes| output.write_at(to_offset + done, &mut SliceSource::new(bytes)))?;
    from.advance(&input, count as u64)?;
    to.advance(&output, count as u64)?;
    Ok(count as u64)
}

/// EINVAL is what splice(2) gives where a file system does not support it; callers then read and write.
fn refuse_splice(call: &mut Call<'_>) -> SysResult {
    unsupported!("splice, tee or vmsplice", call.number());
    Err(Errno::EINVAL)
}
