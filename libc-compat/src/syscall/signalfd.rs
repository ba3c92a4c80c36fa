//! signalfd(2): signals as bytes of a descriptor.

use super::open::{on_exec, status_from_linux};
use super::{Call, Errno, Row, Support::*, SysResult, row, signal};
use crate::process::{Process, task_of};
use crate::signal::info::{SI_TIMER, SI_TKILL};
use crate::signal::{SigInfo, SigSet};
use crate::task::try_current_task;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use fs::{Blocking, File, FsError, FsResult, Metadata, OpenFile, PollSource, Readiness, Sink, StatusFlags};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_signalfd, "signalfd", "dxd", signalfd, Full, "signalfd(2)"),
    row(linux::__NR_signalfd4, "signalfd4", "dxdx", signalfd4, Full, "signalfd(2)"),
];

/// Bytes of `struct signalfd_siginfo`.
const RECORD_BYTES: usize = 128;

/// Gives whoever reads it the signals that are pending for him or the process.
struct SignalFd {
    process: Arc<Process>,
    mask: AtomicU64,
    ino: u64,
}

fn signalfd(call: &mut Call<'_>) -> SysResult {
    make(call, 0)
}

fn signalfd4(call: &mut Call<'_>) -> SysResult {
    make(call, call.uint(3))
}

fn make(call: &Call<'_>, flags: u32) -> SysResult {
    if call.arg(2) != size_of::<u64>() as u64 || flags & !(linux::O_CLOEXEC | linux::O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let mask = SigSet(call.ptr::<u64>(1).read()?).without(SigSet::UNBLOCKABLE).0;
    let files = &call.process().files;
    if call.int(0) != -1 {
        let file = files.get(call.int(0))?;
        file.downcast::<SignalFd>().ok_or(Errno::EINVAL)?.mask.store(mask, Ordering::Relaxed);
        call.process().signals.source.notify(Readiness::READ);
        return Ok(call.arg(0));
    }
    let process = call.task().process_ref().clone();
    let file = Arc::new(SignalFd { process, mask: AtomicU64::new(mask), ino: fs::anonymous::next_ino() });
    let status = status_from_linux(flags & linux::O_NONBLOCK) | StatusFlags::READ | StatusFlags::WRITE;
    files.insert(OpenFile::anonymous(file, status), on_exec(flags & linux::O_CLOEXEC != 0))
}

impl SignalFd {
    fn wanted(&self) -> SigSet {
        SigSet(self.mask.load(Ordering::Relaxed))
    }
}

impl File for SignalFd {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, sink: &mut dyn Sink, blocking: Blocking) -> FsResult<usize> {
        if sink.remaining() < RECORD_BYTES {
            return Err(FsError::Invalid);
        }
        let thread = sched::current();
        let task = task_of(&thread).ok_or(FsError::Invalid)?;
        let mut done = 0;
        while sink.remaining() >= RECORD_BYTES {
            // After the first: only what is there.
            let deadline = if done > 0 || blocking == Blocking::Never { Some(0) } else { None };
            let info = match signal::wait_for(task, &thread, self.wanted(), deadline) {
                Ok(info) => info,
                Err(_) if done > 0 => break,
                Err(Errno::EAGAIN) => return Err(FsError::WouldBlock),
                Err(_) => return Err(FsError::Interrupted),
            };
            done += sink.put(&record(&info))?;
        }
        Ok(done)
    }
    fn metadata(&self) -> Metadata {
        fs::anonymous::metadata(self.ino)
    }
    fn poll(&self) -> Readiness {
        let own = try_current_task().map_or(SigSet::EMPTY, |task| task.signals.pending.set());
        let pending = own.union(self.process.signals.pending.set());
        if pending.intersection(self.wanted()).is_empty() { Readiness::empty() } else { Readiness::READ }
    }
    fn wait_source(&self) -> Option<&PollSource> {
        Some(&self.process.signals.source)
    }
    fn label(&self) -> String {
        String::from("anon_inode:[signalfd]")
    }
}

/// `struct signalfd_siginfo`.
fn record(info: &SigInfo) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    let mut put = |at: usize, value: u64, len: usize| bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
    put(0, info.signo as u64, 4);
    put(4, info.errno as u64, 4);
    put(8, info.code as u64, 4);
    let [first, value, ..] = info.fields;
    if info.is_fault() {
        put(72, first, 8);
    } else if info.code == SI_TIMER {
        put(24, first, 4);
        put(32, first >> 32, 4);
    } else {
        // Sender and its user.
        put(12, first, 8);
    }
    if info.code < 0 && info.code != SI_TKILL {
        put(44, value, 4);
        put(48, value, 8);
    }
    bytes
}
