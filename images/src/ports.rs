//! The connections between this process and QEMU: socket pairs for the guest's ports and its log, memory for the manifest.

use crate::failure::Failure;
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// This process's ends.
#[derive(Debug)]
pub struct HostEnds {
    /// To the program's standard input.
    pub stdin: UnixStream,
    /// From the program's standard output.
    pub stdout: UnixStream,
    /// From the program's standard error.
    pub stderr: UnixStream,
    /// The control channel.
    pub control: UnixStream,
    /// The kernel's log.
    pub log: File,
}

/// QEMU's ends, to be inherited.
#[derive(Debug)]
pub struct GuestEnds {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    control: OwnedFd,
    /// The serial line.
    pub log: OwnedFd,
    /// The manifest device's content.
    pub manifest: Option<OwnedFd>,
}

impl GuestEnds {
    /// Chardev name, port name and descriptor of each port.
    pub fn ports(&self) -> [(&'static str, &'static str, BorrowedFd<'_>); 4] {
        [
            ("stdin", wire::PORT_STDIN, self.stdin.as_fd()),
            ("stdout", wire::PORT_STDOUT, self.stdout.as_fd()),
            ("stderr", wire::PORT_STDERR, self.stderr.as_fd()),
            ("control", wire::PORT_CONTROL, self.control.as_fd()),
        ]
    }

    /// Numbers of all descriptors.
    pub fn raw(&self) -> Vec<i32> {
        let ports = self.ports().into_iter().map(|(_, _, end)| end.as_raw_fd());
        ports.chain([self.log.as_raw_fd()]).chain(self.manifest.as_ref().map(AsRawFd::as_raw_fd)).collect()
    }
}

/// A fresh set, with `manifest` (as [`wire::Manifest::to_disk`] gives it) if the image has none inside.
pub fn connect(manifest: Option<&[u8]>) -> Result<(HostEnds, GuestEnds), Failure> {
    let failed = |error: std::io::Error| {
        Failure::machine(format!("cannot connect to the machine: {}", crate::failure::reason(&error)))
    };
    let mut pairs = Vec::new();
    for _ in 0..4 {
        let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        pairs.push(pair.map_err(|error| failed(error.into()))?);
    }
    let mut pairs = pairs.into_iter();
    let mut next = || {
        pairs
            .next()
            .map(|(host, guest)| (UnixStream::from(host), guest))
            .ok_or_else(|| Failure::machine("too few sockets"))
    };
    let ((stdin, guest_stdin), (stdout, guest_stdout), (stderr, guest_stderr)) = (next()?, next()?, next()?);
    let (control, guest_control) = next()?;
    let (log, guest_log) = log_pipe().map_err(|error| failed(error.into()))?;
    let manifest = manifest.map(memory_file).transpose().map_err(failed)?;
    let host = HostEnds { stdin, stdout, stderr, control, log };
    let guest = GuestEnds {
        stdin: guest_stdin,
        stdout: guest_stdout,
        stderr: guest_stderr,
        control: guest_control,
        log: guest_log,
        manifest,
    };
    Ok((host, guest))
}

/// A pipe, not a socket: the serial port writes single bytes and drops them when there is no room, and a socket is full
/// after a few hundred of those.
fn log_pipe() -> rustix::io::Result<(File, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // More than the default is welcome, not needed.
    let _ = rustix::pipe::fcntl_setpipe_size(&write, 1 << 20);
    Ok((File::from(read), write))
}

/// `content` as a file without a name, open for reading only (QEMU insists on the access that it asks for).
fn memory_file(content: &[u8]) -> std::io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("manifest", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}
