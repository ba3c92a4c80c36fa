//! Wait queues, and the parking below them.

use super::{body, check, must_fail, time_passes, with};
use crate::{Completion, Interruptible, Semaphore, WaitQueue, WakeReason};
use hal::context::WorkFlags;
use hal::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

#[derive(Default)]
struct Event {
    queue: WaitQueue,
    happened: AtomicBool,
}

impl Event {
    fn wait(&self, deadline_ns: Option<u64>, interruptible: Interruptible) -> Result<(), WakeReason> {
        self.queue.wait_until(deadline_ns, interruptible, || self.happened.load(Ordering::Relaxed).then_some(()))
    }

    fn happen(&self) {
        self.happened.store(true, Ordering::Relaxed);
        self.queue.wake_one();
    }
}

/// Before, during or after the waiter's look, or while it parks: it comes back.
#[test]
fn no_wakeup_is_lost() {
    check("a waker and a waiter", || {
        let event = Arc::new(Event::default());
        let other = event.clone();
        with([body(move || other.happen())], || event.wait(None, Interruptible::No)).unwrap();
        assert!(event.queue.is_empty());
    });
}

/// The model can fail: who tells first and changes afterwards loses the wake-up.
#[test]
fn a_wakeup_before_the_change_is_lost() {
    must_fail("models::queues::a_wakeup_before_the_change_is_lost", "deadlock", None, || {
        let event = Arc::new(Event::default());
        let other = event.clone();
        let wrong = move || {
            other.queue.wake_one();
            other.happened.store(true, Ordering::Relaxed);
        };
        let _ = with([body(wrong)], || event.wait(None, Interruptible::No));
    });
}

#[test]
fn two_wakers_of_one_waiter() {
    check("two wakers and a waiter", || {
        let event = Arc::new(Event::default());
        let wakers = [event.clone(), event.clone()].map(|event| body(move || event.happen()));
        with(wakers, || event.wait(None, Interruptible::No)).unwrap();
        assert!(event.queue.is_empty());
    });
}

#[test]
fn all_waiters_wake() {
    check("two waiters and one who wakes all", || {
        let event = Arc::new(Event::default());
        let waiters =
            [event.clone(), event.clone()].map(|event| body(move || event.wait(None, Interruptible::No).unwrap()));
        with(waiters, || {
            event.happened.store(true, Ordering::Relaxed);
            event.queue.wake_all();
        });
        assert!(event.queue.is_empty());
    });
}

/// The deadline and the event come at any moment: the waiter comes back, with the value if there is one, and nothing of it
/// stays in a queue.
#[test]
fn a_deadline_against_a_wakeup() {
    check("a deadline, a waker and a waiter", || {
        let event = Arc::new(Event::default());
        let (waiting, waking) = (event.clone(), event.clone());
        let waiter = move || match waiting.wait(Some(10), Interruptible::No) {
            Ok(()) => assert!(waiting.happened.load(Ordering::Relaxed)),
            Err(reason) => assert_eq!(reason, WakeReason::TimedOut),
        };
        with([body(waiter), body(move || waking.happen())], || {
            time_passes();
        });
        assert!(event.queue.is_empty());
    });
}

/// One permit, two who wait for it, one of them with a deadline: if that one gives up, the wake-up that met it is passed on.
#[test]
fn a_wakeup_is_not_swallowed_by_who_gives_up() {
    check("a permit, a deadline and two waiters", || {
        let semaphore = Arc::new(Semaphore::new(0));
        let got = Arc::new(AtomicUsize::new(0));
        let (hasty, hasty_got) = (semaphore.clone(), got.clone());
        let (patient, patient_got) = (semaphore.clone(), got.clone());
        let hasty = move || {
            if hasty.acquire_until(Some(10), Interruptible::No).is_ok() {
                hasty_got.fetch_add(1, Ordering::Relaxed);
                // For the other.
                hasty.release();
            }
        };
        let patient = move || {
            patient.acquire();
            patient_got.fetch_add(1, Ordering::Relaxed);
        };
        with([body(hasty), body(patient)], || {
            semaphore.release();
            time_passes();
        });
        assert!(got.load(Ordering::Relaxed) >= 1);
    });
}

/// A signal's flag and the kick after it end an interruptible wait, whatever it was doing.
#[test]
fn a_signal_is_not_missed() {
    check("a signal and a waiter", || {
        let event = Arc::new(Event::default());
        let (sender, receiver) = std::sync::mpsc::channel();
        let waiter = move || {
            sender.send(crate::current().to_ref()).unwrap();
            assert_eq!(event.wait(None, Interruptible::Yes), Err(WakeReason::Interrupted));
        };
        let waiter = loom::thread::spawn(waiter);
        let thread = loop {
            match receiver.try_recv() {
                Ok(thread) => break thread,
                Err(_) => loom::thread::yield_now(),
            }
        };
        thread.work_flags().set(WorkFlags::SIGNAL);
        thread.kick();
        waiter.join().unwrap();
    });
}

/// The waiter frees the completion as soon as its wait is over: the one that completes touches it no more.
#[test]
fn a_completion_may_go_after_the_wait() {
    check("a completion on the waiter's stack", || {
        let completion = Arc::new((Completion::new(), AtomicBool::new(true)));
        let other = completion.clone();
        // What lies under the lock tells whether the waker was still inside.
        let inside = Arc::new(AtomicBool::new(false));
        let in_inside = inside.clone();
        let complete = move || {
            in_inside.store(true, Ordering::SeqCst);
            other.0.complete();
        };
        with([body(complete)], || completion.0.wait());
        assert!(inside.load(Ordering::SeqCst) && completion.0.is_complete());
    });
}
