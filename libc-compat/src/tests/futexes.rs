use super::*;
use crate::signal::info::{SI_TKILL, SigInfo};
use crate::signal::set::SIGUSR1;
use crate::syscall::futex::WakeOp;
use crate::syscall::time::TimeSpec;
use linux_raw_sys::general::*;
use std::sync::atomic::{AtomicU32, Ordering};

const EINTR: i64 = -4;
const EAGAIN: i64 = -11;
const EFAULT: i64 = -14;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;
const ETIMEDOUT: i64 = -110;

fn word(value: u32) -> Arc<AtomicU32> {
    Arc::new(AtomicU32::new(value))
}

fn at(word: &AtomicU32) -> u64 {
    word.as_ptr() as u64
}

/// A thread that waits on `word` while it is 7.
fn waiter(process: &Arc<Process>, word: &Arc<AtomicU32>, timeout_ns: Option<i64>) -> Spawned<i64> {
    let word = word.clone();
    let spawned = spawn(process, move |app| {
        app.handle(SIGUSR1, SA_RESTART);
        let timeout = TimeSpec { sec: 0, nsec: timeout_ns.unwrap_or(0) };
        let timeout_at = if timeout_ns.is_some() { &raw const timeout as u64 } else { 0 };
        app.call(__NR_futex, &[at(&word), FUTEX_WAIT_PRIVATE.into(), 7, timeout_at])
    });
    let thread = process.thread(spawned.tid).expect("it lives");
    eventually(|| thread.state() == 'S');
    spawned
}

#[test]
fn a_wake_ends_a_wait() {
    let process = Process::for_test();
    let keeper = spawn(&process, |app| app.call(__NR_pause, &[]));
    let word = word(7);
    let waiting = waiter(&process, &word, None);
    let target = word.clone();
    let woken = spawn(&process, move |app| app.call(__NR_futex, &[at(&target), FUTEX_WAKE_PRIVATE.into(), 1]));
    assert_eq!(woken.join(), 1);
    assert_eq!(waiting.join(), 0);
    process.thread(keeper.tid).expect("it lives").work_flags().set(WorkFlags::STOP);
}

#[test]
fn waits_fail_as_on_linux() {
    run(|app| {
        let word = word(1);
        let zero = TimeSpec::default();
        let bad = TimeSpec { sec: 0, nsec: 1_000_000_000 };
        let wait = FUTEX_WAIT_PRIVATE.into();
        assert_eq!(app.call(__NR_futex, &[at(&word), wait, 2, 0]), EAGAIN);
        assert_eq!(app.call(__NR_futex, &[at(&word), wait, 1, &raw const zero as u64]), ETIMEDOUT);
        assert_eq!(app.call(__NR_futex, &[at(&word), wait, 1, &raw const bad as u64]), EINVAL);
        assert_eq!(app.call(__NR_futex, &[at(&word) + 1, wait, 1, 0]), EINVAL);
        assert_eq!(app.call(__NR_futex, &[0x100, wait, 1, 0]), EFAULT);
        assert_eq!(app.call(__NR_futex, &[1 << 50, wait, 1, 0]), EFAULT);
        let bitset = FUTEX_WAIT_BITSET_PRIVATE.into();
        assert_eq!(app.call(__NR_futex, &[at(&word), bitset, 1, 0, 0, 0]), EINVAL);
        assert_eq!(app.call(__NR_futex, &[at(&word), FUTEX_WAIT_REQUEUE_PI.into(), 1]), ENOSYS);
    });
}

#[test]
fn absolute_timeouts_run_on_both_clocks() {
    run(|app| {
        let word = word(1);
        let clocks: [(u32, fn() -> u64); 2] =
            [(0, hal::clock::now_ns), (FUTEX_CLOCK_REALTIME, hal::clock::realtime_ns)];
        for (flags, now) in clocks {
            let end = TimeSpec::from_ns(now() + 20_000_000);
            let start = hal::clock::now_ns();
            let operation = FUTEX_WAIT_BITSET_PRIVATE | flags;
            let args = [at(&word), operation.into(), 1, &raw const end as u64, 0, u32::MAX.into()];
            assert_eq!(app.call(__NR_futex, &args), ETIMEDOUT);
            let waited = hal::clock::now_ns() - start;
            assert!((15_000_000..5_000_000_000).contains(&waited), "{waited}");
        }
    });
}

#[test]
fn a_signal_restarts_an_untimed_wait_and_ends_a_timed_one() {
    for (timeout, expected) in [(None, 0), (Some(900_000_000), EINTR)] {
        let process = Process::for_test();
        let word = word(7);
        let waiting = waiter(&process, &word, timeout);
        let thread = process.thread(waiting.tid).expect("it lives");
        signal::send::send_to_thread(&thread, SigInfo::sent(SIGUSR1, SI_TKILL, 1)).expect("a standard signal");
        if timeout.is_none() {
            // Interrupted, handled, and back in the wait.
            eventually(|| thread.work_flags().get() == 0 && thread.state() == 'S');
            word.store(8, Ordering::SeqCst);
            eventually(|| {
                sched::futex::wake(sched::futex::Key { object: 0, offset: at(&word) }, 1, u32::MAX);
                thread.is_dead()
            });
        }
        assert_eq!(waiting.join(), expected);
    }
}

#[test]
fn wake_op_changes_compares_and_wakes() {
    run(|app| {
        let (first, second) = (word(0), word(5));
        // Add 3 to the second word, wake there if it was above 4.
        let operation = FUTEX_OP_ADD << 28 | FUTEX_OP_CMP_GT << 24 | 3 << 12 | 4;
        let args = [at(&first), FUTEX_WAKE_OP_PRIVATE.into(), 1, 1, at(&second), operation.into()];
        assert_eq!(app.call(__NR_futex, &args), 0);
        assert_eq!(second.load(Ordering::SeqCst), 8);
    });
    let decoded = WakeOp::decode((FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT) << 28 | FUTEX_OP_CMP_EQ << 24 | 5 << 12 | 0xfff);
    assert!(decoded.expect("a valid operation").compares(-1));
    assert!(WakeOp::decode(7 << 28).is_err());
}

#[test]
fn requeue_compares_first() {
    run(|app| {
        let (from, to) = (word(1), word(0));
        let operation = FUTEX_CMP_REQUEUE_PRIVATE.into();
        assert_eq!(app.call(__NR_futex, &[at(&from), operation, 1, 1, at(&to), 2]), EAGAIN);
        assert_eq!(app.call(__NR_futex, &[at(&from), operation, 1, 1, at(&to), 1]), 0);
        assert_eq!(app.call(__NR_futex, &[at(&from), operation, u32::MAX.into(), 1, at(&to), 1]), EINVAL);
    });
}

#[test]
fn a_dead_owner_s_locks_are_given_up() {
    #[repr(C)]
    struct Lock {
        next: u64,
        word: AtomicU32,
    }
    run(|app| {
        let me = sched::current().id();
        let mut head = [0u64; 3];
        let lock = Lock { next: head.as_ptr() as u64, word: AtomicU32::new(me | FUTEX_WAITERS) };
        head[0] = &raw const lock as u64;
        head[1] = 8;
        assert_eq!(app.call(__NR_set_robust_list, &[head.as_ptr() as u64, 24]), 0);
        let thread = sched::current();
        crate::syscall::futex::release_robust_list(task_of(&thread).expect("an app thread"));
        assert_eq!(lock.word.load(Ordering::SeqCst), FUTEX_WAITERS | FUTEX_OWNER_DIED);
    });
}
