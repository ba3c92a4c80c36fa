//! Objects to wait for: epoll, eventfd, timerfd.

use super::open::{on_exec, status_from_linux};
use super::poll::{deadline_after, readiness_from_poll, signal_mask, with_mask};
use super::time::TimeSpec;
use super::{Call, Errno, Row, Support::*, SysResult, row};
use crate::uaccess::UserPtr;
use crate::unsupported;
use alloc::sync::Arc;
use fs::event::notify::{Change, WatchMode};
use fs::event::{Absolute, CounterMode, TimerSetting};
use fs::{
    Epoll, EpollEvent, EpollInterest, EpollMode, EventFd, FileKind, FollowLast, FsError, NotifyQueue, OpenFile,
    Readiness, StatusFlags, TimerClock, TimerFd,
};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_epoll_create, "epoll_create", "d", epoll_create, Full, "epoll_create(2)"),
    row(linux::__NR_epoll_create1, "epoll_create1", "x", epoll_create1, Full, "epoll_create(2)"),
    row(linux::__NR_epoll_ctl, "epoll_ctl", "dddx", epoll_ctl, Full, "epoll_ctl(2)"),
    row(linux::__NR_epoll_wait, "epoll_wait", "dxdd", epoll_wait, Full, "epoll_wait(2)"),
    row(linux::__NR_epoll_pwait, "epoll_pwait", "dxddxd", epoll_pwait, Full, "epoll_wait(2)"),
    row(linux::__NR_epoll_pwait2, "epoll_pwait2", "dxdxxd", epoll_pwait2, Full, "epoll_wait(2)"),
    row(linux::__NR_eventfd, "eventfd", "d", eventfd, Full, "eventfd(2)"),
    row(linux::__NR_eventfd2, "eventfd2", "dx", eventfd2, Full, "eventfd(2)"),
    row(linux::__NR_timerfd_create, "timerfd_create", "dx", timerfd_create, Full, "timerfd_create(2)"),
    row(linux::__NR_timerfd_settime, "timerfd_settime", "dxxx", timerfd_settime, Partial, "timerfd_create(2)"),
    row(linux::__NR_inotify_init, "inotify_init", "", inotify_init, Full, "inotify_init(2)"),
    row(linux::__NR_inotify_init1, "inotify_init1", "x", inotify_init1, Full, "inotify_init(2)"),
    row(linux::__NR_inotify_add_watch, "inotify_add_watch", "dsx", inotify_add_watch, Full, "inotify_add_watch(2)"),
    row(linux::__NR_inotify_rm_watch, "inotify_rm_watch", "dd", inotify_rm_watch, Full, "inotify_rm_watch(2)"),
    row(linux::__NR_timerfd_gettime, "timerfd_gettime", "dx", timerfd_gettime, Full, "timerfd_create(2)"),
];

/// `struct epoll_event` is packed on x86-64: events, then data in two halves.
type RawEvent = [u32; 3];
const EVENT_LEN: u64 = 12;

const EPOLLEXCLUSIVE: u32 = 1 << 28;
const EPOLLWAKEUP: u32 = 1 << 29;
const EPOLLONESHOT: u32 = 1 << 30;
const EPOLLET: u32 = 1 << 31;

fn epoll_create(call: &mut Call<'_>) -> SysResult {
    if call.int(0) <= 0 { Err(Errno::EINVAL) } else { make_epoll(call, 0) }
}

fn epoll_create1(call: &mut Call<'_>) -> SysResult {
    make_epoll(call, call.uint(0))
}

fn make_epoll(call: &Call<'_>, flags: u32) -> SysResult {
    if flags & !linux::O_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    let file = OpenFile::anonymous(Epoll::new(), StatusFlags::READ | StatusFlags::WRITE);
    call.process().files.insert(file, on_exec(flags != 0))
}

fn epoll_ctl(call: &mut Call<'_>) -> SysResult {
    let operation = call.uint(1);
    let interest = match operation {
        linux::EPOLL_CTL_DEL => EpollInterest::default(),
        _ => decode_interest(call.ptr::<RawEvent>(3).read()?),
    };
    let files = &call.process().files;
    let set = files.get(call.int(0))?;
    let target = files.get(call.int(2))?;
    if target.file().wait_source().is_none() {
        return Err(Errno::EPERM);
    }
    let epoll = set.downcast::<Epoll>().filter(|_| !Arc::ptr_eq(&set, &target)).ok_or(Errno::EINVAL)?;
    let fd = call.uint(2);
    match operation {
        linux::EPOLL_CTL_ADD => epoll.add(fd, &target, interest)?,
        linux::EPOLL_CTL_MOD => epoll.modify(fd, &target, interest)?,
        linux::EPOLL_CTL_DEL => epoll.remove(fd, &target)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

fn decode_interest([events, low, high]: RawEvent) -> EpollInterest {
    let mode = EpollMode {
        edge: events & EPOLLET != 0,
        one_shot: events & EPOLLONESHOT != 0,
        exclusive: events & EPOLLEXCLUSIVE != 0,
    };
    // EPOLLWAKEUP keeps a machine from suspending; this one never does.
    let _ = EPOLLWAKEUP;
    EpollInterest { events: readiness_from_poll(events as u16), mode, data: u64::from(low) | u64::from(high) << 32 }
}

fn encode_event(event: &EpollEvent) -> RawEvent {
    let mut bits = 0;
    for (flag, value) in [
        (Readiness::READ, linux::EPOLLIN),
        (Readiness::WRITE, linux::EPOLLOUT),
        (Readiness::PRIORITY, linux::EPOLLPRI),
        (Readiness::READ_HANGUP, linux::EPOLLRDHUP),
        (Readiness::ERROR, linux::EPOLLERR),
        (Readiness::HANGUP, linux::EPOLLHUP),
    ] {
        if event.ready.contains(flag) {
            bits |= value;
        }
    }
    [bits, event.data as u32, (event.data >> 32) as u32]
}

fn epoll_wait(call: &mut Call<'_>) -> SysResult {
    wait(call, milliseconds(call.int(3)))
}

fn milliseconds(timeout_ms: i32) -> Option<u64> {
    u64::try_from(timeout_ms).ok().map(|ms| deadline_after(ms * 1_000_000))
}

fn epoll_pwait(call: &mut Call<'_>) -> SysResult {
    let mask = signal_mask(call.arg(4), call.arg(5))?;
    let deadline = milliseconds(call.int(3));
    with_mask(call, mask, || wait(call, deadline))
}

fn epoll_pwait2(call: &mut Call<'_>) -> SysResult {
    let deadline = match call.ptr::<TimeSpec>(3).non_null() {
        Some(timeout) => Some(deadline_after(timeout.read()?.to_ns()?)),
        None => None,
    };
    let mask = signal_mask(call.arg(4), call.arg(5))?;
    with_mask(call, mask, || wait(call, deadline))
}

/// Events go straight to the application. If its buffer turns bad, those written before count (EFAULT if none).
fn wait(call: &Call<'_>, deadline: Option<u64>) -> SysResult {
    let file = call.process().files.get(call.int(0))?;
    let max = call.int(2);
    if max <= 0 || max as u64 > i32::MAX as u64 / EVENT_LEN {
        return Err(Errno::EINVAL);
    }
    hal::user::check(call.arg(1), (max as u64 * EVENT_LEN) as usize)?;
    let epoll = file.downcast::<Epoll>().ok_or(Errno::EINVAL)?;
    let to = UserPtr::<RawEvent>::new(call.arg(1));
    let mut written = 0;
    let mut fault = None;
    let result = epoll.wait(max as usize, deadline, &mut |event| match to.add(written).write(encode_event(&event)) {
        _ if fault.is_some() => {}
        Ok(()) => written += 1,
        Err(error) => fault = Some(error),
    });
    match (result, fault) {
        (Ok(_), Some(error)) if written == 0 => Err(error),
        (Ok(_), _) => Ok(written),
        // Never restarted (signal(7)).
        (Err(FsError::Interrupted), _) => Err(Errno::EINTR),
        (Err(error), _) => Err(error.into()),
    }
}

fn eventfd(call: &mut Call<'_>) -> SysResult {
    make_counter(call, 0)
}

fn eventfd2(call: &mut Call<'_>) -> SysResult {
    make_counter(call, call.uint(1))
}

fn make_counter(call: &Call<'_>, flags: u32) -> SysResult {
    const EFD_SEMAPHORE: u32 = 1;
    if flags & !(linux::O_CLOEXEC | linux::O_NONBLOCK | EFD_SEMAPHORE) != 0 {
        return Err(Errno::EINVAL);
    }
    let mode = if flags & EFD_SEMAPHORE != 0 { CounterMode::One } else { CounterMode::All };
    let file = EventFd::open(call.uint(0), mode, status_from_linux(flags));
    call.process().files.insert(file, on_exec(flags & linux::O_CLOEXEC != 0))
}

fn timerfd_create(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(1);
    if flags & !(linux::O_CLOEXEC | linux::O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let clock = match call.uint(0) {
        linux::CLOCK_REALTIME | linux::CLOCK_REALTIME_ALARM => TimerClock::Realtime,
        linux::CLOCK_MONOTONIC | linux::CLOCK_BOOTTIME | linux::CLOCK_BOOTTIME_ALARM => TimerClock::Monotonic,
        _ => return Err(Errno::EINVAL),
    };
    let file = TimerFd::open(clock, status_from_linux(flags));
    call.process().files.insert(file, on_exec(flags & linux::O_CLOEXEC != 0))
}

/// `struct itimerspec`: interval, then value.
type Itimerspec = [TimeSpec; 2];

fn timer_to_raw(setting: TimerSetting) -> Itimerspec {
    [TimeSpec::from_ns(setting.interval_ns), TimeSpec::from_ns(setting.value_ns)]
}

fn timerfd_settime(call: &mut Call<'_>) -> SysResult {
    let flags = call.uint(1);
    if flags & !(linux::TFD_TIMER_ABSTIME | linux::TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & linux::TFD_TIMER_CANCEL_ON_SET != 0 {
        // Nothing but clock_settime(2) ever steps the clock here; the timer works, only the cancellation is missing.
        unsupported!("timerfd_settime TFD_TIMER_CANCEL_ON_SET", flags);
    }
    let [interval, value] = call.ptr::<Itimerspec>(2).read()?;
    let setting = TimerSetting { value_ns: value.to_ns()?, interval_ns: interval.to_ns()? };
    let file = call.process().files.get(call.int(0))?;
    let timer = file.downcast::<TimerFd>().ok_or(Errno::EINVAL)?;
    let absolute = if flags & linux::TFD_TIMER_ABSTIME != 0 { Absolute::Yes } else { Absolute::No };
    let old = timer.set(setting, absolute);
    call.ptr::<Itimerspec>(3).write_if_given(timer_to_raw(old))?;
    Ok(0)
}

fn timerfd_gettime(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get(call.int(0))?;
    let timer = file.downcast::<TimerFd>().ok_or(Errno::EINVAL)?;
    call.ptr::<Itimerspec>(1).write(timer_to_raw(timer.get()))?;
    Ok(0)
}

fn inotify_init(call: &mut Call<'_>) -> SysResult {
    make_notify_queue(call, 0)
}

fn inotify_init1(call: &mut Call<'_>) -> SysResult {
    make_notify_queue(call, call.uint(0))
}

fn make_notify_queue(call: &Call<'_>, flags: u32) -> SysResult {
    if flags & !(linux::O_CLOEXEC | linux::O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let file = NotifyQueue::open(status_from_linux(flags & linux::O_NONBLOCK));
    call.process().files.insert(file, on_exec(flags & linux::O_CLOEXEC != 0))
}

fn inotify_add_watch(call: &mut Call<'_>) -> SysResult {
    let mask = call.uint(2);
    let has = |flag: u32| mask & flag != 0;
    let known = linux::IN_ALL_EVENTS
        | linux::IN_ONLYDIR
        | linux::IN_DONT_FOLLOW
        | linux::IN_EXCL_UNLINK
        | linux::IN_MASK_ADD
        | linux::IN_MASK_CREATE
        | linux::IN_ONESHOT
        | linux::IN_UNMOUNT
        | linux::IN_ISDIR
        | linux::IN_Q_OVERFLOW
        | linux::IN_IGNORED;
    // As Linux: some bit that means something, and not both of the modes.
    if mask & known == 0 || has(linux::IN_MASK_ADD) && has(linux::IN_MASK_CREATE) {
        return Err(Errno::EINVAL);
    }
    let files = &call.process().files;
    let file = files.get(call.int(0))?;
    let queue = file.downcast::<NotifyQueue>().ok_or(Errno::EINVAL)?;
    let follow = if has(linux::IN_DONT_FOLLOW) { FollowLast::No } else { FollowLast::Yes };
    let place = files.resolve(linux::AT_FDCWD, &call.path(1)?, follow)?;
    if has(linux::IN_ONLYDIR) && place.kind() != FileKind::Directory {
        return Err(Errno::ENOTDIR);
    }
    let mode = match () {
        () if has(linux::IN_MASK_ADD) => WatchMode::Add,
        () if has(linux::IN_MASK_CREATE) => WatchMode::Create,
        () => WatchMode::Replace,
    };
    let watched = Change::from_bits_truncate(mask) & (Change::ALL | Change::ONE_SHOT);
    Ok(queue.watch(place.inode(), watched, mode)? as u64)
}

fn inotify_rm_watch(call: &mut Call<'_>) -> SysResult {
    let file = call.process().files.get(call.int(0))?;
    file.downcast::<NotifyQueue>().ok_or(Errno::EINVAL)?.unwatch(call.int(1))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interests_and_events_keep_their_word() {
        let interest = decode_interest([linux::EPOLLIN | EPOLLONESHOT | EPOLLET, 0x89ab_cdef, 0x0123_4567]);
        assert_eq!(interest.data, 0x0123_4567_89ab_cdef);
        assert!(interest.mode.one_shot && interest.mode.edge && !interest.mode.exclusive);
        assert_eq!(interest.events, Readiness::READ);
        let raw = encode_event(&EpollEvent { ready: Readiness::READ | Readiness::HANGUP, data: interest.data });
        assert_eq!(raw, [linux::EPOLLIN | linux::EPOLLHUP, 0x89ab_cdef, 0x0123_4567]);
    }
}
