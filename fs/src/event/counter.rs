//! `eventfd`.

use crate::anonymous::{metadata, next_ino};
use crate::file::File;
use crate::io::{Blocking, Sink, Source};
use crate::metadata::{Metadata, StatusFlags};
use crate::poll::{PollSource, Readiness};
use crate::{FsError, FsResult, OpenFile};
use alloc::{string::String, sync::Arc};
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use sched::{Interruptible, WaitQueue};

/// Highest value of a counter.
const MAX: u64 = u64::MAX - 1;

/// What a read takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CounterMode {
    /// Everything.
    All,
    /// One (EFD_SEMAPHORE).
    One,
}

/// A counter that can be waited for.
pub struct EventFd {
    ino: u64,
    value: AtomicU64,
    mode: CounterMode,
    readable: WaitQueue,
    writable: WaitQueue,
    source: PollSource,
}

impl EventFd {
    /// A counter at `value`.
    pub fn open(value: u32, mode: CounterMode, status: StatusFlags) -> Arc<OpenFile> {
        let counter = Arc::new(Self {
            ino: next_ino(),
            value: AtomicU64::new(value.into()),
            mode,
            readable: WaitQueue::new(),
            writable: WaitQueue::new(),
            source: PollSource::new(),
        });
        OpenFile::anonymous(counter, status | StatusFlags::READ | StatusFlags::WRITE)
    }

    /// Takes from the counter; None when it is 0.
    fn take(&self) -> Option<u64> {
        let next = |value: u64| match self.mode {
            _ if value == 0 => None,
            CounterMode::All => Some(0),
            CounterMode::One => Some(value - 1),
        };
        let old = self.value.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).ok()?;
        Some(if self.mode == CounterMode::One { 1 } else { old })
    }

    /// Adds; None when it would get too large.
    fn add(&self, amount: u64) -> Option<()> {
        let next = |value: u64| value.checked_add(amount).filter(|&sum| sum <= MAX);
        self.value.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).ok().map(|_| ())
    }
}

impl File for EventFd {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, sink: &mut dyn Sink, blocking: Blocking) -> FsResult<usize> {
        if sink.remaining() < 8 {
            return Err(FsError::Invalid);
        }
        let value = match self.take() {
            Some(value) => value,
            None if blocking == Blocking::Never => return Err(FsError::WouldBlock),
            None => self.readable.wait_until(None, Interruptible::Yes, || self.take())?,
        };
        self.writable.wake_all();
        self.source.notify(Readiness::WRITE);
        self.source.drained(|| self.value.load(Ordering::SeqCst) == 0);
        sink.put(&value.to_ne_bytes())
    }
    fn write(&self, source: &mut dyn Source, blocking: Blocking) -> FsResult<usize> {
        let mut bytes = [0; 8];
        if source.remaining() < 8 || source.take(&mut bytes)? < 8 {
            return Err(FsError::Invalid);
        }
        let amount = u64::from_ne_bytes(bytes);
        if amount == u64::MAX {
            return Err(FsError::Invalid);
        }
        match self.add(amount) {
            Some(()) => {}
            None if blocking == Blocking::Never => return Err(FsError::WouldBlock),
            None => self.writable.wait_until(None, Interruptible::Yes, || self.add(amount))?,
        }
        if self.mode == CounterMode::One {
            self.readable.wake_all();
        } else {
            self.readable.wake_one();
        }
        self.source.notify(Readiness::READ);
        Ok(8)
    }
    fn metadata(&self) -> Metadata {
        metadata(self.ino)
    }
    fn poll(&self) -> Readiness {
        let value = self.value.load(Ordering::SeqCst);
        let mut ready = Readiness::empty();
        ready.set(Readiness::READ, value > 0);
        ready.set(Readiness::WRITE, value < MAX);
        ready
    }
    fn wait_source(&self) -> Option<&PollSource> {
        Some(&self.source)
    }
    fn label(&self) -> String {
        String::from("anon_inode:[eventfd]")
    }
}
