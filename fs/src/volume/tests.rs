//! Volumes on a disk in memory whose writes can be held back.
#![allow(unsafe_code, reason = "a block device of the tests reads what its caller owns")]

use super::Ext4;
use crate::file::{File, SyncKind};
use crate::inode::{FileSystem, NewNode};
use crate::metadata::StatusFlags;
use crate::page_cache::PAGE;
use crate::{FsResult, SliceSource};
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
    let gate = Arc::new(Gate { disk, state: Mutex::default(), changed: Condvar::new() });
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
