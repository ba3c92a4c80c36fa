//! The header in front of every frame (section 5.1.6).

use core::ptr::NonNull;
use hal::hil::nic::{SegmentationKind, TransmitOffload};

/// With the number of buffers, which is always there in a modern device.
pub(super) const HEADER_BYTES: usize = size_of::<Header>();

const NEEDS_CHECKSUM: u8 = 1;
const DATA_IS_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCP4: u8 = 1;
const GSO_TCP6: u8 = 4;

/// As in memory. x86 is little-endian, as virtio is.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Header {
    flags: u8,
    gso_kind: u8,
    header_bytes: u16,
    segment_bytes: u16,
    checksum_start: u16,
    checksum_offset: u16,
    buffers: u16,
}

impl Header {
    /// Reads the header at `from`.
    ///
    /// # Safety
    /// A slot starts there which the device has given back.
    pub(super) unsafe fn read(from: NonNull<u8>) -> Self {
        // SAFETY: slots are longer than a header, and aligned; any bytes are a header.
        unsafe { from.cast().read() }
    }

    /// Writes it.
    ///
    /// # Safety
    /// A slot starts there which belongs to the caller.
    pub(super) unsafe fn write(self, to: NonNull<u8>) {
        // SAFETY: slots are longer than a header, and aligned.
        unsafe { to.cast().write(self) }
    }

    pub(super) fn checksum_is_valid(&self) -> bool {
        // A sum that is still to be made: the frame has not been on a wire.
        self.flags & (DATA_IS_VALID | NEEDS_CHECKSUM) != 0
    }

    pub(super) fn segment_bytes(&self) -> u16 {
        if self.gso_kind == GSO_NONE { 0 } else { self.segment_bytes }
    }

    pub(super) fn buffers(&self) -> u16 {
        self.buffers
    }

    pub(super) fn asking(offload: TransmitOffload) -> Self {
        let mut header = Self::default();
        if let Some(checksum) = offload.checksum {
            header.flags = NEEDS_CHECKSUM;
            header.checksum_start = checksum.start;
            header.checksum_offset = checksum.offset;
        }
        if let Some(cut) = offload.segmentation {
            header.gso_kind = match cut.kind {
                SegmentationKind::Tcp4 => GSO_TCP4,
                SegmentationKind::Tcp6 => GSO_TCP6,
            };
            header.header_bytes = cut.header_bytes;
            header.segment_bytes = cut.segment_bytes;
        }
        header
    }

    #[cfg(test)]
    pub(super) fn received(flags: u8, gso_kind: u8, segment_bytes: u16, buffers: u16) -> Self {
        Self { flags, gso_kind, segment_bytes, buffers, ..Self::default() }
    }

    #[cfg(test)]
    pub(super) fn fields(&self) -> [u16; 7] {
        let Self { flags, gso_kind, header_bytes, segment_bytes, checksum_start, checksum_offset, buffers } = *self;
        [flags.into(), gso_kind.into(), header_bytes, segment_bytes, checksum_start, checksum_offset, buffers]
    }
}
