use super::*;
use crate::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_mutex_lets_one_in() {
    const THREADS: u64 = 8;
    const TURNS: u64 = 5000;
    let total = Arc::new(Mutex::new(0u64));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let total = total.clone();
            super::spawn(move || {
                for turn in 0..TURNS {
                    let mut total = total.lock();
                    let before = *total;
                    if turn % 64 == 0 {
                        std::thread::yield_now();
                    }
                    *total = before + 1;
                }
            })
        })
        .collect();
    join(&threads);
    assert_eq!(*total.lock(), THREADS * TURNS);
}

#[test]
fn try_lock_does_not_wait() {
    let mutex = Mutex::new(1);
    let held = mutex.try_lock().unwrap();
    assert!(mutex.try_lock().is_none());
    assert!(mutex.try_lock().is_none(), "a failed try leaves the lock as it is");
    drop(held);
    assert_eq!(mutex.try_lock().map(|value| *value), Some(1));
    assert_eq!(mutex.into_inner(), 1);
}

#[test]
fn writers_are_alone_and_readers_are_not() {
    const TURNS: usize = 4000;
    let lock = Arc::new(RwLock::new((0u64, 0u64)));
    let readers_inside = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..8)
        .map(|index| {
            let (lock, readers_inside) = (lock.clone(), readers_inside.clone());
            super::spawn(move || {
                for turn in 0..TURNS {
                    if (turn + index) % 5 == 0 {
                        let mut pair = lock.write();
                        assert_eq!(readers_inside.load(Ordering::SeqCst), 0);
                        pair.0 += 1;
                        if turn % 32 == 0 {
                            std::thread::yield_now();
                        }
                        pair.1 += 1;
                        if turn % 2 == 0 {
                            let pair = RwLockWriteGuard::downgrade(pair);
                            assert_eq!(pair.0, pair.1);
                        }
                    } else {
                        let pair = lock.read();
                        readers_inside.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(pair.0, pair.1);
                        readers_inside.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    join(&threads);
    assert_eq!(lock.read().0, 8 * TURNS as u64 / 5);
    assert!(lock.try_write().is_some());
}

#[test]
fn a_waiting_writer_goes_before_new_readers() {
    let lock = Arc::new(RwLock::new(()));
    let reader = lock.read();
    let in_thread = lock.clone();
    let writer = super::spawn(move || drop(in_thread.write()));
    eventually(|| writer.state() == 'D');
    assert!(lock.try_read().is_none());
    drop(reader);
    join(&[writer]);
    assert!(lock.try_read().is_some());
}

#[test]
fn a_downgraded_writer_lets_waiting_readers_in() {
    let lock = Arc::new(RwLock::new(()));
    let writer = lock.write();
    let in_thread = lock.clone();
    let reader = super::spawn(move || drop(in_thread.read()));
    eventually(|| reader.state() == 'D');
    let still_reading = RwLockWriteGuard::downgrade(writer);
    join(&[reader]);
    drop(still_reading);
    assert!(lock.try_write().is_some());
}
