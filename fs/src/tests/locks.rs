use super::support::{RW, open, tmp_namespace, write_file};
use crate::locks::{LockKind, LockRange, flock, release_owner, set_range, test_range};
use crate::{Blocking, FdTable, FsError, OnExec, OpenFlags};
use std::thread;
use std::time::Duration;

const SHARED: Option<LockKind> = Some(LockKind::Shared);
const EXCLUSIVE: Option<LockKind> = Some(LockKind::Exclusive);

#[test]
fn flock_belongs_to_the_description() {
    let space = tmp_namespace(10);
    write_file(&space, "/l", b"");
    let open = || open(&space, "/l", OpenFlags::empty(), RW).expect("there");
    let (first, second) = (open(), open());
    assert_eq!(flock(&first, SHARED, Blocking::Never), Ok(()));
    assert_eq!(flock(&second, SHARED, Blocking::Never), Ok(()));
    assert_eq!(flock(&first, EXCLUSIVE, Blocking::Never), Err(FsError::WouldBlock));
    // What was held before has gone with that.
    assert_eq!(flock(&second, EXCLUSIVE, Blocking::Never), Ok(()));
    assert_eq!(flock(&second, SHARED, Blocking::Never), Ok(()));
    let waiting = thread::spawn({
        let first = first.clone();
        move || flock(&first, EXCLUSIVE, Blocking::Wait)
    });
    thread::sleep(Duration::from_millis(20));
    drop(second);
    assert_eq!(waiting.join().expect("no panic"), Ok(()));
    assert_eq!(flock(&open(), SHARED, Blocking::Never), Err(FsError::WouldBlock));
    assert_eq!(flock(&first, None, Blocking::Never), Ok(()));
    assert_eq!(flock(&open(), EXCLUSIVE, Blocking::Never), Ok(()));
}

#[test]
fn ranges_split_and_go_with_any_descriptor() {
    let space = tmp_namespace(10);
    write_file(&space, "/r", b"");
    let file = open(&space, "/r", OpenFlags::empty(), RW).expect("there");
    let range = |start, end| LockRange { start, end };
    set_range(&file, 1, range(0, 100), EXCLUSIVE, Blocking::Never).expect("free");
    set_range(&file, 1, range(40, 60), None, Blocking::Never).expect("own");
    set_range(&file, 2, range(45, 55), SHARED, Blocking::Never).expect("free now");
    assert_eq!(set_range(&file, 2, range(39, 41), SHARED, Blocking::Never), Err(FsError::WouldBlock));
    let holder = test_range(&file, 2, range(50, u64::MAX), LockKind::Shared).expect("the second half");
    assert_eq!((holder.owner, holder.range), (1, range(60, 100)));
    assert!(test_range(&file, 1, range(45, 55), LockKind::Shared).is_none());
    assert_eq!(set_range(&file, 2, range(5, 5), SHARED, Blocking::Never), Err(FsError::Invalid));
    let table = FdTable::new(10);
    let other = open(&space, "/r", OpenFlags::empty(), RW).expect("there");
    let fd = table.insert(other, OnExec::Keep, 0).expect("room");
    table.close(fd, 1).expect("open");
    assert_eq!(set_range(&file, 2, range(0, 30), EXCLUSIVE, Blocking::Never), Ok(()));
    release_owner(&file, 2);
}

#[test]
fn touching_ranges_become_one_and_who_came_first_is_told() {
    let space = tmp_namespace(10);
    write_file(&space, "/m", b"");
    let file = open(&space, "/m", OpenFlags::empty(), RW).expect("there");
    let range = |start, end| LockRange { start, end };
    let set =
        |owner, start, end, kind| set_range(&file, owner, range(start, end), kind, Blocking::Never).expect("free");
    let told = |kind| test_range(&file, 7, range(0, u64::MAX), kind).map(|held| (held.owner, held.range));
    set(2, 10, 20, SHARED);
    set(1, 0, 5, SHARED);
    assert_eq!(told(LockKind::Exclusive), Some((2, range(10, 20))));
    set(2, 20, 30, SHARED);
    assert_eq!(told(LockKind::Exclusive), Some((2, range(10, 30))));
    set(2, 15, 25, EXCLUSIVE);
    assert_eq!(told(LockKind::Shared), Some((2, range(15, 25))));
    set(2, 0, u64::MAX, None);
    set(2, 40, 50, SHARED);
    assert_eq!(told(LockKind::Exclusive), Some((1, range(0, 5))));
    [1, 2].iter().for_each(|&owner| release_owner(&file, owner));
}
