//! An interface's fixed address as the user writes it: `ADDRESS/LENGTH[,gw=ADDRESS][,dns=ADDRESS]...`

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

/// A fixed address, IPv4 or IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of the network's prefix in bits.
    pub prefix_bits: u8,
    /// Where packets for other networks go; of the same version of IP as the address.
    pub gateway: Option<IpAddr>,
    /// Name servers, best first.
    pub dns: Vec<IpAddr>,
}

impl FromStr for FixedAddress {
    type Err = String;

    /// The error says what was expected.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let network = parts.next().unwrap_or("");
        let (address, prefix) = network.split_once('/').ok_or("expected ADDRESS/LENGTH, for example 10.0.0.2/24")?;
        let address = ip(address)?;
        let max_bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = prefix.parse().ok().filter(|bits| *bits <= max_bits);
        let prefix_bits = prefix_bits.ok_or_else(|| format!("/{prefix} is not a length from 0 to {max_bits}"))?;
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            return Err(format!("{address} is no address for an interface"));
        }
        let mut fixed = Self { address, prefix_bits, gateway: None, dns: Vec::new() };
        for part in parts {
            match part.split_once('=') {
                Some(("gw", value)) if fixed.gateway.is_none() => {
                    let gateway = ip(value)?;
                    if gateway.is_ipv4() != address.is_ipv4() {
                        return Err(format!("the gateway {gateway} is of another version of IP than {address}"));
                    }
                    fixed.gateway = Some(gateway);
                }
                Some(("dns", value)) => fixed.dns.push(ip(value)?),
                _ => return Err(format!("\"{part}\" is neither gw=ADDRESS (once) nor dns=ADDRESS")),
            }
        }
        Ok(fixed)
    }
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("\"{text}\" is no IP address"))
}

impl fmt::Display for FixedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)?;
        if let Some(gateway) = self.gateway {
            write!(f, ",gw={gateway}")?;
        }
        self.dns.iter().try_for_each(|server| write!(f, ",dns={server}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn what_is_written_is_read_and_the_rest_is_refused() {
        for text in ["10.0.0.2/24", "10.0.0.2/32,gw=10.0.0.1,dns=1.1.1.1,dns=::1", "fd00::2/64,gw=fe80::1"] {
            assert_eq!(text.parse::<FixedAddress>().map(|fixed| fixed.to_string()), Ok(text.to_string()));
        }
        for text in [
            "",
            "10.0.0.2",
            "10.0.0.2/33",
            "10.0.0.2/x",
            "10.0.0/8",
            "::/0",
            "127.0.0.1/8",
            "224.0.0.1/4",
            "fd00::/129",
            "10.0.0.2/8,gw=::1",
            "10.0.0.2/8,gw=10.0.0.1,gw=10.0.0.1",
            "10.0.0.2/8,mtu=3",
            "10.0.0.2/8,",
            "10.0.0.2/8,dns=",
        ] {
            assert!(text.parse::<FixedAddress>().is_err(), "{text}");
        }
    }
}
