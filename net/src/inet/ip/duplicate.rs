//! Whether another machine has one of our IPv6 addresses (RFC 4862, 5.4). Addresses are used at once, as RFC 4429 lets a
//! machine whose addresses are made of its own Ethernet address: nobody waits a second for an answer that does not come.

use super::neighbour;
use crate::device::Device;
use crate::inet::address::Ip;
use crate::interface;
use alloc::vec::Vec;
use hal::sync::SpinLock;

/// How long after a question an answer counts (RetransTimer): later it is somebody else's mistake.
const ASKED_NS: u64 = 1_000_000_000;
/// Most addresses that were asked for, and that are not used since.
const LIST_MAX: usize = 16;

struct Asked {
    ip: Ip,
    until_ns: u64,
    /// Tells our question from another's when the network sends it back (RFC 7527).
    nonce: [u8; 6],
}

static ASKED: SpinLock<Vec<Asked>> = SpinLock::new(Vec::new());
static REFUSED: SpinLock<Vec<Ip>> = SpinLock::new(Vec::new());

/// The interface has addresses: asks for those that were not asked for.
pub(crate) fn addressed(device: &Device) {
    let table = interface::table();
    let Some(own) = table.interface(device.index) else { return };
    let is_own = |ip: Ip| own.addresses.iter().any(|address| address.ip == ip);
    ASKED.lock().retain(|asked| is_own(asked.ip));
    for address in own.addresses.iter().filter(|address| !address.ip.is_v4()) {
        let mut nonce = [0; 6];
        hal::random::fill(&mut nonce);
        {
            let mut asked = ASKED.lock();
            if asked.len() >= LIST_MAX || asked.iter().any(|asked| asked.ip == address.ip) {
                continue;
            }
            asked.push(Asked { ip: address.ip, until_ns: hal::clock::now_ns() + ASKED_NS, nonce });
        }
        neighbour::probe(device, address.ip, nonce);
    }
}

/// Whether another machine has it, so that we do not.
pub(crate) fn is_refused(ip: Ip) -> bool {
    REFUSED.lock().contains(&ip)
}

/// What becomes of an address of ours that another machine has or wants.
#[derive(PartialEq, Eq)]
pub(super) enum Fate {
    /// The network has sent our own question back.
    Echo,
    /// It is ours; the other shall know.
    Kept,
    /// We are the later one, and do not use it any more.
    Lost,
}

/// Another machine says that it has an address of ours, or asks for it (with `nonce`).
pub(super) fn heard(device: &Device, ip: Ip, nonce: Option<[u8; 6]>) -> Fate {
    let now_ns = hal::clock::now_ns();
    match ASKED.lock().iter().find(|asked| asked.ip == ip) {
        Some(asked) if nonce == Some(asked.nonce) => return Fate::Echo,
        Some(asked) if asked.until_ns > now_ns => {}
        _ => return Fate::Kept,
    }
    {
        let mut refused = REFUSED.lock();
        if refused.len() >= LIST_MAX {
            return Fate::Kept;
        }
        refused.push(ip);
    }
    log::error!("net: {ip:?} is another machine's address already; it is not used here");
    let table = interface::table();
    if let Some(own) = table.interface(device.index) {
        let left: Vec<_> = own.addresses.iter().copied().filter(|address| address.ip != ip).collect();
        interface::set_addresses(device.index, &left);
    }
    Fate::Lost
}

/// Everything is as at first.
#[cfg(test)]
pub(crate) fn forget() {
    ASKED.lock().clear();
    REFUSED.lock().clear();
}
