//! Dirty pages to the device.
#![allow(
    unsafe_code,
    reason = "the block trait's caller owns the frames that the device reads and writes; here is that caller"
)]

use super::contents::Contents;
use crate::page_cache::PAGE;
use crate::{FsError, FsResult};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::Ordering;
use ext4::Error;
use hal::addr::PhysAddr;
use hal::hil::{Block, SECTOR_SIZE};
use mm::FrameRef;
use mm::space::PrivateCopies;

/// Sectors in a page, which is also a block of the volume.
const SECTORS_PER_PAGE: u64 = PAGE as u64 / SECTOR_SIZE;
/// Pages that are taken at once.
const BATCH: usize = 128;

/// Reads blocks of 4 KiB into fresh frames. Sleeps.
pub(super) fn read_pages(device: &dyn Block, block: u64, frames: &[FrameRef]) -> FsResult<()> {
    let addresses: Vec<PhysAddr> = frames.iter().map(|frame| PhysAddr(frame.phys().0)).collect();
    // SAFETY: the frames are fresh: in no page table and no cache until this has returned.
    unsafe { device.read_pages(&addresses, block * SECTORS_PER_PAGE)? };
    Ok(())
}

/// Rising numbers as ranges of neighbours: one shoot-down for each, not one for each page.
fn runs(numbers: impl Iterator<Item = u64>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for number in numbers {
        match runs.last_mut().filter(|run| run.end == number) {
            Some(run) => run.end += 1,
            None => runs.push(number..number + 1),
        }
    }
    runs
}

impl Contents {
    /// Writes the dirty ones of some pages to the device and enters them in the file. Safe only after a commit.
    pub(super) fn write_pages(&self, range: Range<u64>) -> FsResult<()> {
        let _turn = self.writing.lock();
        let mut from = range.start;
        loop {
            let batch = self.take_dirty(from..range.end);
            let Some((last, _, _)) = batch.last() else { return Ok(()) };
            from = last + 1;
            // Stores through mappings must fault from here on, so that the page becomes dirty again.
            let mapped = batch.iter().filter(|(_, _, mapped)| *mapped).map(|(index, _, _)| *index);
            runs(mapped).into_iter().for_each(|run| self.invalidate(run, PrivateCopies::Keep));
            if let Err(error) = self.send(&batch) {
                self.put_back(&batch);
                return Err(error);
            }
        }
    }

    /// The first dirty pages of a range, clean from now on: index, frame, and whether mappings have written to them.
    fn take_dirty(&self, range: Range<u64>) -> Vec<(u64, FrameRef, bool)> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut pages = self.pages.lock();
        let mut found = [0; BATCH];
        let mut count = 0;
        pages.tree.visit(range.start, &mut |index, page| {
            if index >= range.end || count == BATCH {
                return false;
            }
            if page.dirty {
                found[count] = index;
                count += 1;
            }
            true
        });
        for index in &found[..count] {
            if let Some(page) = pages.tree.get_mut(*index) {
                page.dirty = false;
                let mapped = core::mem::take(&mut page.is_written_by_mappings);
                batch.push((*index, page.frame.clone(), mapped));
            }
        }
        drop(pages);
        self.shared.dirty_pages.fetch_sub(batch.len() as u64, Ordering::Relaxed);
        batch
    }

    fn put_back(&self, batch: &[(u64, FrameRef, bool)]) {
        let mut pages = self.pages.lock();
        for (index, ..) in batch {
            if let Some(page) = pages.tree.get_mut(*index)
                && !core::mem::replace(&mut page.dirty, true)
            {
                self.shared.dirty_pages.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn send(&self, batch: &[(u64, FrameRef, bool)]) -> FsResult<()> {
        let mut rest = batch;
        while let Some((first, _, _)) = rest.first() {
            let run = (0..rest.len()).take_while(|&i| rest[i].0 == first + i as u64).count();
            let logical = *first as u32;
            let number = self.number;
            let mapping = self.shared.look(|volume| volume.map(number, logical, run as u32))?;
            let count = mapping.length as usize;
            let (now, later) = rest.split_at(count);
            rest = later;
            // Cut off or punched out meanwhile.
            let Some(block) = mapping.block else { continue };
            let addresses: Vec<PhysAddr> = now.iter().map(|(_, frame, _)| PhysAddr(frame.phys().0)).collect();
            // SAFETY: the frames are counted by `batch`. The application may store to them through mappings meanwhile:
            // then the page is dirty again, and is written again.
            if unsafe { self.shared.device.write_pages(&addresses, block * SECTORS_PER_PAGE) }.is_err() {
                self.shared.give_up(Error::Io);
                return Err(FsError::Io);
            }
            let size = self.len_bytes().min((first + count as u64) * PAGE as u64);
            self.shared.change(|volume| volume.written(number, logical, count as u32, size))?;
        }
        Ok(())
    }
}
