//! A device with a pair of queues for each vCPU: a server on two vCPUs at a tap of two queues, in a network namespace of the test's own.
//! Needs root.

use crate::build::Built;
use crate::guest::Guest;
use crate::served::{self, Said};
use crate::table::{Program, Test};
use crate::tap;
use anyhow::{Context, Result, ensure};
use images::machine::Machine;
use images::network::Network;
use images::program;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const GUEST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const SERVER: SocketAddrV4 = SocketAddrV4::new(GUEST, 8080);
const QUEUES: u16 = 2;
const CONNECTIONS: u32 = 16;
const BYTES: usize = 200_000;
const PATIENCE: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(240);

/// Runs the server and its clients.
pub fn run(machine: Machine, built: &Built, guest: &Guest) -> Result<()> {
    tap::in_namespace(|| serve(machine, built, guest))
}

fn serve(mut machine: Machine, built: &Built, guest: &Guest) -> Result<()> {
    for words in
        ["link set lo up", "tuntap add dm0 mode tap multi_queue", "addr add 10.77.0.1/24 dev dm0", "link set dm0 up"]
    {
        tap::ip(words)?;
    }
    machine.network = Network::Tap { name: "dm0".into(), queues: QUEUES };
    machine.cpus = u32::from(QUEUES);
    machine.kernel_args.push("loglevel=info".into());
    let timeout_ms = LIMIT.as_millis() as u64;
    let test = Test { timeout_ms, ..Test::new("parts-queues", Program::C("echo_server".into())) };
    let mut manifest = program::manifest([guest.program(&test, built)]);
    manifest.addresses = vec![format!("{GUEST}/24").parse().map_err(anyhow::Error::msg)?];
    let Said { stdout, stderr, status, log } = served::run(&machine, &manifest, LIMIT, thread::spawn(ask_all))?;
    // The first connection, which waits for the server, says nothing.
    let expected = format!("ready\n{} connections, {} bytes\n", CONNECTIONS + 1, CONNECTIONS as usize * BYTES);
    ensure!(status == 0 && stdout == expected, "not {expected:?}: {stdout}{stderr}");
    let pairs = format!("{QUEUES} queue pairs");
    ensure!(log.iter().any(|line| line.contains(&pairs)), "the kernel says nothing of {pairs}:\n{}", log.join("\n"));
    Ok(())
}

fn connect() -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::V4(SERVER), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn ask_all() -> Result<()> {
    let ends = Instant::now() + PATIENCE;
    while let Err(error) = connect() {
        ensure!(Instant::now() < ends, "no server: {error}");
        thread::sleep(Duration::from_millis(100));
    }
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            thread::spawn(move || -> Result<()> {
                let mut stream = connect()?;
                served::echo(&mut stream, number, BYTES).with_context(|| format!("connection {number}"))?;
                stream.shutdown(Shutdown::Write)?;
                let more = stream.read(&mut [0]).context("the end")?;
                ensure!(more == 0, "connection {number}: bytes behind the end");
                Ok(())
            })
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let mut last = connect()?;
    last.write_all(b"Q")?;
    let _ = last.read(&mut [0]);
    Ok(())
}
