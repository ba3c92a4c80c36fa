use super::*;
use crate::signal::info::{SI_QUEUE, SI_TKILL, SigInfo};
use crate::signal::set::{SIGHUP, SIGKILL, SIGSEGV, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SigSet};
use crate::syscall::time::TimeSpec;
use linux_raw_sys::general::*;

const EINTR: i64 = -4;
const EAGAIN: i64 = -11;
const EINVAL: i64 = -22;

fn set(signo: u8) -> u64 {
    SigSet::of(signo).0
}

fn tgkill(app: &mut App, tid: u32, signo: u8) -> i64 {
    let pid = app.process.pid();
    app.call(__NR_tgkill, &[pid.into(), tid.into(), signo.into()])
}

fn own_tid() -> u32 {
    sched::current().id()
}

#[test]
fn a_blocked_signal_waits_and_comes_when_unblocked() {
    run(|app| {
        app.handle(SIGUSR1, 0);
        app.block(set(SIGUSR1));
        let me = own_tid();
        assert_eq!(tgkill(app, me, SIGUSR1), 0);
        assert_eq!(app.entered, []);
        let mut pending = 0u64;
        assert_eq!(app.call(__NR_rt_sigpending, &[&raw mut pending as u64, 8]), 0);
        assert_eq!(pending, set(SIGUSR1));
        app.block(0);
        assert_eq!(app.entered, [SIGUSR1.into()]);
    });
}

#[test]
fn standard_signals_merge_and_real_time_ones_queue_in_order() {
    run(|app| {
        const RT: u8 = 40;
        app.handle(SIGUSR1, SA_SIGINFO);
        app.handle(RT, SA_SIGINFO);
        app.block(set(SIGUSR1) | set(RT));
        let me = own_tid();
        for _ in 0..3 {
            assert_eq!(tgkill(app, me, SIGUSR1), 0);
        }
        for value in 0..3u64 {
            let mut info = SigInfo::sent(RT, SI_QUEUE, app.process.pid());
            info.fields[1] = value;
            let pid = app.process.pid();
            assert_eq!(app.call(__NR_rt_sigqueueinfo, &[pid.into(), RT.into(), &raw const info as u64]), 0);
        }
        let wanted = set(RT);
        for value in 0..3u64 {
            let mut info = [0u64; 16];
            let zero = TimeSpec::default();
            let args = [&raw const wanted as u64, &raw mut info as u64, &raw const zero as u64, 8];
            assert_eq!(app.call(__NR_rt_sigtimedwait, &args), RT.into());
            assert_eq!(info[3], value);
        }
        app.block(0);
        assert_eq!(app.entered, [SIGUSR1.into()]);
    });
}

#[test]
fn a_wait_without_signals_ends_at_its_timeout() {
    run(|app| {
        app.block(set(SIGUSR2));
        let wanted = set(SIGUSR2);
        let timeout = TimeSpec { sec: 0, nsec: 3_000_000 };
        let args = [&raw const wanted as u64, 0, &raw const timeout as u64, 8];
        assert_eq!(app.call(__NR_rt_sigtimedwait, &args), EAGAIN);
    });
}

#[test]
fn a_waiting_thread_gets_the_process_s_signal() {
    let process = Process::for_test();
    let waiter = spawn(&process, |app| {
        app.block(set(SIGTERM));
        let wanted = set(SIGTERM);
        let mut info = [0u32; 32];
        let got = app.call(__NR_rt_sigtimedwait, &[&raw const wanted as u64, &raw mut info as u64, 0, 8]);
        (got, info[0])
    });
    let thread = process.thread(waiter.tid).expect("it lives");
    eventually(|| thread.state() == 'S');
    signal::send_from_outside(&process, SIGTERM);
    assert_eq!(waiter.join(), (SIGTERM.into(), SIGTERM.into()));
}

#[test]
fn sigsuspend_returns_eintr_and_puts_the_mask_back() {
    let process = Process::for_test();
    let sleeper = spawn(&process, |app| {
        app.handle(SIGUSR2, SA_RESTART);
        app.block(set(SIGUSR2) | set(SIGHUP));
        let mask = 0u64;
        let result = app.call(__NR_rt_sigsuspend, &[&raw const mask as u64, 8]);
        let entered = app.entered.clone();
        let mut now = 0u64;
        app.call(__NR_rt_sigprocmask, &[0, 0, &raw mut now as u64, 8]);
        (result, entered, now)
    });
    let thread = process.thread(sleeper.tid).expect("it lives");
    eventually(|| thread.state() == 'S');
    signal::send::send_to_thread(&thread, SigInfo::sent(SIGUSR2, SI_TKILL, 1)).expect("a standard signal");
    assert_eq!(sleeper.join(), (EINTR, vec![SIGUSR2.into()], set(SIGUSR2) | set(SIGHUP)));
}

#[test]
fn a_signal_that_kills_does_not_wait_for_a_thread_s_turn() {
    run(|app| {
        app.block(set(SIGTERM));
        app.handle(SIGUSR1, 0);
        for survived in [SIGTERM, SIGUSR1, SIGWINCH] {
            signal::send_from_outside(&app.process, survived);
        }
        assert!(!app.process.is_ending());
        // The thread is here, in no call.
        signal::send_from_outside(&app.process, SIGHUP);
        assert!(app.process.is_ending());
    });
}

/// A pause in the middle of a call, with a signal that has a handler with `flags`.
fn interrupted_sleep(flags: u32, ns: i64) -> (i64, TimeSpec) {
    let process = Process::for_test();
    let sleeper = spawn(&process, move |app| {
        app.handle(SIGUSR1, flags);
        let time = TimeSpec { sec: 0, nsec: ns };
        let mut left = TimeSpec::default();
        let result = app.call(__NR_nanosleep, &[&raw const time as u64, &raw mut left as u64]);
        assert_eq!(app.entered, [SIGUSR1.into()]);
        (result, left)
    });
    let thread = process.thread(sleeper.tid).expect("it lives");
    eventually(|| thread.state() == 'S');
    signal::send::send_to_thread(&thread, SigInfo::sent(SIGUSR1, SI_TKILL, 1)).expect("a standard signal");
    sleeper.join()
}

#[test]
fn a_handler_ends_nanosleep_even_with_sa_restart() {
    for flags in [0, SA_RESTART] {
        let (result, left) = interrupted_sleep(flags, 900_000_000);
        assert_eq!(result, EINTR);
        assert!(left.sec == 0 && left.nsec > 0 && left.nsec < 900_000_000);
    }
}

#[test]
fn a_signal_without_a_handler_does_not_end_a_sleep() {
    let process = Process::for_test();
    let sleeper = spawn(&process, |app| {
        let time = TimeSpec { sec: 0, nsec: 60_000_000 };
        let start = hal::clock::now_ns();
        let result = app.call(__NR_nanosleep, &[&raw const time as u64, 0]);
        (result, hal::clock::now_ns() - start)
    });
    let thread = process.thread(sleeper.tid).expect("it lives");
    eventually(|| thread.state() == 'S');
    // Not a signal at all: the flag alone makes the wait end and the call start again.
    thread.work_flags().set(WorkFlags::SIGNAL);
    thread.kick();
    let (result, slept_ns) = sleeper.join();
    assert_eq!(result, 0);
    assert!((60_000_000..5_000_000_000).contains(&slept_ns));
}

#[test]
fn ignored_signals_vanish_and_deadly_ones_end_the_process() {
    run(|app| {
        let me = own_tid();
        assert_eq!(tgkill(app, me, SIGWINCH), 0);
        assert!(sched::current().work_flags().get() == 0);
        assert!(!app.process.is_ending());
        assert_eq!(tgkill(app, me, SIGTERM), 0);
        assert!(app.process.is_ending());
        assert!(sched::current().work_flags().any(WorkFlags::STOP));
    });
}

#[test]
fn a_fault_s_signal_that_is_blocked_kills() {
    run(|app| {
        app.handle(SIGSEGV, 0);
        app.block(set(SIGSEGV));
        let mut frame = TrapFrame::new_app(0x1234, 0x7fff_0000);
        let thread = sched::current();
        let info = SigInfo::fault(SIGSEGV, 1, 0);
        signal::deliver::deliver_fault(&mut frame, &thread, task_of(&thread).expect("an app thread"), &info);
        assert!(app.process.is_ending());
    });
}

#[test]
fn a_frame_without_room_kills() {
    run(|app| {
        app.handle(SIGSEGV, 0);
        // The host backend refuses the first 64 KiB.
        let mut frame = TrapFrame::new_app(0x1234, 0x4000);
        let before = frame.clone();
        let thread = sched::current();
        let info = SigInfo::fault(SIGSEGV, 1, 0);
        signal::deliver::deliver_fault(&mut frame, &thread, task_of(&thread).expect("an app thread"), &info);
        assert!(app.process.is_ending());
        assert_eq!(frame, before);
    });
}

#[test]
fn a_frame_keeps_every_register_and_gives_it_back() {
    run(|app| {
        app.handle(SIGSEGV, SA_SIGINFO);
        let stack = vec![0u8; 64 << 10];
        let mut frame = TrapFrame::new_app(0x1234_5678, (stack.as_ptr() as u64 + (60 << 10)) | 5);
        frame.vector = 14;
        frame.r8 = 8;
        frame.r15 = 15;
        frame.rax = -512i64 as u64;
        frame.rcx = 3;
        frame.rbp = 6;
        frame.rflags |= 0x8d5 | 1 << 10;
        let before = frame.clone();
        let thread = sched::current();
        let task = task_of(&thread).expect("an app thread");
        let info = SigInfo::fault(SIGSEGV, 1, 0xabc);
        signal::deliver::deliver_fault(&mut frame, &thread, task, &info);
        assert_eq!(frame.rip, HANDLER);
        assert_eq!(frame.rsp % 16, 8);
        assert!(frame.rsp < before.rsp - 128 - 832);
        assert_eq!(frame.rdi, SIGSEGV.into());
        assert_eq!(frame.rflags & 1 << 10, 0);
        assert!(task.signals.mask().contains(SIGSEGV));
        // SAFETY: the test's own stack.
        let addr = unsafe { *((frame.rsi + 16) as *const u64) };
        assert_eq!(addr, 0xabc);
        // SAFETY: as above; fpstate is at 0xe0 in the ucontext.
        let image = unsafe { *((frame.rdx + 0xe0) as *const u64) };
        assert_eq!(image % 64, 0);
        // SAFETY: as above.
        let magic2 = unsafe { *((image + 832) as *const u32) };
        assert_eq!(magic2, signal::layout::FP_XSTATE_MAGIC2);
        frame.rsp += 8;
        frame.vector = VECTOR_SYSCALL;
        signal::frame::pop(&mut frame, task, &thread).expect("the frame just made");
        frame.vector = before.vector;
        frame.error = before.error;
        assert_eq!(frame, before);
        assert!(task.signals.mask().is_empty());
    });
}

#[test]
fn a_wild_sigreturn_is_a_segv_not_a_panic() {
    run(|app| {
        let mut frame = TrapFrame::new_app(RIP + 2, 0x4000);
        frame.rax = __NR_rt_sigreturn.into();
        app.enter(&mut frame);
        assert!(app.process.is_ending());
    });
}

#[test]
fn actions_that_linux_refuses_are_refused() {
    run(|app| {
        let action = signal::action::Action::default();
        let at = &raw const action as u64;
        assert_eq!(app.call(__NR_rt_sigaction, &[SIGKILL.into(), at, 0, 8]), EINVAL);
        assert_eq!(app.call(__NR_rt_sigaction, &[SIGSTOP.into(), at, 0, 8]), EINVAL);
        assert_eq!(app.call(__NR_rt_sigaction, &[0, at, 0, 8]), EINVAL);
        assert_eq!(app.call(__NR_rt_sigaction, &[65, at, 0, 8]), EINVAL);
        assert_eq!(app.call(__NR_rt_sigaction, &[1, at, 0, 16]), EINVAL);
        assert_eq!(app.call(__NR_rt_sigaction, &[SIGKILL.into(), 0, 0, 8]), 0);
        assert_eq!(app.call(__NR_rt_sigaction, &[1, 0x10, 0, 8]), -14);
    });
}

#[test]
fn alternate_stacks_are_kept_and_too_small_ones_refused() {
    run(|app| {
        let small = signal::layout::AltStack { sp: 0x10000, flags: 0, pad: 0, size: 1024 };
        assert_eq!(app.call(__NR_sigaltstack, &[&raw const small as u64, 0]), -12);
        let good = signal::layout::AltStack { sp: 0x10000, flags: 0, pad: 0, size: 16384 };
        assert_eq!(app.call(__NR_sigaltstack, &[&raw const good as u64, 0]), 0);
        let mut old = signal::layout::AltStack::default();
        assert_eq!(app.call(__NR_sigaltstack, &[0, &raw mut old as u64]), 0);
        assert_eq!(old, good);
    });
}
