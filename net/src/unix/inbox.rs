//! What has arrived at a socket and was not received yet.
//!
//! A sender first charges its own buffer, then copies the application's bytes with no lock held, then queues the packet under
//! a spin lock. Receivers take turns under a sleeping lock, because they touch user memory.

use super::charge::Charge;
use super::{Name, UnixSocket};
use crate::options::Patience;
use crate::socket::{Ancillary, Credentials};
use crate::unix::UnixAddress;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use fs::{FsError, FsResult, Readiness, Source};
use hal::sync::SpinLock;
use sched::{Mutex, WaitQueue};

/// Messages that may wait at a datagram socket (Linux: net.unix.max_dgram_qlen, and one).
const QUEUE_MAX: usize = 11;

/// One message, or a piece of a stream.
pub(super) struct Packet {
    pub bytes: Vec<u8>,
    /// Bytes received of it already (streams).
    pub taken: usize,
    pub ancillary: Ancillary,
    /// Who sent it.
    pub sender: Credentials,
    /// The sending socket's name; who receives sees the one that it has by then.
    pub from: Arc<Name>,
    _charge: Charge,
}

impl Packet {
    /// Takes `len` bytes from `source`, fewer only where it ends; `charge` is for `len`.
    /// Errors: `NoBuffers`, and those of the source: a piece comes whole or not at all, as on Linux.
    pub fn fill(
        from: &UnixSocket,
        charge: Charge,
        ancillary: Ancillary,
        source: &mut dyn Source,
        len: usize,
    ) -> FsResult<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| FsError::NoBuffers)?;
        bytes.resize(len, 0);
        let mut done = 0;
        while done < len {
            match source.take(&mut bytes[done..])? {
                0 => break,
                taken => done += taken,
            }
        }
        bytes.truncate(done);
        Ok(Self { bytes, taken: 0, ancillary, sender: from.owner, from: from.name.clone(), _charge: charge })
    }

    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// The sender's name; `None` if it has none.
    pub fn from(&self) -> Option<crate::Address> {
        name_of(&self.from)
    }
}

fn name_of(name: &Name) -> Option<crate::Address> {
    match name.lock().clone() {
        UnixAddress::Unnamed => None,
        name => Some(crate::Address::Unix(name)),
    }
}

/// The packets that wait at one socket.
pub(super) struct Inbox {
    packets: SpinLock<VecDeque<Packet>>,
    /// Sockets that asked whether they may send and found the queue full.
    refused: SpinLock<Vec<Weak<UnixSocket>>>,
    /// Held by whoever receives.
    pub reading: Mutex<()>,
    pub readable: WaitQueue,
    /// Senders of datagrams that wait until the queue is shorter.
    pub shorter: WaitQueue,
}

impl Inbox {
    pub fn new() -> Self {
        Self {
            packets: SpinLock::new(VecDeque::new()),
            refused: SpinLock::new(Vec::new()),
            reading: Mutex::new(()),
            readable: WaitQueue::new(),
            shorter: WaitQueue::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.packets.lock().is_empty()
    }

    /// Whether datagrams of strangers are not taken.
    pub fn is_full(&self) -> bool {
        self.packets.lock().len() >= QUEUE_MAX
    }

    /// As [`Self::is_full`]; if so, `sender` is told that it may write when that has changed.
    pub fn is_full_for(&self, sender: &UnixSocket) -> bool {
        if !self.is_full() {
            return false;
        }
        let mut refused = self.refused.lock();
        if !refused.iter().any(|one| core::ptr::eq(one.as_ptr(), sender)) {
            refused.push(sender.me.clone());
        }
        drop(refused);
        // Again: a receive before the entry did not see it.
        self.is_full()
    }

    /// Length of what a receive would give next: the first message, or all of a connection.
    pub fn pending(&self, all: bool) -> usize {
        let packets = self.packets.lock();
        if all {
            packets.iter().map(|packet| packet.rest().len()).sum()
        } else {
            packets.front().map_or(0, |packet| packet.rest().len())
        }
    }
    pub fn push(&self, packet: Packet) {
        self.packets.lock().push_back(packet);
        self.readable.wake_one();
    }

    pub fn pop(&self) -> Option<Packet> {
        self.packets.lock().pop_front()
    }

    /// Puts back what was not taken. Only under `reading`.
    pub fn unpop(&self, packet: Packet) {
        self.packets.lock().push_front(packet);
    }

    /// After packets went: whoever found the queue full looks again.
    pub fn tell_shorter(&self) {
        self.shorter.wake_all();
        // The lock is open before anybody is told.
        let refused = core::mem::take(&mut *self.refused.lock());
        for sender in refused {
            if let Some(sender) = sender.upgrade() {
                sender.source.notify(Readiness::WRITE);
            }
        }
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

    /// Everything goes. Whether there was something.
    pub fn clear(&self) -> bool {
        let packets = core::mem::take(&mut *self.packets.lock());
        let was_filled = !packets.is_empty();
        drop(packets);
        self.tell_shorter();
        was_filled
    }
}
