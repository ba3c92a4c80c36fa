//! Signals to the wrapper while it builds: the work stops, temporary files go, the status is 128 + n.
//!
//! [`install`] is called once at the program's start. Without it (in a library user) nothing is ever interrupted.

use crate::Failure;
use crate::Reason;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals that end a build and are passed on to a running program.
pub const FORWARDED: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

static FLAGS: OnceLock<[Arc<AtomicBool>; 4]> = OnceLock::new();

/// From now on the signals in [`FORWARDED`] are noted instead of ending the process.
pub fn install() -> io::Result<()> {
    let flags: [Arc<AtomicBool>; 4] = Default::default();
    for (signal, flag) in FORWARDED.into_iter().zip(&flags) {
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    let _ = FLAGS.set(flags);
    Ok(())
}

/// An error if a signal has come. Called between the steps of longer work.
pub fn check() -> Result<(), Failure> {
    let Some(flags) = FLAGS.get() else {
        return Ok(());
    };
    for (signal, flag) in FORWARDED.into_iter().zip(flags) {
        if flag.load(Ordering::Relaxed) {
            return Err(ended_by(signal));
        }
    }
    Ok(())
}

/// The end of a run by a signal that the user sent to the wrapper.
pub fn ended_by(signal: i32) -> Failure {
    let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
    Failure { reason: Reason::Signal(signal as u8), message: format!("ended by {name}") }
}
