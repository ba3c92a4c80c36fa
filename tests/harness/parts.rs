//! The kernel's optional parts: a volume that a second machine finds as the first one left it, and a server that the
//! host reaches at a published port.

use crate::build::Built;
use crate::guest::Guest;
use crate::host;
use crate::served::{self, Said};
use crate::table::{Program, Test};
use crate::tally::Tally;
use anyhow::{Context, Result, bail, ensure};
use images::cache::Cache;
use images::jdk::Jdk;
use images::kernel::Kernel;
use images::machine::Machine;
use images::network::{Network, Publish};
use images::program;
use images::session::{self, Options};
use images::volume::Volume;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Runs those that `filter` lets through.
pub fn run(filter: &dyn Fn(&str) -> bool, built: &Built, jdk: &Jdk, guest: &Guest, tally: &mut Tally) {
    let mut one = |name: &str, test: &dyn Fn() -> Result<()>| {
        if filter(name) {
            match test() {
                Ok(()) => tally.pass(name),
                Err(error) => tally.fail(name, &format!("{error:#}")),
            }
        }
    };
    one("parts-volume", &|| volume(built, jdk, guest));
    one("parts-files", &|| crate::volume_files::run(built, jdk, guest));
    one("parts-server", &|| server(built, guest));
    one("parts-datagrams", &|| datagrams(built, guest));
    one("parts-switch", &|| crate::switch::run(built));
    one("parts-lossy", &|| crate::lossy::run(with_part(guest, "network")?, built, guest));
    one("parts-crowd", &|| crate::crowd::run(with_part(guest, "network")?, built, guest));
    if rustix::process::geteuid().is_root() {
        one("parts-queues", &|| crate::queues::run(with_part(guest, "network")?, built, guest));
        one("parts-flood", &|| crate::flood::run(with_part(guest, "network")?, built, guest));
    } else {
        for name in ["parts-queues", "parts-flood"].into_iter().filter(|name| filter(name)) {
            tally.skip(name, "a tap needs root");
        }
    }
}

/// The guests' machine with the kernel that has `part`.
pub(crate) fn with_part(guest: &Guest, part: &str) -> Result<Machine> {
    let mut machine = guest.machine.clone();
    machine.kernel = Kernel::prepare_with(&Cache::open()?, &[part])?;
    Ok(machine)
}

/// What one machine wrote and the next one finds, against the same in one program on Linux.
fn volume(built: &Built, jdk: &Jdk, guest: &Guest) -> Result<()> {
    let program = |mode: &str, directory: &str| Test {
        args: vec![mode.into(), directory.into()],
        ..Test::new("parts-volume", Program::C("volume".into()))
    };
    let expected = host::run(&program("all", "/tmp"), built, jdk)?;
    ensure!(expected.status == 0, "on Linux it ends with {}", expected.status);
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let image = dir.path().join("data.img");
    // /srv is a directory that every image has.
    let volume = Volume { file: image.clone(), size: Some(256 << 20), path: "/srv".into(), read_only: false };
    volume.ensure()?;
    let mut stdout = Vec::new();
    for (mode, read_only) in [("write", false), ("check", true)] {
        let volume = Volume { read_only, ..volume.clone() };
        let mut machine = with_part(guest, "volumes")?;
        machine.disks.push(volume.disk(0)?);
        let mut manifest = program::manifest([guest.program(&program(mode, "/srv"), built)]);
        manifest.volumes.push(volume.entry(0));
        let options = Options { time_limit: Some(Duration::from_secs(180)), ..Options::default() };
        let outcome = session::run(&machine, &manifest, options)?;
        let Some(result) = outcome.programs.into_iter().next() else { bail!("{mode}: {:?}", outcome.failure) };
        ensure!(result.status == 0, "{mode} ends with {}: {}", result.status, String::from_utf8_lossy(&result.stderr));
        stdout.extend(result.stdout);
        let checked = Command::new("e2fsck").args(["-f", "-n"]).arg(&image).output().context("e2fsck")?;
        ensure!(checked.status.success(), "e2fsck after {mode}: {}", String::from_utf8_lossy(&checked.stdout));
    }
    ensure!(
        stdout == expected.stdout,
        "Linux:\n{}here:\n{}",
        String::from_utf8_lossy(&expected.stdout),
        String::from_utf8_lossy(&stdout)
    );
    Ok(())
}

/// How long a program may serve.
const SERVED_TIME: Duration = Duration::from_secs(180);

/// Answer sizes that the host asks for, in bytes.
const SIZES: [usize; 6] = [1, 100, 20_000, 1_000_000, 3, 4096];

/// A Java server in the guest, asked from the host's loopback.
fn server(built: &Built, guest: &Guest) -> Result<()> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut machine = with_part(guest, "network")?;
    machine.network = Network::User;
    machine.publish = vec![Publish { address: None, host: port, machine: None, guest: 8080, is_udp: false }];
    let test = Test { args: vec![SIZES.len().to_string()], ..Test::new("parts-server", Program::Java("Serve".into())) };
    let manifest = program::manifest([guest.program(&test, built)]);
    let client = thread::spawn(move || SIZES.iter().try_for_each(|size| ask(port, *size)));
    let Said { stdout, stderr, status, .. } = served::run(&machine, &manifest, SERVED_TIME, client)?;
    ensure!(status == 0 && stdout == format!("ready\n{} answered\n", SIZES.len()), "{stdout}{stderr}");
    Ok(())
}

/// Sizes of datagrams: in one packet, just so, and in 2 to 41. QEMU's user networking cuts and joins them by RFC 791.
const DATAGRAMS: [usize; 6] = [1, 1472, 1473, 3000, 9000, 60_000];

/// A program in the guest sends back the host's datagrams, however many packets each takes.
fn datagrams(built: &Built, guest: &Guest) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut machine = with_part(guest, "network")?;
    machine.network = Network::User;
    machine.publish = vec![Publish { address: None, host: port, machine: None, guest: 8080, is_udp: true }];
    let test = Test::new("parts-datagrams", Program::C("udp_echo".into()));
    let manifest = program::manifest([guest.program(&test, built)]);
    let client = thread::spawn(move || -> Result<()> {
        socket.connect((Ipv4Addr::LOCALHOST, port))?;
        let result = DATAGRAMS.iter().try_for_each(|size| echoed(&socket, *size));
        // Whatever happened the program shall end; some may be lost.
        for _ in 0..20 {
            socket.send(&[]).or_else(|error| if is_refused(&error) { Ok(0) } else { Err(error) })?;
            thread::sleep(Duration::from_millis(100));
        }
        result
    });
    let Said { stderr, status, .. } = served::run(&machine, &manifest, SERVED_TIME, client)?;
    ensure!(status == 0 && stderr.is_empty(), "status {status}: {stderr}");
    Ok(())
}

/// Nobody has the port any more, or not yet.
fn is_refused(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ConnectionRefused
}

/// Sends a datagram until it comes back: the guest may not be there yet, and datagrams may be lost.
fn echoed(socket: &UdpSocket, size: usize) -> Result<()> {
    let datagram: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
    let patience = Instant::now() + Duration::from_secs(120);
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut answer = vec![0; 65_536];
    while Instant::now() < patience {
        match socket.send(&datagram).and_then(|_| socket.recv(&mut answer)) {
            // A late answer to an earlier one may come first.
            Ok(count) if count == size => {
                ensure!(answer[..count] == datagram, "{size} bytes came back changed");
                return Ok(());
            }
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
    bail!("a datagram of {size} bytes did not come back")
}

/// One request, repeated until the server is there: QEMU accepts for a guest that does not listen yet.
pub(crate) fn ask(port: u16, size: usize) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(150);
    loop {
        let mut answer = Vec::new();
        let got = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            write!(stream, "GET /{size} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            stream.read_to_end(&mut answer)
        });
        if got.is_ok() && !answer.is_empty() {
            let head = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no end of the answer's head")?;
            let body = &answer[head + 4..];
            ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..head]));
            ensure!(body.len() == size && body.iter().all(|byte| *byte == b'x'), "{} of {size} bytes", body.len());
            return Ok(());
        }
        ensure!(Instant::now() < patience, "no answer: {got:?}");
        thread::sleep(Duration::from_millis(200));
    }
}
