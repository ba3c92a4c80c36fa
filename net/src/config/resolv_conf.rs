//! /etc/resolv.conf, made from the configuration when it is opened to be read.

use super::{Configuration, state};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::any::Any;
use fs::{
    Access, File, FileKind, FileSystem, FsError, FsResult, FsStat, Inode, InodeRef, Metadata, SetAttributes, Sink,
    StatusFlags, SyncKind,
};

/// Name servers that glibc uses.
const SERVERS_MAX: usize = 3;

/// The text for a configuration.
pub fn resolv_conf(configuration: &Configuration) -> String {
    let mut text = String::new();
    if let Some(domain) = &configuration.domain {
        text.push_str(&format!("search {domain}\n"));
    }
    for server in configuration.dns.iter().take(SERVERS_MAX) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}

/// A file system that is one file, to be mounted on /etc/resolv.conf. Opening the file brings the network up and waits for
/// name servers (see [`super::wait`]); size and time of change follow the configuration, so that glibc reads it anew.
pub struct ResolvConf;

impl FileSystem for ResolvConf {
    fn root(&self) -> InodeRef {
        Arc::new(Node)
    }
    fn type_name(&self) -> &'static str {
        "proc"
    }
    fn statistics(&self) -> FsStat {
        FsStat { block_bytes: 4096, name_max: 255, ..FsStat::default() }
    }
    fn read_only(&self) -> bool {
        true
    }
}

struct Node;

fn metadata() -> Metadata {
    let (version, changed_ns) = state::version();
    let size = resolv_conf(&super::current()).len() as u64;
    let time_ns = changed_ns as i64;
    Metadata {
        ino: 1 + version,
        dev: 0x16,
        kind: FileKind::Regular,
        mode: 0o444,
        nlink: 1,
        uid: 0,
        gid: 0,
        size,
        blocks: 1,
        atime_ns: time_ns,
        mtime_ns: time_ns,
        ctime_ns: time_ns,
        btime_ns: time_ns,
        rdev: 0,
        block_bytes: 4096,
    }
}

impl Inode for Node {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        metadata()
    }
    fn kind(&self) -> FileKind {
        FileKind::Regular
    }
    fn set_attributes(&self, _set: &SetAttributes) -> FsResult<()> {
        Err(FsError::ReadOnly)
    }
    fn open(self: Arc<Self>, status: StatusFlags) -> FsResult<Arc<dyn File>> {
        if status.contains(StatusFlags::WRITE) {
            return Err(FsError::ReadOnly);
        }
        super::wait(false, |configuration| !configuration.dns.is_empty());
        Ok(Arc::new(Text { bytes: resolv_conf(&super::current()).into_bytes() }))
    }
}

struct Text {
    bytes: Vec<u8>,
}

impl File for Text {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn access(&self) -> Access {
        Access::Positioned
    }
    fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        match self.bytes.get(offset.min(usize::MAX as u64) as usize..) {
            Some(rest) if !rest.is_empty() => sink.put(rest),
            _ => Ok(0),
        }
    }
    fn metadata(&self) -> Metadata {
        metadata()
    }
    fn sync(&self, _kind: SyncKind) -> FsResult<()> {
        Err(FsError::Invalid)
    }
}
