//! tmpfs against the host's file system, its limit, and its mappings.

use super::{Limits, Tmpfs, used_pages};
use crate::file::Extent;
use crate::tests::support::{RW, open, read_file, tmp_namespace, write, write_file};
use crate::{
    Allocate, FileSystem, FollowLast, FsError, FsResult, Namespace, NewNode, OpenFile, OpenFlags, RenameMode, SeekFrom,
    SetAttributes, SliceSource, StatusFlags, VecSink, XattrMode, memfd,
};
use mm::{Access, FaultError, MapRequest, Protection, Sharing};
use proptest::prelude::*;
use std::fs;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Step {
    Mkdir(String),
    Rmdir(String),
    Write(String, u64, usize),
    Truncate(String, u64),
    Unlink(String),
    Rename(String, String),
    Link(String, String),
    Symlink(String, String),
    Read(String),
}

/// Few names at few depths, so that they meet often.
fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c"), Just(".."), Just("a/")], 1..4)
        .prop_map(|parts| parts.join("/"))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => path().prop_map(Step::Mkdir),
        1 => path().prop_map(Step::Rmdir),
        4 => (path(), 0..9000u64, 0..5000usize).prop_map(|(path, at, len)| Step::Write(path, at, len)),
        2 => (path(), 0..9000u64).prop_map(|(path, size)| Step::Truncate(path, size)),
        1 => path().prop_map(Step::Unlink),
        3 => (path(), path()).prop_map(|(old, new)| Step::Rename(old, new)),
        2 => (path(), path()).prop_map(|(old, new)| Step::Link(old, new)),
        1 => (path(), path()).prop_map(|(target, path)| Step::Symlink(target, path)),
        4 => path().prop_map(Step::Read),
    ]
}

/// What Linux calls the error.
fn errno(error: FsError) -> i32 {
    match error {
        FsError::NotFound => 2,
        FsError::Permission => 1,
        FsError::Busy => 16,
        FsError::Exists => 17,
        FsError::NotDirectory => 20,
        FsError::IsDirectory => 21,
        FsError::Invalid => 22,
        FsError::NotEmpty => 39,
        FsError::Loop => 40,
        other => panic!("{other:?} is not expected here"),
    }
}

/// Where the walk starts: so far down that `..`, in links to links too, stays inside the host's directory.
const BASE: &str = "1/2/3/4/5/6/7/8/9/base";

fn ours(space: &Namespace, step: &Step) -> FsResult<Vec<u8>> {
    let base = space.resolve(space.root(), BASE.as_bytes(), FollowLast::Yes)?;
    let open = |path: &str, flags, status| space.open(&base, path.as_bytes(), flags, status, 0o644);
    match step {
        Step::Mkdir(path) => space.create(&base, path.as_bytes(), NewNode::Directory, 0o755).map(|_| vec![]),
        Step::Rmdir(path) => space.rmdir(&base, path.as_bytes()).map(|()| vec![]),
        Step::Write(path, at, len) => {
            let file = open(path, OpenFlags::CREATE, StatusFlags::WRITE)?;
            let bytes = vec![*len as u8; *len];
            file.write_at(*at, &mut SliceSource::new(&bytes)).map(|_| vec![])
        }
        Step::Truncate(path, size) => {
            let file = open(path, OpenFlags::empty(), StatusFlags::WRITE)?;
            file.truncate(*size).map(|()| vec![])
        }
        Step::Unlink(path) => space.unlink(&base, path.as_bytes()).map(|()| vec![]),
        Step::Rename(old, new) => {
            space.rename(&base, old.as_bytes(), &base, new.as_bytes(), RenameMode::Replace).map(|()| vec![])
        }
        Step::Link(old, new) => {
            space.link(&base, old.as_bytes(), FollowLast::No, &base, new.as_bytes()).map(|()| vec![])
        }
        Step::Symlink(target, path) => {
            let node = NewNode::Symlink(target.as_bytes().to_vec());
            space.create(&base, path.as_bytes(), node, 0o777).map(|_| vec![])
        }
        Step::Read(path) => {
            let file = open(path, OpenFlags::empty(), StatusFlags::READ)?;
            let mut sink = VecSink::new(100_000);
            file.read_at(0, &mut sink)?;
            Ok(sink.bytes)
        }
    }
}

fn theirs(base: &Path, step: &Step) -> std::io::Result<Vec<u8>> {
    // PathBuf::join would drop a trailing slash's meaning: build the text.
    let at = |path: &str| PathBuf::from(format!("{}/{path}", base.display()));
    match step {
        Step::Mkdir(path) => fs::create_dir(at(path)).map(|()| vec![]),
        Step::Rmdir(path) => fs::remove_dir(at(path)).map(|()| vec![]),
        Step::Write(path, offset, len) => {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(at(path))?;
            file.seek(std::io::SeekFrom::Start(*offset))?;
            file.write_all(&vec![*len as u8; *len]).map(|()| vec![])
        }
        Step::Truncate(path, size) => {
            fs::OpenOptions::new().write(true).open(at(path))?.set_len(*size).map(|()| vec![])
        }
        Step::Unlink(path) => fs::remove_file(at(path)).map(|()| vec![]),
        Step::Rename(old, new) => fs::rename(at(old), at(new)).map(|()| vec![]),
        Step::Link(old, new) => fs::hard_link(at(old), at(new)).map(|()| vec![]),
        Step::Symlink(target, path) => std::os::unix::fs::symlink(target, at(path)).map(|()| vec![]),
        Step::Read(path) => {
            let mut bytes = Vec::new();
            fs::File::open(at(path))?.read_to_end(&mut bytes).map(|_| bytes)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn tmpfs_does_what_linux_does(steps in proptest::collection::vec(step(), 1..60)) {
        let host = std::env::temp_dir().join(format!("demitasse-tmpfs-{}", std::process::id()));
        let _left_over = fs::remove_dir_all(&host);
        fs::create_dir_all(host.join(BASE)).expect("a temporary directory");
        let space = tmp_namespace(100_000);
        for (end, _) in BASE.match_indices('/').chain([(BASE.len(), "")]) {
            space.create(space.root(), &BASE.as_bytes()[..end], NewNode::Directory, 0o755).expect("new");
        }
        for step in &steps {
            let here = ours(&space, step).map_err(errno);
            let there = theirs(&host.join(BASE), step).map_err(|error| error.raw_os_error().unwrap_or(-1));
            prop_assert_eq!(&here, &there, "{:?}", step);
            // `..` may have taken the base away or moved it: nothing more can be compared.
            if fs::metadata(host.join(BASE)).is_err() {
                break;
            }
        }
        let _done = fs::remove_dir_all(&host);
    }

    #[test]
    fn a_file_is_a_sparse_array(ops in proptest::collection::vec((0..6u8, 0..40_000u64, 0..12_000usize), 1..40)) {
        let file = memfd::create(b"array", memfd::Sealing::Denied).expect("a short name");
        let mut model: Vec<u8> = Vec::new();
        for (stamp, (op, at, len)) in ops.into_iter().enumerate() {
            let end = at as usize + len;
            match op {
                0..=2 => {
                    let bytes = vec![stamp as u8 + 1; len];
                    prop_assert_eq!(file.write_at(at, &mut SliceSource::new(&bytes)), Ok(len));
                    if len > 0 {
                        model.resize(model.len().max(end), 0);
                        model[at as usize..end].copy_from_slice(&bytes);
                    }
                }
                3 => {
                    prop_assert_eq!(file.truncate(at), Ok(()));
                    model.resize(at as usize, 0);
                }
                4 if len > 0 => {
                    prop_assert_eq!(file.allocate(Allocate::PunchHole, at, len as u64), Ok(()));
                    let end = end.min(model.len());
                    if (at as usize) < end {
                        model[at as usize..end].fill(0);
                    }
                }
                5 if len > 0 => {
                    prop_assert_eq!(file.allocate(Allocate::Extend, at, len as u64), Ok(()));
                    model.resize(model.len().max(end), 0);
                }
                _ => {}
            }
            let mut sink = VecSink::new(1 << 20);
            file.read_at(0, &mut sink).expect("readable");
            prop_assert!(sink.bytes == model, "after {:?}", (op, at, len));
        }
    }
}

#[test]
fn a_full_file_system_refuses_and_recovers() {
    let space = tmp_namespace(16);
    let file = open(&space, "/f", OpenFlags::CREATE, RW).expect("new");
    assert_eq!(write(&file, &vec![1; 100_000]), Ok(16 * 4096));
    assert_eq!(write(&file, b"x"), Err(FsError::NoSpace));
    assert_eq!(file.allocate(Allocate::Extend, 0, 17 * 4096), Err(FsError::NoSpace));
    file.truncate(4096).expect("shrinks");
    assert_eq!(file.allocate(Allocate::KeepSize, 0, 20 * 4096), Err(FsError::NoSpace));
    assert_eq!(file.metadata().blocks, 8, "what was allocated on the way is given back");
    assert_eq!(file.allocate(Allocate::KeepSize, 8192, 4096), Ok(()));
    assert_eq!((file.metadata().size, file.metadata().blocks), (4096, 16));
    let statistics = space.statistics(space.root(), b"/").expect("there");
    assert_eq!((statistics.blocks, statistics.blocks_free), (16, 14));
    drop(file);
    space.unlink(space.root(), b"/f").expect("there");
    assert_eq!(space.statistics(space.root(), b"/").expect("there").blocks_free, 16);
    let few = Tmpfs::new(Limits { pages: 1, inodes: 2 });
    let make = |name: &[u8]| few.root().create(name, NewNode::Regular, 0).map(|_| ());
    assert_eq!((make(b"1"), make(b"2"), make(b"3")), (Ok(()), Ok(()), Err(FsError::NoSpace)));
    few.root().unlink(b"1").expect("there");
    assert_eq!(make(b"3"), Ok(()));
}

#[test]
fn holes_are_found() {
    let file = memfd::create(b"holes", memfd::Sealing::Denied).expect("a short name");
    file.write_at(8192, &mut SliceSource::new(&[1; 100])).expect("room");
    file.truncate(100_000).expect("grows");
    let seek = |extent, at| file.seek(SeekFrom::Next(extent, at));
    assert_eq!(seek(Extent::Data, 0), Ok(8192));
    assert_eq!(seek(Extent::Data, 8200), Ok(8200));
    assert_eq!(seek(Extent::Hole, 8200), Ok(12_288));
    assert_eq!(seek(Extent::Hole, 5), Ok(5));
    assert_eq!(seek(Extent::Data, 12_288), Err(FsError::NoSuchAddress));
    assert_eq!(seek(Extent::Hole, 100_000), Err(FsError::NoSuchAddress));
    assert_eq!(file.metadata().blocks, 8);
    assert_eq!(file.path(), b"/memfd:holes (deleted)");
    assert_eq!(file.place().expect("has one").mount().file_system.statistics().magic, 0x0102_1994);
    // Far out costs nothing.
    file.truncate(1 << 45).expect("grows");
    file.write_at((1 << 45) - 1, &mut SliceSource::new(&[1])).expect("room");
    file.truncate(0).expect("shrinks");
    assert_eq!(file.metadata().blocks, 0);
}

fn map_shared(file: &Arc<OpenFile>, len: u64) -> u64 {
    let pages = file.backing().expect("can be mapped");
    let request = MapRequest::object(pages, 0, len, Protection::READ | Protection::WRITE, Sharing::Shared);
    mm::space().map(&request).expect("room")
}

#[test]
fn mappings_see_the_file_and_lose_what_is_cut_off() {
    let space = tmp_namespace(100);
    write_file(&space, "/m", &[7; 3 * 4096]);
    let file = open(&space, "/m", OpenFlags::empty(), RW).expect("there");
    let start = map_shared(&file, 4 * 4096);
    let write_access = Access { write: true, fetch: false };
    let read_access = Access { write: false, fetch: false };
    let fault = |page: u64, access| mm::space().fault(start + page * 4096, access);
    assert_eq!(fault(1, read_access), Ok(()));
    assert_eq!(fault(2, write_access), Ok(()));
    assert_eq!(fault(3, read_access), Err(FaultError::BeyondEnd));
    file.truncate(4096 + 10).expect("shrinks");
    assert_eq!(fault(1, read_access), Ok(()));
    assert_eq!(fault(2, read_access), Err(FaultError::BeyondEnd));
    file.truncate(3 * 4096).expect("grows");
    assert_eq!(fault(2, read_access), Ok(()));
    let mut sink = VecSink::new(100);
    file.read_at(4096, &mut sink).expect("readable");
    assert!(sink.bytes[..10].iter().all(|byte| *byte == 7) && sink.bytes[10..].iter().all(|byte| *byte == 0));
    file.allocate(Allocate::PunchHole, 0, 4096).expect("tmpfs can");
    assert_eq!(fault(0, write_access), Ok(()));
    mm::space().unmap(start, 4 * 4096).expect("mapped");
}

#[test]
fn attributes_and_times_are_kept() {
    let space = tmp_namespace(100);
    write_file(&space, "/f", b"abc");
    let set = SetAttributes { mode: Some(0o4755), uid: Some(5), mtime_ns: Some(-1_500), ..SetAttributes::default() };
    space.set_attributes(space.root(), b"/f", FollowLast::Yes, &set).expect("there");
    let metadata = space.metadata(space.root(), b"/f", FollowLast::Yes).expect("there");
    assert_eq!((metadata.mode, metadata.uid, metadata.gid, metadata.mtime_ns), (0o4755, 5, 0, -1_500));
    let inode = space.resolve(space.root(), b"/f", FollowLast::Yes).expect("there").inode().clone();
    assert_eq!(inode.xattr(b"user.a"), Err(FsError::NoData));
    assert_eq!(inode.set_xattr(b"user.a", b"1", XattrMode::Replace), Err(FsError::NoData));
    assert_eq!(inode.set_xattr(b"user.a", b"1", XattrMode::Create), Ok(()));
    assert_eq!(inode.set_xattr(b"user.a", b"2", XattrMode::Create), Err(FsError::Exists));
    assert_eq!(inode.set_xattr(b"user.a", b"2", XattrMode::Any), Ok(()));
    assert_eq!((inode.xattr(b"user.a"), inode.xattrs()), (Ok(b"2".to_vec()), Ok(vec![b"user.a".to_vec()])));
    assert_eq!(inode.set_xattr(b"system.x", b"", XattrMode::Any), Err(FsError::NotSupported));
    assert_eq!(inode.set_xattr(b"user.b", &[0; 65_537], XattrMode::Any), Err(FsError::ArgumentTooBig));
    assert_eq!(inode.remove_xattr(b"user.a"), Ok(()));
    assert_eq!(inode.remove_xattr(b"user.a"), Err(FsError::NoData));
}

#[test]
fn threads_write_their_own_parts() {
    let space = tmp_namespace(10_000);
    let file = open(&space, "/shared", OpenFlags::CREATE, RW).expect("new");
    let log = open(&space, "/log", OpenFlags::CREATE, RW | StatusFlags::APPEND).expect("new");
    std::thread::scope(|scope| {
        for id in 0..4u64 {
            let (file, log) = (&file, &log);
            scope.spawn(move || {
                for step in 0..500 {
                    let bytes = [id as u8 + 1; 1000];
                    let at = (step * 4 + id) * 1000;
                    assert_eq!(file.write_at(at, &mut SliceSource::new(&bytes)), Ok(1000));
                    assert_eq!(write(log, &bytes[..100]), Ok(100));
                }
            });
        }
    });
    let all = read_file(&space, "/shared").expect("readable");
    assert!(all.chunks(1000).enumerate().all(|(at, part)| part.iter().all(|byte| *byte == (at % 4) as u8 + 1)));
    let log = read_file(&space, "/log").expect("readable");
    assert_eq!(log.len(), 4 * 500 * 100);
    assert!(log.chunks(100).all(|part| part.iter().all(|byte| *byte == part[0])));
    assert!(used_pages() >= 500);
}
