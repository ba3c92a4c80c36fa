//! A timer that sends a signal.
//!
//! An interval timer that has fired is armed again when its signal is delivered, and only then counts the periods
//! that passed meanwhile as overrun: a signal that nobody takes costs nothing. (Linux does the same.)
//!
//! CPU clocks: the timer on them cannot fire earlier than if its thread had a vCPU all the time, so it looks then, and
//! again after what is still missing; longer and longer while the clock stands.
//!
//! # Locks
//! `ProcessTimers::table` and a timer's `state` are taken with nothing of each other held; `state` is held while the
//! kernel timer is armed, so that a deleted timer stays silent. Signals are sent with neither held.

use super::Clock;
use crate::Errno;
use crate::process::Process;
use crate::signal::info::{SI_KERNEL, SigInfo, TimerKey};
use crate::signal::{job, send};
use crate::syscall::time;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use hal::sync::{Once, SpinLock};
use sched::timer::{Timer, TimerOwner};

/// Who gets the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Any thread of the process.
    Process,
    /// The thread with this id.
    Thread(u32),
}

/// What happens at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Nothing: the timer is only read.
    Nothing,
    /// A signal with SI_TIMER; without a value, the timer's id is the value.
    Signal {
        /// The signal.
        signo: u8,
        /// Who gets it.
        target: Target,
        /// sigev_value.
        value: Option<u64>,
    },
    /// setitimer(2), alarm(2): a signal of the kernel, and armed again at once.
    Interval {
        /// The signal.
        signo: u8,
    },
}

/// What timer_gettime and the old value of timer_settime say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// Until it fires; 0: disarmed.
    pub value_ns: u64,
    /// Period; 0: once.
    pub interval_ns: u64,
}

#[derive(Default)]
struct State {
    /// On the timer's clock ([`hal::clock::now_ns`] time for CLOCK_REALTIME too).
    deadline: Option<u64>,
    interval_ns: u64,
    /// Fired, and its signal is not yet delivered.
    is_pending: bool,
    overrun: u32,
    is_deleted: bool,
    /// How often it was set: see [`TimerKey`].
    setting: u64,
    /// CPU clocks: what the clock showed at the last look, and how long to wait if it stood still.
    last_seen_ns: u64,
    pause_ns: u64,
}

/// A timer.
pub struct PosixTimer {
    id: u32,
    clock: Clock,
    notify: Notify,
    process: Weak<Process>,
    state: SpinLock<State>,
    timer: Once<Timer>,
}

/// Looks at a CPU clock at least this far apart, and at most.
const CPU_LOOK_MIN_NS: u64 = 1_000_000;
const CPU_LOOK_MAX_NS: u64 = 64_000_000;
/// DELAYTIMER_MAX.
const OVERRUN_MAX: u64 = i32::MAX as u64;

impl PosixTimer {
    fn new(process: &Arc<Process>, id: u32, clock: Clock, notify: Notify) -> Arc<Self> {
        let timer = Arc::new(Self {
            id,
            clock,
            notify,
            process: Arc::downgrade(process),
            state: SpinLock::new(State::default()),
            timer: Once::new(),
        });
        let weak = Arc::downgrade(&timer);
        let callback = move || {
            // `delete` cancels, which waits for this to end, before it drops: never the last reference.
            if let Some(timer) = weak.upgrade() {
                timer.fire();
            }
        };
        timer.timer.call_once(|| Timer::new(TimerOwner::Application, Box::new(callback)));
        timer
    }

    /// Its clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The time on its clock; of an ended thread: 0. CLOCK_REALTIME runs as CLOCK_MONOTONIC here.
    pub fn now_ns(&self) -> u64 {
        let process = || self.process.upgrade();
        match self.clock {
            Clock::Process => process().map_or(0, |process| process.cpu_time_ns()),
            Clock::Thread(tid) => process().and_then(|process| time::thread_cpu_time_ns(&process, tid)).unwrap_or(0),
            _ => hal::clock::now_ns(),
        }
    }

    /// Arms it for `deadline` on its clock, or disarms it; returns the old setting.
    pub fn set(&self, deadline: Option<u64>, interval_ns: u64) -> Setting {
        let now = self.now_ns();
        let mut state = self.state.lock();
        let old = setting(&state, now);
        state.deadline = deadline;
        state.interval_ns = interval_ns;
        state.setting += 1;
        state.is_pending = false;
        state.overrun = 0;
        state.last_seen_ns = now;
        state.pause_ns = CPU_LOOK_MIN_NS;
        match deadline {
            Some(deadline) => self.arm(deadline, now),
            None => {
                drop(state);
                self.kernel_timer().cancel();
                // Another thread may have armed it meanwhile: the last setting counts.
                let state = self.state.lock();
                if let Some(deadline) = state.deadline.filter(|_| !state.is_deleted) {
                    self.arm(deadline, now);
                }
            }
        }
        old
    }

    /// What is left, and the period.
    pub fn setting(&self) -> Setting {
        let now = self.now_ns();
        setting(&self.state.lock(), now)
    }

    /// Periods missed before the last signal was delivered.
    pub fn overrun(&self) -> u32 {
        self.state.lock().overrun
    }

    fn kernel_timer(&self) -> &Timer {
        self.timer.get().expect("set when the timer was made")
    }

    /// Arms the kernel timer; the caller holds `state`.
    fn arm(&self, deadline: u64, now: u64) {
        let left = deadline.saturating_sub(now);
        let wall = match self.clock {
            Clock::Process => (left / hal::cpu::count() as u64).max(CPU_LOOK_MIN_NS),
            Clock::Thread(_) => left.max(CPU_LOOK_MIN_NS),
            _ => return self.kernel_timer().arm(deadline),
        };
        self.kernel_timer().arm(hal::clock::now_ns().saturating_add(wall));
    }

    /// The kernel timer fired. Interrupt context.
    fn fire(&self) {
        let now = self.now_ns();
        let mut state = self.state.lock();
        let Some(deadline) = state.deadline.filter(|_| !state.is_deleted && !state.is_pending) else { return };
        if now < deadline {
            if self.clock.is_cpu_clock() && now == state.last_seen_ns {
                state.pause_ns = (state.pause_ns * 2).min(CPU_LOOK_MAX_NS);
                let again = hal::clock::now_ns() + state.pause_ns;
                self.kernel_timer().arm(again);
            } else {
                state.pause_ns = CPU_LOOK_MIN_NS;
                state.last_seen_ns = now;
                self.arm(deadline, now);
            }
            return;
        }
        let waits_for_delivery = self.expire(&mut state, now);
        let setting = state.setting;
        drop(state);
        self.send(waits_for_delivery, setting);
    }

    /// The deadline passed: what comes next. Whether the timer now waits for its signal's delivery.
    fn expire(&self, state: &mut State, now: u64) -> bool {
        match self.notify {
            Notify::Signal { .. } => {
                state.is_pending = true;
                state.overrun = 0;
                true
            }
            Notify::Interval { .. } | Notify::Nothing => {
                self.forward(state, now);
                false
            }
        }
    }

    /// Moves an interval timer's deadline behind `now` and arms it; returns how many whole periods were missed.
    fn forward(&self, state: &mut State, now: u64) -> u64 {
        let Some(deadline) = state.deadline else { return 0 };
        if state.interval_ns == 0 {
            state.deadline = None;
            return 0;
        }
        let missed = now.saturating_sub(deadline) / state.interval_ns;
        let next = deadline.saturating_add((missed + 1).saturating_mul(state.interval_ns));
        state.deadline = Some(next);
        state.last_seen_ns = now;
        self.arm(next, now);
        missed
    }

    fn send(&self, waits_for_delivery: bool, setting: u64) {
        let Some(process) = self.process.upgrade() else { return };
        let sent = match self.notify {
            Notify::Nothing => return,
            // Refused only without memory; the next period tries again.
            Notify::Interval { signo } => {
                let _ = send::send_to_process(&process, SigInfo::new(signo, SI_KERNEL));
                return;
            }
            Notify::Signal { signo, target, value } => {
                let info =
                    SigInfo::timer(signo, self.id, value.unwrap_or(self.id.into()), TimerKey { id: self.id, setting });
                let thread = if let Target::Thread(tid) = target { Some(tid) } else { None };
                if send::drops(&process, thread, signo) {
                    // SIGCONT continues also where it is not caught.
                    job::note_sent(&process, signo);
                    Err(Errno::EAGAIN)
                } else {
                    send_timer_signal(&process, target, info)
                }
            }
        };
        if sent.is_err() && waits_for_delivery {
            // Nobody will take it: go on as if it had been delivered, but not in a storm of tiny periods.
            let now = self.now_ns();
            let mut state = self.state.lock();
            state.is_pending = false;
            if !state.is_deleted {
                state.interval_ns = state.interval_ns.min(u64::MAX / 2);
                self.forward(&mut state, now);
            }
        }
    }

    /// Its signal is being delivered: arms it for the next period and returns the overrun. `None`: it was set anew or
    /// deleted since, and the signal is not to come any more (as on Linux from 6.13 on).
    fn delivered(&self, setting: u64) -> Option<u32> {
        let now = self.now_ns();
        let mut state = self.state.lock();
        if !state.is_pending || state.is_deleted || state.setting != setting {
            return None;
        }
        state.is_pending = false;
        let missed = self.forward(&mut state, now);
        state.overrun = missed.min(OVERRUN_MAX) as u32;
        Some(state.overrun)
    }

    fn delete(&self) {
        self.state.lock().is_deleted = true;
        self.kernel_timer().cancel();
    }
}

fn send_timer_signal(process: &Process, target: Target, info: SigInfo) -> Result<(), Errno> {
    match target {
        Target::Process => send::send_to_process(process, info),
        Target::Thread(tid) => {
            // Under the lock: the last reference to a thread must not go in interrupt context.
            let threads = process.lock_threads();
            send::send_to_thread(threads.get(&tid).ok_or(Errno::ESRCH)?, info)
        }
    }
}

fn setting(state: &State, now: u64) -> Setting {
    let value_ns = match state.deadline {
        None => 0,
        // While its signal waits, an interval timer shows the time to the end of the present period.
        Some(deadline) if now >= deadline && state.interval_ns != 0 => {
            state.interval_ns - (now - deadline) % state.interval_ns
        }
        Some(_) if state.is_pending => 0,
        Some(deadline) => deadline.saturating_sub(now).max(1),
    };
    Setting { value_ns, interval_ns: state.interval_ns }
}

struct Table {
    timers: BTreeMap<u32, Arc<PosixTimer>>,
    next_id: u32,
    interval_timers: [Option<Arc<PosixTimer>>; 3],
}

/// The timers of a process.
pub struct ProcessTimers {
    table: SpinLock<Table>,
}

impl Default for ProcessTimers {
    fn default() -> Self {
        Self::new()
    }
}

impl ProcessTimers {
    /// None.
    pub const fn new() -> Self {
        let table = Table { timers: BTreeMap::new(), next_id: 0, interval_timers: [const { None }; 3] };
        Self { table: SpinLock::new(table) }
    }

    /// Makes a timer, disarmed; returns its id.
    pub fn create(&self, process: &Arc<Process>, clock: Clock, notify: Notify) -> Result<u32, Errno> {
        let id = {
            let mut table = self.table.lock();
            let id = table.next_id;
            table.next_id = id.wrapping_add(1) & i32::MAX as u32;
            id
        };
        let timer = PosixTimer::new(process, id, clock, notify);
        self.table.lock().timers.insert(id, timer);
        Ok(id)
    }

    /// The timer with this id.
    pub fn get(&self, id: u32) -> Option<Arc<PosixTimer>> {
        self.table.lock().timers.get(&id).cloned()
    }

    /// Deletes a timer; a signal of it that is pending is dropped when it is its turn.
    pub fn delete(&self, id: u32) -> Result<(), Errno> {
        let timer = self.table.lock().timers.remove(&id).ok_or(Errno::EINVAL)?;
        timer.delete();
        Ok(())
    }

    /// The timer of setitimer(2) number `which`, made at its first use.
    pub fn interval_timer(
        &self,
        process: &Arc<Process>,
        which: usize,
        clock: Clock,
        signo: u8,
    ) -> Result<Arc<PosixTimer>, Errno> {
        if let Some(timer) = &self.table.lock().interval_timers[which] {
            return Ok(timer.clone());
        }
        let new = PosixTimer::new(process, 0, clock, Notify::Interval { signo });
        Ok(self.table.lock().interval_timers[which].get_or_insert(new).clone())
    }

    /// A signal is being delivered: if a timer sent it, the timer goes on, and the overrun goes into `info`. False: the
    /// timer was set anew or deleted since, and nobody is to see the signal.
    #[inline]
    #[must_use]
    pub fn note_delivered(&self, info: &mut SigInfo) -> bool {
        let Some(key) = info.timer_key() else { return true };
        let Some(overrun) = self.get(key.id).and_then(|timer| timer.delivered(key.setting)) else { return false };
        info.set_timer_overrun(overrun);
        true
    }

    /// The process ends: every timer goes.
    pub fn clear(&self) {
        let (timers, interval_timers) = {
            let mut table = self.table.lock();
            (core::mem::take(&mut table.timers), core::mem::take(&mut table.interval_timers))
        };
        for timer in timers.values().chain(interval_timers.iter().flatten()) {
            timer.delete();
        }
    }
}
