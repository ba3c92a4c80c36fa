//! Counts, and the one closing line that is true of everything that ran.

use anyhow::{Context, Result};
use std::path::Path;

/// What has run so far.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u32,
    failed: Vec<String>,
    skipped: u32,
}

impl Tally {
    /// A test that did what it should.
    pub fn pass(&mut self, name: &str) {
        self.passed += 1;
        println!("ok      {name}");
    }

    /// A test that did not, and how.
    pub fn fail(&mut self, name: &str, how: &str) {
        self.failed.push(name.into());
        println!("FAILED  {name}\n        {}", how.trim_end().replace('\n', "\n        "));
    }

    /// A difference that is known, with its reason.
    pub fn skip(&mut self, name: &str, reason: &str) {
        self.skipped += 1;
        println!("pending {name}: {reason}");
    }

    /// The result of a check.
    pub fn check(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.pass(name),
            Err(how) => self.fail(name, &how),
        }
    }

    /// Adds what `cargo test` printed into `log`.
    pub fn add_cargo_log(&mut self, log: &Path) -> Result<()> {
        let text = std::fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
        let (passed, failed, skipped) = cargo_counts(&text);
        self.passed += passed;
        self.skipped += skipped;
        self.failed.extend((0..failed).map(|_| "a test of cargo's".to_string()));
        Ok(())
    }

    /// Prints the closing line; whether all is well.
    pub fn close(&self) -> bool {
        for name in &self.failed {
            println!("failed: {name}");
        }
        let skipped = if self.skipped == 0 { String::new() } else { format!(", {} skipped", self.skipped) };
        println!("{} passed, {} failed{skipped}", self.passed, self.failed.len());
        self.failed.is_empty() && self.passed > 0
    }
}

/// Sums over all `test result:` lines: passed, failed, ignored.
fn cargo_counts(text: &str) -> (u32, u32, u32) {
    let mut sums = (0, 0, 0);
    for line in text.lines().filter(|line| line.starts_with("test result: ")) {
        let of = |what: &str| {
            let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
            let at = words.iter().position(|word| *word == what);
            at.and_then(|at| words[at - 1].parse::<u32>().ok()).unwrap_or(0)
        };
        sums = (sums.0 + of("passed"), sums.1 + of("failed"), sums.2 + of("ignored"));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_lines_are_summed() {
        let text = "test a ... ok\ntest result: ok. 6 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.04s\n\
                    test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n";
        assert_eq!(cargo_counts(text), (9, 2, 1));
    }
}
