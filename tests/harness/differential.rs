//! The suite that this crate is about: each test on the host, then in the guest, then compared.

use crate::build::Built;
use crate::guest::{Ending, Guest, groups};
use crate::table::{Program, Test};
use crate::tally::Tally;
use crate::{compare, host};
use anyhow::Result;
use images::jdk::Jdk;
use std::collections::BTreeMap;

/// Runs `tests` on the host alone, twice: a test that differs from itself pins down nothing.
pub fn host_only(tests: &[&Test], built: &Built, jdk: &Jdk, tally: &mut Tally) -> Result<()> {
    for test in present(tests, built, tally) {
        let (first, second) = (host::run(test, built, jdk)?, host::run(test, built, jdk)?);
        match compare::difference(&first, &second, &test.normalise) {
            None => tally.pass(&test.name),
            Some(difference) => tally.fail(&test.name, &format!("two runs on the host differ\n{difference}")),
        }
    }
    Ok(())
}

/// Without those whose libraries could not be fetched.
fn present<'a>(tests: &[&'a Test], built: &Built, tally: &mut Tally) -> Vec<&'a Test> {
    let mut left = tests.to_vec();
    if let Some(why) = &built.no_tomcat {
        left.retain(|test| {
            let is_there = !matches!(test.program, Program::Tomcat(_));
            if !is_there {
                tally.skip(&test.name, &format!("NO LIBRARIES: {why}"));
            }
            is_there
        });
    }
    left
}

/// Runs `tests` on both.
pub fn run(tests: &[&Test], built: &Built, jdk: &Jdk, guest: &Guest, tally: &mut Tally) -> Result<()> {
    let mut expected = BTreeMap::new();
    let tests = present(tests, built, tally);
    for test in &tests {
        expected.insert(test.name.as_str(), host::run(test, built, jdk)?);
    }
    for group in groups(&tests) {
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
