//! Runs programs on the host's Linux: in the sandbox, with child processes refused as in the guest.

use super::units::{Left, Unit};
use crate::build;
use crate::host::ENVIRONMENT;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What Linux refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Child processes.
    Children,
    /// Nothing.
    Nothing,
}

/// Programs that run at the same time.
const AT_ONCE: usize = 2;

/// Runs `units`, and reports each when it has ended.
pub fn run<'a>(
    units: &[Unit<'a>],
    java: &Path,
    refuse: &Path,
    refused: Refused,
    report: &mut (dyn FnMut(&Unit<'a>, Left) + Send),
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let report = Mutex::new(report);
    let problem = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match one(unit, java, refuse, refused) {
                        Ok(left) => report.lock().expect("no panic")(unit, left),
                        Err(error) => *problem.lock().expect("no panic") = Some(error),
                    }
                }
            });
        }
    });
    problem.into_inner().expect("no panic").map_or(Ok(()), Err)
}

fn one(unit: &Unit, java: &Path, refuse: &Path, refused: Refused) -> Result<Left> {
    let start = Instant::now();
    let mut command = Command::new("timeout");
    command.args(["--foreground", "--signal=KILL"]).arg(format!(
        "{}.{:03}",
        unit.limit_ms / 1000,
        unit.limit_ms % 1000
    ));
    command.arg(build::folder().join("host/sandbox.sh")).env("SANDBOX_TMP_SIZE", "2g");
    command.args(["/usr/bin/env", "-i"]).args(ENVIRONMENT).arg(refuse);
    command.args(match refused {
        Refused::Children => &["-c"][..],
        Refused::Nothing => &[],
    });
    let output =
        command.arg(java).args(&unit.args).stdin(Stdio::null()).output().context("cannot start the sandbox")?;
    let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let is_late = ms >= unit.limit_ms;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Left {
        status: output.status.code().filter(|_| !is_late).and_then(|code| u8::try_from(code).ok()),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
        ms,
        note: if is_late { format!("no end within {} ms", unit.limit_ms) } else { String::new() },
    })
}
