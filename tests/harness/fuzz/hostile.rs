//! Random calls until a number of calls is reached; a program that has ended is followed by the next, in the same boot.

use super::{Bench, last_words};
use anyhow::Result;

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    /// Calls.
    pub calls: u64,
    /// Programs.
    pub programs: u64,
    /// Programs that had to be ended because a call did not come back.
    pub late: u64,
    /// Boots.
    pub boots: u64,
}

/// Programs in one boot.
const PROGRAMS: u64 = 200;
/// No program is allowed more, in milliseconds.
const LIMIT_MS: u64 = 20_000;

/// Makes at least `calls` calls. An error is a panic, a machine that ended, or memory of the kernel that was touched.
pub fn run(bench: &Bench, seed: u64, calls: u64) -> Result<Done, String> {
    let mut done = Done::default();
    while done.calls < calls {
        let first = done.programs;
        let wanted = PROGRAMS.min((calls - done.calls) / 300 + 8);
        let each = |n: u64| {
            let threads = if n % 4 == 3 { 3 } else { 1 };
            vec![(seed + n).to_string(), "4000".into(), threads.to_string()]
        };
        let arguments: Vec<Vec<String>> = (first..first + wanted).map(each).collect();
        let outcome = bench.boot(2, "hostile", &arguments, LIMIT_MS).map_err(|error| format!("{error:#}"))?;
        done.boots += 1;
        for result in &outcome.programs {
            let text = String::from_utf8_lossy(&result.stdout);
            if let Some(line) = text.lines().find(|line| line.contains("CANARY")) {
                return Err(format!("seed {}: {line}", seed + done.programs));
            }
            let counts = text.lines().filter_map(|line| line.strip_suffix(" calls")?.rsplit(' ').next()?.parse().ok());
            done.calls += counts.max().unwrap_or(0);
            done.programs += 1;
            done.late += u64::from(result.status == 124);
        }
        if outcome.programs.len() < arguments.len() {
            return Err(format!(
                "the machine ended in program {}: hostile {}\n{}",
                done.programs,
                arguments[outcome.programs.len()].join(" "),
                last_words(&outcome)
            ));
        }
    }
    Ok(done)
}
