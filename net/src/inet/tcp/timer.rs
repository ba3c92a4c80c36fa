//! Deadlines of connections, kept in order: an idle connection has none and costs nothing.
//!
//! A connection is entered again only when its deadline moves forward. One that was moved back is found too early, and
//! entered anew then: an acknowledgement that puts the retransmission off touches no list.

use super::TcpSocket;
use super::wire::Act;
use alloc::collections::BTreeMap;
use alloc::sync::Weak;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use hal::sync::SpinLock;

static DEADLINES: SpinLock<BTreeMap<(u64, u64), Weak<TcpSocket>>> = SpinLock::new(BTreeMap::new());
static NEXT_ID: AtomicU64 = AtomicU64::new(0);
/// Connections that the device had no room for.
static BLOCKED: SpinLock<Vec<Weak<TcpSocket>>> = SpinLock::new(Vec::new());

/// The connection has something to do at `deadline_ns` (`u64::MAX`: never).
#[inline]
pub(super) fn set(socket: &TcpSocket, deadline_ns: u64) {
    if deadline_ns < socket.timer_ns.load(Ordering::Acquire) {
        enter(socket, deadline_ns);
    }
}

fn enter(socket: &TcpSocket, deadline_ns: u64) {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let weak = socket.me.clone();
    let _old = {
        let mut deadlines = DEADLINES.lock();
        let old = (socket.timer_ns.swap(deadline_ns, Ordering::AcqRel), socket.timer_id.swap(id, Ordering::AcqRel));
        let old = deadlines.remove(&old);
        deadlines.insert((deadline_ns, id), weak);
        old
    };
    crate::device::wake_at(deadline_ns);
}

/// The connection is over: its entry would hold its memory until the deadline, hours long for a keepalive.
pub(super) fn cancel(socket: &TcpSocket) {
    let _old = {
        let mut deadlines = DEADLINES.lock();
        let at = socket.timer_ns.swap(u64::MAX, Ordering::AcqRel);
        deadlines.remove(&(at, socket.timer_id.load(Ordering::Acquire)))
    };
}

/// Connections that have a deadline.
#[cfg(test)]
pub(crate) fn count() -> usize {
    DEADLINES.lock().len()
}

/// Does what is due; the next deadline.
pub(crate) fn run(now_ns: u64) -> u64 {
    let blocked = core::mem::take(&mut *BLOCKED.lock());
    for socket in blocked.iter().filter_map(Weak::upgrade) {
        socket.act(Act::Look);
    }
    let opening = super::opening::run(now_ns);
    loop {
        let due = {
            let mut deadlines = DEADLINES.lock();
            match deadlines.first_key_value() {
                Some((&(at, _), _)) if at <= now_ns => deadlines.pop_first(),
                Some((&(at, _), _)) => return at.min(opening),
                None => return opening,
            }
        };
        let Some(((at, _), socket)) = due else { continue };
        if let Some(socket) = socket.upgrade() {
            // Only the entry that the socket knows of counts; an older one was overtaken.
            if socket.timer_ns.compare_exchange(at, u64::MAX, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                socket.act(Act::Timer);
            }
        }
    }
}

/// The connection goes on when the device has room again.
pub(super) fn wait_for_device(socket: &TcpSocket) {
    BLOCKED.lock().push(socket.me.clone());
    // In case that the device says nothing.
    crate::device::wake_at(hal::clock::now_ns() + 1_000_000);
}
