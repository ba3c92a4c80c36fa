//! Threads, waits and locks on the host backend.

mod locks;
mod threads;
mod waits;

use crate::{Spawn, ThreadRef};
use std::boxed::Box;
use std::time::Duration;

/// `ms` milliseconds from now, in [`hal::clock::now_ns`] time.
pub(crate) fn after_ms(ms: u64) -> u64 {
    hal::clock::now_ns() + ms * 1_000_000
}

/// Waits at most ten seconds until `test` holds.
pub(crate) fn eventually(test: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if test() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("did not happen within ten seconds");
}

/// A thread of the kernel.
pub(crate) fn spawn(start: impl FnOnce() + Send + 'static) -> ThreadRef {
    crate::spawn(Spawn { name: "test", ext: None, affinity: None, start: Box::new(start) }).unwrap()
}

/// A thread of the application.
pub(crate) fn spawn_application(start: impl FnOnce() + Send + 'static) -> ThreadRef {
    crate::spawn(Spawn { name: "app", ext: Some(Box::new(7u8)), affinity: None, start: Box::new(start) }).unwrap()
}

/// Waits for the ends of `threads`.
pub(crate) fn join(threads: &[ThreadRef]) {
    for thread in threads {
        eventually(|| thread.is_dead());
    }
}
