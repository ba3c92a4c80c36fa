use super::*;
use crate::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[test]
fn a_suspended_thread_waits_for_its_start() {
    let ran = Arc::new(AtomicU32::new(0));
    let in_thread = ran.clone();
    let start = Box::new(move || {
        in_thread.fetch_add(1, Ordering::SeqCst);
    });
    let thread = spawn_suspended(Spawn { name: "waits", ext: None, affinity: None, start }).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    thread.start();
    thread.start();
    join(core::slice::from_ref(&thread));
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    assert_eq!(thread.state(), 'X');
}

#[test]
fn living_threads_are_found_by_their_ids() {
    let go = Arc::new(Completion::new());
    let in_thread = go.clone();
    let thread = super::spawn(move || in_thread.wait());
    let id = thread.id();
    assert!(id > 0);
    assert!(Arc::ptr_eq(&stat::thread(id).unwrap(), &thread));
    assert!(stat::threads().windows(2).all(|pair| pair[0].id() < pair[1].id()));
    assert!(stat::threads().iter().any(|other| other.id() == id));
    eventually(|| thread.state() == 'D');
    go.complete();
    join(&[thread]);
    assert!(stat::thread(id).is_none());
}

#[test]
fn exit_ends_the_thread_at_once() {
    let reached = Arc::new(AtomicU32::new(0));
    let in_thread = reached.clone();
    let thread = super::spawn(move || {
        in_thread.store(1, Ordering::SeqCst);
        if current().id() > 0 {
            exit_current();
        }
        in_thread.store(2, Ordering::SeqCst);
    });
    let id = thread.id();
    join(&[thread]);
    assert_eq!(reached.load(Ordering::SeqCst), 1);
    assert!(stat::thread(id).is_none());
}

#[test]
fn names_are_cut_and_may_be_any_bytes() {
    let thread = current();
    thread.set_name("a name that is too long");
    assert_eq!(thread.name(), "a name that is ");
    thread.set_name_bytes(b"\xff\xfe");
    assert_eq!(thread.name(), "\u{fffd}\u{fffd}");
    assert_eq!(&thread.name_bytes()[..3], b"\xff\xfe\0");
}

#[test]
fn ext_marks_the_application() {
    let thread = spawn_application(|| {});
    assert_eq!(thread.ext_as::<u8>(), Some(&7));
    assert!(thread.is_application());
    assert!(!current().is_application());
    join(&[thread]);
}

#[test]
fn affinity_needs_a_running_vcpu() {
    let thread = current();
    assert!(!thread.set_affinity(CpuSet::EMPTY));
    assert!(!thread.set_affinity(CpuSet::only(63)));
    assert!(thread.set_affinity(CpuSet::only(0)));
    assert_eq!(thread.affinity(), CpuSet::only(0));
}

#[test]
fn the_current_thread_is_the_spawned_one() {
    let seen = Arc::new(AtomicU32::new(0));
    let in_thread = seen.clone();
    let thread = super::spawn(move || in_thread.store(current().to_ref().id(), Ordering::SeqCst));
    join(core::slice::from_ref(&thread));
    assert_eq!(seen.load(Ordering::SeqCst), thread.id());
}
