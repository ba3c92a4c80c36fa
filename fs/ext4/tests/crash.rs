//! Power cuts: every write and flush of a random load is logged, the disk is rebuilt as it may be after a cut at any
//! point (all that came before the last flush, any part of what came after it, writes torn at sectors), and then e2fsck
//! must be able to repair it by itself and every byte that was synced must be there.
//!
//! The superblock's two sectors count as one: their common checksum lies in the second, the format has no answer to a
//! tear between them, and Linux relies on the disk too.

mod support;

use ext4::{Error, Kind, NewNode, RenameMode, Volume};
use std::collections::BTreeMap;
use support::*;

/// Contents by path, of a moment when a sync had returned.
type Tree = BTreeMap<String, Vec<u8>>;

/// What was true from an event of the log on.
struct Synced {
    event: usize,
    tree: Tree,
}

struct Load {
    random: Random,
    now: Tree,
    /// Paths touched since the last sync: a cut may show them old or new.
    touched: Vec<String>,
    synced: Vec<Synced>,
}

const DIRECTORIES: u64 = 4;
/// Where the superblock lies.
const SUPERBLOCK: usize = 1024;

impl Load {
    fn path(&mut self) -> (u64, String) {
        (self.random.below(DIRECTORIES), format!("f{}", self.random.below(12)))
    }

    fn step(&mut self, volume: &mut Volume, directories: &[u32], disk: &Disk) {
        breathe(volume);
        let (d, name) = self.path();
        let (directory, path) = (directories[d as usize], format!("/d{d}/{name}"));
        match self.random.below(10) {
            0..=4 => {
                let inode = match volume.lookup(directory, name.as_bytes()) {
                    Ok(inode) => inode,
                    Err(_) => file(volume, directory, &name).unwrap(),
                };
                let length = self.now.get(&path).map_or(0, Vec::len) as u64;
                let offset = self.random.below(length + 9000);
                let data: Vec<u8> = (0..=self.random.below(12_000)).map(|_| self.random.next() as u8).collect();
                self.touched.push(path.clone());
                match write(volume, inode, offset, &data) {
                    Ok(()) => {}
                    Err(error) => panic!("write: {error:?}"),
                }
                let contents = self.now.entry(path).or_default();
                let end = offset as usize + data.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[offset as usize..end].copy_from_slice(&data);
            }
            5 => {
                if let Ok(inode) = volume.lookup(directory, name.as_bytes()) {
                    let length = self.now[&path].len() as u64;
                    let size = self.random.below(length + 1);
                    self.touched.push(path.clone());
                    truncate(volume, inode, size);
                    self.now.get_mut(&path).unwrap().truncate(size as usize);
                }
            }
            6 => {
                self.touched.push(path.clone());
                match remove(volume, directory, &name) {
                    Ok(()) => drop(self.now.remove(&path)),
                    Err(error) => assert_eq!(error, Error::NotFound),
                }
            }
            7 => {
                let (to, new_name) = self.path();
                let new_path = format!("/d{to}/{new_name}");
                self.touched.extend([path.clone(), new_path.clone()]);
                let target = directories[to as usize];
                match volume.rename(
                    directory,
                    name.as_bytes(),
                    target,
                    new_name.as_bytes(),
                    RenameMode::Replace,
                    now(6),
                ) {
                    Ok(gone) => {
                        if let Some(gone) = gone.filter(|gone| gone.is_last) {
                            evict(volume, gone.inode);
                        }
                        let contents = self.now.remove(&path).unwrap();
                        self.now.insert(new_path, contents);
                    }
                    Err(error) => assert_eq!(error, Error::NotFound),
                }
            }
            8 => {
                let name = format!("sub{}", self.random.below(40));
                match volume.create(directory, name.as_bytes(), &NewNode::Directory, 0o755, now(6)) {
                    Ok(_) => (),
                    Err(Error::Exists) => {
                        let gone = volume.rmdir(directory, name.as_bytes(), now(6)).unwrap();
                        evict(volume, gone.inode);
                    }
                    Err(error) => panic!("create: {error:?}"),
                }
            }
            _ => {
                volume.commit(now(6)).unwrap();
                self.touched.clear();
                self.synced.push(Synced { event: disk.events(), tree: self.now.clone() });
            }
        }
        if self.random.one_in(60) {
            volume.checkpoint().unwrap();
        }
    }
}

/// The disk after a cut behind `cut` events.
fn rebuild(image: &[u8], log: &[Event], cut: usize, random: &mut Random) -> Vec<u8> {
    let mut disk = image.to_vec();
    let flushed = log[..cut].iter().rposition(|event| matches!(event, Event::Flush)).unwrap_or(0);
    let mut later = Vec::new();
    let mode = random.below(3);
    for (i, event) in log[..cut].iter().enumerate() {
        let Event::Write(offset, data) = event else { continue };
        if i < flushed {
            disk[*offset as usize..*offset as usize + data.len()].copy_from_slice(data);
            continue;
        }
        let (mut at, mut rest) = (*offset as usize, &data[..]);
        while !rest.is_empty() {
            let unit = if at == SUPERBLOCK && rest.len() >= 1024 { 1024 } else { 512 };
            let (bytes, others) = rest.split_at(unit);
            later.push((at, bytes));
            (at, rest) = (at + unit, others);
        }
        if mode == 0 {
            // Kept as it came, all of it.
            for (at, bytes) in later.drain(..) {
                disk[at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
    let share = random.below(101);
    // In any order: two writes of one sector are both among them.
    for i in (1..later.len()).rev() {
        let other = random.below(i as u64 + 1) as usize;
        if mode == 2 {
            later.swap(i, other);
        }
    }
    for (at, bytes) in later {
        if random.below(100) < share {
            disk[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }
    disk
}

fn run(seed: u64, options: &[&str], steps: usize, cuts: usize) {
    let disk = Disk::new(format(48, options));
    let mut volume = mount(&disk);
    let root = volume.root();
    let directories: Vec<u32> = (0..DIRECTORIES)
        .map(|d| volume.create(root, format!("d{d}").as_bytes(), &NewNode::Directory, 0o755, now(0)).unwrap())
        .collect();
    volume.unmount(now(0)).unwrap();
    let image = disk.bytes();
    disk.start_log();
    let mut volume = mount(&disk);
    let mut load = Load { random: Random::new(seed), now: Tree::new(), touched: Vec::new(), synced: Vec::new() };
    load.synced.push(Synced { event: 0, tree: Tree::new() });
    let mut touched: Vec<(usize, String)> = Vec::new();
    for _ in 0..steps {
        let before = disk.events();
        let known = load.touched.len();
        load.step(&mut volume, &directories, &disk);
        touched.extend(load.touched.iter().skip(known).map(|path| (before, path.clone())));
    }
    let log = disk.log();
    let mut random = Random::new(seed ^ 0xabcd);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut checked = 0;
    for _ in 0..cuts {
        // The first events, while mounting, are cut more often than their share.
        let cut = if random.one_in(10) { random.below(12) } else { random.below(log.len() as u64 + 1) } as usize;
        let cut = cut.min(log.len());
        let crashed = rebuild(&image, &log, cut, &mut random);
        let what = format!("seed {seed}, {options:?}, cut behind event {cut} of {}", log.len());
        save(&crashed, file.path());
        let (status, text) = e2fsck(file.path(), &["-f", "-p"]);
        let kept = || {
            let kept = std::env::temp_dir().join("ext4-crash.img");
            save(&crashed, &kept);
            kept.display().to_string()
        };
        assert!(status & !1 == 0, "{what}: e2fsck -fp exits with {status} ({} kept):\n{text}", kept());
        let (status, text) = e2fsck(file.path(), &["-f", "-n"]);
        assert!(status == 0, "{what}: e2fsck -fn exits with {status} after -p ({} kept):\n{text}", kept());
        // Our own replay, on the disk as the cut left it.
        let ours = Disk::new(crashed.clone());
        let mut volume = mount(&ours);
        let found: Tree = tree(&mut volume)
            .into_iter()
            .filter(|(_, kind, _)| *kind == Kind::Regular)
            .map(|(path, _, contents)| (path, contents))
            .collect();
        let synced = load.synced.iter().rev().find(|synced| synced.event <= cut).unwrap();
        for path in synced.tree.keys().chain(found.keys()) {
            let may_differ =
                touched.iter().any(|(event, other)| *event >= synced.event && *event <= cut && other == path);
            if !may_differ {
                assert!(
                    found.get(path) == synced.tree.get(path),
                    "{what}: {path} is not as it was synced ({} kept)",
                    kept()
                );
                checked += 1;
            }
        }
        volume.unmount(now(9)).unwrap();
        assert_clean(&ours.bytes(), &format!("{what}, replayed here"));
    }
    println!("{options:?}, seed {seed}: {cuts} cuts in {} events, {checked} synced files checked", log.len());
    assert!(checked > cuts, "hardly anything was checked");
}

#[test]
fn power_cuts_with_a_small_journal() {
    run(1, &["-b", "4096", "-J", "size=4"], 400, cuts(200));
}

#[test]
fn power_cuts_with_small_blocks() {
    run(2, &["-b", "1024", "-J", "size=1"], 400, cuts(150));
}

#[test]
fn power_cuts_without_checksums() {
    run(3, &["-b", "4096", "-O", "^metadata_csum,^64bit", "-J", "size=4"], 300, cuts(75));
}

#[test]
fn power_cuts_by_a_fresh_seed() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    run(seed, &["-b", "4096", "-J", "size=4"], 400, cuts(75));
}

/// So many, or times `$EXT4_CUTS`.
fn cuts(count: usize) -> usize {
    count * std::env::var("EXT4_CUTS").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1)
}
