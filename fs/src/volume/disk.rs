//! The block device as the engine sees it: bytes at byte offsets, by way of a few bounce pages.
#![allow(unsafe_code, reason = "the block trait's caller owns the frames that the device writes; here is that caller")]

use crate::page_cache::{PAGE, page_bytes, write_bytes};
use alloc::sync::Arc;
use alloc::vec::Vec;
use ext4::{Device, DeviceError};
use hal::addr::PhysAddr;
use hal::hil::{Block, BlockRequest, Operation, SECTOR_SIZE, Segment};
use mm::FrameRef;

/// Pages that travel in one request at the most.
const BATCH: usize = 32;

/// A block device for the engine's metadata. Contents of files do not go through here.
pub struct Disk {
    device: Arc<dyn Block>,
}

impl Disk {
    pub fn new(device: Arc<dyn Block>) -> Self {
        Self { device }
    }

    fn batch(&self) -> usize {
        BATCH.min(self.device.max_segments()).max(1) * PAGE
    }

    fn transfer(&self, operation: Operation, offset: u64, frames: &[FrameRef], len: usize) -> Result<(), DeviceError> {
        let segments: Vec<Segment> = frames
            .iter()
            .enumerate()
            .map(|(i, frame)| Segment { start: PhysAddr(frame.phys().0), len_bytes: (len - i * PAGE).min(PAGE) as u32 })
            .collect();
        let request = BlockRequest { operation, sector: offset / SECTOR_SIZE, segments: &segments };
        // SAFETY: the frames are this call's own and live until it returns.
        unsafe { self.device.transfer(&request) }.map_err(|_| DeviceError)
    }
}

fn bounce(len: usize) -> Result<Vec<FrameRef>, DeviceError> {
    (0..len.div_ceil(PAGE)).map(|_| Ok(mm::frame::alloc().ok_or(DeviceError)?.into_shared())).collect()
}

impl Device for Disk {
    fn size(&self) -> u64 {
        self.device.sector_count().saturating_mul(SECTOR_SIZE)
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        for (piece, at) in into.chunks_mut(self.batch()).zip((offset..).step_by(self.batch())) {
            let frames = bounce(piece.len())?;
            self.transfer(Operation::Read, at, &frames, piece.len())?;
            for (bytes, frame) in piece.chunks_mut(PAGE).zip(&frames) {
                bytes.copy_from_slice(&page_bytes(frame)[..bytes.len()]);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), DeviceError> {
        for (piece, at) in from.chunks(self.batch()).zip((offset..).step_by(self.batch())) {
            let frames = bounce(piece.len())?;
            for (bytes, frame) in piece.chunks(PAGE).zip(&frames) {
                write_bytes(frame, 0, bytes);
            }
            self.transfer(Operation::Write, at, &frames, piece.len())?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), DeviceError> {
        self.device.flush().map_err(|_| DeviceError)
    }
}
