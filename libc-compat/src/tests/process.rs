use super::*;
use crate::Errno;
use crate::syscall::table;
use linux_raw_sys::general::*;

const EPERM: i64 = -1;
const ESRCH: i64 = -3;
const ECHILD: i64 = -10;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;

#[test]
fn every_row_is_well_formed() {
    let mut rows = 0;
    for row in table::rows() {
        rows += 1;
        assert!((row.number as usize) < table::SIZE);
        assert!(row.args.len() <= 6 && row.args.bytes().all(|letter| b"dxos".contains(&letter)), "{}", row.name);
        assert!(row.man.ends_with(')'), "{}", row.name);
    }
    assert!(rows > 90);
}

#[test]
fn restart_codes_never_look_like_errors_of_the_application() {
    for number in 1..=133 {
        let error = Errno::from_rax((-number) as u64).expect("an errno");
        assert!(!error.is_restart());
        assert_eq!(error.to_rax() as i64, -number);
    }
    assert!(Errno::ERESTARTSYS.is_restart());
    assert_eq!(Errno::from_rax(0), None);
    assert_eq!(Errno::from_rax(-4096i64 as u64), None);
}

#[test]
fn identities_of_the_only_process() {
    run(|app| {
        let pid = app.process.pid();
        assert_eq!(app.call(__NR_getpid, &[]), pid.into());
        assert_eq!(app.call(__NR_gettid, &[]), sched::current().id().into());
        assert_eq!(app.call(__NR_getpgid, &[0]), pid.into());
        assert_eq!(app.call(__NR_getuid, &[]), 0);
        assert_eq!(app.call(__NR_setuid, &[0]), 0);
        assert_eq!(app.call(__NR_setuid, &[1000]), EPERM);
        assert_eq!(app.call(__NR_kill, &[pid.into(), 0]), 0);
        assert_eq!(app.call(__NR_kill, &[(pid + 7777).into(), 0]), ESRCH);
        assert_eq!(app.call(__NR_wait4, &[u64::MAX, 0, 0, 0]), ECHILD);
        assert_eq!(app.call(500, &[]), ENOSYS);
        assert_eq!(app.call(100_000, &[]), ENOSYS);
    });
}

#[test]
fn a_second_process_is_refused() {
    run(|app| {
        assert_eq!(app.call(__NR_fork, &[]), EPERM);
        let spawn_flags = (CLONE_VM | CLONE_VFORK) as u64 | 17;
        assert_eq!(app.call(__NR_clone, &[spawn_flags, 0, 0, 0, 0]), EPERM);
        let mut args = [0u64; 11];
        args[0] = (CLONE_VM | CLONE_VFORK).into();
        args[4] = 17;
        args[5] = 0x10000;
        args[6] = 0x1000;
        assert_eq!(app.call(__NR_clone3, &[args.as_ptr() as u64, 88]), EPERM);
        assert_eq!(app.call(__NR_clone3, &[args.as_ptr() as u64, 32]), EINVAL);
    });
}

#[test]
fn limits_follow_prlimit() {
    run(|app| {
        let mut old = [0u64; 2];
        let at = &raw mut old as u64;
        assert_eq!(app.call(__NR_prlimit64, &[0, RLIMIT_STACK.into(), 0, at]), 0);
        assert_eq!(old, [8 << 20, u64::MAX]);
        assert_eq!(app.call(__NR_prlimit64, &[0, 99, 0, at]), EINVAL);
        let new = [5u64, 10];
        assert_eq!(app.call(__NR_prlimit64, &[0, RLIMIT_CORE.into(), &raw const new as u64, 0]), 0);
        assert_eq!(app.call(__NR_getrlimit, &[RLIMIT_CORE.into(), at]), 0);
        assert_eq!(old, new);
        let bad = [11u64, 10];
        assert_eq!(app.call(__NR_setrlimit, &[RLIMIT_CORE.into(), &raw const bad as u64]), EINVAL);
    });
}

#[test]
fn names_and_scheduling_parameters() {
    run(|app| {
        let name = b"a name that is too long\0";
        assert_eq!(app.call(__NR_prctl, &[15, name.as_ptr() as u64]), 0);
        let mut read = [0u8; 16];
        assert_eq!(app.call(__NR_prctl, &[16, read.as_mut_ptr() as u64]), 0);
        assert_eq!(&read, b"a name that is \0");
        let mut set = [0u64; 16];
        assert_eq!(app.call(__NR_sched_getaffinity, &[0, 128, set.as_mut_ptr() as u64]), 8);
        assert_eq!(set[0], (1u64 << hal::cpu::count()) - 1);
        assert_eq!(app.call(__NR_sched_getaffinity, &[0, 4, set.as_mut_ptr() as u64]), EINVAL);
        assert_eq!(app.call(__NR_getpriority, &[0, 0]), 20);
        assert_eq!(app.call(__NR_setpriority, &[0, 0, 5]), 0);
        assert_eq!(app.call(__NR_getpriority, &[0, 0]), 15);
        assert_eq!(app.call(__NR_sched_getscheduler, &[0]), 0);
        let priority = 10u32;
        assert_eq!(app.call(__NR_sched_setscheduler, &[0, 1, &raw const priority as u64]), 0);
        assert_eq!(app.call(__NR_sched_getscheduler, &[0]), 1);
    });
}
