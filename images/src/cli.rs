//! The command line: `demitasse [OPTIONS] app.jar [ARGS]`.

use crate::cache::Cache;
use crate::failure::{Failure, Reason};
use crate::machine::Qemu;
use crate::session::{Options, Outcome};
use crate::{interrupt, progress, session, switch};
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use wire::ExitReason;

mod arguments;
mod plan;
mod spelling;
pub use arguments::Arguments;

/// The whole program: what `main` calls.
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(spelling::normal(words, &Arguments::command())) {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    if let Some(shell) = arguments.completion {
        clap_complete::generate(shell, &mut Arguments::command(), "run-java.sh", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    if let Err(error) = interrupt::install() {
        progress::note(&format!("cannot listen for signals: {error}"));
    }
    let status = arguments.status_file.as_deref();
    // Before anything else: a result that cannot be left is a mistake like any other.
    if let Some(Err(failure)) = status.map(|file| write_status(file, "demitasse started")) {
        progress::note(&failure.message);
        return ExitCode::from(failure.reason.status());
    }
    let (end, code) = conclude(run(&arguments));
    if let Some(Err(failure)) = status.map(|file| write_status(file, &end)) {
        progress::note(&failure.message);
    }
    ExitCode::from(code)
}

/// The status file's line and the exit status; prints why if the end is not the program's own choice.
fn conclude(result: Result<Option<session::ProgramResult>, Failure>) -> (String, u8) {
    match result {
        Ok(None) => ("program 0".to_string(), 0),
        Ok(Some(result)) => match ours(&result.end) {
            None => (format!("program {}", result.status), result.status),
            Some((reason, text)) => {
                progress::note(&text);
                (format!("demitasse {}", reason.name()), result.status)
            }
        },
        Err(Failure { reason, message }) => {
            progress::note(&message);
            (format!("demitasse {}", reason.name()), reason.status())
        }
    }
}

/// Ends that are not the program's own choice, with the line that says why.
fn ours(end: &ExitReason) -> Option<(Reason, String)> {
    match end {
        ExitReason::Code(_) | ExitReason::Signal(_) => None,
        ExitReason::Deadlock(text) => Some((Reason::Deadlock, format!("deadlock: {text}"))),
        ExitReason::OutOfMemory(text) => Some((Reason::Memory, format!("out of memory: {text}"))),
        ExitReason::TimedOut(text) => Some((Reason::Timeout, text.clone())),
        ExitReason::Failed(text) => Some((Reason::Machine, format!("the program could not be started: {text}"))),
    }
}

fn write_status(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, format!("{text}\n")).map_err(|error| Failure::file("write the status file", file, &error))
}

/// Help and version are printed as they are; mistakes become one line.
fn explain(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let what: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .map(str::trim)
        .collect();
    let what = what.join(" ");
    let what = what.trim().strip_prefix("error: ").unwrap_or(what.trim());
    progress::note(&format!("{what}; --help lists the options"));
    ExitCode::from(Reason::Usage.status())
}

/// Builds what is missing and runs the program; `None` if there was only something to build.
fn run(arguments: &Arguments) -> Result<Option<session::ProgramResult>, Failure> {
    if let Some(socket) = &arguments.switch {
        let qemu = Qemu::find(&Cache::open()?)?;
        return switch::run(&qemu.program, socket, &arguments.publish).map(|()| None);
    }
    let plan = plan::Plan::new(arguments)?;
    let Some(ready) = plan.prepare()? else {
        return Ok(None);
    };
    interrupt::check()?;
    let options = Options {
        stdin: crate::pump::Source::Inherit,
        stdout: crate::pump::Sink::Inherit,
        stderr: crate::pump::Sink::Inherit,
        is_verbose: arguments.verbose,
        forwards_signals: true,
        time_limit: arguments.timeout.map(Duration::from_secs_f64),
        wishes: ready.wishes,
        has_own_manifest: false,
        results: None,
    };
    let outcome = session::run(&ready.machine, &ready.manifest, options)?;
    if arguments.verbose {
        timeline(&outcome);
    }
    outcome.check()?;
    match outcome.programs.into_iter().next() {
        Some(result) => Ok(Some(result)),
        None => Err(Failure::machine("the machine ended without a result")),
    }
}

fn timeline(outcome: &Outcome) {
    progress::note(&format!("{:>8.3} s from QEMU's start to the program's", outcome.boot.as_secs_f64()));
    for result in &outcome.programs {
        progress::note(&format!("{:>8.3} s in the program", result.duration.as_secs_f64()));
    }
}
