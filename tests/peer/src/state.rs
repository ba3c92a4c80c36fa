//! What the lock guards: the hosts, the link to the guest, and both ways' faults.

use crate::faults::{Faults, Seen, Way};
use crate::host::Host;
use crate::link::{self, Heard, Mac};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::Socket;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::net::UnixStream;

/// 10.0.64.1 and on, each host at the next.
const FIRST: u32 = 0x0a00_4001;

/// A host's number and its connection's.
pub(crate) type Place = (usize, SocketHandle);

pub(crate) struct State {
    guest: Ipv4Addr,
    to_guest: Option<UnixStream>,
    mac: Option<Mac>,
    hosts: Vec<Host>,
    /// To the guest, and from it.
    ways: [Way; 2],
    /// It was there and is not any more.
    is_gone: bool,
}

impl State {
    pub(crate) fn new(guest: Ipv4Addr) -> Self {
        let ways = [Way::new(Faults::default()), Way::new(Faults::default())];
        Self { guest, to_guest: None, mac: None, hosts: Vec::new(), ways, is_gone: false }
    }

    pub(crate) fn attach(&mut self, to_guest: UnixStream) {
        self.to_guest = Some(to_guest);
    }

    pub(crate) fn detach(&mut self) {
        (self.to_guest, self.is_gone) = (None, true);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone
    }

    pub(crate) fn knows_guest(&self) -> bool {
        self.mac.is_some()
    }

    pub(crate) fn ask_for_guest(&mut self) {
        self.write(&link::question(FIRST.into(), self.guest));
    }

    pub(crate) fn set_faults(&mut self, faults: Faults) {
        for (way, salt) in self.ways.iter_mut().zip([0, 0x1357]) {
            way.change(Faults { seed: faults.seed ^ salt, ..faults });
        }
    }

    pub(crate) fn seen(&self) -> [Seen; 2] {
        [self.ways[0].seen, self.ways[1].seen]
    }

    /// Begins a connection from a host that has room.
    pub(crate) fn connect(&mut self, server: SocketAddrV4, buffer: usize) -> Result<Place, String> {
        let number = self.hosts.iter().position(|host| !host.is_full()).unwrap_or_else(|| {
            self.hosts.push(Host::new((FIRST + self.hosts.len() as u32).into()));
            self.hosts.len() - 1
        });
        let handle = self.hosts[number].connect(server, buffer)?;
        self.run(number);
        Ok((number, handle))
    }

    pub(crate) fn socket(&mut self, (number, handle): Place) -> &mut Socket<'static> {
        self.hosts[number].socket(handle)
    }

    pub(crate) fn leave(&mut self, (number, handle): Place) {
        self.hosts[number].leave(handle);
        self.run(number);
    }

    /// Lets a host work, and sends what it has to say.
    pub(crate) fn run(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        host.run();
        for packet in std::mem::take(&mut host.queue.goes) {
            for packet in self.ways[0].pass(packet) {
                self.send(&packet);
            }
        }
    }

    /// What is due by time.
    pub(crate) fn tick(&mut self) {
        if let Some(packet) = self.ways[0].late() {
            self.send(&packet);
        }
        if let Some(packet) = self.ways[1].late() {
            self.arrive(packet);
        }
        for number in 0..self.hosts.len() {
            if self.hosts[number].is_due() {
                self.run(number);
            }
        }
    }

    /// A frame of the guest's.
    pub(crate) fn heard(&mut self, frame: &[u8]) {
        let Some((mac, heard)) = link::read(frame) else { return };
        match heard {
            Heard::Packet(packet) => {
                for packet in self.ways[1].pass(packet) {
                    self.arrive(packet);
                }
            }
            Heard::Question(target, from) => {
                self.know(mac, from);
                // A probe (RFC 5227) comes from nowhere: nobody else has the address.
                if target != self.guest && !from.is_unspecified() {
                    self.write(&link::answer(target, mac, from));
                }
            }
            Heard::Told(from) => self.know(mac, from),
            Heard::Other => {}
        }
    }

    fn know(&mut self, mac: Mac, from: Ipv4Addr) {
        if from == self.guest {
            self.mac = Some(mac);
        }
    }

    fn arrive(&mut self, packet: Vec<u8>) {
        let Some(to) = packet.get(16..20).and_then(|to| <[u8; 4]>::try_from(to).ok()) else { return };
        let number = u32::from_be_bytes(to).wrapping_sub(FIRST) as usize;
        if let Some(host) = self.hosts.get_mut(number) {
            host.queue.came.push_back(packet);
            self.run(number);
        }
    }

    fn send(&mut self, packet: &[u8]) {
        if let Some(mac) = self.mac {
            self.write(&link::packet(mac, packet));
        }
    }

    fn write(&mut self, framed: &[u8]) {
        if self.to_guest.as_mut().is_some_and(|stream| stream.write_all(framed).is_err()) {
            self.detach();
        }
    }
}
