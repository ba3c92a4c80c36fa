//! A hostile network and a crowd, from outside: QEMU gives the guest's frames to this program, which has a small TCP of its
//! own (the link loses nothing) and as many addresses as it likes. A Java server must keep answering.
//!
//! `CROWD_OPEN=10000 CROWD_SERIAL=100000 CROWD_FLOOD=1000000 CROWD_NOISE=200000 guest-tests parts-crowd` is the long form.

use crate::build::Built;
use crate::guest::Guest;
use crate::number_of;
use crate::served::{self, Said};
use crate::table::{Program, Test};
use anyhow::{Context, Result, bail, ensure};
use images::machine::Machine;
use images::network::Network;
use images::program;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

const GUEST: u32 = 0x0a00_020f;
const PORT: u16 = 8080;
const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const ANSWER_TIME: Duration = Duration::from_secs(60);
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const FIN: u8 = 1;
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
        Crowd::new(stream)?.all()
    });
    let Said { stdout, stderr, status, .. } = served::run(&machine, &manifest, long, crowd)?;
    ensure!(status == 0 && stdout == "ready\nwriters that had to wait: some\n", "{stdout}{stderr}");
    Ok(())
}

/// What tables may take that strangers fill: openings, neighbours, parts of datagrams.
const TABLES_MAX_KIB: u64 = 24 << 10;

/// One end of a connection.
type End = (u32, u16);

#[derive(Default)]
struct Connection {
    seq: u32,
    ack: u32,
    is_open: bool,
    is_over: bool,
    /// Takes nothing and acknowledges nothing.
    is_deaf: bool,
    got: Vec<u8>,
}

struct Crowd {
    to: UnixStream,
    from: Receiver<Vec<u8>>,
    mac: [u8; 6],
    connections: HashMap<End, Connection>,
    next: u32,
    random: u64,
}

fn sum(bytes: &[u8], before: u32) -> u32 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    words.fold(before, |sum, word| sum + word)
}

fn check(sum: u32) -> [u8; 2] {
    let sum = (sum & 0xffff) + (sum >> 16);
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
}

impl Crowd {
    fn new(stream: UnixStream) -> Result<Self> {
        let mut reader = stream.try_clone()?;
        let (sender, from) = channel();
        thread::spawn(move || {
            let mut len = [0; 4];
            while reader.read_exact(&mut len).is_ok() {
                let mut frame = vec![0; u32::from_be_bytes(len) as usize];
                if reader.read_exact(&mut frame).is_err() || sender.send(frame).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            to: stream,
            from,
            mac: [0xff; 6],
            connections: HashMap::new(),
            next: 0,
            random: 88_172_645_463_325_252,
        })
    }

    fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) as u32
    }

    fn send(&mut self, kind: u16, body: &[u8]) -> Result<()> {
        let frame = [&self.mac[..], &OWN_MAC, &kind.to_be_bytes(), body].concat();
        self.to.write_all(&[&(frame.len() as u32).to_be_bytes()[..], &frame].concat()).context("the guest is gone")
    }

    fn arp(&mut self, operation: u8, own: u32, target: [u8; 6], to: u32) -> Result<()> {
        let head = [0, 1, 8, 0, 6, 4, 0, operation];
        self.send(0x0806, &[&head[..], &OWN_MAC, &own.to_be_bytes(), &target, &to.to_be_bytes()].concat())
    }

    fn segment(&mut self, (ip, port): End, seq: u32, ack: u32, (flags, window): (u8, u16), bytes: &[u8]) -> Result<()> {
        let mut tcp = Vec::with_capacity(20 + bytes.len());
        tcp.extend_from_slice(&port.to_be_bytes());
        tcp.extend_from_slice(&PORT.to_be_bytes());
        tcp.extend_from_slice(&seq.to_be_bytes());
        tcp.extend_from_slice(&ack.to_be_bytes());
        tcp.extend_from_slice(&[0x50, flags]);
        tcp.extend_from_slice(&window.to_be_bytes());
        tcp.extend_from_slice(&[0; 4]);
        tcp.extend_from_slice(bytes);
        let pseudo = sum(&ip.to_be_bytes(), sum(&GUEST.to_be_bytes(), 6 + tcp.len() as u32));
        let right = check(sum(&tcp, pseudo));
        tcp[16..18].copy_from_slice(&right);
        let mut header = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header[2..4].copy_from_slice(&(20 + tcp.len() as u16).to_be_bytes());
        header[12..16].copy_from_slice(&ip.to_be_bytes());
        header[16..].copy_from_slice(&GUEST.to_be_bytes());
        let right = check(sum(&header, 0));
        header[10..12].copy_from_slice(&right);
        self.send(0x0800, &[&header[..], &tcp].concat())
    }

    /// Takes one frame in, waiting for it so long.
    fn hear(&mut self, patience: Duration) -> Result<bool> {
        let Ok(frame) = self.from.recv_timeout(patience) else { return Ok(false) };
        let word = |at: usize| frame.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let half = |at: usize| (word(at) >> 16) as u16;
        if frame.len() < 42 {
            return Ok(true);
        }
        self.mac.copy_from_slice(&frame[6..12]);
        match half(12) {
            0x0806 if half(20) == 1 && word(38) != GUEST && word(28) != 0 => {
                let mac = self.mac;
                self.arp(2, word(38), mac, word(28))?;
            }
            0x0800 if frame.len() >= 54 && frame[23] == 6 => {
                let total = usize::from(half(16));
                let start = 34 + usize::from(frame[46] >> 4) * 4;
                let bytes = frame.get(start..14 + total).unwrap_or(&[]).to_vec();
                self.segment_heard((word(30), half(36)), word(38), word(42), frame[47], &bytes)?;
            }
            _ => {}
        }
        Ok(true)
    }

    fn segment_heard(&mut self, end: End, seq: u32, ack: u32, flags: u8, bytes: &[u8]) -> Result<()> {
        let Some(connection) = self.connections.get_mut(&end) else { return Ok(()) };
        if flags & RST != 0 {
            connection.is_over = true;
            return Ok(());
        }
        if flags & SYN != 0 {
            if !connection.is_open {
                (connection.seq, connection.ack, connection.is_open) = (ack, seq.wrapping_add(1), true);
            }
        } else if connection.is_deaf {
            return Ok(());
        } else if seq == connection.ack {
            connection.got.extend_from_slice(bytes);
            connection.ack = seq.wrapping_add(bytes.len() as u32 + u32::from(flags & FIN != 0));
            connection.is_over |= flags & FIN != 0;
            if bytes.is_empty() && flags & FIN == 0 {
                return Ok(());
            }
        }
        let (seq, ack) = (connection.seq, connection.ack);
        self.segment(end, seq, ack, (ACK, 60_000), &[])
    }

    /// Hears until something is so; false if it does not become so in time.
    fn until(&mut self, patience: Duration, is_so: impl Fn(&Self) -> bool) -> Result<bool> {
        let end = Instant::now() + patience;
        while !is_so(self) {
            if Instant::now() > end {
                return Ok(false);
            }
            self.hear(Duration::from_millis(50))?;
        }
        Ok(true)
    }

    /// Opens a connection from an address that was not used yet.
    fn open(&mut self, patience: Duration) -> Result<End> {
        self.next += 1;
        let end = (0x0a00_4000 + self.next % 0x4000, 1024 + (self.next / 0x4000) as u16);
        let seq = self.random();
        self.connections.insert(end, Connection::default());
        let stop = Instant::now() + patience;
        // The guest drops the first segment while its backlog is full.
        while Instant::now() < stop {
            self.segment(end, seq, 0, (SYN, 60_000), &[])?;
            if self.until(Duration::from_secs(3), |crowd| crowd.connections[&end].is_open)? {
                return Ok(end);
            }
        }
        bail!("no connection within {patience:?}")
    }

    fn say(&mut self, end: End, bytes: &[u8]) -> Result<()> {
        let connection = self.connections.get_mut(&end).context("a connection")?;
        let (seq, ack) = (connection.seq, connection.ack);
        connection.seq = seq.wrapping_add(bytes.len() as u32);
        self.segment(end, seq, ack, (ACK | 8, 60_000), bytes)
    }

    /// Sends a request and takes an answer that ends in `last`.
    fn ask(&mut self, end: End, request: &[u8], last: u8) -> Result<Vec<u8>> {
        self.say(end, request)?;
        let done = self.until(ANSWER_TIME, |crowd| crowd.connections[&end].got.last() == Some(&last))?;
        let connection = self.connections.get_mut(&end).context("a connection")?;
        ensure!(done, "no answer within {ANSWER_TIME:?}; over: {}", connection.is_over);
        Ok(std::mem::take(&mut connection.got))
    }

    fn close(&mut self, end: End) -> Result<()> {
        let connection = self.connections.get_mut(&end).context("a connection")?;
        let (seq, ack) = (connection.seq, connection.ack);
        connection.seq = seq.wrapping_add(1);
        self.segment(end, seq, ack, (ACK | FIN, 60_000), &[])?;
        ensure!(self.until(ANSWER_TIME, |crowd| crowd.connections[&end].is_over)?, "no end");
        self.connections.remove(&end);
        Ok(())
    }

    /// Somebody who behaves.
    fn somebody(&mut self) -> Result<()> {
        let end = self.open(ANSWER_TIME)?;
        let answer = self.ask(end, b"hello.", b'.')?;
        ensure!(answer == b"hello.", "a wrong answer: {answer:?}");
        self.close(end)
    }

    fn free_kib(&mut self) -> Result<u64> {
        let end = self.open(ANSWER_TIME)?;
        let answer = self.ask(end, b"M", b'.')?;
        self.close(end)?;
        let text = String::from_utf8_lossy(&answer);
        text.trim_matches(['M', '.']).parse().with_context(|| format!("\"{text}\" is no number"))
    }

    fn all(mut self) -> Result<()> {
        let start = Instant::now() + Duration::from_secs(200);
        while self.mac == [0xff; 6] {
            ensure!(Instant::now() < start, "the guest answers no ARP");
            self.arp(1, 0x0a00_0201, [0; 6], GUEST)?;
            self.hear(Duration::from_millis(200))?;
        }
        let end = self.open(Duration::from_secs(100)).context("the first connection")?;
        self.close(end)?;
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
        let end = self.open(ANSWER_TIME)?;
        self.ask(end, b"Q", b'Q')?;
        while self.hear(Duration::from_secs(3))? {}
        Ok(())
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
            let mut body: Vec<u8> = (0..len).map(|_| self.random() as u8).collect();
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
        let ends = (0..200).map(|_| self.open(ANSWER_TIME)).collect::<Result<Vec<End>>>()?;
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
            let end = self.open(ANSWER_TIME)?;
            self.connections.get_mut(&end).context("a connection")?.is_deaf = true;
            self.say(end, b"S")?;
        }
        self.somebody()
    }

    fn many(&mut self) -> Result<usize> {
        let count = number_of("CROWD_OPEN", 300) as usize;
        let mut ends = Vec::with_capacity(count);
        for _ in 0..count {
            let end = self.open(ANSWER_TIME)?;
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
