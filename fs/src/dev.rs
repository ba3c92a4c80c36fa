//! `/dev`: null, zero, full, random, urandom, tty, console, the standard streams' links, shm.

use crate::anonymous::next_ino;
use crate::file::{Access, File, SyncKind};
use crate::generated::{self, GenDir, GenFs, GenLink};
use crate::inode::{FileSystem, Inode, InodeRef};
use crate::io::{Sink, Source};
use crate::metadata::{FileKind, Metadata, SetAttributes, StatusFlags};
use crate::{FsError, FsResult};
use alloc::{string::String, sync::Arc, vec};
use core::any::Any;
use hal::sync::SpinLock;

/// Bytes moved through a buffer on the stack at once.
const PIECE: usize = 512;

/// What a memory device does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Device {
    Null,
    Zero,
    Full,
    Random,
}

/// Linux's device numbers: major 1.
fn device_of(number: u64) -> Option<Device> {
    match number {
        0x103 => Some(Device::Null),
        0x105 => Some(Device::Zero),
        0x107 => Some(Device::Full),
        0x108 | 0x109 => Some(Device::Random),
        _ => None,
    }
}

const TTY: u64 = 0x500;
const CONSOLE: u64 = 0x501;

static TERMINAL: SpinLock<Option<Arc<dyn File>>> = SpinLock::new(None);

/// Sets what `/dev/tty` and `/dev/console` lead to; None when the program has no terminal.
pub fn set_terminal(terminal: Option<Arc<dyn File>>) {
    let _old = core::mem::replace(&mut *TERMINAL.lock(), terminal);
}

/// The object behind a character device number. Errors: `NoSuchAddress`.
pub(crate) fn open_char(number: u64) -> FsResult<Arc<dyn File>> {
    if number == TTY || number == CONSOLE {
        return TERMINAL.lock().clone().ok_or(FsError::NoSuchAddress);
    }
    let device = device_of(number).ok_or(FsError::NoSuchAddress)?;
    Ok(Arc::new(DeviceFile { device, number }))
}

/// The `/dev` file system; `shm` in it is an empty directory to mount a tmpfs on.
pub fn devfs() -> Arc<dyn FileSystem> {
    let node = |number, mode| Arc::new(DeviceNode { ino: next_ino(), number, mode }) as InodeRef;
    let root = GenDir::new(
        0o755,
        vec![
            ("console", node(CONSOLE, 0o600)),
            ("fd", GenLink::fixed("/proc/self/fd") as InodeRef),
            ("full", node(0x107, 0o666)),
            ("null", node(0x103, 0o666)),
            ("random", node(0x108, 0o666)),
            ("shm", GenDir::new(0o1777, vec![])),
            ("stderr", GenLink::fixed("/proc/self/fd/2")),
            ("stdin", GenLink::fixed("/proc/self/fd/0")),
            ("stdout", GenLink::fixed("/proc/self/fd/1")),
            ("tty", node(TTY, 0o666)),
            ("urandom", node(0x109, 0o666)),
            ("zero", node(0x105, 0o666)),
        ],
    );
    GenFs::new("devtmpfs", 0x0102_1994, root)
}

struct DeviceNode {
    ino: u64,
    number: u64,
    mode: u32,
}

impl Inode for DeviceNode {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn metadata(&self) -> Metadata {
        Metadata { rdev: self.number, ..generated::metadata(self.ino, FileKind::CharDevice, self.mode, 1, 0) }
    }
    fn kind(&self) -> FileKind {
        FileKind::CharDevice
    }
    fn open(self: Arc<Self>, _status: StatusFlags) -> FsResult<Arc<dyn File>> {
        open_char(self.number)
    }
    fn set_attributes(&self, _set: &SetAttributes) -> FsResult<()> {
        // `touch /dev/null` succeeds; nothing keeps times here.
        Ok(())
    }
}

struct DeviceFile {
    device: Device,
    number: u64,
}

#[inline(never)]
fn read_random(sink: &mut dyn Sink) -> FsResult<usize> {
    let mut buffer = [0; PIECE];
    let mut done = 0;
    while sink.remaining() > 0 {
        let len = sink.remaining().min(PIECE);
        hal::random::fill(&mut buffer[..len]);
        match sink.put(&buffer[..len]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

#[inline(never)]
fn write_random(source: &mut dyn Source) -> FsResult<usize> {
    let mut buffer = [0; PIECE];
    let mut done = 0;
    while source.remaining() > 0 {
        match source.take(&mut buffer[..]) {
            Ok(0) => break,
            Ok(count) => {
                hal::random::reseed(&buffer[..count]);
                done += count;
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

impl File for DeviceFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn access(&self) -> Access {
        Access::Positioned
    }
    fn has_position(&self) -> bool {
        false
    }
    fn read_at(&self, _offset: u64, sink: &mut dyn Sink) -> FsResult<usize> {
        match self.device {
            Device::Null => Ok(0),
            Device::Zero | Device::Full => sink.put_zeros(sink.remaining()),
            Device::Random => read_random(sink),
        }
    }
    fn write_at(&self, _offset: u64, source: &mut dyn Source) -> FsResult<usize> {
        match self.device {
            // Not even looked at, as on Linux.
            Device::Null | Device::Zero => Ok(source.remaining()),
            Device::Full => Err(FsError::NoSpace),
            Device::Random => write_random(source),
        }
    }
    fn append(&self, source: &mut dyn Source) -> FsResult<(usize, u64)> {
        Ok((self.write_at(0, source)?, 0))
    }
    fn metadata(&self) -> Metadata {
        Metadata { rdev: self.number, ..generated::metadata(self.number, FileKind::CharDevice, 0o666, 1, 0) }
    }
    fn sync(&self, _kind: SyncKind) -> FsResult<()> {
        Err(FsError::Invalid)
    }
    fn label(&self) -> String {
        String::from(match self.device {
            Device::Null => "/dev/null",
            Device::Zero => "/dev/zero",
            Device::Full => "/dev/full",
            Device::Random => "/dev/random",
        })
    }
}
