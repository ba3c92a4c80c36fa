//! Threads on std threads, for the tests of this crate and of those above it: blocking is std's park, everything is
//! runnable at once, and one std thread stands in for the timer interrupt.

use crate::registry;
use crate::spawn::run_start;
use crate::stat::CpuStat;
use crate::timer;
use crate::{CpuSet, Thread, ThreadRef};
use core::sync::atomic::{AtomicU64, Ordering};
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, Once, OnceLock};
use std::time::Duration;

/// The std thread behind a thread.
pub(crate) struct Machine {
    thread: OnceLock<std::thread::Thread>,
}

impl Machine {
    /// Not started.
    pub fn new(_application: bool) -> Option<Self> {
        Some(Self::idle())
    }

    /// As [`Self::new`]; on the real machine, for idle threads.
    pub fn idle() -> Self {
        Self { thread: OnceLock::new() }
    }

    /// std's business.
    pub fn free_stack(&self) {}
}

std::thread_local! {
    static CURRENT: OnceLock<ThreadRef> = const { OnceLock::new() };
}

/// Makes `thread` the one that this std thread runs.
fn adopt(thread: ThreadRef) {
    let _ = thread.machine.thread.set(std::thread::current());
    thread.clock.start(hal::clock::now_ns());
    // SAFETY: the thread-local reference keeps the thread alive while it is current.
    unsafe {
        let stack = hal::stack::KernelStack { lo: 0, hi: 0 };
        hal::context::set_current(Arc::as_ptr(&thread).cast(), thread.work_flags(), stack);
    }
    CURRENT.with(|current| assert!(current.set(thread).is_ok(), "a std thread runs one thread"));
}

/// The running thread. A std thread that sched did not make becomes a kernel thread, outside the registry.
pub(crate) fn current() -> *const Thread {
    CURRENT.with(|current| match current.get() {
        Some(thread) => Arc::as_ptr(thread),
        None => {
            let thread = Arc::new(Thread::new(0, "std", None, CpuSet::ALL, None, Machine::idle()));
            thread.park.start();
            adopt(thread.clone());
            Arc::as_ptr(&thread)
        }
    })
}

/// What [`exit`] unwinds with.
struct ExitThread;

pub(crate) fn launch(thread: &ThreadRef) {
    let thread = thread.clone();
    let body = move || {
        adopt(thread.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            run_start(&thread);
            drop(registry::remove(&thread));
        }));
        thread.park.die();
        if let Err(payload) = outcome
            && !payload.is::<ExitThread>()
        {
            resume_unwind(payload);
        }
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(body).expect("the host has a thread for a test");
}

pub(crate) fn exit(thread: ThreadRef) -> ! {
    drop(thread);
    resume_unwind(Box::new(ExitThread))
}

static PASSES: AtomicU64 = AtomicU64::new(0);

pub(crate) fn passes() -> u64 {
    PASSES.load(Ordering::SeqCst)
}

pub(crate) fn block(thread: &Thread, deadline_ns: Option<u64>) -> bool {
    if let Some(deadline_ns) = deadline_ns {
        thread.sleep.arm(thread, deadline_ns);
    }
    thread.clock.stop(hal::clock::now_ns());
    while thread.park.is_parked() {
        std::thread::park();
    }
    thread.clock.start(hal::clock::now_ns());
    thread.voluntary.fetch_add(1, Ordering::Relaxed);
    PASSES.fetch_add(1, Ordering::SeqCst);
    deadline_ns.is_some() && thread.sleep.disarm()
}

pub(crate) fn make_runnable(thread: &Thread) {
    if let Some(std_thread) = thread.machine.thread.get() {
        std_thread.unpark();
    }
}

pub(crate) fn interrupt(_thread: &Thread) {}

pub(crate) fn yield_now() {
    if let Some(current) = crate::try_current() {
        current.work_flags().clear(hal::context::WorkFlags::RESCHED);
    }
    std::thread::yield_now();
}

/// Address of a thread-local: different for each std thread, never 0.
pub(crate) fn executor() -> usize {
    std::thread_local! {
        static MARK: u8 = const { 0 };
    }
    MARK.with(|mark| &raw const *mark as usize)
}

/// When the timer thread is to look at the heap next; `None` while nothing is armed.
static NEXT_NS: Mutex<Option<u64>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();

pub(crate) fn program_timer(deadline_ns: u64) {
    static START: Once = Once::new();
    START.call_once(|| {
        std::thread::spawn(timer_thread);
    });
    // A deadline before the programmed one only: the heap calls for each new earliest.
    let mut next = NEXT_NS.lock().expect("nothing panics under this lock");
    *next = Some(next.map_or(deadline_ns, |next| next.min(deadline_ns)));
    CHANGED.notify_one();
}

fn timer_thread() {
    let mut next = NEXT_NS.lock().expect("nothing panics under this lock");
    loop {
        let left_ns = next.map(|next| next.saturating_sub(hal::clock::now_ns()));
        match left_ns {
            None => next = CHANGED.wait(next).expect("nothing panics under this lock"),
            Some(0) => {
                *next = None;
                drop(next);
                let after = {
                    let _irq = hal::irq::IrqGuard::mask();
                    timer::expire(hal::clock::now_ns())
                };
                if let Some(after) = after {
                    program_timer(after);
                }
                next = NEXT_NS.lock().expect("nothing panics under this lock");
            }
            Some(left_ns) => {
                let wait = CHANGED.wait_timeout(next, Duration::from_nanos(left_ns));
                next = wait.expect("nothing panics under this lock").0;
            }
        }
    }
}

pub(crate) fn cpu_stat(_cpu: usize) -> CpuStat {
    CpuStat::default()
}

pub(crate) fn runnable() -> usize {
    registry::all().iter().filter(|thread| thread.state() == 'R').count()
}

pub(crate) fn load_integral_ns() -> u64 {
    0
}

pub(crate) fn set_idle_hook(_hook: fn()) {}
pub(crate) fn set_idle_work(_work: fn() -> bool) {}
pub(crate) fn set_around_halt(_before: fn(), _after: fn()) {}
pub(crate) fn timer_interrupt() {}
pub(crate) fn reschedule_interrupt() {}
pub(crate) fn preempt() {}
pub(crate) fn init_cpu() {}

pub(crate) fn run_idle() -> ! {
    loop {
        std::thread::park();
    }
}
