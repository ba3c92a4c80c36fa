//! Timer calls: timer_create(2) and its kin, setitimer(2), alarm(2). What a timer does is in [`posix`].

pub mod posix;

pub use posix::ProcessTimers;

use super::Support::{Full, Partial};
use super::time::{Clock, NS_PER_SEC, TimeSpec, TimeVal, deadline_from_realtime};
use super::{Call, Errno, Row, SysResult, row};
use crate::process::Process;
use crate::signal::set::{self, SIGALRM, SIGPROF, SIGVTALRM};
use crate::uaccess::plain;
use linux_raw_sys::general::*;
use posix::{Notify, Setting, Target};

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(__NR_timer_create, "timer_create", "dxx", timer_create, Partial, "timer_create(2)"),
    row(__NR_timer_settime, "timer_settime", "ddxx", timer_settime, Full, "timer_settime(2)"),
    row(__NR_timer_gettime, "timer_gettime", "dx", timer_gettime, Full, "timer_gettime(2)"),
    row(__NR_timer_getoverrun, "timer_getoverrun", "d", timer_getoverrun, Full, "timer_getoverrun(2)"),
    row(__NR_timer_delete, "timer_delete", "d", timer_delete, Full, "timer_delete(2)"),
    row(__NR_setitimer, "setitimer", "dxx", setitimer, Full, "setitimer(2)"),
    row(__NR_getitimer, "getitimer", "dx", getitimer, Full, "getitimer(2)"),
    row(__NR_alarm, "alarm", "d", alarm, Full, "alarm(2)"),
];

/// `struct itimerspec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ITimerSpec {
    interval: TimeSpec,
    value: TimeSpec,
}

/// `struct itimerval`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ITimerVal {
    interval: TimeVal,
    value: TimeVal,
}

/// `struct sigevent`, its first 20 bytes of 64.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SigEvent {
    value: u64,
    signo: i32,
    notify: i32,
    tid: i32,
    pad: u32,
}
plain!(ITimerSpec, ITimerVal, SigEvent);

impl From<Setting> for ITimerSpec {
    fn from(setting: Setting) -> Self {
        Self { interval: TimeSpec::from_ns(setting.interval_ns), value: TimeSpec::from_ns(setting.value_ns) }
    }
}
impl From<Setting> for ITimerVal {
    fn from(setting: Setting) -> Self {
        // A timer that is about to fire is not disarmed: at least a microsecond is left.
        let value_ns = if setting.value_ns == 0 { 0 } else { setting.value_ns.max(1000) };
        Self { interval: TimeVal::from_ns(setting.interval_ns), value: TimeVal::from_ns(value_ns) }
    }
}

fn timer_create(call: &mut Call<'_>) -> SysResult {
    let clock = match Clock::decode(call.int(0), call.process())? {
        Clock::RealtimeCoarse | Clock::MonotonicCoarse => return Err(Errno::EOPNOTSUPP),
        Clock::Thread(0) => Clock::Thread(call.task().tid()),
        clock => clock,
    };
    let event = match call.ptr::<SigEvent>(1).non_null() {
        Some(event) => Some(event.read()?),
        None => None,
    };
    let notify = match &event {
        None => Some((SIGALRM, Target::Process)),
        Some(event) => decode_event(call.process(), event)?,
    };
    let notify = match notify {
        Some((signo, target)) => Notify::Signal { signo, target, value: event.map(|event| event.value) },
        None => Notify::Nothing,
    };
    let id = call.process().timers.create(call.task().process_ref(), clock, notify)?;
    if let Err(error) = call.ptr::<u32>(2).write(id) {
        call.process().timers.delete(id)?;
        return Err(error);
    }
    Ok(0)
}

/// Signal and target of a `sigevent`; `None` for SIGEV_NONE (Linux: `good_sigevent`).
fn decode_event(process: &Process, event: &SigEvent) -> Result<Option<(u8, Target)>, Errno> {
    let target = match event.notify as u32 {
        SIGEV_NONE => return Ok(None),
        SIGEV_SIGNAL | SIGEV_THREAD => Target::Process,
        SIGEV_THREAD_ID => {
            let tid = event.tid as u32;
            process.thread(tid).ok_or(Errno::EINVAL)?;
            Target::Thread(tid)
        }
        _ => return Err(Errno::EINVAL),
    };
    if event.signo < 1 || event.signo > set::MAX.into() {
        return Err(Errno::EINVAL);
    }
    Ok(Some((event.signo as u8, target)))
}

fn timer_settime(call: &mut Call<'_>) -> SysResult {
    let new = call.ptr::<ITimerSpec>(2).read()?;
    let (value, interval_ns) = (new.value.to_ns()?, new.interval.to_ns()?);
    let timer = call.process().timers.get(call.uint(0)).ok_or(Errno::EINVAL)?;
    let is_absolute = call.uint(1) & TIMER_ABSTIME != 0;
    let deadline = match (value, is_absolute) {
        (0, _) => None,
        (value, true) if timer.clock() == Clock::Realtime => Some(deadline_from_realtime(value).max(1)),
        (value, true) => Some(value),
        (value, false) => Some(timer.now_ns().saturating_add(value)),
    };
    // A timer that is disarmed has no interval (Linux: `common_timer_set`).
    let old = timer.set(deadline, if value == 0 { 0 } else { interval_ns });
    call.ptr::<ITimerSpec>(3).write_if_given(old.into())?;
    Ok(0)
}

fn timer_gettime(call: &mut Call<'_>) -> SysResult {
    let timer = call.process().timers.get(call.uint(0)).ok_or(Errno::EINVAL)?;
    call.ptr::<ITimerSpec>(1).write(timer.setting().into())?;
    Ok(0)
}

fn timer_getoverrun(call: &mut Call<'_>) -> SysResult {
    let timer = call.process().timers.get(call.uint(0)).ok_or(Errno::EINVAL)?;
    Ok(timer.overrun().into())
}

fn timer_delete(call: &mut Call<'_>) -> SysResult {
    call.process().timers.delete(call.uint(0))?;
    Ok(0)
}

/// Clock and signal of the three interval timers, in the order of their numbers.
const INTERVAL_TIMERS: [(Clock, u8); 3] =
    [(Clock::Monotonic, SIGALRM), (Clock::Process, SIGVTALRM), (Clock::Process, SIGPROF)];

fn interval_timer(call: &Call<'_>, which: u32) -> Result<alloc::sync::Arc<posix::PosixTimer>, Errno> {
    let (clock, signo) = *INTERVAL_TIMERS.get(which as usize).ok_or(Errno::EINVAL)?;
    call.process().timers.interval_timer(call.task().process_ref(), which as usize, clock, signo)
}

fn setitimer(call: &mut Call<'_>) -> SysResult {
    // NULL disarms, as on Linux.
    let new = match call.ptr::<ITimerVal>(1).non_null() {
        Some(new) => new.read()?,
        None => ITimerVal::default(),
    };
    let (value, interval_ns) = (new.value.to_ns()?, new.interval.to_ns()?);
    let timer = interval_timer(call, call.uint(0))?;
    let deadline = if value == 0 { None } else { Some(timer.now_ns().saturating_add(value)) };
    // Disarmed, that of real time has no interval; the others keep theirs (Linux: `do_setitimer`).
    let old = timer.set(deadline, if value == 0 && call.uint(0) == ITIMER_REAL { 0 } else { interval_ns });
    call.ptr::<ITimerVal>(2).write_if_given(old.into())?;
    Ok(0)
}

fn getitimer(call: &mut Call<'_>) -> SysResult {
    let timer = interval_timer(call, call.uint(0))?;
    call.ptr::<ITimerVal>(1).write(timer.setting().into())?;
    Ok(0)
}

fn alarm(call: &mut Call<'_>) -> SysResult {
    let timer = interval_timer(call, ITIMER_REAL)?;
    let seconds = call.uint(0) as u64;
    let deadline = if seconds == 0 { None } else { Some(timer.now_ns() + seconds * NS_PER_SEC) };
    let left_ns = timer.set(deadline, 0).value_ns;
    // Rounded to the nearest second, but never to 0 while it was armed (Linux: alarm_setitimer).
    let seconds_left = (left_ns + NS_PER_SEC / 2) / NS_PER_SEC;
    Ok(if left_ns != 0 { seconds_left.max(1) } else { 0 })
}
