//! Block devices in pages: frames filled by the device, and the device's own pages as a cache for metadata.
#![allow(unsafe_code, reason = "the block trait's caller owns the frames that the device writes; here is that caller")]

use crate::page_cache::{FileCache, PAGE, PageSource, zero_range};
use crate::{FsError, FsResult};
use alloc::{string::String, sync::Arc, vec::Vec};
use hal::addr::PhysAddr;
use hal::hil::{Block, BlockRequest, Operation, SECTOR_SIZE, Segment};
use mm::FrameRef;

/// Sectors in a page.
const SECTORS: u64 = PAGE as u64 / SECTOR_SIZE;

/// A block device with its page cache.
pub struct BlockDevice {
    device: Arc<dyn Block>,
    pages: Arc<FileCache>,
}

/// The device seen as a file.
struct Whole(Arc<dyn Block>);

impl PageSource for Whole {
    fn fill(&self, first: u64, frames: &[FrameRef]) -> FsResult<()> {
        read_pages(&*self.0, first, frames)
    }
    fn dev_ino(&self) -> (u64, u64) {
        (0, 0)
    }
}

impl BlockDevice {
    /// A device; its cache fills as metadata is read.
    pub fn new(device: Arc<dyn Block>) -> Arc<Self> {
        let size = device.sector_count().saturating_mul(SECTOR_SIZE);
        Arc::new(Self { pages: FileCache::new(size, Arc::new(Whole(device.clone()))), device })
    }

    /// Bytes on the device.
    pub fn len_bytes(&self) -> u64 {
        self.pages.len_bytes()
    }

    /// The device's serial string.
    pub fn identity(&self) -> String {
        String::from(self.device.identity())
    }

    /// The device's own pages: metadata. File contents do not go through here.
    pub fn pages(&self) -> &Arc<FileCache> {
        &self.pages
    }

    /// Fills `frames` from page `first` of the device on; behind its end are zeros. Adjacent frames and pages travel in
    /// one request. Sleeps.
    pub fn read_pages(&self, first: u64, frames: &[FrameRef]) -> FsResult<()> {
        read_pages(&*self.device, first, frames)
    }
}

fn phys(frame: &FrameRef) -> PhysAddr {
    PhysAddr(frame.phys().0)
}

fn read_pages(device: &dyn Block, first: u64, frames: &[FrameRef]) -> FsResult<()> {
    let sectors = device.sector_count();
    let start = first.checked_mul(SECTORS).filter(|&start| start < sectors).ok_or(FsError::Io)?;
    let whole = ((sectors - start) / SECTORS).min(frames.len() as u64) as usize;
    if whole > 0 {
        let addresses: Vec<PhysAddr> = frames[..whole].iter().map(phys).collect();
        // SAFETY: `frames` are fresh: counted by the caller, in no page table and no cache until this has returned.
        unsafe { device.read_pages(&addresses, start)? };
    }
    for (index, frame) in frames.iter().enumerate().skip(whole) {
        let left = (sectors - start).saturating_sub(index as u64 * SECTORS).min(SECTORS - 1);
        let len = (left * SECTOR_SIZE) as usize;
        if left > 0 {
            let segment = Segment { start: phys(frame), len_bytes: len as u32 };
            let request = BlockRequest {
                operation: Operation::Read,
                sector: start + index as u64 * SECTORS,
                segments: &[segment],
            };
            // SAFETY: as above.
            unsafe { device.transfer(&request)? };
        }
        zero_range(frame, len, PAGE - len);
    }
    Ok(())
}
