use super::*;
use crate::tests::{after_ms, eventually, join, spawn, spawn_application};
use crate::{current, stat};
use hal::context::WorkFlags;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::vec::Vec;

/// A private futex on a word of the test.
fn key(word: &AtomicU32) -> Key {
    Key { object: 0, offset: word.as_ptr() as u64 }
}

fn wait_for(word: &AtomicU32, expected: u32, deadline_ns: Option<u64>) -> Result<(), WaitError> {
    wait(key(word), MATCH_ANY, deadline_ns, || Ok(word.load(Ordering::SeqCst) == expected))
}

#[test]
fn another_value_and_a_missing_page_end_it_before_it_starts() {
    let word = AtomicU32::new(5);
    assert_eq!(wait_for(&word, 4, None), Err(WaitError::Again));
    let fault = UserFault { addr: 0x1000 };
    assert_eq!(wait(key(&word), MATCH_ANY, None, || Err(fault)), Err(WaitError::Fault(fault)));
    assert_eq!(wake(key(&word), usize::MAX, MATCH_ANY), 0);
}

#[test]
fn deadlines_end_it() {
    let word = AtomicU32::new(0);
    let deadline = after_ms(10);
    assert_eq!(wait_for(&word, 0, Some(deadline)), Err(WaitError::TimedOut));
    assert!(hal::clock::now_ns() >= deadline);
    assert_eq!(wake(key(&word), 1, MATCH_ANY), 0);
}

#[test]
fn signals_end_it() {
    let word = Arc::new(AtomicU32::new(0));
    let interrupted = Arc::new(AtomicBool::new(false));
    let (in_word, in_interrupted) = (word.clone(), interrupted.clone());
    let thread = spawn(move || {
        let result = wait_for(&in_word, 0, None);
        in_interrupted.store(result == Err(WaitError::Interrupted), Ordering::SeqCst);
    });
    eventually(|| thread.state() == 'S');
    thread.work_flags().set(WorkFlags::SIGNAL);
    thread.kick();
    join(&[thread]);
    assert!(interrupted.load(Ordering::SeqCst));
    assert_eq!(wake(key(&word), 1, MATCH_ANY), 0);
}

fn sleepers(word: &Arc<AtomicU32>, bitsets: &[u32]) -> Vec<crate::ThreadRef> {
    let threads: Vec<_> = bitsets
        .iter()
        .map(|&bitset| {
            let word = word.clone();
            let thread = spawn(move || wait(key(&word), bitset, None, || Ok(true)).unwrap());
            // One after the other: the order of arrival is the order of wake-ups.
            eventually(|| thread.state() == 'S');
            thread
        })
        .collect();
    threads
}

#[test]
fn wakes_in_order_of_arrival_as_many_as_asked_and_by_bitset() {
    let word = Arc::new(AtomicU32::new(0));
    let threads = sleepers(&word, &[1, 2, 3, MATCH_ANY]);
    assert_eq!(wake(key(&word), 1, 2), 1);
    join(&threads[1..2]);
    assert_eq!(threads[0].state(), 'S');
    assert_eq!(wake(key(&word), 2, MATCH_ANY), 2);
    join(&threads[..3]);
    assert_eq!(threads[3].state(), 'S');
    assert_eq!(wake(key(&word), usize::MAX, 1 << 31), 1);
    join(&threads);
    assert_eq!(wake(key(&word), usize::MAX, MATCH_ANY), 0);
}

#[test]
fn one_call_wakes_more_than_a_batch() {
    let word = Arc::new(AtomicU32::new(0));
    let threads = sleepers(&word, &[MATCH_ANY; 70]);
    assert_eq!(wake(key(&word), 69, MATCH_ANY), 69);
    assert_eq!(wake(key(&word), usize::MAX, MATCH_ANY), 1);
    join(&threads);
}

#[test]
fn requeue_moves_waiters_to_the_other_word() {
    let words: Vec<_> = (0..20).map(|_| Arc::new(AtomicU32::new(0))).collect();
    let from = &words[0];
    // Many targets, so that lower, higher and, now and then, the same bucket are met.
    for to in &words[1..] {
        let threads = sleepers(from, &[MATCH_ANY; 4]);
        let mut asked = 0;
        let moved = requeue(key(from), key(to), 1, 2, || {
            asked += 1;
            Ok(true)
        });
        assert_eq!((moved, asked), (Ok(Requeued { woken: 1, moved: 2 }), 1));
        assert_eq!(wake(key(from), usize::MAX, MATCH_ANY), 1);
        assert_eq!(wake(key(to), usize::MAX, MATCH_ANY), 2);
        join(&threads);
    }
    let refused = requeue(key(from), key(&words[1]), 1, 1, || Ok(false));
    assert_eq!(refused, Err(RequeueError::Again));
}

#[test]
fn a_requeued_waiter_can_still_time_out() {
    let (from, to) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let timed_out = Arc::new(AtomicBool::new(false));
    let (in_from, in_timed_out) = (from.clone(), timed_out.clone());
    let thread = spawn(move || {
        let result = wait_for(&in_from, 0, Some(after_ms(100)));
        in_timed_out.store(result == Err(WaitError::TimedOut), Ordering::SeqCst);
    });
    eventually(|| thread.state() == 'S');
    let moved = requeue(key(&from), key(&to), 0, usize::MAX, || Ok(true));
    assert_eq!(moved, Ok(Requeued { woken: 0, moved: 1 }));
    join(&[thread]);
    assert!(timed_out.load(Ordering::SeqCst));
    assert_eq!(wake(key(&to), 1, MATCH_ANY), 0);
}

#[test]
fn wake_op_wakes_the_second_word_when_told() {
    let (first, second) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let threads = [sleepers(&first, &[MATCH_ANY]), sleepers(&second, &[MATCH_ANY])].concat();
    assert_eq!(wake_op(key(&first), 1, key(&second), 1, || Ok(false)), Ok(1));
    assert_eq!(wake_op(key(&first), 1, key(&second), 1, || Ok(true)), Ok(1));
    join(&threads);
}

/// A mutex of words as glibc has it (0 open, 1 locked, 2 locked and contended), with deadlines and requeues in between.
#[test]
fn a_futex_mutex_loses_no_wakeup() {
    const THREADS: usize = 8;
    const TURNS: usize = 3000;
    struct Shared {
        word: AtomicU32,
        inside: AtomicUsize,
        total: AtomicUsize,
    }
    let shared = Arc::new(Shared { word: AtomicU32::new(0), inside: AtomicUsize::new(0), total: AtomicUsize::new(0) });
    let threads: Vec<_> = (0..THREADS)
        .map(|seed| {
            let shared = shared.clone();
            spawn(move || {
                let word = &shared.word;
                for turn in 0..TURNS {
                    if word.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                        while word.swap(2, Ordering::SeqCst) != 0 {
                            let deadline = (turn + seed) % 4 == 0;
                            let deadline = deadline.then(|| hal::clock::now_ns() + 1000 * (turn as u64 % 40));
                            let _ = wait_for(word, 2, deadline);
                        }
                    }
                    assert_eq!(shared.inside.fetch_add(1, Ordering::SeqCst), 0);
                    shared.total.fetch_add(1, Ordering::SeqCst);
                    shared.inside.fetch_sub(1, Ordering::SeqCst);
                    if word.swap(0, Ordering::SeqCst) == 2 {
                        wake(key(word), 1, MATCH_ANY);
                    }
                }
            })
        })
        .collect();
    join(&threads);
    assert_eq!(shared.total.load(Ordering::SeqCst), THREADS * TURNS);
}

/// The only test that makes application threads wait in futexes; another one's would disturb it.
#[test]
fn a_deadlock_is_seen_and_nothing_else_is_taken_for_one() {
    let word = Arc::new(AtomicU32::new(0));
    let waiter = |deadline_ns| {
        let word = word.clone();
        spawn_application(move || while wait_for(&word, 0, deadline_ns).is_ok() {})
    };
    let forever = [waiter(None), waiter(None)];
    eventually(|| forever.iter().all(|thread| thread.state() == 'S'));
    eventually(stat::all_blocked_forever);
    let timed = waiter(Some(after_ms(300)));
    eventually(|| timed.state() == 'S');
    assert!(!stat::all_blocked_forever());
    join(&[timed]);
    eventually(stat::all_blocked_forever);
    let timer = crate::timer::Timer::new(crate::timer::TimerOwner::Application, Box::new(|| ()));
    timer.arm(after_ms(60_000));
    assert!(!stat::all_blocked_forever());
    assert!(timer.cancel());
    eventually(stat::all_blocked_forever);
    word.store(1, Ordering::SeqCst);
    // Their words changed, but nobody said so: still a deadlock.
    assert!(stat::all_blocked_forever());
    assert_eq!(wake(key(&word), usize::MAX, MATCH_ANY), 2);
    join(&forever);
    assert!(!stat::all_blocked_forever());
    assert!(!current().is_application());
}
