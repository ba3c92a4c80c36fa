//! Waiting for several descriptors: poll, ppoll, select, pselect6.

use super::time::{TimeSpec, TimeVal};
use super::{Call, Errno, Row, Support::*, SysResult, row};
use crate::signal::SigSet;
use crate::task::Restart;
use crate::uaccess::{UserPtr, plain};
use alloc::vec::Vec;
use fs::{FsError, PollRequest, Readiness};
use linux_raw_sys::general as linux;

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(linux::__NR_poll, "poll", "xdd", poll, Full, "poll(2)"),
    row(linux::__NR_ppoll, "ppoll", "xdxxd", ppoll, Full, "poll(2)"),
    row(linux::__NR_select, "select", "dxxxx", select, Full, "select(2)"),
    row(linux::__NR_pselect6, "pselect6", "dxxxxx", pselect6, Full, "select(2)"),
];

/// `struct pollfd`.
#[derive(Clone, Copy)]
#[repr(C)]
struct PollFd {
    fd: i32,
    events: u16,
    revents: u16,
}
plain!(PollFd);

const POLLIN: u16 = linux::POLLIN as u16;
const POLLPRI: u16 = linux::POLLPRI as u16;
const POLLOUT: u16 = linux::POLLOUT as u16;
const POLLERR: u16 = linux::POLLERR as u16;
const POLLHUP: u16 = linux::POLLHUP as u16;
const POLLNVAL: u16 = linux::POLLNVAL as u16;
const POLLRDNORM: u16 = linux::POLLRDNORM as u16;
const POLLWRNORM: u16 = linux::POLLWRNORM as u16;
const POLLRDHUP: u16 = linux::POLLRDHUP as u16;

/// What POLL bits ask for. EPOLL bits have the same values.
pub fn readiness_from_poll(events: u16) -> Readiness {
    let mut interest = Readiness::empty();
    interest.set(Readiness::READ, events & (POLLIN | POLLRDNORM) != 0);
    interest.set(Readiness::WRITE, events & (POLLOUT | POLLWRNORM) != 0);
    interest.set(Readiness::PRIORITY, events & POLLPRI != 0);
    interest.set(Readiness::READ_HANGUP, events & POLLRDHUP != 0);
    interest
}

/// The POLL bits of what is ready, of those that were asked for.
fn readiness_to_poll(ready: Readiness, asked: u16) -> u16 {
    let mut bits = 0;
    for (flag, value) in [
        (Readiness::READ, POLLIN | POLLRDNORM),
        (Readiness::WRITE, POLLOUT | POLLWRNORM),
        (Readiness::PRIORITY, POLLPRI),
        (Readiness::READ_HANGUP, POLLRDHUP),
    ] {
        if ready.contains(flag) {
            bits |= value & asked;
        }
    }
    for (flag, value) in [(Readiness::ERROR, POLLERR), (Readiness::HANGUP, POLLHUP), (Readiness::INVALID, POLLNVAL)] {
        if ready.contains(flag) {
            bits |= value;
        }
    }
    bits
}

/// The time on [`hal::clock::now_ns`] that lies `timeout_ns` ahead; 0 stays 0, which means "do not wait".
pub fn deadline_after(timeout_ns: u64) -> u64 {
    if timeout_ns == 0 { 0 } else { hal::clock::now_ns().saturating_add(timeout_ns) }
}

/// State of a restart: no deadline.
const NO_DEADLINE: u64 = u64::MAX;

fn poll(call: &mut Call<'_>) -> SysResult {
    let timeout_ms = call.int(2);
    let deadline = u64::try_from(timeout_ms).ok().map(|ms| deadline_after(ms * 1_000_000));
    match wait(call, call.arg(0), call.uint(1), deadline) {
        Err(Errno::ERESTARTSYS) => {
            // Goes on with what is left of the time if no handler runs.
            let state = [call.arg(0), call.arg(1), deadline.unwrap_or(NO_DEADLINE), 0];
            call.task().set_restart(Restart { handler: poll_again, state });
            Err(Errno::ERESTART_RESTARTBLOCK)
        }
        result => result,
    }
}

fn poll_again(call: &mut Call<'_>, state: [u64; 4]) -> SysResult {
    let [list, count, deadline, _] = state;
    match wait(call, list, count as u32, (deadline != NO_DEADLINE).then_some(deadline)) {
        Err(Errno::ERESTARTSYS) => {
            call.task().set_restart(Restart { handler: poll_again, state });
            Err(Errno::ERESTART_RESTARTBLOCK)
        }
        result => result,
    }
}

/// Waits as poll(2) does until `deadline` ([`hal::clock::now_ns`] time; 0: not at all; None: for ever).
fn wait(call: &Call<'_>, list: u64, count: u32, deadline: Option<u64>) -> SysResult {
    let files = &call.process().files;
    if count > files.fds.limit() {
        return Err(Errno::EINVAL);
    }
    let list = UserPtr::<PollFd>::new(list);
    if count == 1 {
        // The usual case of a blocking socket stays off the heap.
        let entry = list.read()?;
        let mut request = [request(call, &entry)];
        let ready = fs::poll(&mut request, deadline)?;
        write_back(list, &entry, &request[0])?;
        return Ok(ready as u64);
    }
    let mut entries = Vec::new();
    entries.try_reserve_exact(count as usize).map_err(|_| Errno::ENOMEM)?;
    for n in 0..u64::from(count) {
        entries.push(list.add(n).read()?);
    }
    let mut requests = Vec::new();
    requests.try_reserve_exact(count as usize).map_err(|_| Errno::ENOMEM)?;
    requests.extend(entries.iter().map(|entry| request(call, entry)));
    let ready = fs::poll(&mut requests, deadline)?;
    for (n, (entry, request)) in entries.iter().zip(&requests).enumerate() {
        write_back(list.add(n as u64), entry, request)?;
    }
    Ok(ready as u64)
}

/// A negative descriptor is left out; one that is not open is reported as POLLNVAL.
fn request(call: &Call<'_>, entry: &PollFd) -> PollRequest {
    let file = if entry.fd < 0 { None } else { call.process().files.get(entry.fd).ok() };
    let ready = if entry.fd >= 0 && file.is_none() { Readiness::INVALID } else { Readiness::empty() };
    PollRequest { file, interest: readiness_from_poll(entry.events), ready }
}

fn write_back(to: UserPtr<PollFd>, entry: &PollFd, request: &PollRequest) -> Result<(), Errno> {
    to.write(PollFd { revents: readiness_to_poll(request.ready, entry.events), ..*entry })
}

/// A `sigset_t` argument of 8 bytes (EINVAL, EFAULT); NULL: none.
pub fn signal_mask(pointer: u64, size: u64) -> Result<Option<SigSet>, Errno> {
    if pointer == 0 {
        return Ok(None);
    }
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    Ok(Some(SigSet(UserPtr::<u64>::new(pointer).read()?)))
}

/// Runs a wait under a temporary signal mask. After an interruption the mask stays until the handler's frame is built.
pub fn with_mask(call: &Call<'_>, mask: Option<SigSet>, wait: impl FnOnce() -> SysResult) -> SysResult {
    let Some(mask) = mask else { return wait() };
    call.task().set_temporary_mask(call.thread(), mask);
    let result = wait();
    if !matches!(result, Err(error) if error.is_restart() || error == Errno::EINTR) {
        call.task().restore_saved_mask(call.thread());
    }
    result
}

fn ppoll(call: &mut Call<'_>) -> SysResult {
    let timeout = call.ptr::<TimeSpec>(2);
    let deadline = match timeout.non_null() {
        Some(timeout) => Some(deadline_after(timeout.read()?.to_ns()?)),
        None => None,
    };
    let mask = signal_mask(call.arg(3), call.arg(4))?;
    let result = with_mask(call, mask, || wait(call, call.arg(0), call.uint(1), deadline).map_err(no_handler));
    // As on Linux the time left is written back, and failing to do so is no error.
    if let (Some(timeout), Some(deadline)) = (timeout.non_null(), deadline) {
        let _ = timeout.write(TimeSpec::from_ns(left(deadline)));
    }
    result
}

/// These calls are restarted only when no handler ran (signal(7)).
fn no_handler(error: Errno) -> Errno {
    if error == Errno::ERESTARTSYS { Errno::ERESTARTNOHAND } else { error }
}

fn left(deadline: u64) -> u64 {
    deadline.saturating_sub(hal::clock::now_ns())
}

fn select(call: &mut Call<'_>) -> SysResult {
    let timeout = call.ptr::<TimeVal>(4);
    let deadline = match timeout.non_null() {
        Some(timeout) => Some(deadline_after(normal(timeout.read()?).to_ns()?)),
        None => None,
    };
    let result = select_until(call, deadline);
    if let (Some(timeout), Some(deadline)) = (timeout.non_null(), deadline) {
        let _ = timeout.write(TimeVal::from_ns(left(deadline)));
    }
    result
}

/// select(2) takes more than a million microseconds.
fn normal(time: TimeVal) -> TimeVal {
    TimeVal { sec: time.sec.saturating_add(time.usec / 1_000_000), usec: time.usec % 1_000_000 }
}

/// The sixth argument points to the mask's address and size.
fn pselect6(call: &mut Call<'_>) -> SysResult {
    let timeout = call.ptr::<TimeSpec>(4);
    let deadline = match timeout.non_null() {
        Some(timeout) => Some(deadline_after(timeout.read()?.to_ns()?)),
        None => None,
    };
    let mask = match call.ptr::<[u64; 2]>(5).non_null() {
        Some(pair) => {
            let [pointer, size] = pair.read()?;
            signal_mask(pointer, size)?
        }
        None => None,
    };
    let result = with_mask(call, mask, || select_until(call, deadline));
    if let (Some(timeout), Some(deadline)) = (timeout.non_null(), deadline) {
        let _ = timeout.write(TimeSpec::from_ns(left(deadline)));
    }
    result
}

/// What makes a descriptor a member of each result set (Linux's POLLIN_SET, POLLOUT_SET, POLLEX_SET).
const SETS: [(Readiness, Readiness); 3] = [
    (Readiness::READ, Readiness::READ.union(Readiness::HANGUP).union(Readiness::ERROR)),
    (Readiness::WRITE, Readiness::WRITE.union(Readiness::ERROR)),
    (Readiness::PRIORITY, Readiness::PRIORITY),
];

fn select_until(call: &Call<'_>, deadline: Option<u64>) -> SysResult {
    let count = call.int(0);
    if count < 0 {
        return Err(Errno::EINVAL);
    }
    let files = &call.process().files;
    // Descriptors behind the end of the table are not looked at, as on Linux, whose table has 256 places or more.
    let highest = files.fds.list().last().map_or(0, |&fd| fd as usize + 1);
    let count = (count as usize).min(highest.next_multiple_of(64).max(256));
    let words = count.div_ceil(64);
    let mut sets: [Option<Vec<u64>>; 3] = [None, None, None];
    for (n, set) in sets.iter_mut().enumerate() {
        *set = read_set(call.arg(1 + n), words)?;
    }
    let mut requests = Vec::new();
    let mut numbers = Vec::new();
    for fd in 0..count {
        let asked = |set: &Option<Vec<u64>>| set.as_ref().is_some_and(|set| set[fd / 64] >> (fd % 64) & 1 != 0);
        let mut interest = Readiness::empty();
        for (set, (wanted, _)) in sets.iter().zip(SETS) {
            interest.set(wanted, interest.contains(wanted) || asked(set));
        }
        if interest.is_empty() {
            continue;
        }
        let file = Some(files.get(fd as i32)?);
        numbers.push(fd);
        requests.push(PollRequest { file, interest, ready: Readiness::empty() });
    }
    match fs::poll(&mut requests, deadline) {
        Ok(_) => {}
        Err(FsError::Interrupted) => return Err(Errno::ERESTARTNOHAND),
        Err(error) => return Err(error.into()),
    }
    let mut members = 0;
    for (n, set) in sets.iter().enumerate() {
        let Some(set) = set else { continue };
        let mut out = alloc::vec![0u64; words];
        for (&fd, request) in numbers.iter().zip(&requests) {
            let asked = set[fd / 64] >> (fd % 64) & 1 != 0;
            if asked && request.ready.intersects(SETS[n].1) {
                out[fd / 64] |= 1 << (fd % 64);
                members += 1;
            }
        }
        for (word, value) in out.into_iter().enumerate() {
            call.ptr::<u64>(1 + n).add(word as u64).write(value)?;
        }
    }
    Ok(members)
}

fn read_set(pointer: u64, words: usize) -> Result<Option<Vec<u64>>, Errno> {
    let Some(pointer) = UserPtr::<u64>::new(pointer).non_null() else { return Ok(None) };
    (0..words as u64).map(|word| pointer.add(word).read()).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_reported() {
        assert_eq!(readiness_to_poll(Readiness::READ | Readiness::WRITE, POLLIN), POLLIN);
        assert_eq!(readiness_to_poll(Readiness::READ, POLLRDNORM | POLLOUT), POLLRDNORM);
        assert_eq!(readiness_to_poll(Readiness::HANGUP | Readiness::READ, 0), POLLHUP);
        assert_eq!(readiness_to_poll(Readiness::INVALID, POLLIN), POLLNVAL);
    }

    #[test]
    fn large_microseconds_become_seconds() {
        assert_eq!(normal(TimeVal { sec: 1, usec: 2_500_000 }), TimeVal { sec: 3, usec: 500_000 });
    }
}
