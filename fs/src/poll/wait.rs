//! `poll`: one wait over several objects.

use super::{PollWatcher, Readiness};
use crate::{FsError, FsResult, OpenFile};
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use sched::{Interruptible, WaitQueue, WakeReason};

/// One object and what is wanted of it.
pub struct PollRequest {
    /// The object; None for a negative or closed descriptor.
    pub file: Option<Arc<OpenFile>>,
    /// What is asked for.
    pub interest: Readiness,
    /// The answer. A request without file keeps what the caller put here.
    pub ready: Readiness,
}

/// Wakes the one thread that polls.
struct Sleeper {
    queue: WaitQueue,
    fired: AtomicBool,
}

/// One request's watcher: filters by interest, so that unwanted events do not wake the sleeper.
struct Watch {
    sleeper: Arc<Sleeper>,
    interest: Readiness,
}

impl PollWatcher for Watch {
    fn notify(&self, what: Readiness) -> bool {
        if !what.intersects(self.interest | Readiness::ALWAYS) {
            return false;
        }
        if !self.sleeper.fired.swap(true, Ordering::SeqCst) {
            self.sleeper.queue.wake_all();
        }
        true
    }
}

/// Waits until one of `requests` is ready, until `deadline_ns` (0: do not wait; None: for ever) or until a signal comes.
/// How many have a non-empty answer. Errors: `Interrupted`.
pub fn poll(requests: &mut [PollRequest], deadline_ns: Option<u64>) -> FsResult<usize> {
    let ready = check(requests);
    if ready > 0 || deadline_ns == Some(0) {
        return Ok(ready);
    }
    let sleeper = Arc::new(Sleeper { queue: WaitQueue::new(), fired: AtomicBool::new(false) });
    let mut watches: Vec<Option<Arc<dyn PollWatcher>>> = Vec::new();
    watches.try_reserve_exact(requests.len()).map_err(|_| FsError::NoMemory)?;
    let mut attached = Ok(());
    for request in requests.iter() {
        let source = request.file.as_ref().and_then(|file| file.file().wait_source());
        watches.push(source.filter(|_| attached.is_ok()).and_then(|source| {
            let watch: Arc<dyn PollWatcher> = Arc::new(Watch { sleeper: sleeper.clone(), interest: request.interest });
            attached = source.attach(watch.clone());
            attached.is_ok().then_some(watch)
        }));
    }
    let result = loop {
        if let Err(error) = attached {
            break Err(error);
        }
        let ready = check(requests);
        if ready > 0 {
            break Ok(ready);
        }
        let woken = sleeper
            .queue
            .wait_until(deadline_ns, Interruptible::Yes, || sleeper.fired.swap(false, Ordering::SeqCst).then_some(()));
        match woken {
            Ok(()) => {}
            Err(WakeReason::Interrupted) => {
                let ready = check(requests);
                break if ready > 0 { Ok(ready) } else { Err(crate::FsError::Interrupted) };
            }
            Err(_) => break Ok(check(requests)),
        }
    };
    for (request, watch) in requests.iter().zip(&watches) {
        if let (Some(file), Some(watch)) = (&request.file, watch)
            && let Some(source) = file.file().wait_source()
        {
            source.detach(watch);
        }
    }
    result
}

fn check(requests: &mut [PollRequest]) -> usize {
    let mut count = 0;
    for request in requests {
        if let Some(file) = &request.file {
            request.ready = file.file().poll() & (request.interest | Readiness::ALWAYS);
        }
        count += usize::from(!request.ready.is_empty());
    }
    count
}
