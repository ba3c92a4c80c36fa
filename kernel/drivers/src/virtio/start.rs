//! The steps from a found device to a running one (section 3.1), which every driver takes.

use super::queue::{EventIndex, QueueOptions, SharedMemory, VirtQueue};
use super::transport::{Doorbell, QueuePlacement, Transport, status};
use super::{VirtioError, feature};

/// Reads of the status register that a reset may take.
const RESET_TRIES: usize = 100_000;

/// Stops the device: afterwards it touches no memory. False if it does not obey.
pub(super) fn reset(transport: &dyn Transport) -> bool {
    transport.set_status(0);
    (0..RESET_TRIES).any(|_| transport.status() == 0)
}

/// Stops the device and tells it that it was given up.
pub(super) fn fail(transport: &dyn Transport) {
    reset(transport);
    transport.set_status(status::FAILED);
}

/// Resets the device and agrees on features: those of `wanted` (the device's own) that it offers, and the ring's.
/// Returns what was agreed.
pub(super) fn negotiate(transport: &dyn Transport, wanted: u64) -> Result<u64, VirtioError> {
    if !reset(transport) {
        return Err(VirtioError::ResetTimedOut);
    }
    transport.set_status(status::ACKNOWLEDGE | status::DRIVER);
    let ours = wanted
        | feature::INDIRECT_DESCRIPTORS
        | feature::EVENT_INDEX
        | feature::VERSION_1
        | feature::ACCESS_PLATFORM
        | feature::ORDER_PLATFORM;
    let agreed = transport.offered_features() & ours;
    if agreed & feature::VERSION_1 == 0 {
        return Err(VirtioError::Legacy);
    }
    transport.accept_features(agreed);
    let features_ok = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
    transport.set_status(features_ok);
    if transport.status() & status::FEATURES_OK == 0 {
        return Err(VirtioError::FeaturesRefused);
    }
    Ok(agreed)
}

/// Lets the device run.
pub(super) fn go(transport: &dyn Transport) {
    transport.set_status(transport.status() | status::DRIVER_OK);
}

/// What a queue uses under the agreed features; `indirect_descriptors` counts if the device knows indirect tables.
pub(super) fn queue_options(agreed: u64, indirect_descriptors: usize) -> QueueOptions {
    QueueOptions {
        event_index: if agreed & feature::EVENT_INDEX != 0 { EventIndex::Negotiated } else { EventIndex::Absent },
        indirect_descriptors: if agreed & feature::INDIRECT_DESCRIPTORS != 0 { indirect_descriptors } else { 0 },
    }
}

/// The size that a queue gets: a power of two, at most `wanted` and what the device takes.
pub(super) fn queue_size(transport: &dyn Transport, queue: u16, wanted: u16) -> Result<u16, VirtioError> {
    match transport.queue_max_size(queue).min(wanted).checked_ilog2() {
        Some(log) => Ok(1 << log),
        None => Err(VirtioError::NoQueue(queue)),
    }
}

/// Makes queue number `queue` in `memory` and turns it on.
pub(super) fn start_queue(
    transport: &dyn Transport,
    queue: u16,
    size: u16,
    options: QueueOptions,
    memory: SharedMemory,
    entry: u16,
) -> Result<(VirtQueue, Doorbell), VirtioError> {
    let ring = VirtQueue::new(memory, size, options).ok_or(VirtioError::NoMemory)?;
    let placement = QueuePlacement { queue, size, addresses: ring.addresses(), entry };
    let doorbell = transport.activate_queue(&placement)?;
    Ok((ring, doorbell))
}
