//! The disk below a volume.

/// A transfer that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceError;

/// A disk that keeps what was written before a flush returned.
///
/// Writes that no flush followed may be lost, torn at 512-byte sectors, or reach the disk in another order.
pub trait Device: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> u64;
    /// Reads `into.len()` bytes from byte `offset`; both are multiples of 512.
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), DeviceError>;
    /// Writes `from` at byte `offset`; both are multiples of 512.
    fn write(&self, offset: u64, from: &[u8]) -> Result<(), DeviceError>;
    /// Returns when everything written so far would survive a power cut.
    fn flush(&self) -> Result<(), DeviceError>;
}
