use super::*;
use crate::signal::set::{SIGALRM, SigSet};
use crate::syscall::time::{TimeSpec, TimeVal};
use linux_raw_sys::general::*;

const EINVAL: i64 = -22;

#[repr(C)]
struct SigEvent {
    value: u64,
    signo: i32,
    notify: u32,
    tid: u32,
    rest: [u32; 11],
}

/// Waits for one of `signals`; its siginfo.
fn wait(app: &mut App, signals: u64, timeout_ms: i64) -> Option<[u32; 32]> {
    let timeout = TimeSpec { sec: timeout_ms / 1000, nsec: timeout_ms % 1000 * 1_000_000 };
    let mut info = [0u32; 32];
    let args = [&raw const signals as u64, &raw mut info as u64, &raw const timeout as u64, 8];
    (app.call(__NR_rt_sigtimedwait, &args) > 0).then_some(info)
}

#[test]
fn an_interval_timer_signals_its_thread_with_its_value_and_overrun() {
    run(|app| {
        let signo = 40u8;
        let signals = SigSet::of(signo).0;
        app.block(signals);
        let tid = sched::current().id();
        let event = SigEvent { value: 0xfeed, signo: signo.into(), notify: SIGEV_THREAD_ID, tid, rest: [0; 11] };
        let mut id = u32::MAX;
        let args = [CLOCK_MONOTONIC.into(), &raw const event as u64, &raw mut id as u64];
        assert_eq!(app.call(__NR_timer_create, &args), 0);
        let period = TimeSpec { sec: 0, nsec: 5_000_000 };
        let setting = [period, period];
        assert_eq!(app.call(__NR_timer_settime, &[id.into(), 0, &raw const setting as u64, 0]), 0);
        let info = wait(app, signals, 5000).expect("the timer fires");
        assert_eq!((info[0], info[2] as i32, info[4]), (signo.into(), -2, id));
        assert_eq!((info[6], info[8]), (0xfeed, 0));
        std::thread::sleep(std::time::Duration::from_millis(60));
        let info = wait(app, signals, 5000).expect("it fires again");
        assert!(info[5] >= 5, "overrun {}", info[5]);
        assert_eq!(app.call(__NR_timer_getoverrun, &[id.into()]), info[5].into());
        let mut now = [TimeSpec::default(); 2];
        assert_eq!(app.call(__NR_timer_gettime, &[id.into(), &raw mut now as u64]), 0);
        assert_eq!(now[0], period);
        assert!(now[1].nsec > 0 && now[1].nsec <= 5_000_000);
        assert_eq!(app.call(__NR_timer_delete, &[id.into()]), 0);
        assert_eq!(app.call(__NR_timer_delete, &[id.into()]), EINVAL);
        while wait(app, signals, 0).is_some() {}
        assert!(wait(app, signals, 30).is_none());
    });
}

#[test]
fn a_thread_s_cpu_clock_fires_only_while_it_runs() {
    run(|app| {
        let signals = SigSet::of(SIGALRM).0;
        app.block(signals);
        let mut id = 0u32;
        assert_eq!(app.call(__NR_timer_create, &[CLOCK_THREAD_CPUTIME_ID.into(), 0, &raw mut id as u64]), 0);
        let setting = [TimeSpec::default(), TimeSpec { sec: 0, nsec: 30_000_000 }];
        assert_eq!(app.call(__NR_timer_settime, &[id.into(), 0, &raw const setting as u64, 0]), 0);
        assert!(wait(app, signals, 100).is_none(), "the clock stands while the thread sleeps");
        let start = hal::clock::now_ns();
        while hal::clock::now_ns() - start < 200_000_000 {}
        assert!(wait(app, signals, 1000).is_some());
    });
}

#[test]
fn alarm_and_setitimer_share_one_timer() {
    run(|app| {
        app.block(SigSet::of(SIGALRM).0);
        assert_eq!(app.call(__NR_alarm, &[100]), 0);
        let setting = [TimeVal::default(), TimeVal { sec: 0, usec: 3000 }];
        let mut old = [TimeVal::default(); 2];
        assert_eq!(app.call(__NR_setitimer, &[0, &raw const setting as u64, &raw mut old as u64]), 0);
        assert!(old[1].sec >= 98);
        let info = wait(app, SigSet::of(SIGALRM).0, 5000).expect("it fires");
        assert_eq!(info[2], 0x80);
        assert_eq!(app.call(__NR_alarm, &[0]), 0);
        assert_eq!(app.call(__NR_setitimer, &[3, &raw const setting as u64, 0]), EINVAL);
    });
}

#[test]
fn clocks_are_linux_s() {
    run(|app| {
        let mut time = TimeSpec::default();
        let at = &raw mut time as u64;
        for clock in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11] {
            assert_eq!(app.call(__NR_clock_gettime, &[clock, at]), 0, "clock {clock}");
        }
        for clock in [10, 12, 100] {
            assert_eq!(app.call(__NR_clock_gettime, &[clock, at]), EINVAL, "clock {clock}");
        }
        let tid = sched::current().id() as i32;
        let own = (!tid << 3 | 6) as u32;
        assert_eq!(app.call(__NR_clock_gettime, &[own.into(), at]), 0);
        assert_eq!(app.call(__NR_clock_getres, &[own.into(), at]), 0);
        assert_eq!(time, TimeSpec { sec: 0, nsec: 1 });
        let other = (!(tid + 1000) << 3 | 6) as u32;
        assert_eq!(app.call(__NR_clock_gettime, &[other.into(), at]), EINVAL);
        let seconds = app.call(__NR_time, &[0]);
        assert!(seconds > 1_600_000_000);
        let negative = TimeSpec { sec: -1, nsec: 0 };
        assert_eq!(app.call(__NR_nanosleep, &[&raw const negative as u64, 0]), EINVAL);
    });
}
