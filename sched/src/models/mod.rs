//! Models of everything that waits, checked by loom: `cargo test -p sched --release --features loom models`; of run queues and
//! the switch: the same with `--features vcpus`.
//!
//! Each has at most four threads and no loop that does not wait; a lost wake-up shows as threads that all wait, which loom
//! calls a deadlock. For each kind there is one that is wrong on purpose, so that it is known that the model would tell.

#[cfg(not(feature = "vcpus"))]
mod futexes;
#[cfg(not(feature = "vcpus"))]
mod locks;
#[cfg(not(feature = "vcpus"))]
mod queues;
#[cfg(feature = "vcpus")]
mod vcpus;

#[cfg(not(feature = "vcpus"))]
use crate::machine;
use loom::thread;

/// Changes of threads that nothing asked for, in one execution, unless the environment's MODEL_PREEMPTIONS says more: two take
/// seconds, three minutes (of vCPUs one and two).
const PREEMPTIONS: usize = if cfg!(feature = "vcpus") { 1 } else { 2 };

/// See [`hal::model::check`].
fn check(name: &str, execution: impl Fn() + Send + Sync + 'static) {
    check_on(name, None, execution);
}

/// As [`check`], on a machine with vCPUs.
fn check_on(name: &str, hardware: Option<hal::model::Hardware>, execution: impl Fn() + Send + Sync + 'static) {
    let preemptions = std::env::var("MODEL_PREEMPTIONS").map_or(PREEMPTIONS, |text| text.parse().expect("a number"));
    let executions = hal::model::check(preemptions, hardware, execution);
    println!("{name}: {executions} executions");
    assert!(executions > 3, "the threads of this model do not meet");
}

/// All deadlines pass, at any moment.
#[cfg(not(feature = "vcpus"))]
fn time_passes() {
    machine::pass_time();
}

/// Runs a model that is wrong on purpose in a process of its own (a failed model cannot be unwound): it must fail, with `how`.
/// `test` is the calling test's path.
fn must_fail(
    test: &str,
    how: &str,
    hardware: Option<hal::model::Hardware>,
    execution: impl Fn() + Send + Sync + 'static,
) {
    const MARK: &str = "MODEL_IS_WRONG";
    if std::env::var_os(MARK).is_some() {
        check_on("wrong on purpose", hardware, execution);
        return;
    }
    let itself = std::env::current_exe().expect("a test has a file");
    let output = std::process::Command::new(itself).args(["--exact", test, "--nocapture"]).env(MARK, "1").output();
    let output = output.expect("a test can be started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains(how), "the wrong model did not fail with {how:?}:\n{text}");
}

type Body = Box<dyn FnOnce()>;

/// What one of the threads of [`with`] does.
fn body(body: impl FnOnce() + 'static) -> Body {
    Box::new(body)
}

/// Runs `threads` and the caller's `body` to their ends.
fn with<R>(threads: impl IntoIterator<Item = Body>, body: impl FnOnce() -> R) -> R {
    let all: Vec<_> = threads.into_iter().map(|thread| thread::spawn(thread)).collect();
    let result = body();
    for one in all {
        one.join().expect("a model ends with its first panic");
    }
    result
}
