//! Network interfaces: Ethernet frames over one or more pairs of queues.
//!
//! A device is found at boot and costs nothing until [`Nic::start`], which its one user (`net`) calls at the first
//! Internet socket. Frames then move without a copy and without an allocation: the user writes into a
//! [`TransmitBuffer`] and gives it away, and reads a [`ReceivedFrame`] in the memory that the device wrote.
//!
//! Receiving is by interrupt, then by polling: an interrupt turns itself off and tells [`NicEvents`]; the user takes
//! frames until there are none and calls [`Nic::enable_receive_interrupt`], which says whether more has come meanwhile.
//!
//! ```text
//! receive_ready(queue)  ->  while let Some(frame) = nic.receive(queue) { ... }  ->  enable_receive_interrupt(queue)
//! transmit_buffer(queue, len)  ->  write  ->  transmit(buffer, offload) ... transmit(...)  ->  kick(queue)
//! ```

use super::frame::{ReceivedFrame, TransmitBuffer};
use core::fmt;

/// An Ethernet header in bytes, without a VLAN tag.
pub const ETHERNET_HEADER_BYTES: usize = 14;

/// What a device does for the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// It fills in the checksum that [`TransmitOffload::checksum`] names.
    pub transmit_checksum: bool,
    /// It cuts TCP over IPv4 ([`TransmitOffload::segmentation`]); buffers go up to [`NicInfo::max_transmit_bytes`].
    pub segmentation_tcp4: bool,
    /// The same over IPv6.
    pub segmentation_tcp6: bool,
    /// [`ReceivedFrame::checksum_is_valid`] may be true.
    pub receive_checksum: bool,
    /// Received TCP segments may come joined, up to 64 KiB, whatever the MTU.
    pub receive_large: bool,
}

/// A started device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicInfo {
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Bytes of an IP packet that a frame carries at most, segmentation aside.
    pub mtu_bytes: u16,
    /// Pairs of queues: at least 1, at most what [`Nic::start`] was asked for.
    pub queues: usize,
    /// What it does for the user.
    pub offloads: Offloads,
    /// The longest buffer that [`Nic::transmit_buffer`] gives, Ethernet header included.
    pub max_transmit_bytes: usize,
}

/// A checksum to be filled in: RFC 1071's sum over everything from `start` on, stored at `start + offset`, where the
/// user left the sum of the pseudo header (not inverted).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChecksumPlace {
    /// First byte that is summed, counted from the frame's first byte.
    pub start: u16,
    /// Where the sum goes, counted from `start`.
    pub offset: u16,
}

/// How a TCP packet longer than the MTU is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// Over which protocol TCP runs.
    pub kind: SegmentationKind,
    /// Bytes of the Ethernet, IP and TCP headers, which each segment repeats.
    pub header_bytes: u16,
    /// Payload bytes of each segment but the last.
    pub segment_bytes: u16,
}

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentationKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
}

/// What the device shall do to a frame. Only what [`NicInfo::offloads`] has; segmentation needs the checksum too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransmitOffload {
    /// Fill in a checksum.
    pub checksum: Option<ChecksumPlace>,
    /// Cut it.
    pub segmentation: Option<Segmentation>,
}

/// Why a device did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicError {
    /// Memory for its queues is out.
    NoMemory,
    /// It was started before.
    Started,
    /// It does not work; the driver's log line says why.
    Broken,
}

impl fmt::Display for NicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMemory => "no memory for the network device",
            Self::Started => "the network device is in use",
            Self::Broken => "the network device does not work",
        })
    }
}

/// Told what happens to a started device. All calls come with interrupts off, on any vCPU, and with no lock of the driver
/// held: frames may be moved, but nothing may sleep. A call for nothing may come.
pub trait NicEvents: Send + Sync {
    /// Frames have arrived; the queue's receive interrupt is off from now on.
    fn receive_ready(&self, queue: usize);
    /// There is room again, after [`Nic::transmit_buffer`] had none.
    fn transmit_ready(&self, queue: usize);
    /// The link went up or down, or the device broke (down for ever).
    fn link_changed(&self) {}
}

/// Frames and bytes that a device moved since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NicStatistics {
    /// Frames received, joined ones counted once.
    pub receive_frames: u64,
    /// Their bytes, Ethernet headers included.
    pub receive_bytes: u64,
    /// Received frames that were thrown away because they made no sense.
    pub receive_errors: u64,
    /// Frames given to the device, those to be cut counted once.
    pub transmit_frames: u64,
    /// Their bytes, Ethernet headers included.
    pub transmit_bytes: u64,
}

/// A network interface. Devices live for ever. Calls but [`Nic::start`] never sleep and may come from any thread; calls
/// for one queue take turns on its spin lock. Queue numbers are below [`NicInfo::queues`].
pub trait Nic: Send + Sync {
    /// Brings the device up with at most `max_queues` (1 or more) pairs of queues. Receive interrupts are on. Sleeps; once.
    fn start(&'static self, max_queues: usize, events: &'static dyn NicEvents) -> Result<NicInfo, NicError>;

    /// The next frame that has arrived. Frames that are kept for long starve the device of memory to write to.
    fn receive(&'static self, queue: usize) -> Option<ReceivedFrame>;

    /// Asks for an interrupt at the next frame. False if one is there already (the interrupt stays off): receive again.
    fn enable_receive_interrupt(&self, queue: usize) -> bool;

    /// Asks for no interrupts, for a user who polls anyway. One may come all the same.
    fn disable_receive_interrupt(&self, queue: usize);

    /// Memory for a frame of exactly `len_bytes`, contents undefined. `None` if the queue is full
    /// ([`NicEvents::transmit_ready`] will come), or for good if `len_bytes` is 0 or over the maximum.
    fn transmit_buffer(&'static self, queue: usize, len_bytes: usize) -> Option<TransmitBuffer>;

    /// Queues a frame in the order of calls; [`Nic::kick`] after the last of a batch. A device that broke drops it.
    fn transmit(&self, buffer: TransmitBuffer, offload: TransmitOffload);

    /// Tells the device of all that was queued, if it wants to be told.
    fn kick(&self, queue: usize);

    /// Sends one frame of `len_bytes` at once. `fill` writes it, perhaps with interrupts off and the queue locked: it must not
    /// send. False, without a call of it, where [`Nic::transmit_buffer`] has no buffer.
    fn send(&'static self, queue: usize, len_bytes: usize, fill: &mut dyn FnMut(&mut [u8]) -> TransmitOffload) -> bool {
        send_by_buffer(self, queue, len_bytes, fill)
    }

    /// Whether a cable is in.
    fn link_is_up(&self) -> bool;

    /// What it has moved.
    fn statistics(&self) -> NicStatistics;
}

/// [`Nic::send`] by way of a buffer: no lock is held while the frame is written.
pub fn send_by_buffer<N: Nic + ?Sized>(
    nic: &'static N,
    queue: usize,
    len_bytes: usize,
    fill: &mut dyn FnMut(&mut [u8]) -> TransmitOffload,
) -> bool {
    let Some(mut buffer) = nic.transmit_buffer(queue, len_bytes) else { return false };
    let offload = fill(&mut buffer);
    nic.transmit(buffer, offload);
    nic.kick(queue);
    true
}
