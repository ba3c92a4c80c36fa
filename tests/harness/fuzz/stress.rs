//! vCPUs that change mappings against each other, with checks of every page.

use super::{Bench, last_words};
use std::time::Duration;

/// `seconds` on `cpus` vCPUs; what the program printed. A run that does not end is a failure that says what the machine said.
pub fn run(bench: &Bench, cpus: u32, seconds: u64) -> Result<String, String> {
    let arguments = [vec![seconds.to_string(), cpus.to_string()]];
    let limit = Duration::from_secs(seconds * 2 + 60).as_millis() as u64;
    let outcome = bench.boot(cpus, "protect", &arguments, limit).map_err(|error| format!("{error:#}"))?;
    match outcome.programs.first() {
        Some(result) if result.status == 0 => Ok(String::from_utf8_lossy(&result.stdout).trim().to_string()),
        Some(result) => Err(format!(
            "status {}\n{}{}\n{}",
            result.status,
            String::from_utf8_lossy(&result.stdout),
            String::from_utf8_lossy(&result.stderr),
            last_words(&outcome)
        )),
        None => Err(last_words(&outcome)),
    }
}
