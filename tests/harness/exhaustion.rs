//! Memory gone, of every kind: each hog ends with a status and a reason, and the next program of the same boot finds its
//! memory again.

use crate::build::Built;
use crate::guest::Guest;
use crate::host::{DIRECTORY, ENVIRONMENT};
use crate::tally::Tally;
use images::{program, session};
use std::time::Duration;
use wire::ExitReason;

/// Arguments of `oom_hog`.
const KINDS: [&str; 21] = [
    "anonymous",
    "shared",
    "tables",
    "upper-tables",
    "memfd",
    "memfd-allocate",
    "tmpfs",
    "pipes",
    "sockets",
    "eventfds",
    "epolls",
    "timers",
    "timerfds",
    "files",
    "names",
    "lookups",
    "areas",
    "threads",
    "signals",
    "xattrs",
    "locks",
];
/// Bytes of the machine.
const MEMORY: u64 = 96 << 20;
/// What a program may find less of than the first one did: names of files that were not there stay cached, as many as the
/// machine's size lets.
const LOST_KIB: u64 = 6 << 10;

/// Runs the hogs whose names pass `filter`, in one boot.
pub fn run(filter: &dyn Fn(&str) -> bool, built: &Built, guest: &Guest, tally: &mut Tally) {
    let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| filter(&format!("memory-gone-{kind}"))).collect();
    if kinds.is_empty() {
        return;
    }
    let hog = built.programs.join("oom_hog");
    let machine = built.programs.join("machine");
    let count = || program::native::<&str>(&machine, "machine", &[]);
    let mut programs = vec![count()];
    for kind in &kinds {
        programs.extend([program::native(&hog, "oom_hog", &[kind]), count()]);
    }
    for program in &mut programs {
        program.env = ENVIRONMENT.iter().map(|text| text.as_bytes().to_vec()).collect();
        program.cwd = DIRECTORY.into();
    }
    let mut boot = guest.machine.clone();
    (boot.memory_bytes, boot.cpus) = (MEMORY, 2);
    let options = session::Options { time_limit: Some(Duration::from_secs(150)), ..Default::default() };
    let outcome = match session::run(&boot, &program::manifest(programs), options) {
        Ok(outcome) => outcome,
        Err(failure) => return tally.check("memory-gone", Err(failure.message)),
    };
    let ended = &outcome.programs;
    if let Err(failure) = outcome.check() {
        tally.check("memory-gone", Err(failure.message));
    }
    let free = |at: usize| ended.get(at).and_then(|result| free_kib(&result.stdout));
    let at_first = free(0).unwrap_or(0);
    for (at, kind) in kinds.iter().enumerate() {
        let found = match (ended.get(2 * at + 1), free(2 * at + 2)) {
            (None, _) => Err(format!("it did not end: {:?}", outcome.failure.as_ref().map(|(reason, _)| reason))),
            (Some(hog), _) if !has_good_end(hog) => {
                Err(format!("{:?}, {}{}", hog.end, text(&hog.stdout), text(&hog.stderr)))
            }
            (_, None) => Err("the next program did not count its memory".into()),
            (_, Some(now)) if now + LOST_KIB < at_first => {
                Err(format!("the next program finds {now} KiB free, the first one found {at_first}"))
            }
            _ => Ok(()),
        };
        tally.check(&format!("memory-gone-{kind}"), found);
    }
}

/// Status 137 with the reason, or the name of the call that was refused.
fn has_good_end(hog: &session::ProgramResult) -> bool {
    match &hog.end {
        ExitReason::OutOfMemory(reason) => hog.status == 137 && !reason.is_empty(),
        ExitReason::Code(3) => text(&hog.stdout).contains(" refused: "),
        _ => false,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The last number that `machine` prints.
pub(crate) fn free_kib(stdout: &[u8]) -> Option<u64> {
    text(stdout).split_ascii_whitespace().filter_map(|word| word.parse().ok()).next_back()
}
