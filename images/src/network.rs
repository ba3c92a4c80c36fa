//! The machine's network as the user describes it, and as QEMU is told.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// How the machine is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// No network device.
    None,
    /// QEMU's own network: the guest reaches out as this process does, and is reached at published ports. Needs no rights.
    User,
    /// A tap device of this computer that exists already.
    Tap {
        /// Its name.
        name: String,
        /// Pairs of queues; above 1 the tap must have been made with multi_queue.
        queues: u16,
    },
    /// A program that listens at a Unix socket: whole Ethernet frames, each behind its length (4 bytes, big-endian).
    /// For tests: who connects a guest so is all of its network.
    Frames {
        /// The socket's path.
        path: std::path::PathBuf,
    },
    /// A virtual switch of this computer: see [`crate::switch`].
    Switch {
        /// Its socket.
        path: std::path::PathBuf,
        /// From which the machine's own address comes: no two machines at a switch may have the same.
        name: String,
    },
}

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "user" => return Ok(Network::User),
            "none" => return Ok(Network::None),
            _ => {}
        }
        if let Some(path) = text.strip_prefix("switch=").filter(|path| !path.is_empty()) {
            return Ok(Network::Switch { path: path.into(), name: String::new() });
        }
        let tap = text.strip_prefix("tap=").ok_or("expected user, tap=NAME[,queues=N], switch=SOCKET or none")?;
        let (name, queues) = match tap.split_once(",queues=") {
            Some((name, count)) => {
                let count = count.parse().ok().filter(|count| (1..=16).contains(count));
                (name, count.ok_or("queues is a number from 1 to 16")?)
            }
            None => (tap, 1),
        };
        // Linux's names of interfaces: up to 15 bytes; QEMU's options end at commas.
        let is_name = !name.is_empty() && name.len() < 16 && name.bytes().all(|b| b.is_ascii_graphic());
        if !is_name || name.contains(['/', ',', '=']) {
            return Err(format!("\"{name}\" is no name of a tap device"));
        }
        Ok(Network::Tap { name: name.to_string(), queues })
    }
}

/// A port of this computer that leads to a port of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where this computer listens: its loopback addresses unless the user names one.
    pub address: Option<IpAddr>,
    /// Its port.
    pub host: u16,
    /// Which machine, where there are several: at a switch.
    pub machine: Option<Ipv4Addr>,
    /// The guest's port.
    pub guest: u16,
    /// UDP instead of TCP.
    pub is_udp: bool,
}

impl FromStr for Publish {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected [ADDRESS:]HOSTPORT:[GUESTADDRESS:]GUESTPORT[/udp], for example 8080:80";
        let (ports, is_udp) = match text.split_once('/') {
            Some((ports, "udp")) => (ports, true),
            Some((ports, "tcp")) => (ports, false),
            Some(_) => return Err(expected.into()),
            None => (text, false),
        };
        let port = |text: &str| match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(format!("\"{text}\" is no port from 1 to 65535; {expected}")),
        };
        let (host, guest) = ports.rsplit_once(':').ok_or(expected)?;
        let (host, machine) = match host.rsplit_once(':') {
            Some((rest, machine)) if machine.contains('.') => (rest, Some(machine.parse().map_err(|_| expected)?)),
            _ => (host, None),
        };
        let (address, host) = match host.rsplit_once(':') {
            Some((address, host)) => {
                // QEMU forwards IPv4 only.
                let address = address.parse::<Ipv4Addr>();
                (Some(IpAddr::V4(address.map_err(|_| expected)?)), host)
            }
            None => (None, host),
        };
        Ok(Publish { address, host: port(host)?, machine, guest: port(guest)?, is_udp })
    }
}

/// The QEMU options of the device named `device` (`virtio-net-pci,...`).
pub(crate) fn arguments(network: &Network, publish: &[Publish], device: &str, is_pci: bool) -> Vec<[String; 2]> {
    // Multiqueue needs vectors; the guest has no use for a boot ROM.
    let rom = if is_pci { ",romfile=" } else { "" };
    match network {
        Network::None => Vec::new(),
        Network::User => {
            vec![["-netdev".into(), user("net", publish)], ["-device".into(), format!("{device},netdev=net{rom}")]]
        }
        Network::Frames { path } => {
            let netdev = format!("stream,id=net,server=off,addr.type=unix,addr.path={}", path.display());
            vec![["-netdev".into(), netdev], ["-device".into(), format!("{device},netdev=net{rom}")]]
        }
        Network::Switch { path, name } => {
            let path = path.to_string_lossy().replace(',', ",,");
            let netdev = format!("stream,id=net,server=off,addr.type=unix,addr.path={path}");
            let mac = mac_of(name);
            vec![["-netdev".into(), netdev], ["-device".into(), format!("{device},netdev=net,mac={mac}{rom}")]]
        }
        Network::Tap { name, queues } => {
            let (many, vectors) = match queues {
                1 => (String::new(), String::new()),
                n if is_pci => (format!(",queues={n}"), format!(",mq=on,vectors={}", 2 * n + 2)),
                n => (format!(",queues={n}"), ",mq=on".into()),
            };
            let netdev = format!("tap,id=net,ifname={name},script=no,downscript=no,vhost=off{many}");
            let mac = mac_of(name);
            vec![["-netdev".into(), netdev], ["-device".into(), format!("{device},netdev=net,mac={mac}{vectors}{rom}")]]
        }
    }
}

/// QEMU's user network `id` with its published ports.
pub(crate) fn user(id: &str, publish: &[Publish]) -> String {
    let mut netdev = format!("user,id={id}");
    for entry in publish {
        let kind = if entry.is_udp { "udp" } else { "tcp" };
        let address = entry.address.map_or("127.0.0.1".to_string(), |address| address.to_string());
        let machine = entry.machine.map(|address| address.to_string()).unwrap_or_default();
        netdev.push_str(&format!(",hostfwd={kind}:{address}:{}-{machine}:{}", entry.host, entry.guest));
    }
    netdev
}

/// An address of its own for the guest at each tap or switch: QEMU's default is the same for all.
fn mac_of(name: &str) -> String {
    use sha2::{Digest, Sha256};
    let host = std::fs::read("/etc/machine-id").unwrap_or_default();
    let hash = Sha256::new().chain_update(host).chain_update(name).finalize();
    format!("52:54:00:{:02x}:{:02x}:{:02x}", hash[0], hash[1], hash[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read() {
        assert_eq!("user".parse(), Ok(Network::User));
        assert_eq!("none".parse(), Ok(Network::None));
        assert_eq!("tap=t0".parse(), Ok(Network::Tap { name: "t0".into(), queues: 1 }));
        assert_eq!("tap=t0,queues=4".parse(), Ok(Network::Tap { name: "t0".into(), queues: 4 }));
        assert_eq!("switch=a,b".parse(), Ok(Network::Switch { path: "a,b".into(), name: String::new() }));
        for bad in
            ["", "bridge", "switch=", "tap", "tap=", "tap=a/b", "tap=t0,queues=0", "tap=t0,queues=17", "tap=a,b=c"]
        {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn published_ports_become_forwards_of_the_loopback() {
        let publish: Vec<Publish> = ["18080:8080", "53:5353/udp", "0.0.0.0:80:80"].map(|t| t.parse().unwrap()).into();
        let lines = arguments(&Network::User, &publish, "virtio-net-pci", true);
        let forwards = "hostfwd=tcp:127.0.0.1:18080-:8080,hostfwd=udp:127.0.0.1:53-:5353,hostfwd=tcp:0.0.0.0:80-:80";
        assert_eq!(lines[0][1], format!("user,id=net,{forwards}"));
        let ring: Vec<Publish> = ["9042:10.0.2.11:9042", "127.0.0.2:1:10.0.2.12:2"].map(|t| t.parse().unwrap()).into();
        let forwards = "hostfwd=tcp:127.0.0.1:9042-10.0.2.11:9042,hostfwd=tcp:127.0.0.2:1-10.0.2.12:2";
        assert_eq!(user("u", &ring), format!("user,id=u,{forwards}"));
        for bad in
            ["", "80", "1:2.3:4", "0:80", "80:0", "80:65536", "x:80", "80:80/sctp", "a:80:80", "1:2:3:4", ":80", "80:"]
        {
            assert!(bad.parse::<Publish>().is_err(), "{bad}");
        }
    }

    #[test]
    fn machines_at_a_switch_have_addresses_of_their_own() {
        let at = |name: &str| {
            let network = Network::Switch { path: "/a,b".into(), name: name.into() };
            arguments(&network, &[], "virtio-net-pci", true)
        };
        assert!(at("1")[0][1].ends_with("addr.path=/a,,b"));
        assert_ne!(at("1")[1][1], at("2")[1][1]);
        assert_eq!(at("1"), at("1"));
    }

    #[test]
    fn taps_have_addresses_of_their_own() {
        let tap = |name: &str| arguments(&Network::Tap { name: name.into(), queues: 2 }, &[], "virtio-net-pci", true);
        assert!(tap("a")[0][1].contains("ifname=a,script=no") && tap("a")[1][1].contains("vectors=6"));
        assert_ne!(tap("a")[1][1], tap("b")[1][1]);
        assert_eq!(tap("a"), tap("a"));
    }
}
