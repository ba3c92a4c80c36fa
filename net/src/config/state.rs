//! What the whole kernel knows of the configuration, and who waits for it.

use super::Configuration;
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};
use hal::sync::{Once, SpinLock};
use sched::{Interruptible, WaitQueue};

/// Addresses that have not come so long after the client's start are not waited for any more.
const IPV4_PATIENCE_NS: u64 = 5_000_000_000;
const IPV6_PATIENCE_NS: u64 = 1_000_000_000;
const NOT_STARTED: u64 = u64::MAX;

/// What the user said: nothing (the default: everything automatic) or fixed addresses for one or both versions of IP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish(pub Configuration);

struct State {
    wish: Wish,
    hostname: String,
    current: Configuration,
    /// Counts changes of `current`.
    version: u64,
    changed_ns: u64,
}

static STATE: SpinLock<State> =
    SpinLock::new(State { wish: Wish(EMPTY), hostname: String::new(), current: EMPTY, version: 0, changed_ns: 0 });
const EMPTY: Configuration = Configuration {
    ipv4: None,
    ipv6: alloc::vec::Vec::new(),
    gateway6: None,
    dns: alloc::vec::Vec::new(),
    domain: None,
    mtu_bytes: None,
};
static STARTED_NS: AtomicU64 = AtomicU64::new(NOT_STARTED);
static CHANGED: WaitQueue = WaitQueue::new();
static STARTER: Once<fn()> = Once::new();

/// Sets what the user said, and the name that DHCP servers are told. Before the network is used.
pub fn set_wish(wish: Wish, hostname: &str) {
    let hostname = String::from(hostname);
    let _old = {
        let mut state = STATE.lock();
        (core::mem::replace(&mut state.wish, wish), core::mem::replace(&mut state.hostname, hostname))
    };
}

pub(super) fn wish() -> Wish {
    STATE.lock().wish.clone()
}

pub(super) fn hostname() -> String {
    STATE.lock().hostname.clone()
}

/// Sets what brings the network up if it is not up yet (the stack's own). It is called often, in thread context, and returns
/// as soon as a [`super::Client`] exists or is known not to come: no device.
pub fn set_starter(start: fn()) {
    STARTER.call_once(|| start);
}

pub(super) fn started(now_ns: u64) {
    STARTED_NS.store(now_ns, Ordering::Release);
}

pub(super) fn publish(configuration: Configuration) {
    let _old = {
        let mut state = STATE.lock();
        state.version += 1;
        state.changed_ns = hal::clock::realtime_ns();
        core::mem::replace(&mut state.current, configuration)
    };
    CHANGED.wake_all();
}

/// The configuration as it is now; empty before the network is up.
pub fn current() -> Configuration {
    STATE.lock().current.clone()
}

/// The number of changes so far, and the time of the last one in nanoseconds since 1970.
pub(super) fn version() -> (u64, u64) {
    let state = STATE.lock();
    (state.version, state.changed_ns)
}

/// Brings the network up if need be and sleeps until `is_enough` holds for its configuration, or an address cannot be
/// expected any more (5 seconds after the start; `wants_ipv6_only`: 1 second), or a signal comes. A machine without a network
/// interface does not wait.
pub fn wait(wants_ipv6_only: bool, is_enough: impl Fn(&Configuration) -> bool) {
    if let Some(start) = STARTER.get() {
        start();
    }
    let started_ns = STARTED_NS.load(Ordering::Acquire);
    if started_ns == NOT_STARTED {
        return;
    }
    let patience_ns = if wants_ipv6_only { IPV6_PATIENCE_NS } else { IPV4_PATIENCE_NS };
    let deadline_ns = started_ns.saturating_add(patience_ns);
    let is_done = || (is_enough(&STATE.lock().current) || hal::clock::now_ns() >= deadline_ns).then_some(());
    // Whatever ended it, the caller goes on with what there is.
    let _ = CHANGED.wait_until(Some(deadline_ns), Interruptible::Yes, is_done);
}
