//! Says what is going on when it takes longer than a second: a spinner on a terminal, one plain line otherwise.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// Work shorter than this is not worth a line.
const PATIENCE: Duration = Duration::from_secs(1);

/// A piece of work; its end is the drop.
pub struct Task {
    finished: Option<Sender<()>>,
    shower: Option<JoinHandle<()>>,
}

impl Task {
    /// Starts showing `what` ("building the kernel") after a second.
    pub fn start(what: impl Into<String>) -> Task {
        let what = what.into();
        let (finished, wait) = mpsc::channel();
        let shower = std::thread::spawn(move || {
            if wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                show(&what, &wait);
            }
        });
        Task { finished: Some(finished), shower: Some(shower) }
    }
}

fn show(what: &str, wait: &mpsc::Receiver<()>) {
    if !std::io::stderr().is_terminal() {
        let _ = writeln!(std::io::stderr(), "demitasse: {what} ...");
        let _ = wait.recv();
        return;
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} demitasse: {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_message(what.to_string());
    bar.enable_steady_tick(Duration::from_millis(100));
    let _ = wait.recv();
    bar.finish_and_clear();
}

impl Drop for Task {
    fn drop(&mut self) {
        drop(self.finished.take());
        if let Some(shower) = self.shower.take() {
            let _ = shower.join();
        }
    }
}

/// One line to the user.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "demitasse: {text}");
}
