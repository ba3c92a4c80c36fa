//! A socket as a file behind a descriptor.

use crate::socket::Socket;
use alloc::{format, string::String, sync::Arc};
use core::any::Any;
use fs::anonymous::{metadata_of, next_ino};
use fs::{Blocking, File, FileKind, FsResult, Metadata, OpenFile, PollSource, Readiness, Sink, Source, StatusFlags};

/// The file of a socket.
pub struct SocketFile {
    ino: u64,
    socket: Arc<dyn Socket>,
}

impl SocketFile {
    /// An open description of `socket`; of `status` only NONBLOCK counts.
    pub fn open(socket: Arc<dyn Socket>, status: StatusFlags) -> Arc<OpenFile> {
        let status = (status & StatusFlags::NONBLOCK) | StatusFlags::READ | StatusFlags::WRITE;
        OpenFile::anonymous(Arc::new(Self { ino: next_ino(), socket }), status)
    }

    /// The socket.
    pub fn socket(&self) -> &Arc<dyn Socket> {
        &self.socket
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.socket.close();
    }
}

impl File for SocketFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, sink: &mut dyn Sink, blocking: Blocking) -> FsResult<usize> {
        if sink.remaining() == 0 {
            return Ok(0);
        }
        self.socket.read(sink, blocking)
    }
    fn write(&self, source: &mut dyn Source, blocking: Blocking) -> FsResult<usize> {
        self.socket.write(source, blocking)
    }
    fn metadata(&self) -> Metadata {
        metadata_of(self.ino, FileKind::Socket, 0o777)
    }
    fn poll(&self) -> Readiness {
        self.socket.poll()
    }
    fn wait_source(&self) -> Option<&PollSource> {
        Some(self.socket.wait_source())
    }
    fn pending_bytes(&self) -> FsResult<usize> {
        self.socket.pending_bytes()
    }
    fn label(&self) -> String {
        format!("socket:[{}]", self.ino)
    }
}
