//! A hostile network and a crowd, from outside: QEMU gives the guest's frames to this program, which has a small TCP of its
//! own (the link loses nothing) and as many addresses as it likes. A Java server must keep answering.
//!
//! `CROWD_OPEN=10000 CROWD_SERIAL=100000 CROWD_FLOOD=1000000 CROWD_NOISE=200000 guest-tests parts-crowd` is the long form.

pub(crate) mod frame;
pub(crate) mod peer;
pub(crate) mod transport;

use crate::build::Built;
use crate::guest::Guest;
use crate::number_of;
use crate::served::{self, Said};
use crate::table::{Program, Test};
use anyhow::{Context, Result, ensure};
use frame::{ACK, End, RST, SYN};
use images::machine::Machine;
use images::network::Network;
use images::program;
use peer::{Crowd, Manner};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;
use transport::Frames;

/// Nothing is lost on the way, but the guest drops what comes too early.
const SILENCE: Duration = Duration::from_secs(3);
/// What the guest may have less of at the end: its page cache and heap move a little.
const LEAK_MAX_KIB: u64 = 16 << 10;

/// Runs the server and the crowd.
pub fn run(mut machine: Machine, built: &Built, guest: &Guest) -> Result<()> {
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let path = dir.path().join("frames");
    let listener = UnixListener::bind(&path)?;
    machine.network = Network::Frames { path };
    let asked = number_of("CROWD_SERIAL", 0)
        + number_of("CROWD_OPEN", 0) * 2
        + (number_of("CROWD_FLOOD", 0) + number_of("CROWD_NOISE", 0)) / 20;
    let long = Duration::from_secs(300 + u64::from(asked) / 20);
    let test = Test {
        jvm: ["-Xms256m", "-Xmx256m", "-XX:+AlwaysPreTouch"].map(String::from).into(),
        timeout_ms: long.as_millis() as u64,
        ..Test::new("parts-crowd", Program::Java("Crowd".into()))
    };
    let mut manifest = program::manifest([guest.program(&test, built)]);
    manifest.addresses = vec!["10.0.2.15/16".parse().map_err(anyhow::Error::msg)?];
    let crowd = thread::spawn(move || -> Result<()> {
        let (stream, _) = listener.accept()?;
        Crowd::new(Frames::new(stream)?, SILENCE, PATIENCE).all()
    });
    let Said { stdout, stderr, status, .. } = served::run(&machine, &manifest, long, crowd)?;
    ensure!(status == 0 && stdout == "ready\nwriters that had to wait: some\n", "{stdout}{stderr}");
    Ok(())
}

/// What tables may take that strangers fill: openings, neighbours, parts of datagrams.
const TABLES_MAX_KIB: u64 = 24 << 10;

/// Nothing is lost on the way.
const PATIENCE: Duration = Duration::from_secs(60);

impl Crowd {
    fn all(mut self) -> Result<()> {
        self.meet()?;
        self.somebody().context("at first")?;
        let before = self.free_kib()?;
        self.flood().context("a SYN flood")?;
        self.noise().context("garbage")?;
        let after = self.free_kib()?;
        eprintln!("parts-crowd: {before} KiB free before flood and garbage, {after} after");
        ensure!(after + TABLES_MAX_KIB > before, "{before} KiB were free before flood and garbage, {after} after");
        self.resets().context("resets")?;
        self.deaf().context("slow readers")?;
        let open = self.many().context("many at once")?;
        let serial = self.serial().context("one after another")?;
        eprintln!("parts-crowd: {open} open at once, {serial} one after another");
        self.quit()
    }

    fn flood(&mut self) -> Result<()> {
        for number in 0..number_of("CROWD_FLOOD", 20_000) {
            let end = (0x0a00_8000 | self.random() & 0x7fff, self.random() as u16);
            let seq = self.random();
            self.segment(end, seq, 0, (SYN, 1000), &[])?;
            while self.hear(Duration::ZERO)? {}
            if number % 5000 == 4999 {
                self.somebody().with_context(|| format!("after {number}"))?;
            }
        }
        Ok(())
    }

    fn noise(&mut self) -> Result<()> {
        for number in 0..number_of("CROWD_NOISE", 20_000) {
            let kind = [0x0800, 0x0806, 0x86dd, 0x1234][self.random() as usize % 4];
            let len = 1 + self.random() as usize % 1400;
            let mut body = self.random_bytes(len);
            body[0] = [0x45, 0x60, 0, body[0]][self.random() as usize % 4];
            self.send(kind, &body)?;
            while self.hear(Duration::ZERO)? {}
            if number % 5000 == 4999 {
                self.somebody().with_context(|| format!("after {number}"))?;
            }
        }
        Ok(())
    }

    /// Connections that end in the middle, by a right number and by wrong ones; and half-open peers.
    fn resets(&mut self) -> Result<()> {
        let ends = (0..200).map(|_| self.open(self.patience)).collect::<Result<Vec<End>>>()?;
        for (number, end) in ends.into_iter().enumerate() {
            let (seq, ack) = (self.connections[&end].seq, self.connections[&end].ack);
            let wrong = self.random();
            match number % 4 {
                0 => self.segment(end, seq, ack, (RST, 0), &[])?,
                1 => self.segment(end, wrong, ack, (RST, 0), &[])?,
                2 => self.segment(end, seq, wrong, (ACK, 0), b"wrong")?,
                // Never heard of again.
                _ => {}
            }
            self.connections.remove(&end);
        }
        self.somebody()
    }

    /// Peers who ask for much and take nothing.
    fn deaf(&mut self) -> Result<()> {
        for _ in 0..20 {
            let end = self.open(self.patience)?;
            self.connection(end)?.manner = Manner::Deaf;
            self.say(end, b"S")?;
        }
        self.somebody()
    }

    fn many(&mut self) -> Result<usize> {
        let count = number_of("CROWD_OPEN", 300) as usize;
        let mut ends = Vec::with_capacity(count);
        for _ in 0..count {
            let end = self.open(self.patience)?;
            self.ask(end, b"one of many.", b'.')?;
            ends.push(end);
        }
        self.somebody()?;
        // All are still there.
        for &end in &ends {
            self.ask(end, b"still here.", b'.')?;
        }
        for end in ends {
            self.close(end)?;
        }
        Ok(count)
    }

    fn serial(&mut self) -> Result<u32> {
        let count = number_of("CROWD_SERIAL", 1000);
        let before = self.free_kib()?;
        for number in 0..count {
            self.somebody().with_context(|| format!("connection {number}"))?;
        }
        let after = self.free_kib()?;
        eprintln!("parts-crowd: {before} KiB free before, {after} after");
        ensure!(after + LEAK_MAX_KIB > before, "{before} KiB were free before, {after} after");
        Ok(count)
    }
}
