//! SYN cookies (RFC 4987, 3.6): while the table of openings is full, all that is known of one is in the number that its
//! answer carries, and in its timestamp, which the peer gives back.

use super::engine::head::{Head, SYN};
use super::secret;
use crate::inet::address::Tuple;
use core::sync::atomic::{AtomicU64, Ordering};

/// Sizes of segments that a cookie can tell; the largest that is not over the peer's counts.
const SIZES: [u16; 8] = [88, 536, 1200, 1220, 1380, 1440, 1460, 8960];
/// How long a cookie's number of the time holds, nanoseconds. One of the last period is good too.
const PERIOD_NS: u64 = 64_000_000_000;
/// Bits of a timestamp that carry options, milliseconds that are lost by it.
const OPTION_BITS: u32 = 6;
const SACK: u32 = 1 << 4;
const NO_SCALE: u32 = 0xf;

/// When the last cookie was made; 0: never.
static LAST_NS: AtomicU64 = AtomicU64::new(0);

fn number(tuple: &Tuple, peer_seq: u32, period: u64, size: usize) -> u32 {
    let code = (period as u32 & 0x1f) << 27 | (size as u32) << 24;
    let mac = secret::of(tuple, u64::from(peer_seq) << 32 | u64::from(code) | 1) as u32;
    code | mac & 0xff_ffff
}

/// The number for the answer to `syn`, and the value of its timestamp.
pub(super) fn make(tuple: &Tuple, syn: &Head, now_ns: u64) -> (u32, u32) {
    LAST_NS.store(now_ns, Ordering::Relaxed);
    let wanted = syn.mss.unwrap_or(536);
    let size = SIZES.iter().rposition(|&size| size <= wanted).unwrap_or(0);
    let options = syn.scale.map_or(NO_SCALE, u32::from) | if syn.sack_permitted { SACK } else { 0 };
    let now_ms = (now_ns / 1_000_000) as u32;
    let mut stamp = now_ms >> OPTION_BITS << OPTION_BITS | options;
    if stamp > now_ms {
        // Later ones must not be smaller.
        stamp = stamp.wrapping_sub(1 << OPTION_BITS);
    }
    (number(tuple, syn.seq, now_ns / PERIOD_NS, size), stamp)
}

/// The opening that `head` confirms, if its acknowledgement is a cookie of ours: our number and the peer's first segment.
pub(super) fn open(tuple: &Tuple, head: &Head, now_ns: u64) -> Option<(u32, Head)> {
    let last = LAST_NS.load(Ordering::Relaxed);
    if last == 0 || now_ns.saturating_sub(last) > 2 * PERIOD_NS {
        return None;
    }
    let cookie = head.ack.wrapping_sub(1);
    let seq = head.seq.wrapping_sub(1);
    let size = cookie as usize >> 24 & 7;
    let now = now_ns / PERIOD_NS;
    if ![now, now.wrapping_sub(1)].iter().any(|&period| number(tuple, seq, period, size) == cookie) {
        return None;
    }
    let options = head.stamp.map_or(NO_SCALE, |(_, echo)| echo);
    let scale = options & 0xf;
    let syn = Head {
        seq,
        flags: SYN,
        window: head.window,
        mss: Some(SIZES[size]),
        scale: (scale != NO_SCALE).then_some(scale as u8),
        sack_permitted: options & SACK != 0,
        stamp: head.stamp,
        ..Head::default()
    };
    Some((cookie, syn))
}
