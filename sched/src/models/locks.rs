//! Sleeping locks. loom's cell fails when two threads are in it, or when one does not see what the other did.

use super::{body, check, must_fail, with};
use crate::{Mutex, RwLock};
use loom::cell::UnsafeCell;
use std::rc::Rc;
use std::sync::Arc;

fn add(cell: &UnsafeCell<u32>) {
    // SAFETY: loom's cell finds out whether it is.
    cell.with_mut(|value| unsafe { *value += 1 });
}

fn sum(cell: &UnsafeCell<u32>) -> u32 {
    // SAFETY: as above.
    cell.with(|value| unsafe { *value })
}

#[test]
fn one_at_a_time_and_everybody_once() {
    check("a mutex and two threads", || {
        let mutex = Arc::new(Mutex::new(UnsafeCell::new(0)));
        let other = mutex.clone();
        with([body(move || add(&other.lock()))], || add(&mutex.lock()));
        assert_eq!(sum(&mutex.lock()), 2);
    });
}

#[test]
fn three_threads() {
    check("a mutex and three threads", || {
        let mutex = Arc::new(Mutex::new(UnsafeCell::new(0)));
        let others = [mutex.clone(), mutex.clone()].map(|mutex| body(move || add(&mutex.lock())));
        with(others, || add(&mutex.lock()));
        assert_eq!(sum(&mutex.lock()), 3);
    });
}

#[test]
fn readers_and_writers() {
    check("a read-write lock, two writers and a reader", || {
        let lock = Rc::new(RwLock::new(UnsafeCell::new(0)));
        let others = [lock.clone(), lock.clone()].map(|lock| body(move || add(&lock.write())));
        with(others, || assert!(sum(&lock.read()) <= 2));
        assert_eq!(sum(&lock.read()), 2);
    });
}

/// The model can fail: without the lock, two are in the cell.
#[test]
fn without_a_lock_they_meet() {
    must_fail("models::locks::without_a_lock_they_meet", "UnsafeCell", None, || {
        let cell = Rc::new(UnsafeCell::new(0));
        let other = cell.clone();
        with([body(move || add(&other))], || add(&cell));
    });
}
