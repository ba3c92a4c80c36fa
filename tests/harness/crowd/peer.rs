//! A small TCP with as many addresses as it likes, which talks with the guest's server (`guest/java/Crowd.java`).
//!
//! It says again what was not acknowledged after some silence; it does not keep what comes out of order, which the guest
//! has to say again.

use super::frame::{self, ACK, ARP, End, FIN, GUEST, IPV4, PSH, RST, Random, SYN};
use super::transport::Transport;
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

pub(crate) const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
/// Who asks for the guest's own Ethernet address at first.
const FIRST: u32 = 0x0a00_0201;

/// How a peer takes what the guest says.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Behaves,
    /// Takes nothing and acknowledges nothing but the opening.
    Deaf,
    /// Nor that.
    Mute,
}

#[derive(Default)]
pub(crate) struct Connection {
    /// The next that it says, and the next that it expects.
    pub seq: u32,
    pub ack: u32,
    pub is_open: bool,
    pub is_over: bool,
    pub is_reset: bool,
    pub manner: Manner,
    /// The number that the guest expected when it spoke last.
    pub expected: Option<u32>,
    pub got: Vec<u8>,
    /// Said and not acknowledged: number, flags, bytes.
    said: Vec<(u32, u8, Vec<u8>)>,
}

impl Connection {
    /// Whether all that it said has been acknowledged.
    pub(crate) fn is_heard(&self) -> bool {
        self.said.is_empty()
    }

    fn acknowledged(&mut self, ack: u32) {
        let end = |(seq, flags, bytes): &(u32, u8, Vec<u8>)| {
            seq.wrapping_add(bytes.len() as u32 + u32::from(flags & (SYN | FIN) != 0))
        };
        self.said.retain(|said| (ack.wrapping_sub(end(said)) as i32) < 0);
    }
}

/// All peers.
pub(crate) struct Crowd {
    way: Box<dyn Transport>,
    pub mac: [u8; 6],
    pub connections: HashMap<End, Connection>,
    /// Addresses that nobody has.
    pub nobody: Range<u32>,
    /// After so long what was said is said again.
    silence: Duration,
    /// Who gets no answer for so long is not served.
    pub patience: Duration,
    next: u32,
    random: Random,
}

impl Crowd {
    pub(crate) fn new(way: impl Transport + 'static, silence: Duration, patience: Duration) -> Self {
        Self {
            way: Box::new(way),
            mac: [0xff; 6],
            connections: HashMap::new(),
            nobody: 0..0,
            silence,
            patience,
            next: 0,
            random: Random(88_172_645_463_325_252),
        }
    }

    /// One of the connections.
    pub(crate) fn connection(&mut self, end: End) -> Result<&mut Connection> {
        self.connections.get_mut(&end).with_context(|| format!("no connection {end:x?}"))
    }

    pub(crate) fn random(&mut self) -> u32 {
        self.random.next()
    }

    pub(crate) fn random_bytes(&mut self, len: usize) -> Vec<u8> {
        self.random.bytes(len)
    }

    pub(crate) fn send(&mut self, kind: u16, body: &[u8]) -> Result<()> {
        let frame = frame::ethernet(self.mac, OWN_MAC, kind, body);
        self.way.send(&frame)
    }

    pub(crate) fn segment(
        &mut self,
        end: End,
        seq: u32,
        ack: u32,
        (flags, window): (u8, u16),
        bytes: &[u8],
    ) -> Result<()> {
        let segment = frame::tcp(end, seq, ack, (flags, window), bytes);
        self.send(IPV4, &frame::ipv4(end.0, frame::TCP, (0, 0x4000), &segment))
    }

    /// Finds the guest, and lets one connection come and go.
    pub(crate) fn meet(&mut self) -> Result<()> {
        let start = Instant::now() + Duration::from_secs(200);
        while self.mac == [0xff; 6] {
            ensure!(Instant::now() < start, "the guest answers no ARP");
            self.send(ARP, &frame::arp(1, (OWN_MAC, FIRST), ([0; 6], GUEST)))?;
            self.hear(Duration::from_millis(200))?;
        }
        let end = self.open(Duration::from_secs(100)).context("the first connection")?;
        self.close(end)
    }

    /// Takes one frame in, waiting for it so long.
    pub(crate) fn hear(&mut self, patience: Duration) -> Result<bool> {
        let Some(frame) = self.way.receive(patience) else { return Ok(false) };
        let word = |at: usize| frame.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let half = |at: usize| (word(at) >> 16) as u16;
        if frame.len() < 42 {
            return Ok(true);
        }
        self.mac.copy_from_slice(&frame[6..12]);
        match half(12) {
            ARP if half(20) == 1 && word(38) != GUEST && word(28) != 0 && !self.nobody.contains(&word(38)) => {
                let answer = frame::arp(2, (OWN_MAC, word(38)), (self.mac, word(28)));
                self.send(ARP, &answer)?;
            }
            IPV4 if frame.len() >= 54 && frame[23] == frame::TCP => {
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
            (connection.is_over, connection.is_reset) = (true, true);
            return Ok(());
        }
        connection.acknowledged(ack);
        connection.expected = Some(ack);
        if flags & SYN != 0 {
            if !connection.is_open {
                (connection.seq, connection.ack, connection.is_open) = (ack, seq.wrapping_add(1), true);
            }
            if connection.manner == Manner::Mute {
                return Ok(());
            }
            // A SYN cookie is good with the number behind the opening only, whatever has been said (and lost) since.
            let (seq, ack) = (connection.said.first().map_or(connection.seq, |said| said.0), connection.ack);
            return self.segment(end, seq, ack, (ACK, 60_000), &[]);
        } else if connection.manner != Manner::Behaves {
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
            self.hear(Duration::from_millis(50).min(self.silence))?;
        }
        Ok(true)
    }

    /// As `until`, of one connection, whose words are said again meanwhile.
    pub(crate) fn wait(&mut self, end: End, patience: Duration, is_so: impl Fn(&Connection) -> bool) -> Result<bool> {
        let stop = Instant::now() + patience;
        while !self.until(self.silence, |crowd| crowd.connections.get(&end).is_some_and(&is_so))? {
            if Instant::now() > stop {
                return Ok(false);
            }
            self.say_again(end)?;
        }
        Ok(true)
    }

    fn say_again(&mut self, end: End) -> Result<()> {
        let connection = self.connection(end)?;
        let ack = connection.ack;
        for (seq, flags, bytes) in connection.said.clone() {
            if flags & SYN != 0 {
                // The guest may have asked for the address in vain.
                self.send(ARP, &frame::arp(1, (OWN_MAC, end.0), ([0; 6], GUEST)))?;
            }
            self.segment(end, seq, ack, (flags, 60_000), &bytes)?;
        }
        Ok(())
    }

    /// Opens a connection from an address that was not used yet.
    pub(crate) fn open(&mut self, patience: Duration) -> Result<End> {
        self.open_as(Manner::Behaves, patience)
    }

    pub(crate) fn open_as(&mut self, manner: Manner, patience: Duration) -> Result<End> {
        self.next += 1;
        let end = (0x0a00_4000 + self.next % 0x4000, 1024 + (self.next / 0x4000) as u16);
        let seq = self.random();
        let said = vec![(seq, SYN, Vec::new())];
        self.connections.insert(end, Connection { manner, said, ..Connection::default() });
        self.segment(end, seq, 0, (SYN, 60_000), &[])?;
        // The guest drops the first segment while its backlog is full.
        if !self.wait(end, patience, |connection| connection.is_open)? {
            bail!("no connection within {patience:?}");
        }
        Ok(end)
    }

    fn say_with(&mut self, end: End, flags: u8, bytes: &[u8]) -> Result<()> {
        let connection = self.connection(end)?;
        let (seq, ack) = (connection.seq, connection.ack);
        connection.seq = seq.wrapping_add(bytes.len() as u32 + u32::from(flags & FIN != 0));
        connection.said.push((seq, flags, bytes.to_vec()));
        self.segment(end, seq, ack, (flags, 60_000), bytes)
    }

    pub(crate) fn say(&mut self, end: End, bytes: &[u8]) -> Result<()> {
        self.say_with(end, ACK | PSH, bytes)
    }

    /// Says that nothing more is said.
    pub(crate) fn finish(&mut self, end: End) -> Result<()> {
        self.say_with(end, ACK | FIN, &[])
    }

    /// Sends a request and takes an answer that ends in `last`.
    pub(crate) fn ask(&mut self, end: End, request: &[u8], last: u8) -> Result<Vec<u8>> {
        self.say(end, request)?;
        let is_done = |connection: &Connection| connection.got.last() == Some(&last);
        let patience = self.patience;
        self.wait(end, patience, |connection| is_done(connection) || connection.is_over)?;
        let connection = self.connection(end)?;
        let Connection { is_over, is_reset, .. } = *connection;
        ensure!(is_done(connection), "no answer within {patience:?}; over: {is_over}, reset: {is_reset}");
        Ok(std::mem::take(&mut connection.got))
    }

    /// Closes one. Its peer goes on to acknowledge that the guest closes it too, should it ask again.
    pub(crate) fn close(&mut self, end: End) -> Result<()> {
        self.finish(end)?;
        ensure!(self.wait(end, self.patience, |connection| connection.is_over)?, "no end");
        Ok(())
    }

    /// Somebody who behaves.
    pub(crate) fn somebody(&mut self) -> Result<()> {
        let end = self.open(self.patience)?;
        let answer = self.ask(end, b"hello.", b'.')?;
        ensure!(answer == b"hello.", "a wrong answer: {answer:?}");
        self.close(end)
    }

    /// What the guest says of its free memory.
    pub(crate) fn free_kib(&mut self) -> Result<u64> {
        let end = self.open(self.patience)?;
        let answer = self.ask(end, b"M", b'.')?;
        self.close(end)?;
        let text = String::from_utf8_lossy(&answer);
        text.trim_matches(['M', '.']).parse().with_context(|| format!("\"{text}\" is no number"))
    }

    /// Lets the server end.
    pub(crate) fn quit(&mut self) -> Result<()> {
        let end = self.open(self.patience)?;
        self.ask(end, b"Q", b'Q')?;
        while self.hear(Duration::from_secs(3))? {}
        Ok(())
    }
}
