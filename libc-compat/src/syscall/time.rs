//! Clocks and sleeping. The usual clock reads never come here: see [`crate::vdso`].

use super::Support::{Full, Partial};
use super::{Call, Errno, Row, SysResult, row};
use crate::process::{Process, task_of};
use crate::task::Restart;
use crate::uaccess::{UserPtr, plain};
use crate::unsupported;
use linux_raw_sys::general::*;
use sched::{Interruptible, WakeReason};

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(__NR_clock_gettime, "clock_gettime", "dx", clock_gettime, Full, "clock_gettime(2)"),
    row(__NR_clock_settime, "clock_settime", "dx", clock_settime, Partial, "clock_settime(2)"),
    row(__NR_clock_getres, "clock_getres", "dx", clock_getres, Full, "clock_getres(2)"),
    row(__NR_nanosleep, "nanosleep", "xx", nanosleep, Full, "nanosleep(2)"),
    row(__NR_clock_nanosleep, "clock_nanosleep", "ddxx", clock_nanosleep, Partial, "clock_nanosleep(2)"),
    row(__NR_gettimeofday, "gettimeofday", "xx", gettimeofday, Full, "gettimeofday(2)"),
    row(__NR_settimeofday, "settimeofday", "xx", settimeofday, Partial, "settimeofday(2)"),
    row(__NR_time, "time", "x", time, Full, "time(2)"),
    row(__NR_times, "times", "x", times, Full, "times(2)"),
];

/// Nanoseconds in a second.
pub const NS_PER_SEC: u64 = 1_000_000_000;
/// Clock ticks in a second, for times(2) and /proc (AT_CLKTCK).
pub const TICKS_PER_SEC: u64 = 100;
/// Resolution of the coarse clocks on Linux with 250 Hz.
const COARSE_NS: u64 = 4_000_000;

/// `struct timespec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSpec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds, below 10^9.
    pub nsec: i64,
}
plain!(TimeSpec);

impl TimeSpec {
    /// `ns` nanoseconds.
    pub const fn from_ns(ns: u64) -> Self {
        Self { sec: (ns / NS_PER_SEC) as i64, nsec: (ns % NS_PER_SEC) as i64 }
    }
    /// In nanoseconds, at most 2^63 - 1; EINVAL when negative or not normal.
    pub const fn to_ns(self) -> Result<u64, Errno> {
        if self.sec < 0 || self.nsec < 0 || self.nsec >= NS_PER_SEC as i64 {
            return Err(Errno::EINVAL);
        }
        let ns = (self.sec as u64).saturating_mul(NS_PER_SEC).saturating_add(self.nsec as u64);
        Ok(if ns > i64::MAX as u64 { i64::MAX as u64 } else { ns })
    }
}

/// `struct timeval`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeVal {
    /// Seconds.
    pub sec: i64,
    /// Microseconds, below 10^6.
    pub usec: i64,
}
plain!(TimeVal);

impl TimeVal {
    /// `ns` nanoseconds, cut to microseconds.
    pub const fn from_ns(ns: u64) -> Self {
        Self { sec: (ns / NS_PER_SEC) as i64, usec: (ns % NS_PER_SEC / 1000) as i64 }
    }
    /// In nanoseconds; EINVAL when negative or not normal.
    pub const fn to_ns(self) -> Result<u64, Errno> {
        if self.usec < 0 || self.usec >= 1_000_000 {
            return Err(Errno::EINVAL);
        }
        TimeSpec { sec: self.sec, nsec: self.usec * 1000 }.to_ns()
    }
}

/// A clock, decoded from Linux's `clockid_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Time since 1970.
    Realtime,
    /// Time since boot.
    Monotonic,
    /// As the two above, but read from the last tick on Linux.
    RealtimeCoarse,
    /// See [`Self::RealtimeCoarse`].
    MonotonicCoarse,
    /// CPU time of the process.
    Process,
    /// CPU time of the thread with this id; 0 is the caller.
    Thread(u32),
}

impl Clock {
    /// The clock of a `clockid_t`. Negative ones name another's CPU clock: `~id << 3`, 4 for a thread, kind in the low
    /// two bits (Linux: `MAKE_PROCESS_CPUCLOCK`).
    pub fn decode(id: i32, process: &Process) -> Result<Self, Errno> {
        if id < 0 {
            return Self::decode_cpu_clock(id, process);
        }
        match id as u32 {
            CLOCK_REALTIME | CLOCK_REALTIME_ALARM | CLOCK_TAI => Ok(Self::Realtime),
            CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => Ok(Self::Monotonic),
            CLOCK_REALTIME_COARSE => Ok(Self::RealtimeCoarse),
            CLOCK_MONOTONIC_COARSE => Ok(Self::MonotonicCoarse),
            CLOCK_PROCESS_CPUTIME_ID => Ok(Self::Process),
            CLOCK_THREAD_CPUTIME_ID => Ok(Self::Thread(0)),
            _ => Err(Errno::EINVAL),
        }
    }

    fn decode_cpu_clock(id: i32, process: &Process) -> Result<Self, Errno> {
        const KIND_MASK: i32 = 3;
        const PER_THREAD: i32 = 4;
        let target = !(id >> 3) as u32;
        if id & KIND_MASK == KIND_MASK {
            return Err(Errno::EINVAL);
        }
        if id & PER_THREAD == 0 {
            return if target == 0 || target == process.pid() { Ok(Self::Process) } else { Err(Errno::EINVAL) };
        }
        if target != 0 && process.thread(target).is_none() {
            return Err(Errno::EINVAL);
        }
        Ok(Self::Thread(target))
    }

    /// The time on it, nanoseconds.
    pub fn now_ns(self, process: &Process) -> Result<u64, Errno> {
        Ok(match self {
            Self::Realtime | Self::RealtimeCoarse => hal::clock::realtime_ns(),
            Self::Monotonic | Self::MonotonicCoarse => hal::clock::now_ns(),
            Self::Process => process.cpu_time_ns(),
            Self::Thread(0) => sched::current().cpu_time_ns(),
            Self::Thread(tid) => process.thread(tid).ok_or(Errno::EINVAL)?.cpu_time_ns(),
        })
    }

    /// Whether it counts CPU time.
    pub const fn is_cpu_clock(self) -> bool {
        matches!(self, Self::Process | Self::Thread(_))
    }
}

/// The [`hal::clock::now_ns`] time of a time on CLOCK_REALTIME. Setting the clock later does not change it.
pub fn deadline_from_realtime(realtime_ns: u64) -> u64 {
    let offset = hal::clock::tsc_params().real_offset_ns;
    (realtime_ns as i64).saturating_sub(offset).max(0) as u64
}

fn clock_gettime(call: &mut Call<'_>) -> SysResult {
    let now = match call.int(0) {
        // The one that JVMs ask for by call, straight.
        id if id == CLOCK_THREAD_CPUTIME_ID as i32 => call.thread().cpu_time_ns(),
        id => Clock::decode(id, call.process())?.now_ns(call.process())?,
    };
    call.ptr(1).write(TimeSpec::from_ns(now))?;
    Ok(0)
}

fn clock_settime(call: &mut Call<'_>) -> SysResult {
    let clock = Clock::decode(call.int(0), call.process())?;
    let time = call.ptr::<TimeSpec>(1).read()?.to_ns()?;
    if clock != Clock::Realtime {
        return Err(Errno::EINVAL);
    }
    hal::clock::set_realtime_ns(time);
    Ok(0)
}

fn clock_getres(call: &mut Call<'_>) -> SysResult {
    let resolution = match Clock::decode(call.int(0), call.process())? {
        Clock::RealtimeCoarse | Clock::MonotonicCoarse => COARSE_NS,
        _ => 1,
    };
    call.ptr(1).write_if_given(TimeSpec::from_ns(resolution))?;
    Ok(0)
}

fn nanosleep(call: &mut Call<'_>) -> SysResult {
    let time = call.ptr::<TimeSpec>(0).read()?.to_ns()?;
    sleep(call, hal::clock::now_ns().saturating_add(time), call.ptr(1))
}

fn clock_nanosleep(call: &mut Call<'_>) -> SysResult {
    let clock = match Clock::decode(call.int(0), call.process())? {
        _ if call.int(0) == CLOCK_MONOTONIC_RAW as i32 => return Err(Errno::EOPNOTSUPP),
        clock @ (Clock::Realtime | Clock::Monotonic) => clock,
        // The thread's own clock, by name: it cannot come on while its thread sleeps.
        Clock::Thread(_) if call.int(0) == CLOCK_THREAD_CPUTIME_ID as i32 => return Err(Errno::EOPNOTSUPP),
        Clock::Thread(tid) if tid == 0 || tid == call.task().tid() => return Err(Errno::EINVAL),
        clock @ (Clock::Process | Clock::Thread(_)) => return sleep_on_cpu_clock(call, clock),
        Clock::RealtimeCoarse | Clock::MonotonicCoarse => return Err(Errno::EOPNOTSUPP),
    };
    let time = call.ptr::<TimeSpec>(2).read()?.to_ns()?;
    if call.uint(1) & TIMER_ABSTIME == 0 {
        return sleep(call, hal::clock::now_ns().saturating_add(time), call.ptr(3));
    }
    let deadline = if clock == Clock::Realtime { deadline_from_realtime(time) } else { time };
    match sched::sleep_until(deadline, Interruptible::Yes) {
        WakeReason::Interrupted => Err(Errno::ERESTARTNOHAND),
        _ => Ok(0),
    }
}

/// A relative sleep: if it is interrupted, what is left goes to `remaining`, and a restart has the same end.
fn sleep(call: &mut Call<'_>, deadline: u64, remaining: UserPtr<TimeSpec>) -> SysResult {
    if sched::sleep_until(deadline, Interruptible::Yes) != WakeReason::Interrupted {
        return Ok(0);
    }
    let left = deadline.saturating_sub(hal::clock::now_ns());
    if left == 0 {
        return Ok(0);
    }
    remaining.write_if_given(TimeSpec::from_ns(left))?;
    call.task().set_restart(Restart { handler: resume_sleep, state: [deadline, remaining.addr(), 0, 0] });
    Err(Errno::ERESTART_RESTARTBLOCK)
}

/// The clock runs at most once a vCPU as fast as time: looks when it may have come that far, and again.
fn sleep_on_cpu_clock(call: &Call<'_>, clock: Clock) -> SysResult {
    let time = call.ptr::<TimeSpec>(2).read()?.to_ns()?;
    if call.uint(1) & TIMER_ABSTIME != 0 {
        return sleep_until_cpu_time(call, clock, time, None);
    }
    let deadline = clock.now_ns(call.process())?.saturating_add(time);
    sleep_until_cpu_time(call, clock, deadline, Some(call.arg(3)))
}

/// `remaining` is where what is left goes, for a relative sleep.
fn sleep_until_cpu_time(call: &Call<'_>, clock: Clock, deadline: u64, remaining: Option<u64>) -> SysResult {
    const LOOK_MIN_NS: u64 = 1_000_000;
    loop {
        // A thread that ends takes its clock with it.
        let Ok(now) = clock.now_ns(call.process()) else { return Ok(0) };
        let left = deadline.saturating_sub(now);
        if left == 0 {
            return Ok(0);
        }
        let speed = if clock == Clock::Process { hal::cpu::count() as u64 } else { 1 };
        let look_ns = hal::clock::now_ns() + (left / speed).max(LOOK_MIN_NS);
        if sched::sleep_until(look_ns, Interruptible::Yes) == WakeReason::Interrupted {
            let Some(to) = remaining else { return Err(Errno::ERESTARTNOHAND) };
            UserPtr::new(to).write_if_given(TimeSpec::from_ns(left))?;
            let tid = if let Clock::Thread(tid) = clock { tid.into() } else { u64::MAX };
            call.task().set_restart(Restart { handler: resume_cpu_sleep, state: [deadline, to, tid, 0] });
            return Err(Errno::ERESTART_RESTARTBLOCK);
        }
    }
}

fn resume_cpu_sleep(call: &mut Call<'_>, [deadline, remaining, tid, _]: [u64; 4]) -> SysResult {
    let clock = if tid == u64::MAX { Clock::Process } else { Clock::Thread(tid as u32) };
    sleep_until_cpu_time(call, clock, deadline, Some(remaining))
}

fn resume_sleep(call: &mut Call<'_>, [deadline, remaining, ..]: [u64; 4]) -> SysResult {
    sleep(call, deadline, UserPtr::new(remaining))
}

fn gettimeofday(call: &mut Call<'_>) -> SysResult {
    call.ptr(0).write_if_given(TimeVal::from_ns(hal::clock::realtime_ns()))?;
    // The time zone that the kernel keeps is UTC (struct timezone: two zero words).
    call.ptr::<u64>(1).write_if_given(0)?;
    Ok(0)
}

fn settimeofday(call: &mut Call<'_>) -> SysResult {
    if let Some(time) = call.ptr::<TimeVal>(0).non_null() {
        hal::clock::set_realtime_ns(time.read()?.to_ns()?);
    }
    if call.arg(1) != 0 {
        unsupported!("settimeofday time zone", call.arg(1));
    }
    Ok(0)
}

fn time(call: &mut Call<'_>) -> SysResult {
    let seconds = hal::clock::realtime_ns() / NS_PER_SEC;
    call.ptr(0).write_if_given(seconds)?;
    Ok(seconds)
}

/// CPU time is not split into application and kernel: all is user time.
fn times(call: &mut Call<'_>) -> SysResult {
    let ticks = |ns: u64| ns / (NS_PER_SEC / TICKS_PER_SEC);
    let user = ticks(call.process().cpu_time_ns());
    call.ptr::<[u64; 4]>(0).write_if_given([user, 0, 0, 0])?;
    Ok(ticks(hal::clock::now_ns()))
}

/// The CPU time of thread `tid` of `process`, for timers on its clock; `None` once it has ended.
pub(crate) fn thread_cpu_time_ns(process: &Process, tid: u32) -> Option<u64> {
    let threads = process.lock_threads();
    let thread = threads.get(&tid)?;
    task_of(thread)?;
    Some(thread.cpu_time_ns())
}
