//! Ports: named byte streams to the host (virtio-serial), one each for stdin, stdout, stderr and control.
//!
//! A port's host end opens and closes. Before it first opened, reads and writes wait for it; once it has closed, writes
//! give [`PortError::Closed`] (a broken pipe above) and reads give what is left, then end of stream (0 bytes).

use alloc::sync::Arc;
use core::fmt;

/// Called with interrupts off whenever a port's readiness may have changed: wake pollers, nothing else.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// Why a port call did not do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortError {
    /// The host has closed its end (or the device is broken): nothing that is written arrives.
    Closed,
    /// Nothing can be read or written now; only from the `try_` calls.
    WouldBlock,
    /// A signal or stop request for the calling thread ended the wait before a byte moved.
    Interrupted,
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the host has closed its end of the port",
            Self::WouldBlock => "the port is not ready",
            Self::Interrupted => "interrupted while waiting for the port",
        })
    }
}

/// What a port can do without waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortReadiness {
    /// A read returns at once, with bytes or with end of stream.
    pub readable: bool,
    /// A write returns at once, having taken bytes or with [`PortError::Closed`].
    pub writable: bool,
    /// The host's end was open once and is closed now.
    pub closed: bool,
}

/// A byte stream in both directions. All calls are for thread context; any number of threads may call.
pub trait Port: Send + Sync {
    /// The name that the host gave the port, for example `demitasse.stdout`.
    fn name(&self) -> &str;

    /// Takes as many bytes as fit now and says how many (at least one of a non-empty `bytes`).
    /// Errors: `WouldBlock`, `Closed`.
    fn try_write(&self, bytes: &[u8]) -> Result<usize, PortError>;

    /// Moves what has arrived into `buffer`, or 0 bytes at the end of the stream. Errors: `WouldBlock`.
    fn try_read(&self, buffer: &mut [u8]) -> Result<usize, PortError>;

    /// Writes all of `bytes`, sleeping while the port is full. If a signal or the host's closing ends it part-way,
    /// the count so far comes back; with no byte written, `Interrupted` or `Closed`.
    fn write(&self, bytes: &[u8]) -> Result<usize, PortError>;

    /// Reads at least one byte, sleeping until there is one; 0 is the end of the stream. Errors: `Interrupted`.
    fn read(&self, buffer: &mut [u8]) -> Result<usize, PortError>;

    /// Sleeps until everything written has left for the host, or the host's end is closed. Errors: `Interrupted`, `Closed`.
    fn drain(&self) -> Result<(), PortError>;

    /// What the port can do without waiting.
    fn readiness(&self) -> PortReadiness;

    /// Whether the host's end is open now.
    fn host_open(&self) -> bool;

    /// Sets the hook that hears of every change of readiness; it takes the earlier hook's place.
    /// Check [`Port::readiness`] after setting it: what changed before is not repeated.
    fn set_notify(&self, notify: Option<Notify>);
}
