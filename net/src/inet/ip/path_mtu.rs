//! What routers said about the largest packet on the way to some destinations (RFC 1191, RFC 8201). It is believed for ten
//! minutes; the table is small and bounded, since anybody can claim to be a router.

use crate::inet::address::Ip;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use hal::sync::SpinLock;

/// Most destinations.
const KNOWN_MAX: usize = 64;
/// How long a path's MTU is believed (net.ipv4.route.mtu_expires).
const BELIEVED_NS: u64 = 600_000_000_000;
/// Smallest MTUs that are believed: net.ipv4.route.min_pmtu, and what every link of IPv6 has.
const LEAST_V4: u32 = 552;
const LEAST_V6: u32 = 1280;

struct Known {
    to: Ip,
    mtu: u32,
    until_ns: u64,
}

static KNOWN: SpinLock<Vec<Known>> = SpinLock::new(Vec::new());
/// There is something in it: what is asked for every path.
static IS_USED: AtomicBool = AtomicBool::new(false);

/// A router has dropped a packet to `to` that was larger than `mtu`; what is believed of it.
pub(crate) fn learn(to: Ip, mtu: u32) -> u32 {
    let mtu = mtu.max(if to.is_v4() { LEAST_V4 } else { LEAST_V6 });
    let now_ns = hal::clock::now_ns();
    let fresh = Known { to, mtu, until_ns: now_ns + BELIEVED_NS };
    let mut known = KNOWN.lock();
    if let Some(old) = known.iter_mut().find(|old| old.to == to) {
        // A larger one within the time would be the lie of somebody, or of an older packet.
        if mtu <= old.mtu || old.until_ns <= now_ns {
            *old = fresh;
        }
    } else if known.len() < KNOWN_MAX {
        known.push(fresh);
    } else if let Some(oldest) = known.iter_mut().min_by_key(|old| old.until_ns) {
        *oldest = fresh;
    }
    IS_USED.store(true, Ordering::Release);
    mtu
}

/// The largest packet to `to` over a link with `mtu`.
pub(crate) fn of(to: Ip, mtu: u32) -> u32 {
    if !IS_USED.load(Ordering::Acquire) {
        return mtu;
    }
    let now_ns = hal::clock::now_ns();
    let known = KNOWN.lock();
    let known = known.iter().find(|known| known.to == to && known.until_ns > now_ns);
    known.map_or(mtu, |known| known.mtu.min(mtu))
}
