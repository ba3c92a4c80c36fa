//! Block devices: requests over lists of physical segments.
//!
//! Sectors are 512 bytes everywhere, whatever the device's own block size. A request is either waited for
//! ([`Block::transfer`]) or completes by a callback in interrupt context ([`Block::submit`]); both sleep while the
//! device's queue is full, so both are for thread context only.

use crate::addr::{PAGE_SIZE, PhysAddr};
use alloc::sync::Arc;
use core::fmt;

/// Bytes in a sector, the unit of every position here.
pub const SECTOR_SIZE: u64 = 512;
/// Sectors in a page.
pub const SECTORS_PER_PAGE: u64 = PAGE_SIZE / SECTOR_SIZE;
/// Segments that the page helpers put into one request at most.
const BATCH_SEGMENTS: usize = 32;

/// A run of physically contiguous memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte.
    pub start: PhysAddr,
    /// Length in bytes, a multiple of [`SECTOR_SIZE`].
    pub len_bytes: u32,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Device to memory.
    Read,
    /// Memory to device.
    Write,
    /// Everything written and completed before is on stable storage when this completes. Takes no segments.
    Flush,
}

/// One transfer.
#[derive(Clone, Copy, Debug)]
pub struct BlockRequest<'a> {
    /// What to do.
    pub operation: Operation,
    /// First sector on the device.
    pub sector: u64,
    /// Memory, in order; at most [`Block::max_segments`] of them. The slice itself is not needed after the call.
    pub segments: &'a [Segment],
}

impl BlockRequest<'_> {
    /// Length of the transfer in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.len_bytes)).sum()
    }

    /// Checks the request against a device's shape. Every implementation calls it first.
    pub fn check(&self, device: &dyn Block) -> Result<(), BlockError> {
        if self.operation == Operation::Flush {
            return if !self.segments.is_empty() {
                Err(BlockError::Misaligned)
            } else if device.can_flush() {
                Ok(())
            } else {
                Err(BlockError::NotSupported)
            };
        }
        if self.operation == Operation::Write && device.read_only() {
            return Err(BlockError::ReadOnly);
        }
        if self.segments.is_empty() || self.segments.len() > device.max_segments() {
            return Err(BlockError::TooManySegments);
        }
        if self.segments.iter().any(|s| s.len_bytes == 0 || u64::from(s.len_bytes) % SECTOR_SIZE != 0) {
            return Err(BlockError::Misaligned);
        }
        let end = self.sector.checked_add(self.len_bytes() / SECTOR_SIZE);
        if end.is_none_or(|end| end > device.sector_count()) {
            return Err(BlockError::OutOfRange);
        }
        Ok(())
    }
}

/// Why a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// The transfer reaches past the end of the device.
    OutOfRange,
    /// A segment's length is not a positive multiple of the sector size, or a flush has segments.
    Misaligned,
    /// No segment, or more than the device takes in one request.
    TooManySegments,
    /// A write to a read-only device.
    ReadOnly,
    /// The device cannot do this.
    NotSupported,
    /// The device reported an input/output error.
    Device,
    /// The device broke its own rules or stopped answering, and is not used any more.
    Broken,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfRange => "transfer past the end of the device",
            Self::Misaligned => "length is not a multiple of the sector size",
            Self::TooManySegments => "no segment, or too many for one request",
            Self::ReadOnly => "device is read-only",
            Self::NotSupported => "operation not supported by the device",
            Self::Device => "device reported an input/output error",
            Self::Broken => "device broke the protocol or stopped answering",
        })
    }
}

/// Told when a submitted request has ended.
pub trait Completion: Send + Sync {
    /// Called exactly once a request, with interrupts off: no sleeping, no new request (wake a thread for that).
    fn complete(&self, result: Result<(), BlockError>);
}

/// A block device.
///
/// # Implementation safety
/// Not an unsafe trait, but an implementation must not touch a request's segments after it has completed it.
pub trait Block: Send + Sync {
    /// Size in 512-byte sectors.
    fn sector_count(&self) -> u64;
    /// The device's preferred unit in bytes; transfers may be as small as a sector all the same.
    fn block_size(&self) -> u32;
    /// Whether writes are refused.
    fn read_only(&self) -> bool;
    /// Whether [`Operation::Flush`] exists. A device without it writes through.
    fn can_flush(&self) -> bool;
    /// The device's serial string (up to 20 bytes; empty if it has none): how `root0` is told from `root1`.
    fn identity(&self) -> &str;
    /// Segments that one request may have.
    fn max_segments(&self) -> usize;
    /// Whether [`Block::discard`] exists.
    fn can_discard(&self) -> bool {
        false
    }
    /// Sectors whose contents nobody needs any more: the device may forget them, or may not. Sleeps until done.
    fn discard(&self, start_sector: u64, sectors: u64) -> Result<(), BlockError> {
        let _ = (start_sector, sectors);
        Err(BlockError::NotSupported)
    }

    /// Queues a request and returns; `done` is told the end of it. Sleeps while the queue is full. An `Err` means that
    /// nothing was queued and `done` will not be called.
    ///
    /// # Safety
    /// The caller owns the segments' memory and neither frees it, nor (for a read) looks at it, nor (for a write)
    /// changes it, until `done` has been called.
    unsafe fn submit(&self, request: &BlockRequest<'_>, done: Arc<dyn Completion>) -> Result<(), BlockError>;

    /// Carries a request out and sleeps until it has ended, whatever signals arrive.
    ///
    /// # Safety
    /// The caller owns the segments' memory for the length of the call and nobody else touches it.
    unsafe fn transfer(&self, request: &BlockRequest<'_>) -> Result<(), BlockError>;

    /// Reads whole pages from `start_sector` on into `frames`; adjacent frames go as one segment. Sleeps until done.
    ///
    /// # Safety
    /// As for [`Block::transfer`]: each frame is one page that the caller owns.
    unsafe fn read_pages(&self, frames: &[PhysAddr], start_sector: u64) -> Result<(), BlockError> {
        // SAFETY: handed on to our caller.
        unsafe { transfer_pages(self, Operation::Read, frames, start_sector) }
    }

    /// Writes whole pages from `frames` to `start_sector` on. Sleeps until done.
    ///
    /// # Safety
    /// As for [`Block::transfer`]: each frame is one page that the caller owns.
    unsafe fn write_pages(&self, frames: &[PhysAddr], start_sector: u64) -> Result<(), BlockError> {
        // SAFETY: handed on to our caller.
        unsafe { transfer_pages(self, Operation::Write, frames, start_sector) }
    }

    /// Sleeps until all completed writes are on stable storage. Does nothing on a device without a write cache.
    fn flush(&self) -> Result<(), BlockError> {
        if !self.can_flush() {
            return Ok(());
        }
        // SAFETY: a flush has no segments.
        unsafe { self.transfer(&BlockRequest { operation: Operation::Flush, sector: 0, segments: &[] }) }
    }
}

/// Joins adjacent frames to segments and carries them out in as few requests as the device allows.
///
/// # Safety
/// Each frame is one page that the caller owns for the length of the call.
unsafe fn transfer_pages<B: Block + ?Sized>(
    device: &B,
    operation: Operation,
    frames: &[PhysAddr],
    start_sector: u64,
) -> Result<(), BlockError> {
    let limit = device.max_segments().clamp(1, BATCH_SEGMENTS);
    let mut segments = [Segment { start: PhysAddr(0), len_bytes: 0 }; BATCH_SEGMENTS];
    let mut used = 0;
    let mut sector = start_sector;
    let mut batched_bytes = 0;
    let mut frames = frames.iter().copied().peekable();
    while let Some(frame) = frames.next() {
        let joins = used > 0 && {
            let last = &segments[used - 1];
            last.start.0.checked_add(u64::from(last.len_bytes)) == Some(frame.0)
                && last.len_bytes <= u32::MAX - 2 * PAGE_SIZE as u32
        };
        if joins {
            segments[used - 1].len_bytes += PAGE_SIZE as u32;
        } else {
            segments[used] = Segment { start: frame, len_bytes: PAGE_SIZE as u32 };
            used += 1;
        }
        batched_bytes += PAGE_SIZE;
        // The batch ends with the frames, or when the next frame might need a segment that is not there.
        if frames.peek().is_none() || used == limit {
            let request = BlockRequest { operation, sector, segments: &segments[..used] };
            // SAFETY: the segments are the caller's frames, which it owns for the length of this call.
            unsafe { device.transfer(&request)? };
            sector = sector.checked_add(batched_bytes / SECTOR_SIZE).ok_or(BlockError::OutOfRange)?;
            used = 0;
            batched_bytes = 0;
        }
    }
    Ok(())
}
