//! A server behind a bad link: smoltcp's fault injector between the guest and a network of the test's own (crate `peer`)
//! loses, changes, reorders and doubles packets, both ways. Every byte must come back, and every connection must end.
//!
//! `LOSSY_CONNECTIONS=64 LOSSY_BYTES=1000000 LOSSY_SEED=3 guest-tests parts-lossy` is a longer form.

use crate::build::Built;
use crate::guest::Guest;
use crate::number_of;
use crate::served::{self, Said};
use crate::table::{Program, Test};
use anyhow::{Context, Result, ensure};
use images::machine::Machine;
use images::network::Network;
use images::program;
use peer::{Faults, Seen};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const SERVER: SocketAddrV4 = SocketAddrV4::new(GUEST, 8080);
/// Bytes that wait on each way of a connection.
const BUFFER: usize = 64 << 10;
/// Each lost packet may cost a second, and more when several are lost in a row.
const PATIENCE: Duration = Duration::from_secs(120);
const PERCENT: Faults = Faults { drop: 4, corrupt: 2, reorder: 5, double: 2, seed: 0 };

/// Runs the server and its clients.
pub fn run(mut machine: Machine, built: &Built, guest: &Guest) -> Result<()> {
    let connections = number_of("LOSSY_CONNECTIONS", 6);
    let bytes = number_of("LOSSY_BYTES", 60_000) as usize;
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let path = dir.path().join("frames");
    let network = Arc::new(peer::Network::bind(&path, GUEST)?);
    machine.network = Network::Frames { path };
    let limit = Duration::from_secs(240) + Duration::from_millis(u64::from(connections) * bytes as u64 / 50);
    let test =
        Test { timeout_ms: limit.as_millis() as u64, ..Test::new("parts-lossy", Program::C("echo_server".into())) };
    let mut manifest = program::manifest([guest.program(&test, built)]);
    manifest.addresses = vec![format!("{GUEST}/16").parse().map_err(anyhow::Error::msg)?];
    let clients = thread::spawn({
        let network = network.clone();
        move || ask_all(&network, connections, bytes)
    });
    let Said { stdout, stderr, status, .. } = served::run(&machine, &manifest, limit, clients)?;
    // The first connection, which waits for the server, says nothing.
    let expected = format!("ready\n{} connections, {} bytes\n", connections + 1, connections as usize * bytes);
    ensure!(status == 0 && stdout == expected, "not {expected:?}: {stdout}{stderr}");
    Ok(())
}

fn ask_all(network: &Arc<peer::Network>, connections: u32, bytes: usize) -> Result<()> {
    network.wait_for_guest(PATIENCE)?;
    // The device is there before the server is.
    let ends = std::time::Instant::now() + PATIENCE;
    while let Err(error) = network.connect(SERVER, BUFFER, PATIENCE) {
        ensure!(std::time::Instant::now() < ends, "no server: {error}");
        thread::sleep(Duration::from_millis(100));
    }
    network.set_faults(Faults { seed: number_of("LOSSY_SEED", 1), ..PERCENT });
    let clients: Vec<_> = (0..connections)
        .map(|number| {
            let network = network.clone();
            thread::spawn(move || echoed(&network, number, bytes).with_context(|| format!("connection {number}")))
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let seen = network.seen();
    eprintln!("parts-lossy: to the guest {:?}, from it {:?}", seen[0], seen[1]);
    for Seen { dropped, corrupted, reordered, doubled, .. } in seen {
        ensure!(dropped > 0 && corrupted > 0 && reordered > 0 && doubled > 0, "a link without faults: {seen:?}");
    }
    // The machine's end takes what is on its way along.
    network.set_faults(Faults::default());
    let mut last = network.connect(SERVER, BUFFER, PATIENCE)?;
    last.write_all(b"Q")?;
    // Nobody acknowledges our end any more.
    let _ = last.read(&mut [0]);
    Ok(())
}

/// Sends bytes that no other connection sends, takes them back, and ends.
fn echoed(network: &peer::Network, number: u32, bytes: usize) -> Result<()> {
    let mut stream = network.connect(SERVER, BUFFER, PATIENCE).context("connect")?;
    served::echo(&mut stream, number, bytes)?;
    stream.close();
    let more = stream.read(&mut [0]).context("the end")?;
    ensure!(more == 0, "{more} bytes too many");
    Ok(())
}
