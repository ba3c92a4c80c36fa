//! Helpers of all tests.

use crate::tmpfs::{Limits, Tmpfs};
use crate::{FileSystem, FsResult, Namespace, OpenFile, OpenFlags, SliceSource, StatusFlags, VecSink};
use std::sync::Arc;

pub const RW: StatusFlags = StatusFlags::READ.union(StatusFlags::WRITE);

/// A namespace with an empty tmpfs of this many pages at its root.
pub fn tmp_namespace(pages: u64) -> Arc<Namespace> {
    Namespace::new(Tmpfs::new(Limits { pages, inodes: 10_000 }), "tmpfs")
}

pub fn mount(space: &Namespace, path: &str, fs: Arc<dyn FileSystem>) {
    space.mount(path.as_bytes(), fs, "test").expect("the mount point exists");
}

pub fn open(space: &Namespace, path: &str, flags: OpenFlags, status: StatusFlags) -> FsResult<Arc<OpenFile>> {
    space.open(space.root(), path.as_bytes(), flags, status, 0o644)
}

pub fn write_file(space: &Namespace, path: &str, bytes: &[u8]) {
    let file = open(space, path, OpenFlags::CREATE | OpenFlags::TRUNCATE, RW).expect("a new file");
    assert_eq!(write(&file, bytes), Ok(bytes.len()));
}

pub fn read_file(space: &Namespace, path: &str) -> FsResult<Vec<u8>> {
    let file = open(space, path, OpenFlags::empty(), StatusFlags::READ)?;
    read_all(&file)
}

pub fn read_all(file: &OpenFile) -> FsResult<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let piece = read(file, 4096)?;
        if piece.is_empty() {
            return Ok(all);
        }
        all.extend(piece);
    }
}

pub fn read(file: &OpenFile, max: usize) -> FsResult<Vec<u8>> {
    let mut sink = VecSink::new(max);
    file.read(&mut sink)?;
    Ok(sink.bytes)
}

pub fn write(file: &OpenFile, bytes: &[u8]) -> FsResult<usize> {
    file.write(&mut SliceSource::new(bytes))
}

/// The names in a directory, `.` and `..` included, as the file lists them.
pub fn list(file: &OpenFile) -> Vec<String> {
    let mut names = Vec::new();
    file.readdir(&mut |entry| {
        names.push(String::from_utf8_lossy(entry.name).into_owned());
        true
    })
    .expect("a directory");
    names
}

/// As [`list`], sorted, without `.` and `..`.
pub fn names(space: &Namespace, path: &str) -> Vec<String> {
    let mut names = list(&open(space, path, OpenFlags::DIRECTORY, StatusFlags::READ).expect("a directory"));
    names.retain(|name| name != "." && name != "..");
    names.sort();
    names
}
