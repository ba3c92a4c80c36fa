//! An application thread, as the ABI sees it: what hangs on a [`sched::Thread`].

use crate::process::{Process, task_of};
use crate::signal::TaskSignals;
use crate::syscall::{Call, SysResult};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::Deref;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use hal::sync::SpinLock;
use hal::trap::TrapFrame;

/// With what registers a thread begins.
pub struct Start {
    /// General registers.
    pub frame: TrapFrame,
    /// Thread pointer.
    pub fs_base: u64,
}

/// What restart_syscall(2) goes on with.
#[derive(Clone, Copy)]
pub struct Restart {
    /// The rest of the call.
    pub handler: fn(&mut Call<'_>, [u64; 4]) -> SysResult,
    /// Its state: pointers, an absolute deadline.
    pub state: [u64; 4],
}

/// The last fault of the thread, for the signal frames (`sigcontext`).
#[derive(Default)]
pub struct LastFault {
    /// Vector.
    pub trap_number: AtomicU64,
    /// Error code as a ring-3 program on Linux would see it.
    pub error: AtomicU64,
    /// Address of the last page fault.
    pub cr2: AtomicU64,
}

/// An application thread.
pub struct Task {
    process: Arc<Process>,
    tid: AtomicU32,
    /// Mask, pending signals, alternate stack.
    pub signals: TaskSignals,
    /// set_tid_address(2), CLONE_CHILD_CLEARTID; 0: none.
    pub clear_child_tid: AtomicU64,
    /// set_robust_list(2); 0: none.
    pub robust_list: AtomicU64,
    /// The last fault.
    pub last_fault: LastFault,
    /// Page faults that needed no input (getrusage's ru_minflt).
    pub minor_faults: AtomicU64,
    /// PR_SET_TIMERSLACK, nanoseconds: kept, without effect.
    pub timer_slack_ns: AtomicU64,
    /// sched_setscheduler(2): policy with SCHED_RESET_ON_FORK, priority in the high half.
    pub policy: AtomicU64,
    restart: SpinLock<Option<Restart>>,
    start: SpinLock<Option<Box<Start>>>,
}

impl Task {
    /// A thread of `process` that begins as `start` says.
    pub fn new(process: Arc<Process>, start: Start) -> Self {
        Self {
            process,
            tid: AtomicU32::new(0),
            signals: TaskSignals::new(),
            clear_child_tid: AtomicU64::new(0),
            robust_list: AtomicU64::new(0),
            last_fault: LastFault::default(),
            minor_faults: AtomicU64::new(0),
            timer_slack_ns: AtomicU64::new(50_000),
            policy: AtomicU64::new(0),
            restart: SpinLock::new(None),
            start: SpinLock::new(Some(Box::new(start))),
        }
    }

    /// Its process.
    #[inline(always)]
    pub fn process(&self) -> &Process {
        &self.process
    }
    /// Its process, counted.
    pub fn process_ref(&self) -> &Arc<Process> {
        &self.process
    }
    /// Its id.
    pub fn tid(&self) -> u32 {
        self.tid.load(Ordering::Relaxed)
    }
    pub(crate) fn set_tid(&self, tid: u32) {
        self.tid.store(tid, Ordering::Relaxed);
    }
    /// What restart_syscall(2) goes on with, should the call that now returns
    /// [`crate::Errno::ERESTART_RESTARTBLOCK`] be restarted.
    pub fn set_restart(&self, restart: Restart) {
        *self.restart.lock() = Some(restart);
    }
    /// What [`Self::set_restart`] left.
    pub fn take_restart(&self) -> Option<Restart> {
        self.restart.lock().take()
    }
}

/// First code of every application thread. It has no captures: a boxed closure that never returns would leak them.
pub(crate) fn run_new() {
    let start = {
        let thread = sched::current();
        let task = task_of(&thread).expect("an application thread has a task");
        let start = task.start.lock().take();
        *start.expect("a thread begins once")
    };
    hal::context::set_fs_base(start.fs_base);
    // SAFETY: this is the thread's first code, so nothing on its kernel stack is needed again; entry point and stack
    // lie in the application's half (checked by whoever made `Start`).
    unsafe { hal::trap::enter_app(&start.frame) }
}

/// The calling application thread.
pub struct CurrentTask {
    thread: sched::Current,
}

impl Deref for CurrentTask {
    type Target = Task;
    fn deref(&self) -> &Task {
        task_of(&self.thread).expect("checked when made")
    }
}

/// The calling application thread; `None` on a kernel thread.
pub fn try_current_task() -> Option<CurrentTask> {
    let thread = sched::try_current()?;
    task_of(&thread)?;
    Some(CurrentTask { thread })
}

/// The calling application thread. Panics on a kernel thread.
pub fn current_task() -> CurrentTask {
    try_current_task().expect("called on an application thread")
}

/// The calling thread's process. Panics on a kernel thread.
pub fn current_process() -> Arc<Process> {
    current_task().process.clone()
}
