//! Devices made of memory, for the tests of the layers above (host backend only).

use super::{
    Block, BlockError, BlockRequest, Completion, Notify, Operation, Port, PortError, PortReadiness, SECTOR_SIZE,
};
pub mod nic;

use alloc::{collections::VecDeque, string::String, sync::Arc, vec::Vec};
use std::sync::{Condvar, Mutex, PoisonError};

/// A disk in memory. Requests complete before `submit` returns.
pub struct RamDisk {
    bytes: Mutex<Vec<u8>>,
    identity: String,
    writable: Writable,
}

/// Whether a [`RamDisk`] takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writable {
    /// It does.
    Yes,
    /// Writes end in [`BlockError::ReadOnly`].
    No,
}

impl RamDisk {
    /// A disk with these contents (rounded up to whole sectors).
    pub fn new(identity: &str, mut bytes: Vec<u8>, writable: Writable) -> Self {
        bytes.resize(bytes.len().next_multiple_of(SECTOR_SIZE as usize), 0);
        Self { bytes: Mutex::new(bytes), identity: String::from(identity), writable }
    }

    /// A copy of the contents.
    pub fn contents(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Block for RamDisk {
    fn sector_count(&self) -> u64 {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).len() as u64 / SECTOR_SIZE
    }
    fn block_size(&self) -> u32 {
        SECTOR_SIZE as u32
    }
    fn read_only(&self) -> bool {
        self.writable == Writable::No
    }
    fn can_flush(&self) -> bool {
        true
    }
    fn identity(&self) -> &str {
        &self.identity
    }
    fn max_segments(&self) -> usize {
        8
    }
    unsafe fn submit(&self, request: &BlockRequest<'_>, done: Arc<dyn Completion>) -> Result<(), BlockError> {
        request.check(self)?;
        // SAFETY: the caller's duty is the same.
        done.complete(unsafe { self.transfer(request) });
        Ok(())
    }
    unsafe fn transfer(&self, request: &BlockRequest<'_>) -> Result<(), BlockError> {
        request.check(self)?;
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = (request.sector * SECTOR_SIZE) as usize;
        for segment in request.segments {
            let memory = crate::phys_to_virt(segment.start);
            let len = segment.len_bytes as usize;
            let disk = &mut bytes[at..at + len];
            match request.operation {
                // SAFETY: the caller owns the segment; `check` bounded the range on the disk.
                Operation::Read => unsafe { core::ptr::copy_nonoverlapping(disk.as_ptr(), memory, len) },
                // SAFETY: as above.
                Operation::Write => unsafe { core::ptr::copy_nonoverlapping(memory, disk.as_mut_ptr(), len) },
                Operation::Flush => {}
            }
            at += len;
        }
        Ok(())
    }
}

/// A port whose host end is the test.
pub struct TestPort {
    name: String,
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    to_guest: VecDeque<u8>,
    to_host: VecDeque<u8>,
    closed: bool,
    notify: Option<Notify>,
}

impl TestPort {
    /// An open port that holds `capacity` bytes towards the host.
    pub fn new(name: &str, capacity: usize) -> Self {
        Self { name: String::from(name), capacity, state: Mutex::default(), changed: Condvar::new() }
    }

    /// The host sends bytes.
    pub fn host_send(&self, bytes: &[u8]) {
        self.change(|state| state.to_guest.extend(bytes));
    }

    /// The host takes everything written so far.
    pub fn host_take(&self) -> Vec<u8> {
        self.change(|state| state.to_host.drain(..).collect())
    }

    /// The host closes its end.
    pub fn host_close(&self) {
        self.change(|state| state.closed = true);
    }

    fn change<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut state);
        let notify = state.notify.clone();
        drop(state);
        self.changed.notify_all();
        if let Some(notify) = notify {
            notify();
        }
        result
    }

    fn wait_while(&self, blocked: impl Fn(&State) -> bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(state, |state| blocked(state)));
    }
}

impl Port for TestPort {
    fn name(&self) -> &str {
        &self.name
    }
    fn try_write(&self, bytes: &[u8]) -> Result<usize, PortError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(PortError::Closed);
        }
        let room = self.capacity.saturating_sub(state.to_host.len()).min(bytes.len());
        if room == 0 && !bytes.is_empty() {
            return Err(PortError::WouldBlock);
        }
        state.to_host.extend(&bytes[..room]);
        Ok(room)
    }
    fn try_read(&self, buffer: &mut [u8]) -> Result<usize, PortError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = buffer.len().min(state.to_guest.len());
        if count == 0 && !state.closed && !buffer.is_empty() {
            return Err(PortError::WouldBlock);
        }
        for (slot, byte) in buffer.iter_mut().zip(state.to_guest.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
    fn write(&self, bytes: &[u8]) -> Result<usize, PortError> {
        let mut written = 0;
        while written < bytes.len() {
            match self.try_write(&bytes[written..]) {
                Ok(count) => written += count,
                Err(PortError::WouldBlock) => {
                    self.wait_while(|state| !state.closed && state.to_host.len() >= self.capacity);
                }
                Err(_) if written > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
    fn read(&self, buffer: &mut [u8]) -> Result<usize, PortError> {
        loop {
            match self.try_read(buffer) {
                Err(PortError::WouldBlock) => self.wait_while(|state| !state.closed && state.to_guest.is_empty()),
                other => return other,
            }
        }
    }
    fn drain(&self) -> Result<(), PortError> {
        self.wait_while(|state| !state.closed && !state.to_host.is_empty());
        if self.host_open() { Ok(()) } else { Err(PortError::Closed) }
    }
    fn readiness(&self) -> PortReadiness {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        PortReadiness {
            readable: state.closed || !state.to_guest.is_empty(),
            writable: state.closed || state.to_host.len() < self.capacity,
            closed: state.closed,
        }
    }
    fn host_open(&self) -> bool {
        !self.state.lock().unwrap_or_else(PoisonError::into_inner).closed
    }
    fn set_notify(&self, notify: Option<Notify>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).notify = notify;
    }
}
