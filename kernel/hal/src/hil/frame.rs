//! Frames in a network device's own memory: lent to the user, and given back when they are dropped.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// Whose memory a frame is in. Implemented by drivers, called by the frames.
pub trait FrameMemory: Send + Sync {
    /// The piece after `slot` of a received frame: its slot and its bytes. `None` after the last. Asked only for frames
    /// whose first piece is not all of them.
    fn next_piece(&self, queue: u16, slot: u16) -> Option<(u16, NonNull<u8>, usize)>;
    /// The received frame whose first piece is `slot` is not needed any more.
    fn recycle(&self, queue: u16, slot: u16);
    /// The transmit buffer `slot` was dropped without having been transmitted.
    fn discard(&self, queue: u16, slot: u16);
}

/// What the device says of a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceivedAs {
    /// Bytes of all pieces.
    pub len_bytes: u32,
    /// The transport checksum needs no check: the device checked it, or the frame never left the host.
    pub checksum_is_valid: bool,
    /// Not 0: joined from TCP segments of so many payload bytes.
    pub segment_bytes: u16,
}

/// A frame as it arrived, Ethernet header first. Dropping it gives the memory back to the device.
pub struct ReceivedFrame {
    owner: &'static dyn FrameMemory,
    start: NonNull<u8>,
    first_bytes: u32,
    about: ReceivedAs,
    queue: u16,
    slot: u16,
}

// SAFETY: the memory belongs to the frame alone until it is dropped; the owner is `Sync`.
unsafe impl Send for ReceivedFrame {}
// SAFETY: shared access only reads.
unsafe impl Sync for ReceivedFrame {}

impl ReceivedFrame {
    /// The frame that starts with `first_bytes` bytes at `start`, in slot `slot` of `queue`.
    ///
    /// # Safety
    /// These bytes, and those that `owner` gives for the pieces behind, are initialised, change no more, and stay until
    /// [`FrameMemory::recycle`] is called; together they are `about.len_bytes` long. One frame a slot.
    pub unsafe fn new(
        owner: &'static dyn FrameMemory,
        (queue, slot): (u16, u16),
        (start, first_bytes): (NonNull<u8>, u32),
        about: ReceivedAs,
    ) -> Self {
        Self { owner, start, first_bytes, about, queue, slot }
    }

    /// Bytes of the whole frame.
    #[allow(clippy::len_without_is_empty, reason = "a frame has at least an Ethernet header")]
    pub fn len(&self) -> usize {
        self.about.len_bytes as usize
    }

    /// Whether the transport checksum needs no check.
    pub fn checksum_is_valid(&self) -> bool {
        self.about.checksum_is_valid
    }

    /// Not 0: joined from TCP segments of so many payload bytes.
    pub fn segment_bytes(&self) -> u16 {
        self.about.segment_bytes
    }

    /// The first piece; it has at least the Ethernet header, and is the whole frame almost always.
    pub fn first(&self) -> &[u8] {
        // SAFETY: `new`'s caller vouched for the bytes.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.first_bytes as usize) }
    }

    /// The whole frame if it lies in one piece.
    pub fn contiguous(&self) -> Option<&[u8]> {
        (self.first_bytes == self.about.len_bytes).then(|| self.first())
    }

    /// All pieces in order.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let first = (self.slot, self.start, self.first_bytes as usize);
        let has_more = self.first_bytes < self.about.len_bytes;
        core::iter::successors(
            Some(first),
            move |(slot, ..)| {
                if has_more { self.owner.next_piece(self.queue, *slot) } else { None }
            },
        )
        .map(
            // SAFETY: `new`'s caller vouched for the owner's pieces.
            |(_, start, len)| unsafe { core::slice::from_raw_parts(start.as_ptr(), len) },
        )
    }

    /// Copies the frame to the start of `target`, as much as fits; returns how much.
    pub fn copy_to(&self, target: &mut [u8]) -> usize {
        let mut done = 0;
        for piece in self.pieces() {
            let count = piece.len().min(target.len() - done);
            target[done..done + count].copy_from_slice(&piece[..count]);
            done += count;
        }
        done
    }
}

impl Drop for ReceivedFrame {
    fn drop(&mut self) {
        self.owner.recycle(self.queue, self.slot);
    }
}

impl fmt::Debug for ReceivedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceivedFrame({} bytes)", self.len())
    }
}

/// Memory of the device's for a frame that is to be sent, Ethernet header first. Dropping it sends nothing.
pub struct TransmitBuffer {
    owner: &'static dyn FrameMemory,
    start: NonNull<u8>,
    len_bytes: u32,
    queue: u16,
    slot: u16,
}

// SAFETY: the memory belongs to the buffer alone; the owner is `Sync`.
unsafe impl Send for TransmitBuffer {}
// SAFETY: shared access only reads.
unsafe impl Sync for TransmitBuffer {}

impl TransmitBuffer {
    /// `len_bytes` bytes at `start`, in slot `slot` of `queue`.
    ///
    /// # Safety
    /// These bytes are initialised and nobody else touches them until [`FrameMemory::discard`] is called or the driver
    /// takes the buffer apart. One buffer a slot.
    pub unsafe fn new(
        owner: &'static dyn FrameMemory,
        (queue, slot): (u16, u16),
        (start, len_bytes): (NonNull<u8>, u32),
    ) -> Self {
        Self { owner, start, len_bytes, queue, slot }
    }

    /// For its driver: the queue, the slot and the length in bytes. The buffer is forgotten, not discarded.
    pub fn into_parts(self) -> (u16, u16, u32) {
        let parts = (self.queue, self.slot, self.len_bytes);
        core::mem::forget(self);
        parts
    }

    /// The queue that it was taken from and goes to.
    pub fn queue(&self) -> usize {
        usize::from(self.queue)
    }
}

impl Deref for TransmitBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `new`'s caller vouched for the bytes.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len_bytes as usize) }
    }
}

impl DerefMut for TransmitBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len_bytes as usize) }
    }
}

impl Drop for TransmitBuffer {
    fn drop(&mut self) {
        self.owner.discard(self.queue, self.slot);
    }
}
