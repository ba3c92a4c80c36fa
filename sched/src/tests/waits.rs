use super::*;
use crate::*;
use hal::context::WorkFlags;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[test]
fn a_condition_that_holds_does_not_wait() {
    assert_eq!(WaitQueue::new().wait_until(None, Interruptible::No, || Some(3)), Ok(3));
}

#[test]
fn a_deadline_ends_the_wait_and_not_before() {
    let queue = WaitQueue::new();
    let deadline = after_ms(20);
    let result = queue.wait_until(Some(deadline), Interruptible::No, || None::<()>);
    assert_eq!(result, Err(WakeReason::TimedOut));
    assert!(hal::clock::now_ns() >= deadline);
    assert!(queue.is_empty());
    assert_eq!(queue.wait_until(Some(0), Interruptible::No, || None::<()>), Err(WakeReason::TimedOut));
}

#[test]
fn sleeps_end_by_time_or_by_signal() {
    let deadline = after_ms(10);
    assert_eq!(sleep_until(deadline, Interruptible::Yes), WakeReason::TimedOut);
    assert!(hal::clock::now_ns() >= deadline);
    let interrupted = Arc::new(AtomicBool::new(false));
    let in_thread = interrupted.clone();
    let thread = super::spawn(move || {
        let reason = sleep_until(after_ms(60_000), Interruptible::Yes);
        in_thread.store(reason == WakeReason::Interrupted, Ordering::SeqCst);
    });
    eventually(|| thread.state() == 'S');
    thread.work_flags().set(WorkFlags::SIGNAL);
    thread.kick();
    join(&[thread]);
    assert!(interrupted.load(Ordering::SeqCst));
}

#[test]
fn a_flag_set_before_interrupts_and_an_uninterruptible_wait_ignores_it() {
    let thread = super::spawn(|| {
        current().work_flags().set(WorkFlags::STOP);
        let queue = WaitQueue::new();
        assert_eq!(queue.wait_until(None, Interruptible::Yes, || None::<()>), Err(WakeReason::Interrupted));
        let reason = queue.wait_until(Some(after_ms(5)), Interruptible::No, || None::<()>);
        assert_eq!(reason, Err(WakeReason::TimedOut));
        // A condition that holds wins.
        assert_eq!(queue.wait_until(None, Interruptible::Yes, || Some(1)), Ok(1));
        current().work_flags().clear(WorkFlags::STOP);
    });
    join(&[thread]);
}

#[test]
fn a_kick_does_not_end_an_uninterruptible_wait() {
    let event = Arc::new(Completion::new());
    let in_thread = event.clone();
    let thread = super::spawn(move || in_thread.wait());
    eventually(|| thread.state() == 'D');
    thread.work_flags().set(WorkFlags::SIGNAL);
    thread.kick();
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(thread.state(), 'D');
    event.complete();
    join(&[thread]);
}

#[test]
fn wake_all_wakes_each_once() {
    const THREADS: usize = 16;
    let queue = Arc::new(WaitQueue::new());
    let open = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (queue, open) = (queue.clone(), open.clone());
            super::spawn(move || {
                let cond = || open.load(Ordering::SeqCst).then_some(());
                queue.wait_until(None, Interruptible::No, cond).unwrap();
            })
        })
        .collect();
    eventually(|| threads.iter().all(|thread| thread.state() == 'D'));
    open.store(true, Ordering::SeqCst);
    assert_eq!(queue.wake_all(), THREADS);
    join(&threads);
    assert!(!queue.wake_one());
}

/// Permits pass from hand to hand through every path: waits, deadlines, barging. None may get lost.
#[test]
fn permits_are_neither_lost_nor_made() {
    const THREADS: usize = 8;
    const TURNS: usize = 2000;
    let semaphore = Arc::new(Semaphore::new(2));
    let inside = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|seed| {
            let (semaphore, inside) = (semaphore.clone(), inside.clone());
            super::spawn(move || {
                for turn in 0..TURNS {
                    if (turn + seed) % 3 == 0 {
                        let deadline = Some(hal::clock::now_ns() + 1000 * (turn as u64 % 50));
                        if semaphore.acquire_until(deadline, Interruptible::Yes).is_err() {
                            continue;
                        }
                    } else {
                        semaphore.acquire();
                    }
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    semaphore.release();
                }
            })
        })
        .collect();
    join(&threads);
    assert!(semaphore.try_acquire() && semaphore.try_acquire() && !semaphore.try_acquire());
}

#[test]
fn a_completion_may_die_as_soon_as_its_wait_returns() {
    for _ in 0..500 {
        let event = Box::new(Completion::new());
        let address = &raw const *event as usize;
        let thread = super::spawn(move || {
            // SAFETY: the waiter frees the completion only after its wait, which this ends.
            unsafe { &*(address as *const Completion) }.complete();
        });
        event.wait();
        drop(event);
        join(&[thread]);
    }
}
