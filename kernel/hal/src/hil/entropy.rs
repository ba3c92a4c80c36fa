//! Devices that give true random bytes; `random` mixes them into its generator.

use core::fmt;

/// The device gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntropyError {
    /// The device broke the protocol or did not answer in time.
    Broken,
}

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("entropy device does not answer")
    }
}

/// A source of random bytes.
pub trait Entropy: Send + Sync {
    /// Fills the front of `buffer` and says how many bytes were filled, at least one of a non-empty buffer.
    /// Sleeps: thread context only. The bytes come from outside, so mix them, never use them alone.
    fn fill(&self, buffer: &mut [u8]) -> Result<usize, EntropyError>;
}
