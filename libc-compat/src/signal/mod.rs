//! Signals (signal(7)).
//!
//! * [`set`], [`info`], [`action`]: the plain data.
//! * [`queue`]: what is pending, for a thread and for the process.
//! * [`send`]: from a call, a timer, the outside to a thread that can take it.
//! * [`job`]: stopping and continuing.
//! * [`fault`]: from a fault to a signal of the faulting thread, delivered at once.
//! * [`deliver`]: on the way back to the application: which signal, which action, restart of the interrupted call.
//! * [`frame`], [`layout`]: the frame on the application's stack and its way back (rt_sigreturn).
//!
//! No state is kept that only rt_sigreturn would release: handlers leave by siglongjmp(3) too.
//!
//! # Who looks when
//! A sender first queues, then sets [`WorkFlags::SIGNAL`] of a thread and kicks it. The thread clears the flag before
//! it looks at the queues, so nothing is missed.

pub mod action;
pub mod deliver;
pub mod fault;
pub mod frame;
pub mod info;
pub mod job;
pub mod layout;
pub mod queue;
pub mod send;
pub mod set;

pub use info::SigInfo;
pub use send::send_from_outside;
pub use set::SigSet;

use crate::process::Process;
use crate::task::Task;
use action::Actions;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use hal::context::WorkFlags;
use queue::Pending;
use sched::Thread;

/// Signal actions and what is pending for the process as a whole.
pub struct ProcessSignals {
    /// Actions.
    pub actions: Actions,
    /// Pending for whichever thread takes it.
    pub pending: Pending,
    /// SIGSTOP and SIGCONT.
    pub job: job::Job,
    /// Who polls a signalfd.
    pub source: fs::PollSource,
}

impl ProcessSignals {
    /// Every action the default, nothing pending.
    pub const fn new() -> Self {
        Self { actions: Actions::new(), pending: Pending::new(), job: job::Job::new(), source: fs::PollSource::new() }
    }
}

impl Default for ProcessSignals {
    fn default() -> Self {
        Self::new()
    }
}

/// A thread's mask and what is pending for it. All but `pending` is written by the thread itself only.
pub struct TaskSignals {
    mask: AtomicU64,
    /// The mask to put back after the handler that ends sigsuspend, ppoll, epoll_pwait; valid with `has_saved`.
    saved_mask: AtomicU64,
    has_saved: AtomicBool,
    /// Blocked, but waited for in sigtimedwait: a sender must not drop it as ignored.
    waited: AtomicU64,
    /// Pending for this thread.
    pub pending: Pending,
    /// sigaltstack(2): start, bytes, flags.
    stack_start: AtomicU64,
    stack_bytes: AtomicU64,
    stack_flags: AtomicU32,
}

impl TaskSignals {
    /// Nothing blocked, nothing pending, no alternate stack.
    pub const fn new() -> Self {
        Self {
            mask: AtomicU64::new(0),
            saved_mask: AtomicU64::new(0),
            has_saved: AtomicBool::new(false),
            waited: AtomicU64::new(0),
            pending: Pending::new(),
            stack_start: AtomicU64::new(0),
            stack_bytes: AtomicU64::new(0),
            stack_flags: AtomicU32::new(linux_raw_sys::general::SS_DISABLE),
        }
    }

    /// The blocked signals.
    #[inline(always)]
    pub fn mask(&self) -> SigSet {
        SigSet(self.mask.load(Ordering::Relaxed))
    }

    /// The mask of a thread that does not run yet.
    pub(crate) fn inherit_mask(&self, mask: SigSet) {
        self.mask.store(mask.0, Ordering::Relaxed);
    }

    /// Blocked signals that the thread waits for in sigtimedwait.
    pub(crate) fn waited(&self) -> SigSet {
        SigSet(self.waited.load(Ordering::SeqCst))
    }
    pub(crate) fn set_waited(&self, signals: SigSet) {
        self.waited.store(signals.0, Ordering::SeqCst);
    }

    /// The alternate stack: start, bytes, flags.
    pub(crate) fn alternate_stack(&self) -> (u64, u64, u32) {
        let word = |word: &AtomicU64| word.load(Ordering::Relaxed);
        (word(&self.stack_start), word(&self.stack_bytes), self.stack_flags.load(Ordering::Relaxed))
    }
    pub(crate) fn set_alternate_stack(&self, start: u64, bytes: u64, flags: u32) {
        self.stack_start.store(start, Ordering::Relaxed);
        self.stack_bytes.store(bytes, Ordering::Relaxed);
        self.stack_flags.store(flags, Ordering::Relaxed);
    }
    /// Whether `stack_pointer` lies on the alternate stack.
    pub(crate) fn on_alternate_stack(&self, stack_pointer: u64) -> bool {
        let (start, bytes, flags) = self.alternate_stack();
        flags & linux_raw_sys::general::SS_AUTODISARM == 0 && stack_pointer > start && stack_pointer - start <= bytes
    }
}

impl Default for TaskSignals {
    fn default() -> Self {
        Self::new()
    }
}

impl Task {
    /// Takes the next signal of `wanted`: the thread's own first. A timer's that counts no more is dropped.
    pub fn take_signal(&self, wanted: SigSet) -> Option<info::SigInfo> {
        loop {
            let next = self.signals.pending.take(wanted).or_else(|| self.process().signals.pending.take(wanted));
            let mut info = next?;
            if self.process().timers.note_delivered(&mut info) {
                return Some(info);
            }
        }
    }

    /// Pending here or for the process, and not blocked.
    #[inline(always)]
    pub fn deliverable_signals(&self) -> SigSet {
        self.signals.pending.set().union(self.process().signals.pending.set()).without(self.signals.mask())
    }

    /// Replaces the mask of the calling thread, `thread`.
    pub fn set_signal_mask(&self, thread: &Thread, mask: SigSet) {
        let new = mask.without(SigSet::UNBLOCKABLE);
        let old = SigSet(self.signals.mask.swap(new.0, Ordering::SeqCst));
        let for_process = self.process().signals.pending.set();
        if !for_process.intersection(new).without(old).is_empty() {
            // One that was aimed at this thread must find another.
            send::retarget(self.process(), thread.id());
        }
        self.recheck_signals(thread);
    }

    /// Replaces the mask for one call (ppoll, pselect, epoll_pwait, sigsuspend). A call that then ends without having
    /// been interrupted calls [`Self::restore_saved_mask`]; after an interruption the step that delivers signals does.
    pub fn set_temporary_mask(&self, thread: &Thread, mask: SigSet) {
        self.signals.saved_mask.store(self.signals.mask().0, Ordering::Relaxed);
        self.signals.has_saved.store(true, Ordering::Relaxed);
        self.set_signal_mask(thread, mask);
    }

    /// The call ends without a signal: puts the mask of [`Self::set_temporary_mask`] back.
    pub fn restore_saved_mask(&self, thread: &Thread) {
        if self.signals.has_saved.swap(false, Ordering::Relaxed) {
            self.set_signal_mask(thread, SigSet(self.signals.saved_mask.load(Ordering::Relaxed)));
        }
    }

    /// The mask that the frame of a handler keeps.
    pub(crate) fn take_mask_for_frame(&self) -> SigSet {
        if self.signals.has_saved.swap(false, Ordering::Relaxed) {
            SigSet(self.signals.saved_mask.load(Ordering::Relaxed))
        } else {
            self.signals.mask()
        }
    }

    /// Sets the work flag if something is deliverable.
    #[inline(always)]
    pub fn recheck_signals(&self, thread: &Thread) {
        if !self.deliverable_signals().is_empty() {
            thread.work_flags().set(WorkFlags::SIGNAL);
        }
    }
}

/// Whether a deadly signal from outside would be caught, so that the process can end otherwise than by itself.
pub(crate) fn catches_termination(process: &Process) -> bool {
    let ways_out = SigSet::of(set::SIGINT).union(SigSet::of(set::SIGTERM));
    !process.signals.actions.caught().intersection(ways_out).is_empty()
}
