//! Little-endian fields of a byte string that may be shorter than it should be.

/// Bytes of a table.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }
    /// The byte at `at`.
    pub(super) fn u8(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }
    /// The 16-bit number at `at`.
    pub(super) fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }
    /// The 32-bit number at `at`.
    pub(super) fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }
    /// The 64-bit number at `at`.
    pub(super) fn u64(self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
}
