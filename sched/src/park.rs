//! Blocking: the one way in which a thread stops.
//!
//! ```text
//!              start               park
//!  SUSPENDED ---------> RUNNABLE ---------> PARKED, PARKED_SIGNALS, PARKED_FOREVER
//!                        ^    | unpark        |  unpark (or an interrupt, but not from PARKED): make runnable
//!                  park  |    v               |
//!  DEAD <--- exit ---    NOTIFIED <-----------'
//! ```
//! Who moves a thread from a PARKED state to NOTIFIED, and nobody else, puts it on a run queue.

use crate::{Current, machine};
use hal::context::WorkFlags;
use hal::irq::IrqGuard;
use hal::sync::atomic::{AtomicU32, Ordering};

const RUNNABLE: u32 = 0;
const NOTIFIED: u32 = 1;
const SUSPENDED: u32 = 2;
const DEAD: u32 = 3;
/// From here on: parked.
pub(crate) const PARKED: u32 = 4;
const PARKED_SIGNALS: u32 = 5;
const PARKED_FOREVER: u32 = 6;

/// The work flags that end an interruptible wait.
const INTERRUPTING: u32 = WorkFlags::SIGNAL | WorkFlags::STOP;

/// Whether a signal ends the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruptible {
    /// Ends when SIGNAL or STOP is set in the thread's work flags, also if it was before the wait.
    Yes,
    /// Ends by a wake-up or the deadline only.
    No,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// Somebody woke the thread.
    Woken,
    /// The deadline passed.
    TimedOut,
    /// A work flag SIGNAL or STOP is set.
    Interrupted,
}

/// What a parking thread waits for, as far as others may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Signals do not end it.
    Deaf,
    /// Signals end it.
    Signals,
    /// Signals end it, and nothing but another application thread's futex call otherwise.
    Futex,
}

/// A thread's state; see the module's drawing.
#[derive(Debug)]
pub(crate) struct ParkState(AtomicU32);

impl ParkState {
    /// A thread that was not started.
    pub const fn suspended() -> Self {
        Self(AtomicU32::new(SUSPENDED))
    }

    /// From suspended to runnable; false if it was not suspended.
    pub fn start(&self) -> bool {
        self.0.compare_exchange(SUSPENDED, RUNNABLE, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Leaves a token, or turns a parked thread into a notified one: then true, and the caller must make it runnable.
    /// The thread is known to live: it sits in a wait record that the caller holds a lock on.
    pub fn notify(&self) -> bool {
        // Always a write, also when a token is there: it orders the waker's stores before the thread's next look.
        self.0.swap(NOTIFIED, Ordering::AcqRel) >= PARKED
    }

    /// For a thread whose work flags were set: `Some(true)` if it was in an interruptible wait (the caller makes it
    /// runnable), `Some(false)` if it may be running, `None` if there is nothing to do.
    pub fn interrupt(&self) -> Option<bool> {
        // Orders the caller's store to the work flags before the look at the state; `park` does it the other way round.
        hal::sync::atomic::fence(Ordering::SeqCst);
        let mut state = self.0.load(Ordering::Acquire);
        loop {
            match state {
                RUNNABLE | NOTIFIED => return Some(false),
                PARKED_SIGNALS | PARKED_FOREVER => {
                    match self.0.compare_exchange_weak(state, NOTIFIED, Ordering::AcqRel, Ordering::Acquire) {
                        Ok(_) => return Some(true),
                        Err(found) => state = found,
                    }
                }
                _ => return None,
            }
        }
    }

    /// From runnable to the state `parked`; false if there was a token, which is taken.
    pub fn enter(&self, parked: u32) -> bool {
        let entered = self.0.compare_exchange(RUNNABLE, parked, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if !entered {
            self.leave();
        }
        entered
    }

    /// The thread, notified, runs again.
    pub fn leave(&self) {
        self.0.swap(RUNNABLE, Ordering::AcqRel);
    }

    /// The thread has left its stack, or is about to, for ever.
    pub fn die(&self) {
        self.0.store(DEAD, Ordering::Release);
    }

    /// Whether it is parked now.
    #[cfg_attr(feature = "bare", allow(dead_code, reason = "std threads ask, vCPUs do not need to"))]
    pub fn is_parked(&self) -> bool {
        self.0.load(Ordering::Acquire) >= PARKED
    }

    /// Whether it is in an untimed futex wait.
    pub fn is_forever(&self) -> bool {
        self.0.load(Ordering::SeqCst) == PARKED_FOREVER
    }

    /// Whether it has ended.
    pub fn is_dead(&self) -> bool {
        self.0.load(Ordering::Acquire) == DEAD
    }

    /// State letter of proc(5).
    pub fn letter(&self) -> char {
        match self.0.load(Ordering::Relaxed) {
            RUNNABLE | NOTIFIED => 'R',
            PARKED | SUSPENDED => 'D',
            DEAD => 'X',
            _ => 'S',
        }
    }
}

/// Stops the running thread until somebody unparks it, the deadline passes or, unless `wait` is deaf, an interrupting work
/// flag is set. May return `Woken` for no reason at all.
pub(crate) fn park(thread: &Current, wait: Wait, deadline_ns: Option<u64>) -> WakeReason {
    // Masked over the whole: a preemption between the state's change and the switch would queue a parked thread.
    let _irq = IrqGuard::mask();
    let state = &thread.park.0;
    let parked = match (wait, deadline_ns) {
        (Wait::Deaf, _) => PARKED,
        (Wait::Futex, None) => PARKED_FOREVER,
        (Wait::Signals | Wait::Futex, _) => PARKED_SIGNALS,
    };
    if !thread.park.enter(parked) {
        return WakeReason::Woken;
    }
    let interrupted = || wait != Wait::Deaf && thread.work_flags().any(INTERRUPTING);
    // After the state's change, see `interrupt`. If the change back fails somebody has queued this thread already, and
    // the only way out is through the scheduler.
    if interrupted() && state.compare_exchange(parked, RUNNABLE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        return WakeReason::Interrupted;
    }
    let timed_out = machine::block(thread, deadline_ns);
    thread.park.leave();
    if timed_out {
        WakeReason::TimedOut
    } else if interrupted() {
        WakeReason::Interrupted
    } else {
        WakeReason::Woken
    }
}

/// Lets another runnable thread run first, if there is one.
pub fn yield_now() {
    machine::yield_now();
}

/// Sleeps until `deadline_ns` ([`hal::clock::now_ns`] time): `TimedOut` is the ordinary end, `Interrupted` the other.
pub fn sleep_until(deadline_ns: u64, interruptible: Interruptible) -> WakeReason {
    let current = crate::current();
    loop {
        match park(&current, interruptible.into(), Some(deadline_ns)) {
            WakeReason::Woken => {}
            reason => return reason,
        }
    }
}

impl From<Interruptible> for Wait {
    fn from(interruptible: Interruptible) -> Self {
        match interruptible {
            Interruptible::Yes => Wait::Signals,
            Interruptible::No => Wait::Deaf,
        }
    }
}

/// Switches to another thread when RESCHED is set in the current thread's work flags, and clears it. The hook before
/// the return to the application calls it, and long work in the kernel may.
pub fn preempt_point() {
    if let Some(current) = crate::try_current()
        && current.work_flags().any(WorkFlags::RESCHED)
    {
        machine::yield_now();
    }
}
