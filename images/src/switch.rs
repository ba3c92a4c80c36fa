//! `--switch SOCKET`: the virtual switch that connects machines of this computer (`--net switch=SOCKET`), and its gateway.
//!
//! A machine is a connection to a Unix socket on which whole Ethernet frames go both ways, each behind its length (4 bytes,
//! big-endian): QEMU's `-netdev stream`. The switch learns from source addresses who is where (IEEE 802.1D, 7.8); frames to
//! all, to groups and to whom it has not heard yet go to everybody else. The gateway is QEMU's user network without a machine:
//! 10.0.2.2, as machines alone have it, and the published ports.

use crate::failure::{self, Failure};
use crate::network::Publish;
use crate::{interrupt, progress};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes of the longest frame; more is no frame.
const FRAME_MAX: usize = 65_550;
/// Bytes of the shortest: two addresses and a type.
const FRAME_MIN: usize = 14;
/// Frames that wait for a machine that does not take them; what comes then is lost, as in a switch of metal.
const QUEUE: usize = 1024;
/// Between two looks for new machines and for signals.
const PAUSE: Duration = Duration::from_millis(50);

type Address = [u8; 6];
type Frame = Arc<Vec<u8>>;

/// Who is connected, by the number of the connection, and where the addresses are.
#[derive(Default)]
struct Ports {
    queues: HashMap<u64, SyncSender<Frame>>,
    places: HashMap<Address, u64>,
}

impl Ports {
    /// Learns from a frame that has come in at port `from`, and passes it on.
    fn forward(&mut self, from: u64, frame: &Frame) {
        let (to, source) = (address(frame, 0), address(frame, 6));
        if !is_group(source) {
            self.places.insert(source, from);
        }
        match self.places.get(&to).filter(|_| !is_group(to)) {
            // It has heard it already.
            Some(port) if *port == from => {}
            Some(port) => self.send(*port, frame),
            None => self.queues.keys().copied().filter(|port| *port != from).for_each(|port| self.send(port, frame)),
        }
    }

    fn send(&self, port: u64, frame: &Frame) {
        if let Some(queue) = self.queues.get(&port) {
            // A full queue loses frames.
            let _ = queue.try_send(frame.clone());
        }
    }

    fn remove(&mut self, port: u64) {
        self.queues.remove(&port);
        self.places.retain(|_, place| *place != port);
    }
}

fn address(frame: &[u8], at: usize) -> Address {
    let mut address = [0; 6];
    address.copy_from_slice(&frame[at..at + 6]);
    address
}

/// To all, or to many.
fn is_group(address: Address) -> bool {
    address[0] & 1 != 0
}

/// A switch at a Unix socket, which goes with it.
pub struct Switch {
    listener: UnixListener,
    path: PathBuf,
    ports: Arc<Mutex<Ports>>,
    next: u64,
}

impl Switch {
    /// Listens at `path`. Errors: somebody else listens there, or the socket cannot be made.
    pub fn bind(path: &Path) -> Result<Switch, Failure> {
        if UnixStream::connect(path).is_ok() {
            return Err(Failure::usage(format!("--switch {}: a switch is there already", path.display())));
        }
        // What a switch left that was killed.
        if let Err(error) = std::fs::remove_file(path)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(Failure::file("replace", path, &error));
        }
        let bound = UnixListener::bind(path).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        let listener = bound.map_err(|error| Failure::file("listen at", path, &error))?;
        Ok(Switch { listener, path: path.to_path_buf(), ports: Arc::default(), next: 0 })
    }

    /// Connects who waits at the socket.
    pub fn accept(&mut self) -> Result<(), Failure> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.connect(stream)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Failure::file("accept a machine at", &self.path, &error)),
            }
        }
    }

    fn connect(&mut self, stream: UnixStream) -> Result<(), Failure> {
        let port = self.next;
        self.next += 1;
        let copy = stream.set_nonblocking(false).and_then(|()| stream.try_clone());
        let out = copy.map_err(|error| Failure::file("accept a machine at", &self.path, &error))?;
        let (queue, waiting) = sync_channel(QUEUE);
        lock(&self.ports).queues.insert(port, queue);
        thread::spawn(move || write_out(out, &waiting));
        let ports = self.ports.clone();
        thread::spawn(move || {
            read_in(stream, |frame| lock(&ports).forward(port, &Arc::new(frame)));
            lock(&ports).remove(port);
        });
        Ok(())
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn lock(ports: &Mutex<Ports>) -> std::sync::MutexGuard<'_, Ports> {
    ports.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until the machine is gone, or sends what is no frame.
fn read_in(mut stream: UnixStream, mut take: impl FnMut(Vec<u8>)) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).is_ok() {
        let length = u32::from_be_bytes(length) as usize;
        if !(FRAME_MIN..=FRAME_MAX).contains(&length) {
            break;
        }
        let mut frame = vec![0; length];
        if stream.read_exact(&mut frame).is_err() {
            break;
        }
        take(frame);
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn write_out(mut stream: UnixStream, frames: &Receiver<Frame>) {
    while let Ok(frame) = frames.recv() {
        let bytes = [&(frame.len() as u32).to_be_bytes(), frame.as_slice()].concat();
        if stream.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// QEMU's user network, ended with this.
struct Gateway(Child);

impl Gateway {
    fn start(qemu: &Path, path: &Path, publish: &[Publish]) -> Result<Gateway, Failure> {
        let path = path.to_string_lossy().replace(',', ",,");
        let mut command = Command::new(qemu);
        command.args(["-machine", "none", "-nodefaults", "-no-user-config", "-display", "none"]);
        command.args([
            "-netdev",
            &crate::network::user("user", publish),
            "-netdev",
            "hubport,id=a,hubid=0,netdev=user",
        ]);
        command.args(["-netdev", &format!("stream,id=switch,server=off,addr.type=unix,addr.path={path}")]);
        command.args(["-netdev", "hubport,id=b,hubid=0,netdev=switch"]);
        // Its one line, "hub 0 with no nics", is what is meant here.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: one system call, which neither allocates nor takes a lock.
        unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) };
        let child = command.spawn();
        let child = child
            .map_err(|error| Failure::machine(format!("cannot run {}: {}", qemu.display(), failure::reason(&error))))?;
        Ok(Gateway(child))
    }

    fn check(&mut self) -> Result<(), Failure> {
        match self.0.try_wait() {
            Ok(None) => Ok(()),
            ended => Err(Failure::machine(format!(
                "the switch's gateway has ended ({ended:?}); is a port of --publish in use?"
            ))),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Is a switch with a gateway until a signal comes; that is its proper end.
pub fn run(qemu: &Path, path: &Path, publish: &[Publish]) -> Result<(), Failure> {
    let mut switch = Switch::bind(path)?;
    let mut gateway = Gateway::start(qemu, path, publish)?;
    progress::note(&format!("a switch for --net switch={}; Ctrl-C ends it", path.display()));
    while interrupt::check().is_ok() {
        switch.accept()?;
        gateway.check()?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(to: Address, from: Address) -> Vec<u8> {
        [to.as_slice(), &from, &[8, 0], &[7; 50]].concat()
    }

    fn send(mut stream: &UnixStream, frame: &[u8]) {
        stream.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
        stream.write_all(frame).unwrap();
    }

    fn receive(mut stream: &UnixStream) -> Vec<u8> {
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).unwrap();
        frame
    }

    #[test]
    fn frames_go_where_their_addresses_were_heard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("switch");
        let mut switch = Switch::bind(&path).unwrap();
        assert!(Switch::bind(&path).is_err(), "a second one at the same socket");
        let ends: Vec<UnixStream> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
        switch.accept().unwrap();
        let [a, b, c] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 3]];
        // To somebody unknown: to all others.
        send(&ends[0], &frame(b, a));
        assert_eq!(receive(&ends[1]), frame(b, a));
        assert_eq!(receive(&ends[2]), frame(b, a));
        // Known on both sides: the third hears only what comes after.
        send(&ends[1], &frame(a, b));
        assert_eq!(receive(&ends[0]), frame(a, b));
        send(&ends[0], &frame(b, a));
        assert_eq!(receive(&ends[1]), frame(b, a));
        send(&ends[1], &frame([0xff; 6], b));
        assert_eq!(receive(&ends[2]), frame([0xff; 6], b));
        // Who goes is forgotten, and its address is looked for everywhere again.
        drop(ends[1].shutdown(std::net::Shutdown::Both));
        while lock(&switch.ports).queues.len() > 2 {
            thread::yield_now();
        }
        send(&ends[2], &frame(b, c));
        assert_eq!(receive(&ends[0]), frame([0xff; 6], b));
        assert_eq!(receive(&ends[0]), frame(b, c));
    }

    #[test]
    fn what_is_no_frame_ends_a_connection_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("switch");
        let mut switch = Switch::bind(&path).unwrap();
        let ends: Vec<UnixStream> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
        switch.accept().unwrap();
        (&ends[0]).write_all(&13_u32.to_be_bytes()).unwrap();
        assert_eq!((&ends[0]).read(&mut [0; 4]).unwrap(), 0);
        send(&ends[1], &frame([0xff; 6], [2; 6]));
        assert_eq!(receive(&ends[2]), frame([0xff; 6], [2; 6]));
    }
}
