//! Threads that move bytes between the machine's ports and the outside, and tell the session what they saw.

use crate::session::Event;
use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread;

/// Bytes moved at a time.
const CHUNK: usize = 64 << 10;

/// One of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where output goes.
#[derive(Clone, Debug)]
pub enum Sink {
    /// To this process's stream of the same name.
    Inherit,
    /// Into memory.
    Memory(Arc<Mutex<Vec<u8>>>),
}

/// Where input comes from.
#[derive(Clone, Debug, Default)]
pub enum Source {
    /// Nowhere: end of file at once.
    #[default]
    Empty,
    /// From this process's standard input.
    Inherit,
    /// From memory.
    Memory(Vec<u8>),
}

/// Moves output until the machine ends or nobody reads any more; the port is then closed, so that the program's next
/// write fails with EPIPE.
pub fn output(stream: Stream, mut port: UnixStream, sink: Sink, events: Sender<Event>) {
    thread::spawn(move || {
        let problem = match &sink {
            Sink::Inherit if stream == Stream::Stdout => {
                let out = std::io::stdout();
                copy(stream, &mut port, Some(out.as_fd()), &events, |bytes| write_all(out.as_fd(), bytes))
            }
            Sink::Inherit => {
                let err = std::io::stderr();
                copy(stream, &mut port, Some(err.as_fd()), &events, |bytes| write_all(err.as_fd(), bytes))
            }
            Sink::Memory(memory) => copy(stream, &mut port, None, &events, |bytes| {
                memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(bytes);
                Ok(())
            }),
        };
        let _ = port.shutdown(Shutdown::Both);
        let _ = events.send(Event::Closed { stream, problem });
    });
}

/// Copies until an end; says what is wrong with the sink when it is more than a closed pipe.
fn copy(
    stream: Stream,
    port: &mut UnixStream,
    watched: Option<BorrowedFd<'_>>,
    events: &Sender<Event>,
    mut write: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Option<String> {
    let mut buffer = vec![0; CHUNK];
    loop {
        if let Some(sink) = watched
            && wait(port.as_fd(), sink) == Ready::SinkGone
        {
            return None;
        }
        let len = match port.read(&mut buffer) {
            Ok(0) => return None,
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return None,
        };
        match write(&buffer[..len]) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return None,
            Err(error) => return Some(crate::failure::reason(&error)),
        }
        let _ = events.send(Event::Moved { stream, bytes: len as u64 });
    }
}

#[derive(PartialEq, Eq)]
enum Ready {
    Port,
    SinkGone,
}

/// Waits for bytes from the port, or for the sink's reader to go away.
fn wait(port: BorrowedFd<'_>, sink: BorrowedFd<'_>) -> Ready {
    loop {
        let mut fds =
            [PollFd::from_borrowed_fd(port, PollFlags::IN), PollFd::from_borrowed_fd(sink, PollFlags::empty())];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return Ready::Port,
            Ok(_) if !fds[0].revents().is_empty() => return Ready::Port,
            Ok(_) if fds[1].revents().contains(PollFlags::ERR) => return Ready::SinkGone,
            // Not open at all, or a hang-up of a terminal: the write will tell.
            Ok(_) => return Ready::Port,
        }
    }
}

/// All of `bytes` to the descriptor itself: Rust's stdout would buffer lines. Waits when it is in non-blocking mode.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(len) => bytes = &bytes[len..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
                let _ = poll(&mut fds, None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Moves input to its end, then closes the writing side, which the program sees as end of file.
pub fn input(mut port: UnixStream, source: Source) {
    thread::spawn(move || {
        match source {
            Source::Empty => {}
            Source::Memory(bytes) => {
                let _ = port.write_all(&bytes);
            }
            Source::Inherit => {
                let mut buffer = vec![0; CHUNK];
                let stdin = std::io::stdin();
                loop {
                    match rustix::io::read(stdin.as_fd(), &mut buffer[..]) {
                        Ok(0) => break,
                        Ok(len) if port.write_all(&buffer[..len]).is_ok() => {}
                        Err(rustix::io::Errno::INTR) => {}
                        Err(rustix::io::Errno::AGAIN) => {
                            let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
                            let _ = poll(&mut fds, None);
                        }
                        Ok(_) | Err(_) => break,
                    }
                }
            }
        }
        // Only this direction, and the socket stays open until QEMU ends: on a full close, which QEMU sees as a hang-up,
        // it drops what the guest has not made room for yet.
        let _ = port.shutdown(Shutdown::Write);
        let mut discarded = [0; 64];
        while read(&mut port, &mut discarded).is_some() {}
    });
}

/// Reads the control channel to its end.
pub fn control(mut port: UnixStream, events: Sender<Event>) {
    thread::spawn(move || {
        let mut decoder = wire::Decoder::new();
        let mut buffer = vec![0; CHUNK];
        while let Some(len) = read(&mut port, &mut buffer) {
            decoder.push(&buffer[..len]);
            while let Some(event) = decoder.next_event() {
                if events.send(Event::Control(event)).is_err() {
                    return;
                }
            }
        }
    });
}

/// Reads the kernel's log to its end.
pub fn log(mut port: File, events: Sender<Event>) {
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        let mut pending = Vec::new();
        while let Some(len) = read(&mut port, &mut buffer) {
            pending.extend_from_slice(&buffer[..len]);
            while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let _ = events.send(Event::Log(String::from_utf8_lossy(&line).trim_end().to_string()));
            }
        }
        if !pending.is_empty() {
            let _ = events.send(Event::Log(String::from_utf8_lossy(&pending).trim_end().to_string()));
        }
        let _ = events.send(Event::LogEnded);
    });
}

fn read(port: &mut impl Read, buffer: &mut [u8]) -> Option<usize> {
    loop {
        match port.read(buffer) {
            Ok(0) => return None,
            Ok(len) => return Some(len),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}
