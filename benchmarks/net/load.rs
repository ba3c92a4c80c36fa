//! The clients, on the host: a request is sent and its whole answer read.

use anyhow::{Context, Result, bail};
use guest::system::{GUEST, SERVER_PORT};
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server that does not answer for so long has failed.
const LIMIT: Duration = Duration::from_secs(120);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: guest\r\n\r\n";

/// Bytes that wait on each way of a connection of [`Door::Peer`]'s.
const BUFFER: usize = 16 << 10;

/// Which way leads to the server.
#[derive(Clone)]
pub enum Door {
    /// This computer's own TCP.
    Host(SocketAddr),
    /// A network of this process's own.
    Peer(Arc<Peer>),
}

/// A network and its socket's directory.
pub struct Peer {
    /// Where the guest is [`GUEST`].
    pub network: peer::Network,
    _directory: TempDir,
}

impl Peer {
    /// A network, and the path at which a guest finds it.
    pub fn new() -> Result<(Peer, PathBuf)> {
        let directory = tempfile::Builder::new().prefix("peer").tempdir()?;
        let path = directory.path().join("frames");
        Ok((Peer { network: peer::Network::bind(&path, GUEST)?, _directory: directory }, path))
    }
}

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

impl Door {
    fn open(&self) -> Result<Box<dyn Duplex>> {
        match self {
            Door::Host(server) => {
                let stream = TcpStream::connect(server)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(LIMIT))?;
                Ok(Box::new(stream))
            }
            Door::Peer(peer) => {
                Ok(Box::new(peer.network.connect(SocketAddrV4::new(GUEST, SERVER_PORT), BUFFER, LIMIT)?))
            }
        }
    }
}

/// Connections that the same server has accepted.
pub struct Clients {
    door: Door,
    connections: Vec<Box<dyn Duplex>>,
}

impl Clients {
    /// Opens `count` connections; each has had one answer.
    pub fn connect(door: &Door, count: usize) -> Result<Clients> {
        let mut clients = Clients { door: door.clone(), connections: Vec::new() };
        for number in 0..count {
            let mut stream = door.open().with_context(|| format!("connection {number} of {count}"))?;
            stream.write_all(REQUEST)?;
            answer(&mut stream)?;
            clients.connections.push(stream);
        }
        Ok(clients)
    }

    /// `rounds` times: a request on each connection, then the answer of each.
    pub fn ask(&mut self, rounds: usize) -> Result<()> {
        for _ in 0..rounds {
            for stream in &mut self.connections {
                stream.write_all(REQUEST)?;
            }
            for stream in &mut self.connections {
                answer(stream)?;
            }
        }
        Ok(())
    }

    /// How long each request took, milliseconds, one after another on the first connection.
    pub fn times_ms(&mut self, during: Duration) -> Result<Vec<f64>> {
        let stream = self.first()?;
        let (end, mut times) = (Instant::now() + during, Vec::new());
        while Instant::now() < end {
            let sent = Instant::now();
            stream.write_all(REQUEST)?;
            answer(stream)?;
            times.push(sent.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    }

    /// Bytes a second of a body of `bytes` that the server sends.
    pub fn receive(&mut self, bytes: u64) -> Result<f64> {
        let stream = self.first()?;
        let started = Instant::now();
        write!(stream, "GET /{bytes} HTTP/1.1\r\nHost: guest\r\n\r\n")?;
        let got = answer(stream)?;
        anyhow::ensure!(got == bytes, "{got} bytes arrived of {bytes}");
        Ok(bytes as f64 / started.elapsed().as_secs_f64())
    }

    /// Bytes a second of a body of `bytes` that the server takes.
    pub fn send(&mut self, bytes: u64) -> Result<f64> {
        let stream = self.first()?;
        let block = vec![0x5a; 256 << 10];
        let started = Instant::now();
        write!(stream, "POST / HTTP/1.1\r\nHost: guest\r\nContent-Length: {bytes}\r\n\r\n")?;
        let mut left = bytes;
        while left > 0 {
            let now = left.min(block.len() as u64);
            stream.write_all(&block[..now as usize])?;
            left -= now;
        }
        answer(stream)?;
        Ok(bytes as f64 / started.elapsed().as_secs_f64())
    }

    fn first(&mut self) -> Result<&mut Box<dyn Duplex>> {
        self.connections.first_mut().context("no connection")
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.connections.len()
    }

    /// More connections to the same server.
    pub fn more(&self, count: usize) -> Result<Clients> {
        Clients::connect(&self.door, count)
    }
}

/// Reads one answer to its end; the length of its body.
fn answer(stream: &mut dyn Duplex) -> Result<u64> {
    let mut bytes = [0; 64 << 10];
    let mut seen = 0;
    let end = loop {
        if let Some(at) = bytes[..seen].windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut bytes[seen..]).context("the server does not answer")? {
            0 => bail!("the server ended the connection"),
            count => seen += count,
        }
    };
    let head = std::str::from_utf8(&bytes[..end])?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "the server answered {head:?}");
    let body = body_length(head).with_context(|| format!("no length in {head:?}"))?;
    let mut left = body.checked_sub((seen - end) as u64).context("more than the answer arrived")?;
    while left > 0 {
        let most = left.min(bytes.len() as u64) as usize;
        match stream.read(&mut bytes[..most])? {
            0 => bail!("the server ended the connection within an answer"),
            count => left -= count as u64,
        }
    }
    Ok(body)
}

fn body_length(head: &str) -> Option<u64> {
    let value = head.split("\r\n").filter_map(|line| line.split_once(':'));
    value.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_however_they_come() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for pieces in
                [["HTTP/1.1 200 OK\r\ncontent-", "length: 5\r\n\r\nab", "cde"], ["HTTP/1.1 500 x", "\r\n", "\r\n"]]
            {
                let mut request = [0; REQUEST.len()];
                stream.read_exact(&mut request).unwrap();
                assert_eq!(request, REQUEST);
                for piece in pieces {
                    stream.write_all(piece.as_bytes()).unwrap();
                    stream.flush().unwrap();
                }
            }
        });
        let mut clients = Clients::connect(&Door::Host(server), 1).unwrap();
        assert!(clients.ask(1).unwrap_err().to_string().contains("500"));
        thread.join().unwrap();
    }
}
