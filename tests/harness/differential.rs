//! The suite that this crate is about: each test on the host, then in the guest, then compared.

use crate::build::Built;
use crate::guest::{Ending, Guest, groups};
use crate::table::Test;
use crate::tally::Tally;
use crate::{compare, host};
use anyhow::Result;
use images::jdk::Jdk;
use std::collections::BTreeMap;

/// Runs `tests` on the host alone, twice: a test that differs from itself pins down nothing.
pub fn host_only(tests: &[&Test], built: &Built, jdk: &Jdk, tally: &mut Tally) -> Result<()> {
    for test in tests {
        let (first, second) = (host::run(test, built, jdk)?, host::run(test, built, jdk)?);
        match compare::difference(&first, &second, &test.normalise) {
            None => tally.pass(&test.name),
            Some(difference) => tally.fail(&test.name, &format!("two runs on the host differ\n{difference}")),
        }
    }
    Ok(())
}

/// Runs `tests` on both.
pub fn run(tests: &[&Test], built: &Built, jdk: &Jdk, guest: &Guest, tally: &mut Tally) -> Result<()> {
    let mut expected = BTreeMap::new();
    for test in tests {
        expected.insert(test.name.as_str(), host::run(test, built, jdk)?);
    }
    for group in groups(tests) {
        guest.run(&group, built, &mut |test, ending| {
            let problem = match ending {
                Ending::Ran(outcome) => compare::difference(&expected[test.name.as_str()], &outcome, &test.normalise),
                Ending::Broken(why) => Some(why),
            };
            match (problem, &test.pending) {
                (None, None) => tally.pass(&test.name),
                (None, Some(_)) => tally.pass(&format!("{} (no longer pending: strike it from the table)", test.name)),
                (Some(problem), None) => tally.fail(&test.name, &problem),
                (Some(_), Some(reason)) => tally.skip(&test.name, reason),
            }
        })?;
    }
    Ok(())
}
