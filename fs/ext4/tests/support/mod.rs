//! A disk in memory that can be cut off at any moment, and the tools of e2fsprogs as judges.
#![allow(dead_code, reason = "each test file uses its part")]

use ext4::{Device, DeviceError, Error, Kind, NewNode, Options, Time, Volume};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// What reached the disk, in order.
#[derive(Clone, Debug)]
pub enum Event {
    Write(u64, Vec<u8>),
    Flush,
}

/// A disk in memory. It logs what is done to it once that is asked for.
pub struct Disk {
    state: Mutex<State>,
}

struct State {
    bytes: Vec<u8>,
    log: Option<Vec<Event>>,
    fail_writes_after: Option<usize>,
}

impl Disk {
    pub fn new(bytes: Vec<u8>) -> Arc<Disk> {
        Arc::new(Disk { state: Mutex::new(State { bytes, log: None, fail_writes_after: None }) })
    }

    pub fn start_log(&self) {
        self.state.lock().unwrap().log = Some(Vec::new());
    }

    pub fn events(&self) -> usize {
        self.state.lock().unwrap().log.as_ref().map_or(0, Vec::len)
    }

    pub fn log(&self) -> Vec<Event> {
        self.state.lock().unwrap().log.clone().unwrap()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().bytes.clone()
    }

    /// Lets so many more writes through and fails all later ones.
    pub fn fail_writes_after(&self, count: Option<usize>) {
        self.state.lock().unwrap().fail_writes_after = count;
    }
}

impl Device for Disk {
    fn size(&self) -> u64 {
        self.state.lock().unwrap().bytes.len() as u64
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        let state = self.state.lock().unwrap();
        let at = offset as usize;
        into.copy_from_slice(state.bytes.get(at..at + into.len()).ok_or(DeviceError)?);
        Ok(())
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), DeviceError> {
        assert!(
            offset.is_multiple_of(512) && from.len().is_multiple_of(512),
            "a write of {} bytes at {offset}",
            from.len()
        );
        let mut state = self.state.lock().unwrap();
        if let Some(left) = &mut state.fail_writes_after {
            *left = left.checked_sub(1).ok_or(DeviceError)?;
        }
        let at = offset as usize;
        state.bytes.get_mut(at..at + from.len()).ok_or(DeviceError)?.copy_from_slice(from);
        if let Some(log) = &mut state.log {
            log.push(Event::Write(offset, from.to_vec()));
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), DeviceError> {
        if let Some(log) = &mut self.state.lock().unwrap().log {
            log.push(Event::Flush);
        }
        Ok(())
    }
}

/// A small generator, so that a seed is all that a failure needs to say (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// A freshly formatted image of so many MiB. None, loudly, where there is no mkfs.ext4.
pub fn format(mib: u64, options: &[&str]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(mib << 20).unwrap();
    let output = Command::new("mkfs.ext4").args(["-q", "-F"]).args(options).arg(file.path()).output();
    let output = output.expect("mkfs.ext4 (package e2fsprogs) is needed by this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(file.path()).unwrap()
}

/// Writes an image to a sparse file.
pub fn save(bytes: &[u8], path: &Path) {
    use std::os::unix::fs::FileExt;
    let mut file = std::fs::File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (i, chunk) in bytes.chunks(1 << 16).enumerate().filter(|(_, chunk)| chunk.iter().any(|byte| *byte != 0)) {
        file.write_all_at(chunk, (i as u64) << 16).unwrap();
    }
    file.flush().unwrap();
}

/// Runs e2fsck with these options: its exit status and what it said.
pub fn e2fsck(path: &Path, options: &[&str]) -> (i32, String) {
    let output = Command::new("e2fsck").args(options).arg(path).output();
    let output = output.expect("e2fsck (package e2fsprogs) is needed by this test");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// Panics unless e2fsck finds nothing at all to say against an image.
pub fn assert_clean(bytes: &[u8], what: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    save(bytes, file.path());
    let (status, text) = e2fsck(file.path(), &["-f", "-n"]);
    if status != 0 {
        let kept = std::env::temp_dir().join("ext4-failed.img");
        save(bytes, &kept);
        panic!("{what}: e2fsck -fn exits with {status} ({} kept):\n{text}", kept.display());
    }
}

pub fn now(seconds: i64) -> Time {
    Time { seconds: 1_700_000_000 + seconds, nanoseconds: 123_456_789 }
}

pub fn mount(disk: &Arc<Disk>) -> Volume {
    let device: Arc<dyn Device> = disk.clone();
    Volume::mount(device, Options::default(), now(0)).unwrap_or_else(|error| panic!("mount: {error}"))
}

/// Commits when the volume asks for it, as its owner does between operations.
pub fn breathe(volume: &mut Volume) {
    if volume.needs_commit() || volume.needs_checkpoint() {
        volume.commit(now(1)).unwrap();
    }
}

/// Writes bytes into a file as a page cache would: blocks, contents, then that they count.
pub fn write(volume: &mut Volume, inode: u32, offset: u64, data: &[u8]) -> Result<(), Error> {
    let shift = volume.block_shift();
    let size = 1_usize << shift;
    let mut done = 0;
    while done < data.len() {
        let at = offset + done as u64;
        let (logical, within) = ((at >> shift) as u32, at as usize & (size - 1));
        let length = (size - within).min(data.len() - done);
        let mapping = match volume.allocate(inode, logical, 1) {
            Err(Error::NoSpace) if volume.frees_are_pending() => {
                volume.commit(now(2)).unwrap();
                volume.allocate(inode, logical, 1)?
            }
            other => other?,
        };
        let place = mapping.block.unwrap() << shift;
        let mut block = vec![0; size];
        if !mapping.unwritten {
            volume.device().read(place, &mut block)?;
        }
        block[within..within + length].copy_from_slice(&data[done..done + length]);
        volume.device().write(place, &block)?;
        volume.written(inode, logical, 1, at + length as u64)?;
        breathe(volume);
        done += length;
    }
    Ok(())
}

/// A file's bytes.
pub fn read(volume: &mut Volume, inode: u32) -> Vec<u8> {
    let shift = volume.block_shift();
    let size = volume.attributes(inode).unwrap().size;
    let mut data = Vec::new();
    let mut block = vec![0; 1 << shift];
    while (data.len() as u64) < size {
        let mapping = volume.map(inode, (data.len() >> shift) as u32, 1).unwrap();
        match mapping.block.filter(|_| !mapping.unwritten) {
            Some(place) => volume.device().read(place << shift, &mut block).unwrap(),
            None => block.fill(0),
        }
        data.extend_from_slice(&block);
    }
    data.truncate(size as usize);
    data
}

/// Cuts a file, zeroing what stays of its last block.
pub fn truncate(volume: &mut Volume, inode: u32, size: u64) {
    let shift = volume.block_shift();
    let within = size as usize & ((1 << shift) - 1);
    let mapping = volume.map(inode, (size >> shift) as u32, 1).unwrap();
    if let Some(place) = mapping.block.filter(|_| within != 0 && !mapping.unwritten) {
        let mut block = vec![0; 1 << shift];
        volume.device().read(place << shift, &mut block).unwrap();
        block[within..].fill(0);
        volume.device().write(place << shift, &block).unwrap();
    }
    volume.set_size(inode, size, now(3)).unwrap();
    while !volume.trim(inode).unwrap() {
        volume.commit(now(3)).unwrap();
    }
}

pub fn remove(volume: &mut Volume, directory: u32, name: &str) -> Result<(), Error> {
    let gone = volume.unlink(directory, name.as_bytes(), now(4))?;
    if gone.is_last {
        evict(volume, gone.inode);
    }
    Ok(())
}

pub fn evict(volume: &mut Volume, inode: u32) {
    while !volume.evict(inode, now(4)).unwrap() {
        volume.commit(now(4)).unwrap();
    }
}

pub fn file(volume: &mut Volume, directory: u32, name: &str) -> Result<u32, Error> {
    volume.create(directory, name.as_bytes(), &NewNode::Regular, 0o644, now(5))
}

/// Every path of a volume with its kind and contents (a file's bytes, a link's target).
pub fn tree(volume: &mut Volume) -> Vec<(String, Kind, Vec<u8>)> {
    let mut found = Vec::new();
    let mut todo = vec![(String::new(), volume.root())];
    while let Some((path, directory)) = todo.pop() {
        let mut names = Vec::new();
        volume
            .read_directory(directory, 0, &mut |_, inode, kind, name| {
                names.push((String::from_utf8_lossy(name).into_owned(), inode, kind));
                true
            })
            .unwrap();
        for (name, inode, kind) in names {
            let path = format!("{path}/{name}");
            let contents = match kind {
                Kind::Regular => read(volume, inode),
                Kind::Symlink => volume.read_link(inode).unwrap(),
                Kind::Directory => {
                    todo.push((path.clone(), inode));
                    Vec::new()
                }
                _ => Vec::new(),
            };
            found.push((path, kind, contents));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
