//! The interface's configuration from all its sources.

use super::dhcp::Dhcp;
use super::router::Router;
use super::{Configuration, frame, state};
use core::net::IpAddr;

/// What [`Client::poll`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// When to call it again, [`hal::clock::now_ns`] time; `u64::MAX`: not before a frame has come.
    pub deadline_ns: u64,
    /// The configuration has changed.
    pub has_changed: bool,
}

/// See [the module](super).
#[derive(Debug)]
pub struct Client {
    /// What the user fixed.
    fixed: Configuration,
    /// `None` when an IPv4 address is fixed.
    dhcp: Option<Dhcp>,
    /// `None` when an IPv6 address is fixed.
    router: Option<Router>,
}

impl Client {
    /// Configures the interface with the Ethernet address `mac` as [`super::set_wish`] said. `random` numbers its
    /// messages.
    pub fn new(mac: [u8; 6], random: u32, now_ns: u64) -> Self {
        let fixed = state::wish().0;
        let client = Self {
            dhcp: fixed.ipv4.is_none().then(|| Dhcp::new(mac, random, now_ns)),
            router: fixed.ipv6.is_empty().then(|| Router::new(mac, now_ns)),
            fixed,
        };
        state::started(now_ns);
        state::publish(client.configuration());
        client
    }

    /// Whether a received frame is for a client. Cheap; no other frame may go to [`Client::receive`].
    pub fn wants(frame: &[u8]) -> bool {
        frame::dhcp_message(frame).is_some() || Router::wants(frame)
    }

    /// Takes a frame in; true if the configuration has changed. `checksum_is_valid`: as the device says. Poll afterwards.
    pub fn receive(&mut self, frame: &[u8], checksum_is_valid: bool, now_ns: u64) -> bool {
        let dhcp = self.dhcp.as_mut().is_some_and(|dhcp| dhcp.receive(frame, now_ns));
        let router = self.router.as_mut().is_some_and(|router| router.receive(frame, checksum_is_valid, now_ns));
        self.publish_if(dhcp || router)
    }

    /// Sends what is due and ends what has run out.
    pub fn poll(&mut self, now_ns: u64, send: &mut dyn FnMut(&[u8])) -> Poll {
        let dhcp = self.dhcp.as_mut().is_some_and(|dhcp| dhcp.poll(now_ns, send));
        let router = self.router.as_mut().is_some_and(|router| router.poll(now_ns, send));
        let deadlines = [self.dhcp.as_ref().map(Dhcp::deadline_ns), self.router.as_ref().map(Router::deadline_ns)];
        let deadline_ns = deadlines.into_iter().flatten().min().unwrap_or(u64::MAX);
        Poll { deadline_ns, has_changed: self.publish_if(dhcp || router) }
    }

    fn publish_if(&self, has_changed: bool) -> bool {
        if has_changed {
            state::publish(self.configuration());
        }
        has_changed
    }

    /// What holds now.
    pub fn configuration(&self) -> Configuration {
        let mut all = self.fixed.clone();
        if let Some(grant) = self.dhcp.as_ref().and_then(Dhcp::grant) {
            all.ipv4 = Some(grant.ipv4);
            if self.fixed.dns.is_empty() {
                all.dns.extend(grant.dns.iter().copied().map(IpAddr::V4));
            }
            all.domain.clone_from(&grant.domain);
            all.mtu_bytes = grant.mtu_bytes;
        }
        if let Some(router) = &self.router {
            router.fill(&mut all);
        }
        if !self.fixed.dns.is_empty() {
            all.dns.clone_from(&self.fixed.dns);
        }
        all
    }
}
