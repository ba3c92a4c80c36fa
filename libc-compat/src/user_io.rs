//! The application's buffers as `fs` sees them: single ones and iovec lists (readv(2)).
//!
//! A fault in the middle ends a transfer with what was moved before, as Linux does it.

use crate::Errno;
use crate::uaccess::{UserPtr, UserSlice};
use alloc::vec::Vec;
use fs::{FsError, FsResult, Sink, Source};
use hal::addr::PAGE_SIZE;

/// The most that one call moves (read(2): 0x7ffff000).
pub const TRANSFER_MAX: usize = 0x7fff_f000;
/// Elements of an iovec list, at most (UIO_MAXIOV).
pub const IOVEC_MAX: usize = 1024;
/// Lists up to this length stay off the heap.
const IOVEC_INLINE: usize = 8;

/// A call's buffer: wholly in the application's half (EFAULT), of a length that fits a `ssize_t` (EINVAL), cut to
/// [`TRANSFER_MAX`].
#[inline]
pub fn buffer(addr: u64, len: u64) -> Result<UserSlice, Errno> {
    // The address comes first, as in Linux's vfs_read: whatever is too long also leaves the half.
    hal::user::check(addr, len as usize)?;
    if len > isize::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    Ok(UserSlice::new(addr, (len as usize).min(TRANSFER_MAX)))
}

impl Sink for UserSlice {
    fn put(&mut self, bytes: &[u8]) -> FsResult<usize> {
        let count = bytes.len().min(self.len());
        if self.write(&bytes[..count]).is_ok() {
            return Ok(count);
        }
        by_pages(self, count, |rest, done, piece| rest.write(&bytes[done..done + piece]).is_ok())
    }
    fn put_zeros(&mut self, len: usize) -> FsResult<usize> {
        let count = len.min(self.len());
        if self.clear(count).is_ok() {
            return Ok(count);
        }
        by_pages(self, count, |rest, _, piece| rest.clear(piece).is_ok())
    }
    fn remaining(&self) -> usize {
        self.len()
    }
}

impl Source for UserSlice {
    fn take(&mut self, buffer: &mut [u8]) -> FsResult<usize> {
        let count = buffer.len().min(self.len());
        if self.read(&mut buffer[..count]).is_ok() {
            return Ok(count);
        }
        by_pages(self, count, |rest, done, piece| rest.read(&mut buffer[done..done + piece]).is_ok())
    }
    fn remaining(&self) -> usize {
        self.len()
    }
}

/// Repeats a transfer that faulted page by page, to move what comes before the bad page.
#[cold]
fn by_pages(
    rest: &mut UserSlice,
    count: usize,
    mut step: impl FnMut(&mut UserSlice, usize, usize) -> bool,
) -> FsResult<usize> {
    let mut done = 0;
    while done < count {
        let to_page_end = (PAGE_SIZE - rest.addr() % PAGE_SIZE) as usize;
        let piece = to_page_end.min(count - done);
        if !step(rest, done, piece) {
            break;
        }
        done += piece;
    }
    if done == 0 { Err(FsError::Fault) } else { Ok(done) }
}

/// An iovec list.
pub struct UserVec {
    inline: [UserSlice; IOVEC_INLINE],
    heap: Vec<UserSlice>,
    count: usize,
    at: usize,
    remaining: usize,
}

impl UserVec {
    /// Reads the list (EINVAL for too many or negative lengths, EFAULT), cut to [`TRANSFER_MAX`].
    pub fn read(list: u64, count: u64) -> Result<Self, Errno> {
        if count > IOVEC_MAX as u64 {
            return Err(Errno::EINVAL);
        }
        let count = count as usize;
        let mut this =
            Self { inline: [UserSlice::new(0, 0); IOVEC_INLINE], heap: Vec::new(), count, at: 0, remaining: 0 };
        if count > IOVEC_INLINE {
            this.heap.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        }
        let list = UserPtr::<[u64; 2]>::new(list);
        for index in 0..count {
            let [addr, len] = list.add(index as u64).read()?;
            if len > isize::MAX as u64 {
                return Err(Errno::EINVAL);
            }
            hal::user::check(addr, len as usize)?;
            let len = (len as usize).min(TRANSFER_MAX - this.remaining);
            this.remaining += len;
            let slice = UserSlice::new(addr, len);
            if count > IOVEC_INLINE {
                this.heap.push(slice);
            } else {
                this.inline[index] = slice;
            }
        }
        Ok(this)
    }

    /// Bytes that are left.
    pub fn len(&self) -> usize {
        self.remaining
    }

    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// The first element that is not used up.
    fn current(&mut self) -> Option<&mut UserSlice> {
        let all = if self.heap.is_empty() { &mut self.inline[..self.count] } else { &mut self.heap[..] };
        while self.at < all.len() && all[self.at].is_empty() {
            self.at += 1;
        }
        all.get_mut(self.at)
    }

    /// Moves `len` bytes by `step(element, offset)`, which says how many it moved.
    fn transfer(
        &mut self,
        len: usize,
        mut step: impl FnMut(&mut UserSlice, usize) -> FsResult<usize>,
    ) -> FsResult<usize> {
        let mut done = 0;
        while done < len {
            let Some(current) = self.current() else { break };
            match step(current, done) {
                Ok(0) => break,
                Ok(count) => {
                    done += count;
                    self.remaining -= count;
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }
}

impl Sink for UserVec {
    fn put(&mut self, bytes: &[u8]) -> FsResult<usize> {
        self.transfer(bytes.len(), |slice, done| slice.put(&bytes[done..]))
    }
    fn remaining(&self) -> usize {
        self.remaining
    }
}

impl Source for UserVec {
    fn take(&mut self, buffer: &mut [u8]) -> FsResult<usize> {
        self.transfer(buffer.len(), |slice, done| slice.take(&mut buffer[done..]))
    }
    fn remaining(&self) -> usize {
        self.remaining
    }
}
