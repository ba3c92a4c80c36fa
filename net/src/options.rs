//! What setsockopt(2) sets at the level of sockets and getsockopt(2) gives back.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use fs::Blocking;

/// Default and largest size of a buffer, bytes (net.core.wmem_default and wmem_max of Linux).
pub const BUFFER_DEFAULT: u32 = 212_992;
/// Smallest sizes, bytes (SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF of Linux).
const SEND_BUFFER_MIN: u32 = 4608;
const RECEIVE_BUFFER_MIN: u32 = 2304;

/// A socket's options. All are words of their own: one that is read while another is set is either old or new.
pub struct Options {
    /// SO_SNDBUF, as Linux gives it back (twice what was asked for).
    send_buffer: AtomicU32,
    receive_buffer: AtomicU32,
    sizes_set: AtomicBool,
    /// Nanoseconds; 0: for ever.
    send_timeout_ns: AtomicU64,
    receive_timeout_ns: AtomicU64,
    /// Receivers get SCM_CREDENTIALS with each message.
    pub pass_credentials: AtomicBool,
    /// Kept and given back; without effect in a family that has no use for them.
    pub reuse_address: AtomicBool,
    /// See `reuse_address`.
    pub reuse_port: AtomicBool,
    /// See `reuse_address`.
    pub keep_alive: AtomicBool,
    /// See `reuse_address`.
    pub broadcast: AtomicBool,
    /// See `reuse_address`.
    pub out_of_band_inline: AtomicBool,
    /// On or off in the upper half, seconds in the lower one.
    linger: AtomicU64,
}

impl Default for Options {
    fn default() -> Self {
        Self::with_buffers(BUFFER_DEFAULT, BUFFER_DEFAULT)
    }
}

impl Options {
    /// With these sizes of buffers at first, bytes.
    pub fn with_buffers(send: u32, receive: u32) -> Self {
        Self {
            send_buffer: AtomicU32::new(send),
            receive_buffer: AtomicU32::new(receive),
            sizes_set: AtomicBool::new(false),
            send_timeout_ns: AtomicU64::new(0),
            receive_timeout_ns: AtomicU64::new(0),
            pass_credentials: AtomicBool::new(false),
            reuse_address: AtomicBool::new(false),
            reuse_port: AtomicBool::new(false),
            keep_alive: AtomicBool::new(false),
            broadcast: AtomicBool::new(false),
            out_of_band_inline: AtomicBool::new(false),
            linger: AtomicU64::new(0),
        }
    }

    /// Takes over what an accepted socket has from its listener.
    pub fn inherit(&self, from: &Options) {
        for (to, from) in [
            (&self.reuse_address, &from.reuse_address),
            (&self.reuse_port, &from.reuse_port),
            (&self.keep_alive, &from.keep_alive),
            (&self.out_of_band_inline, &from.out_of_band_inline),
            (&self.sizes_set, &from.sizes_set),
        ] {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        for (to, from) in [
            (&self.send_timeout_ns, &from.send_timeout_ns),
            (&self.receive_timeout_ns, &from.receive_timeout_ns),
            (&self.linger, &from.linger),
        ] {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.send_buffer.store(from.send_buffer(), Ordering::Relaxed);
        self.receive_buffer.store(from.receive_buffer(), Ordering::Relaxed);
    }

    /// Whether the application chose a size of a buffer.
    pub fn sizes_are_set(&self) -> bool {
        self.sizes_set.load(Ordering::Relaxed)
    }

    /// SO_SNDBUF.
    pub fn send_buffer(&self) -> u32 {
        self.send_buffer.load(Ordering::Relaxed)
    }
    /// Sets SO_SNDBUF: twice what is asked for, within the limits (socket(7)).
    pub fn set_send_buffer(&self, bytes: u32) {
        let size = bytes.min(BUFFER_DEFAULT).saturating_mul(2).max(SEND_BUFFER_MIN);
        self.send_buffer.store(size, Ordering::Relaxed);
        self.sizes_set.store(true, Ordering::Relaxed);
    }
    /// SO_RCVBUF.
    pub fn receive_buffer(&self) -> u32 {
        self.receive_buffer.load(Ordering::Relaxed)
    }
    /// Sets SO_RCVBUF, as [`Self::set_send_buffer`].
    pub fn set_receive_buffer(&self, bytes: u32) {
        let size = bytes.min(BUFFER_DEFAULT).saturating_mul(2).max(RECEIVE_BUFFER_MIN);
        self.receive_buffer.store(size, Ordering::Relaxed);
        self.sizes_set.store(true, Ordering::Relaxed);
    }
    /// SO_SNDTIMEO, nanoseconds; 0: for ever.
    pub fn send_timeout_ns(&self) -> u64 {
        self.send_timeout_ns.load(Ordering::Relaxed)
    }
    /// Sets SO_SNDTIMEO.
    pub fn set_send_timeout_ns(&self, ns: u64) {
        self.send_timeout_ns.store(ns, Ordering::Relaxed);
    }
    /// SO_RCVTIMEO, nanoseconds; 0: for ever.
    pub fn receive_timeout_ns(&self) -> u64 {
        self.receive_timeout_ns.load(Ordering::Relaxed)
    }
    /// Sets SO_RCVTIMEO.
    pub fn set_receive_timeout_ns(&self, ns: u64) {
        self.receive_timeout_ns.store(ns, Ordering::Relaxed);
    }
    /// SO_LINGER: on or off, seconds.
    pub fn linger(&self) -> (bool, u32) {
        let word = self.linger.load(Ordering::Relaxed);
        (word >> 32 != 0, word as u32)
    }
    /// Sets SO_LINGER.
    pub fn set_linger(&self, on: bool, seconds: u32) {
        self.linger.store(u64::from(on) << 32 | u64::from(seconds), Ordering::Relaxed);
    }

    /// How long a send may wait from now on.
    pub(crate) fn send_patience(&self, blocking: Blocking) -> Patience {
        Patience::new(blocking, self.send_timeout_ns())
    }
    /// How long a receive may wait from now on.
    pub(crate) fn receive_patience(&self, blocking: Blocking) -> Patience {
        Patience::new(blocking, self.receive_timeout_ns())
    }
}

/// Whether and until when a call may wait.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// Not at all.
    None,
    /// Until this time on [`hal::clock::now_ns`]; `None`: for ever.
    Until(Option<u64>),
}

impl Patience {
    fn new(blocking: Blocking, timeout_ns: u64) -> Self {
        match (blocking, timeout_ns) {
            (Blocking::Never, _) => Self::None,
            (Blocking::Wait, 0) => Self::Until(None),
            (Blocking::Wait, ns) => Self::Until(Some(hal::clock::now_ns().saturating_add(ns))),
        }
    }

    /// Waits on `queue` until `condition` gives something. Errors: `WouldBlock` (at once, or when the time is up),
    /// `Interrupted`.
    pub fn wait<R>(self, queue: &sched::WaitQueue, mut condition: impl FnMut() -> Option<R>) -> fs::FsResult<R> {
        if let Some(result) = condition() {
            return Ok(result);
        }
        let Self::Until(deadline) = self else { return Err(fs::FsError::WouldBlock) };
        queue.wait_until(deadline, sched::Interruptible::Yes, condition).map_err(|reason| match reason {
            sched::WakeReason::Interrupted => fs::FsError::Interrupted,
            _ => fs::FsError::WouldBlock,
        })
    }
}
