//! What has arrived at a socket and was not received yet.
//!
//! A sender first reserves room (an atomic sum), then copies the application's bytes with no lock held, then queues the
//! packet under a spin lock. Receivers take turns under a sleeping lock, because they touch user memory.

use crate::options::Patience;
use crate::socket::{Ancillary, Credentials};
use crate::unix::UnixAddress;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use fs::{FsError, FsResult, Source};
use hal::sync::SpinLock;
use sched::{Mutex, WaitQueue};

/// Small packets of a stream are joined up to this size, bytes.
const JOIN_MAX: usize = 4096;

/// One message, or a piece of a stream.
#[derive(Default)]
pub(super) struct Packet {
    pub bytes: Vec<u8>,
    /// Bytes received of it already (streams).
    pub taken: usize,
    pub ancillary: Ancillary,
    /// Who sent it.
    pub sender: Option<Credentials>,
    /// Name of the sender (datagrams).
    pub from: Option<UnixAddress>,
}

impl Packet {
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Takes `count` bytes from `source` (fewer if it faults).
    pub fn fill(&mut self, source: &mut dyn Source, count: usize) -> FsResult<usize> {
        self.bytes.try_reserve_exact(count).map_err(|_| FsError::NoBuffers)?;
        self.bytes.resize(count, 0);
        let mut done = 0;
        while done < count {
            match source.take(&mut self.bytes[done..]) {
                Ok(0) => break,
                Ok(taken) => done += taken,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        self.bytes.truncate(done);
        Ok(done)
    }
}

/// The packets that wait at one socket.
pub(super) struct Inbox {
    packets: SpinLock<VecDeque<Packet>>,
    /// Bytes queued or reserved.
    bytes: AtomicUsize,
    /// Held by whoever receives.
    pub reading: Mutex<()>,
    pub readable: WaitQueue,
    pub writable: WaitQueue,
}

impl Inbox {
    pub fn new() -> Self {
        Self {
            packets: SpinLock::new(VecDeque::new()),
            bytes: AtomicUsize::new(0),
            reading: Mutex::new(()),
            readable: WaitQueue::new(),
            writable: WaitQueue::new(),
        }
    }

    /// Reserves up to `want` bytes while less than `limit` is used; `None`: full. What is reserved and not used goes back by [`Self::release`].
    pub fn reserve_some(&self, want: usize, limit: usize) -> Option<usize> {
        let mut granted = 0;
        let update = |used: usize| {
            granted = want.min(limit.checked_sub(used).filter(|&room| room > 0)?);
            Some(used + granted)
        };
        self.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, update).ok()?;
        Some(granted)
    }

    /// Reserves exactly `want` bytes (a message); an empty inbox takes any size.
    pub fn reserve_all(&self, want: usize, limit: usize) -> Option<()> {
        let update = |used: usize| (used == 0 || used + want <= limit).then_some(used + want);
        self.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, update).ok().map(|_| ())
    }

    pub fn release(&self, count: usize) {
        self.bytes.fetch_sub(count, Ordering::AcqRel);
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    pub fn len(&self) -> usize {
        self.packets.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.packets.lock().is_empty()
    }

    /// Length of what a receive would give next: the first message, or all of a stream.
    pub fn pending(&self, whole_stream: bool) -> usize {
        let packets = self.packets.lock();
        if whole_stream {
            packets.iter().map(|packet| packet.rest().len()).sum()
        } else {
            packets.front().map_or(0, |packet| packet.rest().len())
        }
    }

    /// Queues a packet whose bytes are reserved; small pieces of a stream are joined.
    pub fn push(&self, packet: Packet, join: bool) {
        let mut packets = self.packets.lock();
        if join
            && packet.ancillary.is_empty()
            && let Some(last) = packets.back_mut()
            && last.ancillary.is_empty()
            && last.sender == packet.sender
            && last.bytes.len() + packet.bytes.len() <= JOIN_MAX
        {
            last.bytes.extend_from_slice(&packet.bytes);
        } else {
            packets.push_back(packet);
        }
        drop(packets);
        self.readable.wake_one();
    }

    pub fn pop(&self) -> Option<Packet> {
        self.packets.lock().pop_front()
    }

    /// Puts back what was not taken. Only under `reading`.
    pub fn unpop(&self, packet: Packet) {
        self.packets.lock().push_front(packet);
    }

    /// Waits until a packet is there or `other` has an answer.
    pub fn wait<R>(&self, patience: Patience, mut other: impl FnMut() -> Option<R>) -> FsResult<Option<R>> {
        patience.wait(&self.readable, || {
            if !self.is_empty() {
                return Some(None);
            }
            other().map(Some)
        })
    }

    /// Everything goes: the socket is closed. Whether there was something.
    pub fn clear(&self) -> bool {
        let packets = core::mem::take(&mut *self.packets.lock());
        !packets.is_empty()
    }
}
