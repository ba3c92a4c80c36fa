//! What the bytes of all connections over the network take, with the pieces that hold them: an eighth of memory at most
//! (net.ipv4.tcp_mem is of that order). From three quarters of it on buffers do not grow and room is given sparingly; at
//! the limit a connection that has more than its least share neither receives nor sends until others have let go. The
//! least share everybody gets.

use core::sync::atomic::{AtomicUsize, Ordering};
use hal::sync::Once;

/// Bytes that every connection may have each way (the first values of net.ipv4.tcp_rmem and tcp_wmem).
pub(crate) const LEAST: usize = 4096;
/// Room that is given while memory is short.
pub(super) const SHORT: usize = 16 << 10;

static USED: AtomicUsize = AtomicUsize::new(0);

/// Bytes that all may take.
pub(crate) fn limit() -> usize {
    // Of the tests' machine, that they can fill.
    static LIMIT: Once<usize> = Once::new();
    let of_machine = || mm::frame::stats().total as usize * hal::addr::PAGE_SIZE as usize / 8;
    if cfg!(test) { 4 << 20 } else { *LIMIT.call_once(of_machine) }
}

/// Bytes that all take.
pub(crate) fn used() -> usize {
    USED.load(Ordering::Relaxed)
}

/// What one connection takes; gives it back when it is dropped.
pub(super) struct Charge(AtomicUsize);

impl Charge {
    pub(super) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// It takes so many bytes now.
    pub(super) fn set(&self, bytes: usize) {
        let before = self.0.swap(bytes, Ordering::Relaxed);
        if bytes > before {
            USED.fetch_add(bytes - before, Ordering::Relaxed);
        } else if bytes < before {
            USED.fetch_sub(before - bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// How things are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Pressure {
    #[default]
    None,
    /// Three quarters are taken.
    Short,
    /// All is.
    Out,
}

/// What `USED` must reach for memory to be short; 0 before it was computed.
static SHORT_FROM: AtomicUsize = AtomicUsize::new(0);

#[inline]
pub(super) fn pressure() -> Pressure {
    if used() < SHORT_FROM.load(Ordering::Relaxed) { Pressure::None } else { much() }
}

#[cold]
fn much() -> Pressure {
    let (used, limit) = (used(), limit());
    SHORT_FROM.store(limit / 4 * 3, Ordering::Relaxed);
    match used {
        used if used >= limit => Pressure::Out,
        used if used >= limit / 4 * 3 => Pressure::Short,
        _ => Pressure::None,
    }
}
