//! What this crate writes, judged by e2fsck and read back by another implementation.

mod support;

use ext4::{Error, NewNode, RenameMode, XattrMode};
use std::collections::BTreeMap;
use support::*;

/// The formats that a user may bring.
const FORMATS: [&[&str]; 5] = [
    &["-b", "4096"],
    &["-b", "1024"],
    &["-b", "2048", "-O", "^metadata_csum,uninit_bg"],
    &["-b", "4096", "-O", "^64bit", "-I", "512"],
    &["-b", "4096", "-O", "^metadata_csum,^dir_index,^flex_bg", "-I", "128"],
];

fn check(volume: ext4::Volume, disk: &Disk, what: &str) {
    volume.unmount(now(9)).unwrap();
    assert_clean(&disk.bytes(), what);
}

#[test]
fn an_untouched_volume_stays_clean() {
    for options in FORMATS {
        let disk = Disk::new(format(48, options));
        check(mount(&disk), &disk, &format!("{options:?}"));
    }
}

#[test]
fn a_few_of_everything() {
    for options in FORMATS {
        let disk = Disk::new(format(48, options));
        let mut volume = mount(&disk);
        let root = volume.root();
        let directory = volume.create(root, b"directory", &NewNode::Directory, 0o755, now(0)).unwrap();
        let one = file(&mut volume, directory, "file").unwrap();
        write(&mut volume, one, 10_000, b"behind a hole").unwrap();
        volume.link(root, b"hard", one, now(0)).unwrap();
        volume.create(root, b"short", &NewNode::Symlink(b"directory/file".to_vec()), 0o777, now(0)).unwrap();
        volume.create(root, b"long", &NewNode::Symlink(vec![b'x'; 900]), 0o777, now(0)).unwrap();
        volume.create(root, b"pipe", &NewNode::Fifo, 0o600, now(0)).unwrap();
        volume.create(root, b"null", &NewNode::CharDevice(0x103), 0o666, now(0)).unwrap();
        volume.set_xattr(one, b"user.small", b"value", XattrMode::Create, now(0)).unwrap();
        volume.set_xattr(one, b"user.large", &[7; 700], XattrMode::Any, now(0)).unwrap();
        assert_eq!(volume.set_xattr(one, b"user.small", b"", XattrMode::Create, now(0)), Err(Error::Exists));
        assert_eq!(volume.xattr(one, b"user.large").unwrap(), [7; 700]);
        assert_eq!(volume.xattr(one, b"user.none"), Err(Error::NoData));
        let mut expected = vec![0; 10_000];
        expected.extend_from_slice(b"behind a hole");
        assert_eq!(read(&mut volume, one), expected);
        check(volume, &disk, &format!("{options:?}"));
        let mut volume = mount(&disk);
        assert_eq!(read(&mut volume, one), expected);
        assert_eq!(volume.xattrs(one).unwrap().len(), 2);
        volume.remove_xattr(one, b"user.large", now(0)).unwrap();
        remove(&mut volume, directory, "file").unwrap();
        remove(&mut volume, root, "hard").unwrap();
        assert_eq!(volume.rmdir(root, b"directory", now(0)).map(|gone| gone.inode), Ok(directory));
        evict(&mut volume, directory);
        check(volume, &disk, &format!("{options:?}, removed"));
    }
}

#[test]
fn names_by_the_thousand() {
    for options in FORMATS {
        let disk = Disk::new(format(64, options));
        let mut volume = mount(&disk);
        let root = volume.root();
        let count = if options.contains(&"1024") { 12_000 } else { 15_000 };
        let inode = file(&mut volume, root, "first").unwrap();
        let mut links = 1;
        let mut target = inode;
        for i in 0..count {
            // Hard links, so that the names are many and the inodes few.
            if links == 60_000 {
                target = file(&mut volume, root, &format!("target {i}")).unwrap();
                links = 1;
            }
            volume.link(root, format!("a rather long name, number {i}").as_bytes(), target, now(0)).unwrap();
            links += 1;
            breathe(&mut volume);
        }
        for i in (0..count).step_by(7) {
            assert_eq!(volume.lookup(root, format!("a rather long name, number {i}").as_bytes()), Ok(inode));
        }
        assert_eq!(volume.lookup(root, b"a rather long name, number x"), Err(Error::NotFound));
        let mut seen = 0;
        let mut cursor = 0;
        loop {
            let before = seen;
            let mut left = 100;
            volume
                .read_directory(root, cursor, &mut |next, _, _, _| {
                    cursor = next;
                    seen += 1;
                    left -= 1;
                    left > 0
                })
                .unwrap();
            if seen == before {
                break;
            }
        }
        assert_eq!(seen, count + 2, "{options:?}");
        for i in 0..count {
            volume.unlink(root, format!("a rather long name, number {i}").as_bytes(), now(0)).unwrap();
            breathe(&mut volume);
        }
        check(volume, &disk, &format!("{options:?}"));
    }
}

/// Reads a directory in small pieces and lets `between` change it between them.
fn read_slowly(volume: &mut ext4::Volume, directory: u32, between: &mut dyn FnMut(&mut ext4::Volume)) -> Vec<String> {
    let mut seen = Vec::new();
    let mut cursor = 0;
    loop {
        let mut left = 7;
        let from = cursor;
        let mut names = Vec::new();
        let mut each = |next: u64, _inode: u32, _kind: ext4::Kind, name: &[u8]| {
            assert!(next > cursor, "cursors rise");
            (cursor, left) = (next, left - 1);
            names.push(String::from_utf8_lossy(name).into_owned());
            left > 0
        };
        volume.read_directory(directory, from, &mut each).unwrap();
        if names.is_empty() {
            return seen;
        }
        seen.append(&mut names);
        between(volume);
    }
}

#[test]
fn a_name_that_stays_is_read_once_while_others_come_and_go() {
    const STAY: usize = 1500;
    for options in FORMATS {
        // From one block, without a tree, and from many.
        for at_first in [20, STAY] {
            let disk = Disk::new(format(48, options));
            let mut volume = mount(&disk);
            let directory = volume.create(volume.root(), b"directory", &NewNode::Directory, 0o755, now(0)).unwrap();
            let target = file(&mut volume, directory, "stays 0").unwrap();
            for i in 1..at_first {
                volume.link(directory, format!("stays {i}").as_bytes(), target, now(0)).unwrap();
            }
            let (mut made, mut gone) = (0, 0);
            let seen = read_slowly(&mut volume, directory, &mut |volume| {
                let limit = if at_first == STAY { 4000 } else { 400 };
                for _ in 0..limit.min(made + 100) - made {
                    volume.link(directory, format!("comes {made}").as_bytes(), target, now(0)).unwrap();
                    made += 1;
                }
                while gone < made / 2 {
                    volume.unlink(directory, format!("comes {gone}").as_bytes(), now(0)).unwrap();
                    gone += 1;
                }
                breathe(volume);
            });
            let mut times = vec![0; at_first];
            for name in seen {
                if let Some(i) = name.strip_prefix("stays ") {
                    times[i.parse::<usize>().unwrap()] += 1;
                }
            }
            let wrong: Vec<_> = times.iter().enumerate().filter(|(_, times)| **times != 1).collect();
            assert!(made > 100, "hardly anything came while it was read");
            assert!(wrong.is_empty(), "{options:?}, {at_first} names: number and how often: {wrong:?}");
            check(volume, &disk, &format!("{options:?}"));
        }
    }
}

#[test]
fn a_file_in_thousands_of_pieces() {
    for options in FORMATS {
        let disk = Disk::new(format(64, options));
        let mut volume = mount(&disk);
        let root = volume.root();
        let (one, two) = (file(&mut volume, root, "one").unwrap(), file(&mut volume, root, "two").unwrap());
        let block = 1_u64 << volume.block_shift();
        let count = 3000;
        // Every second block, from the end for one of them, so that nothing joins and keys change.
        for i in 0..count {
            write(&mut volume, one, 2 * i * block, &i.to_le_bytes()).unwrap();
            write(&mut volume, two, 2 * (count - i) * block, &i.to_le_bytes()).unwrap();
        }
        for i in (0..count).step_by(101) {
            assert_eq!(read(&mut volume, one)[(2 * i * block) as usize..][..8], i.to_le_bytes());
            assert_eq!(read(&mut volume, two)[(2 * (count - i) * block) as usize..][..8], i.to_le_bytes());
        }
        // The gaps, so that everything may join where the disk lets it.
        for i in (0..count).step_by(3) {
            write(&mut volume, one, (2 * i + 1) * block, &[1]).unwrap();
        }
        while !volume.punch(two, 1000, 2500, now(0)).unwrap() {
            volume.commit(now(0)).unwrap();
        }
        volume.commit(now(0)).unwrap();
        truncate(&mut volume, one, 777 * block + 5);
        check(volume, &disk, &format!("{options:?}"));
        let mut volume = mount(&disk);
        remove(&mut volume, root, "one").unwrap();
        remove(&mut volume, root, "two").unwrap();
        check(volume, &disk, &format!("{options:?}, removed"));
    }
}

#[test]
fn a_full_volume_says_so_and_recovers() {
    for options in FORMATS {
        let disk = Disk::new(format(24, options));
        let mut volume = mount(&disk);
        let root = volume.root();
        let free = volume.statistics().free_blocks;
        let inode = file(&mut volume, root, "large").unwrap();
        let chunk = vec![5; 1 << 16];
        let mut at = 0;
        let error = loop {
            match write(&mut volume, inode, at, &chunk) {
                Ok(()) => at += chunk.len() as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error, Error::NoSpace);
        assert!(volume.create(root, b"d", &NewNode::Directory, 0o755, now(0)).is_err_and(|e| e == Error::NoSpace));
        remove(&mut volume, root, "large").unwrap();
        volume.commit(now(0)).unwrap();
        assert_eq!(volume.statistics().free_blocks, free, "{options:?}");
        let inode = file(&mut volume, root, "again").unwrap();
        write(&mut volume, inode, 0, &chunk).unwrap();
        check(volume, &disk, &format!("{options:?}"));
    }
}

#[test]
fn renames_of_every_kind() {
    for options in FORMATS {
        let disk = Disk::new(format(48, options));
        let mut volume = mount(&disk);
        let root = volume.root();
        let [a, b] = [b"a", b"b"].map(|name| volume.create(root, name, &NewNode::Directory, 0o755, now(0)).unwrap());
        let one = file(&mut volume, a, "one").unwrap();
        let two = file(&mut volume, b, "two").unwrap();
        let sub = volume.create(a, b"sub", &NewNode::Directory, 0o755, now(0)).unwrap();
        let empty = volume.create(b, b"empty", &NewNode::Directory, 0o755, now(0)).unwrap();
        assert_eq!(volume.rename(a, b"one", b, b"two", RenameMode::NoReplace, now(0)), Err(Error::Exists));
        volume.rename(a, b"one", b, b"two", RenameMode::Exchange, now(0)).unwrap();
        assert_eq!((volume.lookup(a, b"one"), volume.lookup(b, b"two")), (Ok(two), Ok(one)));
        assert_eq!(volume.rename(a, b"one", b, b"empty", RenameMode::Replace, now(0)), Err(Error::IsDirectory));
        assert_eq!(volume.rename(a, b"sub", b, b"two", RenameMode::Replace, now(0)), Err(Error::NotDirectory));
        let gone = volume.rename(a, b"sub", b, b"empty", RenameMode::Replace, now(0)).unwrap().unwrap();
        assert_eq!((gone.inode, gone.is_last), (empty, true));
        evict(&mut volume, empty);
        assert_eq!(volume.lookup(sub, b".."), Ok(b));
        let gone = volume.rename(a, b"one", b, b"two", RenameMode::Replace, now(0)).unwrap().unwrap();
        evict(&mut volume, gone.inode);
        volume.rename(b, b"empty", b, b"renamed", RenameMode::Replace, now(0)).unwrap();
        volume.rename(b, b"renamed", root, b"a", RenameMode::Exchange, now(0)).unwrap();
        assert_eq!((volume.lookup(sub, b".."), volume.lookup(a, b"..")), (Ok(root), Ok(b)));
        check(volume, &disk, &format!("{options:?}"));
    }
}

#[test]
fn another_implementation_reads_the_same() {
    for options in &FORMATS[..4] {
        let disk = Disk::new(format(48, options));
        let mut volume = mount(&disk);
        let mut random = Random::new(7);
        let root = volume.root();
        let mut expected = BTreeMap::new();
        for d in 0..4 {
            let directory =
                volume.create(root, format!("d{d}").as_bytes(), &NewNode::Directory, 0o755, now(0)).unwrap();
            for f in 0..40 {
                let inode = file(&mut volume, directory, &format!("f{f}")).unwrap();
                let data: Vec<u8> = (0..random.below(30_000)).map(|_| random.next() as u8).collect();
                write(&mut volume, inode, 0, &data).unwrap();
                expected.insert(format!("/d{d}/f{f}"), data);
            }
        }
        volume.unmount(now(0)).unwrap();
        let view = ext4_view::Ext4::load(Box::new(disk.bytes())).unwrap();
        for (path, data) in expected {
            assert_eq!(view.read(path.as_str()).unwrap(), data, "{path}");
        }
    }
}
