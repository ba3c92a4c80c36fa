//! O_DIRECT: transfers between a program's buffer and the device that leave nothing in the page cache.
//!
//! Bytes go by way of a few frames of the transfer's own, so that a buffer may lie anywhere and may itself be a mapping of the
//! file; Linux asks more or less of its address from version to version. Position and length must be whole sectors where
//! there are blocks, as on Linux's ext4: else `Invalid`. What the cache has of a range is written back before, and
//! forgotten before a write. A file that is mapped is written through the cache and then written back: the two never differ.
#![allow(unsafe_code, reason = "the block trait's caller owns the frames that the device uses; here is that caller")]

use super::contents::Contents;
use crate::io::{Sink, SliceSource, Source};
use crate::page_cache::transfer::{index_of, patiently, within};
use crate::page_cache::{PAGE, copy_in, page_bytes, write_bytes, zero_range};
use crate::{FsError, FsResult, MAX_OFFSET};
use alloc::vec::Vec;
use core::ops::Range;
use ext4::Error;
use hal::addr::PhysAddr;
use hal::hil::{BlockRequest, Operation, SECTOR_SIZE, Segment};
use mm::FrameRef;
use sched::MutexGuard;

/// Pages that travel at once, at the most.
const BATCH: usize = 32;
/// How often somebody else may make a page dirty again before the cache is used.
const PATIENCE: usize = 16;

/// Both locks of a file: nobody reads in, changes or writes back meanwhile.
type Held<'a> = (MutexGuard<'a, ()>, MutexGuard<'a, ()>);

/// Pages that a range of bytes touches.
fn pages_of(offset: u64, len: usize) -> Range<u64> {
    index_of(offset)..(offset + len as u64).div_ceil(PAGE as u64)
}

fn bounce(len: usize) -> FsResult<Vec<FrameRef>> {
    let frame = || patiently(|| Ok(mm::frame::alloc().ok_or(FsError::NoMemory)?.into_shared()));
    (0..len.div_ceil(PAGE)).map(|_| frame()).collect()
}

impl Contents {
    fn batch_bytes(&self) -> usize {
        BATCH.min(self.shared.device.max_segments()).max(1) * PAGE
    }

    /// Whether a transfer begins and ends at borders of sectors, as the device has them.
    fn is_aligned(&self, offset: u64, len: usize) -> bool {
        (offset | len as u64).is_multiple_of(u64::from(self.shared.device.block_size()).max(SECTOR_SIZE))
    }

    /// Holds the file with no page of a range dirty or on its way to the device. None when others are faster again and again.
    fn lock_clean(&self, pages: Range<u64>) -> FsResult<Option<Held<'_>>> {
        for _ in 0..PATIENCE {
            let held = (self.content.lock(), self.writing.lock());
            let mut is_dirty = false;
            self.pages.lock().tree.visit(pages.start, &mut |index, page| {
                is_dirty = index < pages.end && page.dirty;
                index < pages.end && !is_dirty
            });
            if !is_dirty {
                return Ok(Some(held));
            }
            drop(held);
            self.write_pages(pages.clone())?;
        }
        Ok(None)
    }

    /// Reads past the cache.
    pub fn read_direct(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        let mut done = 0;
        let total = sink.remaining();
        while done < total {
            let at = offset + done as u64;
            let len = (total - done).min(self.batch_bytes());
            let frames = bounce(len)?;
            let Some(held) = self.lock_clean(pages_of(at, len))? else { return Ok(done + self.read_at(at, sink)?) };
            let count = len.min(self.len_bytes().saturating_sub(at).min(len as u64) as usize);
            let is_aligned = self.is_aligned(offset, total);
            self.fetch_direct(at, count, len, is_aligned, &frames)?;
            drop(held);
            let mut put = 0;
            for (frame, from) in frames.iter().zip((0..count).step_by(PAGE)) {
                match sink.put(&page_bytes(frame)[..(count - from).min(PAGE)]) {
                    Err(error) if done + put == 0 => return Err(error),
                    Err(_) => break,
                    Ok(moved) => put += moved,
                }
            }
            done += put;
            if put < len {
                break;
            }
        }
        Ok(done)
    }

    /// Fills frames with `count` bytes of the file from `offset` on; the device may be asked for up to `len`.
    fn fetch_direct(
        &self,
        offset: u64,
        count: usize,
        len: usize,
        is_aligned: bool,
        frames: &[FrameRef],
    ) -> FsResult<()> {
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let (logical, end) = (index_of(at), pages_of(offset, count).end);
            let logical = u32::try_from(logical).map_err(|_| FsError::TooBig)?;
            let most = (end - u64::from(logical)) as u32;
            let mapping = self.shared.look(|volume| volume.map(self.number, logical, most))?;
            let mapped_end = (u64::from(logical) + u64::from(mapping.length)) * PAGE as u64;
            let piece = (mapped_end - at).min((len - done) as u64) as usize;
            match mapping.block.filter(|_| !mapping.unwritten) {
                Some(_) if !is_aligned => return Err(FsError::Invalid),
                Some(block) => self.move_direct(Operation::Read, block, within(at), frames, done, piece)?,
                None => clear(frames, done, piece),
            }
            done += piece;
        }
        Ok(())
    }

    /// Writes past the cache, at the end of the file if no offset is given. The count and the offset behind what was written.
    pub fn write_direct(&self, offset: Option<u64>, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        let mut at = offset;
        let mut done = 0;
        let total = source.remaining();
        while done < total {
            let len = (total - done).min(self.batch_bytes());
            let frames = bounce(len)?;
            let mut count = 0;
            while count < len {
                match copy_in(&frames[count / PAGE], count % PAGE, (len - count).min(PAGE - count % PAGE), source) {
                    Err(error) if done + count == 0 => return Err(error),
                    Err(_) | Ok(0) => break,
                    Ok(moved) => count += moved,
                }
            }
            // Cut short by a fault: whole sectors of it.
            let count = if count < len { count - count % SECTOR_SIZE as usize } else { count };
            if count == 0 {
                return if done == 0 { Err(FsError::Fault) } else { Ok((done, at.unwrap_or_default())) };
            }
            let result = self.write_frames(at, total, &frames, count);
            match result {
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
                Ok((written, end)) => {
                    done += written;
                    at = Some(end);
                    if written < len {
                        break;
                    }
                }
            }
        }
        Ok((done, at.unwrap_or_else(|| self.len_bytes())))
    }

    fn write_frames(
        &self,
        offset: Option<u64>,
        total: usize,
        frames: &[FrameRef],
        count: usize,
    ) -> FsResult<(usize, u64)> {
        loop {
            let at = offset.unwrap_or_else(|| self.len_bytes());
            if !self.is_aligned(at, total) {
                return Err(FsError::Invalid);
            }
            if at.checked_add(count as u64).is_none_or(|end| end > MAX_OFFSET) {
                return Err(FsError::TooBig);
            }
            let held = self.lock_clean(pages_of(at, count))?;
            if offset.is_none() && self.len_bytes() != at {
                continue;
            }
            let written = match held.filter(|_| !self.is_mapped()) {
                Some(held) => {
                    self.drop_pages(pages_of(at, count));
                    let written = self.store_direct(at, frames, count);
                    drop(held);
                    written?
                }
                None => return self.write_through(offset, frames, count),
            };
            return Ok((written, at + written as u64));
        }
    }

    /// The way of files that are mapped.
    fn write_through(&self, offset: Option<u64>, frames: &[FrameRef], count: usize) -> FsResult<(usize, u64)> {
        let content = self.content.lock();
        let at = offset.unwrap_or_else(|| self.len_bytes());
        let mut done = 0;
        for frame in frames {
            let len = (count - done).min(PAGE);
            done += self.write_locked(at + done as u64, &mut SliceSource::new(&page_bytes(frame)[..len]))?;
        }
        drop(content);
        self.write_pages(pages_of(at, count))?;
        Ok((done, at + done as u64))
    }

    /// Sends `count` bytes in frames to the file's blocks from `offset` on.
    fn store_direct(&self, offset: u64, frames: &[FrameRef], count: usize) -> FsResult<usize> {
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let logical = index_of(at);
            let most = pages_of(at, count - done).end - logical;
            let logical = u32::try_from(logical).ok().filter(|logical| *logical < u32::MAX - 512);
            let logical = logical.ok_or(FsError::TooBig)?;
            let number = self.number;
            let mapping = match self.shared.change(|volume| volume.allocate(number, logical, most as u32)) {
                Err(FsError::NoSpace) if done > 0 => return Ok(done),
                result => result?,
            };
            let block = mapping.block.ok_or(FsError::Io)?;
            let mapped_end = (u64::from(logical) + u64::from(mapping.length)) * PAGE as u64;
            let mut piece = (mapped_end - at).min((count - done) as u64) as usize;
            let is_partial = within(at) > 0 || piece < PAGE;
            let sent = if mapping.unwritten && is_partial {
                // The rest of a block that becomes a written one is zeros.
                piece = piece.min(PAGE - within(at));
                let whole = bounce(PAGE)?;
                zero_range(&whole[0], 0, PAGE);
                copy_between(frames, done, &whole[0], within(at), piece);
                self.move_direct(Operation::Write, block, 0, &whole, 0, PAGE)
            } else {
                piece -= if mapping.unwritten { piece % PAGE } else { 0 };
                self.move_direct(Operation::Write, block, within(at), frames, done, piece)
            };
            if sent.is_err() {
                self.shared.give_up(Error::Io);
                return Err(FsError::Io);
            }
            let end = at + piece as u64;
            let size = self.len_bytes().max(end);
            let blocks = (pages_of(at, piece).end - u64::from(logical)) as u32;
            self.shared.change(|volume| volume.written(number, logical, blocks, size))?;
            self.pages.lock().size = size;
            done += piece;
        }
        Ok(done)
    }

    /// Moves `len` bytes between byte `offset` of the device's `block` and byte `from` of the frames, both at a sector.
    fn move_direct(
        &self,
        operation: Operation,
        block: u64,
        offset: usize,
        frames: &[FrameRef],
        from: usize,
        len: usize,
    ) -> FsResult<()> {
        let mut segments = Vec::with_capacity(frames.len());
        let mut at = from;
        while at < from + len {
            let piece = (from + len - at).min(PAGE - at % PAGE);
            let start = PhysAddr(frames[at / PAGE].phys().0 + (at % PAGE) as u64);
            segments.push(Segment { start, len_bytes: piece as u32 });
            at += piece;
        }
        let sector = (block * PAGE as u64 + offset as u64) / SECTOR_SIZE;
        let request = BlockRequest { operation, sector, segments: &segments };
        // SAFETY: the frames are this transfer's own, in no page table and no cache, and live until it returns.
        unsafe { self.shared.device.transfer(&request)? };
        Ok(())
    }
}

fn clear(frames: &[FrameRef], from: usize, len: usize) {
    let mut at = from;
    while at < from + len {
        let piece = (from + len - at).min(PAGE - at % PAGE);
        zero_range(&frames[at / PAGE], at % PAGE, piece);
        at += piece;
    }
}

/// Copies `len` bytes from byte `from` of the frames to byte `to` of a page.
fn copy_between(frames: &[FrameRef], from: usize, page: &FrameRef, to: usize, len: usize) {
    let mut done = 0;
    while done < len {
        let at = from + done;
        let piece = (len - done).min(PAGE - at % PAGE);
        write_bytes(page, to + done, &page_bytes(&frames[at / PAGE])[at % PAGE..at % PAGE + piece]);
        done += piece;
    }
}
