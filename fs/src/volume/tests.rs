//! Volumes on a disk in memory whose writes can be held back.
#![allow(unsafe_code, reason = "a block device of the tests reads what its caller owns")]

use super::Ext4;
use crate::file::{File, SyncKind};
use crate::inode::{FileSystem, NewNode};
use crate::metadata::StatusFlags;
use crate::page_cache::PAGE;
use crate::{FsError, FsResult, SliceSink, SliceSource};
use hal::hil::testing::{RamDisk, Writable};
use hal::hil::{Block, BlockError, BlockRequest, Completion, Operation};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What the pages of the test's file are full of.
const CONTENTS: u8 = 0xa5;
/// How long something is watched that must not happen. Too short only makes the test miss a mistake.
const WATCHED: Duration = Duration::from_millis(300);

#[derive(Default)]
struct State {
    is_shut: bool,
    waiting: usize,
}

/// A disk that keeps writes of contents waiting while it is shut; metadata passes.
struct Gate {
    disk: RamDisk,
    state: Mutex<State>,
    changed: Condvar,
    /// First sector and count.
    discarded: Mutex<Vec<(u64, u64)>>,
}

impl Gate {
    fn shut(&self) {
        self.state.lock().expect("no panic").is_shut = true;
    }

    fn open(&self) {
        self.state.lock().expect("no panic").is_shut = false;
        self.changed.notify_all();
    }

    fn await_writer(&self) {
        let state = self.state.lock().expect("no panic");
        drop(self.changed.wait_while(state, |state| state.waiting == 0).expect("no panic"));
    }

    fn pass(&self, request: &BlockRequest<'_>) {
        let is_contents = |start| {
            // SAFETY: the caller of the block trait owns the segment.
            unsafe { *hal::phys_to_virt(start) == CONTENTS }
        };
        if request.operation != Operation::Write || !request.segments.iter().any(|s| is_contents(s.start)) {
            return;
        }
        let mut state = self.state.lock().expect("no panic");
        state.waiting += 1;
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |state| state.is_shut).expect("no panic");
        state.waiting -= 1;
    }
}

impl Block for Gate {
    fn sector_count(&self) -> u64 {
        self.disk.sector_count()
    }
    fn block_size(&self) -> u32 {
        self.disk.block_size()
    }
    fn read_only(&self) -> bool {
        false
    }
    fn can_flush(&self) -> bool {
        true
    }
    fn identity(&self) -> &str {
        self.disk.identity()
    }
    fn max_segments(&self) -> usize {
        self.disk.max_segments()
    }
    fn can_discard(&self) -> bool {
        true
    }
    fn discard(&self, start_sector: u64, sectors: u64) -> Result<(), BlockError> {
        self.discarded.lock().expect("no panic").push((start_sector, sectors));
        Ok(())
    }
    unsafe fn submit(&self, request: &BlockRequest<'_>, done: Arc<dyn Completion>) -> Result<(), BlockError> {
        self.pass(request);
        // SAFETY: the caller's duty is the same.
        unsafe { self.disk.submit(request, done) }
    }
    unsafe fn transfer(&self, request: &BlockRequest<'_>) -> Result<(), BlockError> {
        self.pass(request);
        // SAFETY: the caller's duty is the same.
        unsafe { self.disk.transfer(request) }
    }
}

fn volume() -> (Arc<Gate>, Arc<Ext4>) {
    let image = tempfile::NamedTempFile::new().expect("a file");
    let mut mkfs = Command::new("/usr/sbin/mkfs.ext4");
    let made = mkfs.args(["-q", "-b", "4096"]).arg(image.path()).arg("16M").status().expect("e2fsprogs is installed");
    assert!(made.success());
    let bytes = std::fs::read(image.path()).expect("the image");
    let disk = RamDisk::new("test", bytes, Writable::Yes);
    let gate = Arc::new(Gate { disk, state: Mutex::default(), changed: Condvar::new(), discarded: Mutex::default() });
    let volume = Ext4::mount(gate.clone(), false).expect("a fresh volume mounts");
    (gate, volume)
}

fn write(file: &dyn File, at: u64, pages: usize) -> FsResult<usize> {
    file.write_at(at, &mut SliceSource::new(&vec![CONTENTS; pages * PAGE]))
}

/// Whether `act` waits for the gate.
fn waits(gate: &Gate, act: impl FnOnce() -> FsResult<()> + Send + 'static) -> bool {
    let (done, is_done) = channel();
    let actor = thread::spawn(move || done.send(act()).expect("the test listens"));
    let waited = is_done.recv_timeout(WATCHED) == Err(RecvTimeoutError::Timeout);
    gate.open();
    actor.join().expect("no panic");
    waited
}

#[test]
fn a_sync_of_the_volume_waits_for_a_file_that_another_thread_is_writing_back() {
    for kind in [SyncKind::Data, SyncKind::All] {
        let (gate, volume) = volume();
        let made = volume.root().create(b"file", NewNode::Regular, 0o644).expect("a file");
        let file = made.open(StatusFlags::WRITE).expect("opens");
        write(&*file, 0, 20).expect("room for 20 pages");
        gate.shut();
        let writer = thread::spawn({
            let file = file.clone();
            move || file.sync(kind)
        });
        gate.await_writer();
        assert!(waits(&gate, move || volume.sync()), "pages are on their way, and the sync is done ({kind:?})");
        writer.join().expect("no panic").expect("the file is written");
        let disk = gate.disk.contents();
        let written = disk.chunks(PAGE).filter(|page| page.iter().all(|byte| *byte == CONTENTS)).count();
        assert_eq!(written, 20, "pages on the disk");
    }
}

#[test]
fn what_changes_while_a_file_is_written_back_is_written_by_the_next_sync() {
    let (gate, volume) = volume();
    let made = volume.root().create(b"file", NewNode::Regular, 0o644).expect("a file");
    let file = made.open(StatusFlags::WRITE).expect("opens");
    write(&*file, 0, 4).expect("room");
    gate.shut();
    let writer = thread::spawn({
        let file = file.clone();
        move || file.sync(SyncKind::All)
    });
    gate.await_writer();
    write(&*file, 4 * PAGE as u64, 4).expect("a write does not wait for the device");
    gate.open();
    writer.join().expect("no panic").expect("the file is written");
    volume.sync().expect("a sync");
    let disk = gate.disk.contents();
    assert_eq!(disk.chunks(PAGE).filter(|page| page.iter().all(|byte| *byte == CONTENTS)).count(), 8);
}

/// Pages on the disk that are full of `CONTENTS`.
fn pages_on(gate: &Gate) -> usize {
    gate.disk.contents().chunks(PAGE).filter(|page| page.iter().all(|byte| *byte == CONTENTS)).count()
}

#[test]
fn a_direct_write_is_on_the_device_when_it_returns_and_the_cache_reads_it() {
    let (gate, volume) = volume();
    let made = volume.root().create(b"file", NewNode::Regular, 0o644).expect("a file");
    let file = made.open(StatusFlags::WRITE).expect("opens");
    // In the cache, and dirty, with other bytes.
    file.write_at(0, &mut SliceSource::new(&[1; 10 * PAGE])).expect("room");
    let bytes = vec![CONTENTS; 70 * PAGE];
    assert_eq!(
        file.write_direct(Some(2 * PAGE as u64), &mut SliceSource::new(&bytes)),
        Ok((70 * PAGE, 72 * PAGE as u64))
    );
    assert_eq!(pages_on(&gate), 70);
    let mut read = vec![0; 73 * PAGE];
    assert_eq!(file.read_at(0, &mut SliceSink::new(&mut read)), Ok(72 * PAGE));
    assert!(read[..2 * PAGE].iter().all(|byte| *byte == 1) && read[2 * PAGE..72 * PAGE] == bytes);
    // At the end, in the middle of a block; the rest of which is zeros.
    assert_eq!(file.write_direct(None, &mut SliceSource::new(&[2; 512])), Ok((512, 72 * PAGE as u64 + 512)));
    assert_eq!(file.write_direct(None, &mut SliceSource::new(&[3; 1024])), Ok((1024, 72 * PAGE as u64 + 1536)));
    let mut last = [9; PAGE];
    assert_eq!(file.read_direct(72 * PAGE as u64, &mut SliceSink::new(&mut last)), Ok(1536));
    assert!(last[..512] == [2; 512] && last[512..1536] == [3; 1024]);
    for (offset, len) in [(100, 512), (0, 100), (512, 513)] {
        assert_eq!(file.write_direct(Some(offset), &mut SliceSource::new(&vec![0; len])), Err(FsError::Invalid));
        assert_eq!(file.read_direct(offset, &mut SliceSink::new(&mut vec![0; len])), Err(FsError::Invalid));
    }
    volume.sync().expect("a sync");
    assert_eq!(pages_on(&gate), 70);
}

#[test]
fn what_a_commit_frees_is_discarded_in_long_runs() {
    let (gate, volume) = volume();
    for (name, pages) in [(&b"long"[..], 40), (b"short", 4)] {
        let made = volume.root().create(name, NewNode::Regular, 0o644).expect("a file");
        write(&*made.open(StatusFlags::WRITE).expect("opens"), 0, pages).expect("room");
    }
    volume.sync().expect("a sync");
    let before = gate.disk.contents();
    volume.root().unlink(b"short").expect("it is there");
    volume.root().unlink(b"long").expect("it is there");
    assert_eq!(*gate.discarded.lock().expect("no panic"), [], "not before the commit");
    volume.sync().expect("a sync");
    let discarded = gate.discarded.lock().expect("no panic").clone();
    let sectors_per_page = PAGE / 512;
    assert_eq!(discarded.iter().map(|(_, count)| *count as usize / sectors_per_page).sum::<usize>(), 40);
    for (start, count) in discarded {
        let bytes = &before[start as usize * 512..][..count as usize * 512];
        assert!(bytes.iter().all(|byte| *byte == CONTENTS), "something else was discarded");
    }
}
