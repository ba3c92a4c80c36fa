//! The standard streams: files on ports to the host.

use crate::anonymous::{metadata_of, next_ino};
use crate::file::File;
use crate::io::{Blocking, Sink, Source};
use crate::metadata::{FileKind, Metadata};
use crate::poll::{PollSource, Readiness};
use crate::{FsError, FsResult};
use alloc::{format, string::String, sync::Arc};
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use hal::hil::{Port, PortError};
use sched::Mutex;

/// Bytes that go through a buffer on the stack at once.
const PIECE: usize = 1024;

/// What the host has at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Terminal {
    /// A terminal: `isatty` says yes.
    Yes,
    /// A file or pipe.
    No,
}

/// A file on a port: stdin, stdout or stderr.
///
/// Writers take turns (`writing`), so that one write call's bytes stay together.
pub struct Console {
    ino: u64,
    port: Arc<dyn Port>,
    terminal: Terminal,
    written: AtomicU64,
    writing: Mutex<()>,
    source: Arc<PollSource>,
}

impl Console {
    /// A file on `port`. One console a port: it takes the port's notify hook.
    pub fn new(port: Arc<dyn Port>, terminal: Terminal) -> Arc<Self> {
        let source = Arc::new(PollSource::new());
        let hook = source.clone();
        port.set_notify(Some(Arc::new(move || {
            hook.notify(Readiness::READ | Readiness::WRITE | Readiness::HANGUP);
        })));
        let written = AtomicU64::new(0);
        Arc::new(Self { ino: next_ino(), port, terminal, written, writing: Mutex::new(()), source })
    }

    /// Bytes written so far: the host waits for as many.
    pub fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Starts the count anew (the next program).
    pub fn reset_bytes_written(&self) {
        self.written.store(0, Ordering::Release);
    }

    /// Sleeps until everything has left for the host.
    pub fn drain(&self) -> FsResult<()> {
        self.port.drain().map_err(error_of)
    }
}

fn error_of(error: PortError) -> FsError {
    match error {
        PortError::Closed => FsError::BrokenPipe,
        PortError::WouldBlock => FsError::WouldBlock,
        PortError::Interrupted => FsError::Interrupted,
    }
}

impl File for Console {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, sink: &mut dyn Sink, blocking: Blocking) -> FsResult<usize> {
        let mut buffer = [0; PIECE];
        let mut done = 0;
        while sink.remaining() > 0 {
            let piece = sink.remaining().min(PIECE);
            let moved = if done > 0 || blocking == Blocking::Never {
                self.port.try_read(&mut buffer[..piece])
            } else {
                self.port.read(&mut buffer[..piece])
            };
            match moved {
                Ok(0) => break,
                Ok(count) => {
                    done += sink.put(&buffer[..count])?;
                    if count < piece {
                        break;
                    }
                }
                Err(_) if done > 0 => break,
                Err(error) => return Err(error_of(error)),
            }
        }
        Ok(done)
    }
    fn write(&self, source: &mut dyn Source, blocking: Blocking) -> FsResult<usize> {
        let mut buffer = [0; PIECE];
        let mut done = 0;
        let _turn = self.writing.lock();
        while source.remaining() > 0 {
            let piece = source.remaining().min(PIECE);
            let count = match source.take(&mut buffer[..piece]) {
                Ok(0) => break,
                Ok(count) => count,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            let sent = match blocking {
                Blocking::Wait => self.port.write(&buffer[..count]),
                Blocking::Never => self.port.try_write(&buffer[..count]),
            };
            match sent {
                Ok(sent) => {
                    self.written.fetch_add(sent as u64, Ordering::AcqRel);
                    done += sent;
                    if sent < count {
                        break;
                    }
                }
                Err(_) if done > 0 => break,
                Err(error) => return Err(error_of(error)),
            }
        }
        Ok(done)
    }
    fn metadata(&self) -> Metadata {
        match self.terminal {
            Terminal::Yes => Metadata { rdev: 0x8800, ..metadata_of(self.ino, FileKind::CharDevice, 0o620) },
            Terminal::No => metadata_of(self.ino, FileKind::Fifo, 0o600),
        }
    }
    fn poll(&self) -> Readiness {
        let port = self.port.readiness();
        let mut ready = Readiness::empty();
        ready.set(Readiness::READ, port.readable);
        ready.set(Readiness::WRITE, port.writable);
        ready.set(Readiness::HANGUP, port.closed);
        ready
    }
    fn wait_source(&self) -> Option<&PollSource> {
        Some(&self.source)
    }
    fn is_terminal(&self) -> bool {
        self.terminal == Terminal::Yes
    }
    fn pending_bytes(&self) -> FsResult<usize> {
        // A port does not say how much; enough for "something is there" (System.in.available is advisory).
        Ok(usize::from(self.port.readiness().readable && !self.port.readiness().closed))
    }
    fn label(&self) -> String {
        match self.terminal {
            Terminal::Yes => String::from("/dev/pts/0"),
            Terminal::No => format!("pipe:[{}]", self.ino),
        }
    }
}
