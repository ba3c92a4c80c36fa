//! Futexes: the words are the application's, the rest is the kernel's.

use super::{body, check, must_fail, time_passes, with};
use crate::futex::{self, Key, MATCH_ANY, Requeued, WaitError};
use hal::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::Arc;

/// Keys in different buckets; the second is in the lower one.
const FIRST: Key = Key { object: 0, offset: 0x1000 };
const SECOND: Key = Key { object: 0, offset: 0x2004 };

#[derive(Default)]
struct Word {
    value: AtomicU32,
    woken: AtomicUsize,
}

impl Word {
    fn wait(&self, key: Key, deadline_ns: Option<u64>) -> Result<(), WaitError> {
        futex::wait(key, MATCH_ANY, deadline_ns, || Ok(self.value.load(Ordering::Relaxed) == 0))
    }

    /// As an application does it: a plain store, then the call.
    fn change_and_wake(&self, key: Key) {
        self.value.store(1, Ordering::Relaxed);
        self.wake(key);
    }

    fn wake(&self, key: Key) {
        self.woken.fetch_add(futex::wake(key, 1, MATCH_ANY), Ordering::Relaxed);
    }
}

#[test]
fn no_wakeup_is_lost() {
    check("a waker and a waiter", || {
        let word = Arc::new(Word::default());
        let other = word.clone();
        let result = with([body(move || other.change_and_wake(FIRST))], || word.wait(FIRST, None));
        let woken = word.woken.load(Ordering::Relaxed);
        match result {
            Ok(()) => assert_eq!(woken, 1),
            // The wake-up came before the wait.
            Err(error) => assert_eq!((error, woken), (WaitError::Again, 0)),
        }
        assert_eq!(futex::wake(FIRST, 1, MATCH_ANY), 0);
    });
}

/// The model can fail: a wake-up before the word's change is no wake-up.
#[test]
fn a_wakeup_before_the_change_is_lost() {
    must_fail("models::futexes::a_wakeup_before_the_change_is_lost", "deadlock", None, || {
        let word = Arc::new(Word::default());
        let other = word.clone();
        let wrong = move || {
            other.wake(FIRST);
            other.value.store(1, Ordering::Relaxed);
        };
        let _ = with([body(wrong)], || word.wait(FIRST, None));
    });
}

/// Two calls that wake one each: one of them wakes the only waiter, or both came before it.
#[test]
fn two_wakers_of_one_waiter() {
    check("two wakers and a waiter", || {
        let word = Arc::new(Word::default());
        let wakers = [word.clone(), word.clone()].map(|word| body(move || word.change_and_wake(FIRST)));
        let result = with(wakers, || word.wait(FIRST, None));
        assert_eq!(word.woken.load(Ordering::Relaxed), usize::from(result.is_ok()));
    });
}

/// Either the waker is told that it woke somebody and the waiter that it was woken, or neither.
#[test]
fn a_deadline_against_a_wakeup() {
    check("a deadline, a waker and a waiter", || {
        let word = Arc::new(Word::default());
        let (waiting, waking) = (word.clone(), word.clone());
        let waiter = move || {
            let result = waiting.wait(FIRST, Some(10));
            waiting.value.store(if result.is_ok() { 7 } else { 8 }, Ordering::Relaxed);
        };
        with([body(waiter), body(move || waking.wake(FIRST))], || {
            time_passes();
        });
        let was_woken = word.value.load(Ordering::Relaxed) == 7;
        assert_eq!(word.woken.load(Ordering::Relaxed), usize::from(was_woken));
    });
}

/// A waiter that is moved to another word in another bucket is woken there, however far it had come.
#[test]
fn a_requeue_loses_nobody() {
    for (from, to) in [(FIRST, SECOND), (SECOND, FIRST)] {
        check("a requeue and a waiter", move || {
            let word = Arc::new(Word::default());
            let other = word.clone();
            let mover = move || {
                let moved = futex::requeue(from, to, 0, 1, || Ok(true)).unwrap();
                assert_eq!(moved.woken, 0);
                if moved.moved == 1 {
                    other.wake(to);
                    assert_eq!(other.woken.load(Ordering::Relaxed), 1);
                } else {
                    other.change_and_wake(from);
                }
            };
            let result = with([body(mover)], || word.wait(from, None));
            assert!(matches!(result, Ok(()) | Err(WaitError::Again)));
            assert_eq!(futex::wake(from, 1, MATCH_ANY) + futex::wake(to, 1, MATCH_ANY), 0);
        });
    }
}

/// A waiter gives up while it is being moved: it finds itself in the bucket where it is.
#[test]
fn a_deadline_against_a_requeue() {
    check("a deadline, a requeue and a waiter", || {
        let word = Arc::new(Word::default());
        let waiting = word.clone();
        let waiter = move || {
            assert_eq!(waiting.wait(FIRST, Some(10)), Err(WaitError::TimedOut));
            waiting.value.store(8, Ordering::Relaxed);
        };
        let mover = || {
            let moved = futex::requeue(FIRST, SECOND, 0, 1, || Ok(true)).unwrap();
            assert!(moved.moved <= 1);
        };
        with([body(waiter), body(mover)], || {
            time_passes();
        });
        assert_eq!(futex::wake(FIRST, 1, MATCH_ANY) + futex::wake(SECOND, 1, MATCH_ANY), 0);
    });
}

/// Two requeues that take the same two locks the other way round.
#[test]
fn two_requeues_against_each_other() {
    check("two requeues", || {
        let back = || futex::requeue(SECOND, FIRST, 0, 1, || Ok(true)).map(drop).unwrap();
        with([body(back)], || {
            let moved = futex::requeue(FIRST, SECOND, 0, 1, || Ok(true));
            assert_eq!(moved, Ok(Requeued { woken: 0, moved: 0 }));
        });
    });
}
