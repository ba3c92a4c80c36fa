//! OpenJDK's own regression tests, run by a runner that is the same on both systems.
//!
//! * [`source`]: fetches Debian's source package of the JDK, and the jars of TestNG and JUnit
//! * [`describe`], [`requires`], [`facts`]: the test descriptions, and what they require
//! * [`rules`]: which tests are left out, mechanically
//! * [`plan`], [`suite`]: compiles tests on the host (`java/Prepare.java`)
//! * [`units`]: which JVMs are started (`java/Runner.java` runs in them)
//! * [`linux`], [`demitasse`]: start them, on the host in the sandbox (`refuse.c`) and in the guest, many in one boot
//! * [`records`], [`report`]: what came out
//!
//! A test counts when it passes on the host's Linux with this runner, while Linux refuses child processes as the
//! guest does. The network is a loopback interface on both.

pub mod demitasse;
pub mod describe;
pub mod facts;
pub mod linux;
pub mod plan;
pub mod records;
pub mod report;
pub mod requires;
pub mod rules;
pub mod source;
pub mod suite;
pub mod units;

use anyhow::{Context, Result};
use demitasse::Guest;
use describe::Description;
use linux::Refused;
use plan::Test;
use records::{Host, Records};
use rules::Rule;
use std::collections::BTreeMap;
use suite::Suite;
use units::{End, Job, Word};

/// A guest under software emulation may take so many times what the host took.
const EMULATION_FACTOR: u64 = 40;
/// Time limit of a run in the guest at most, in milliseconds.
const LIMIT_MAX: u64 = 1_200_000;

/// The ends of all runs of tests, by test.
type Ends = BTreeMap<String, Vec<End>>;

/// What the tests did on the host, from the records or by running them. Classes are made as needed.
pub fn on_host(suite: &Suite, tests: &[&Description], records: &mut Records<Host>) -> Result<BTreeMap<String, Test>> {
    let prepared = suite.prepare(tests)?;
    let mut ready = BTreeMap::new();
    for (name, planned) in prepared {
        match planned {
            Ok(test) => drop(ready.insert(name, test)),
            Err(rule) => records.put(&name, Host::Out(rule, String::new()))?,
        }
    }
    let mut left: Vec<&Test> = ready.values().filter(|test| records.get(&test.name).is_none()).collect();
    let total = left.len();
    for refused in [Refused::Children, Refused::Nothing] {
        let rule = (refused == Refused::Nothing).then_some(Rule::Child);
        let mut failed = Vec::new();
        // In pieces, so that what is known is recorded when somebody interrupts.
        for piece in left.chunks(100) {
            eprintln!("jtreg: {} of {total} tests on Linux, {refused:?} refused", piece.len());
            let mut ends = linux_ends(suite, piece, refused)?;
            for test in piece {
                let ends = ends.remove(&test.name).context("every run ends")?;
                let result = match (verdict(&ends), rule) {
                    (Word::Pass, None) => Host::Passed(ends.iter().map(|end| end.ms).collect()),
                    (Word::Pass, Some(rule)) => Host::Out(rule, String::new()),
                    (Word::Skip, _) => Host::Out(Rule::Skips, String::new()),
                    (Word::Fail, _) if refused == Refused::Nothing => {
                        Host::Out(Rule::FailsOnLinux, ends.iter().map(|end| end.text.as_str()).collect())
                    }
                    (Word::Fail, _) => {
                        failed.push(*test);
                        continue;
                    }
                };
                records.put(&test.name, result)?;
            }
        }
        left = failed;
    }
    Ok(ready)
}

fn linux_ends(suite: &Suite, tests: &[&Test], refused: Refused) -> Result<Ends> {
    let runner = suite.runner()?;
    let mut ends = Ends::new();
    let mut jobs = Vec::new();
    for test in tests {
        for (index, run) in test.runs.iter().enumerate() {
            let limit_ms = run.limit_ms * 2;
            jobs.push(Job { test, index, limit_ms, expected_ms: limit_ms });
        }
    }
    while !jobs.is_empty() {
        let mut again = Vec::new();
        let units = units::units(&jobs, &runner);
        linux::run(&units, &suite.jdk.java(), &suite.refuse(), refused, &mut |unit, left| {
            let report = &mut |job: Job, end| ends.entry(job.test.name.clone()).or_default().push(end);
            again.extend(units::read(unit, &left, report));
        })?;
        jobs = again;
    }
    Ok(ends)
}

/// Runs tests in the guest that passed on the host in the given times.
pub fn in_guest(
    suite: &Suite,
    tests: &[(&Test, Vec<u64>)],
    report: &mut dyn FnMut(&Test, End) -> Result<()>,
) -> Result<()> {
    let all: Vec<&Test> = tests.iter().map(|(test, _)| *test).collect();
    let guest = Guest::prepare(suite, &all)?;
    let runner = suite.runner()?;
    let mut jobs = Vec::new();
    for (test, times) in tests {
        for index in 0..test.runs.len() {
            let ms = times.get(index).copied().unwrap_or(1000);
            let expected_ms = ms * EMULATION_FACTOR;
            // Never less than what OpenJDK itself allows it: on a busy host the factor alone is soon used up.
            let least = test.runs[index].limit_ms * plan::TIMEOUT_FACTOR;
            jobs.push(Job { test, index, limit_ms: expected_ms.max(least).min(LIMIT_MAX), expected_ms });
        }
    }
    // What is quick comes first: a run that somebody interrupts has then said most.
    jobs.sort_by_key(|job| job.expected_ms);
    let mut ends = Ends::new();
    while !jobs.is_empty() {
        let mut again = Vec::new();
        let mut problem = None;
        let units = units::units(&jobs, &runner);
        guest.run(&units, &mut |unit, left| {
            let mut read = |job: Job, end: End| {
                let test = job.test;
                let known = ends.entry(test.name.clone()).or_default();
                known.push(end);
                if known.len() == test.runs.len()
                    && let Err(error) = report(test, together(known))
                {
                    problem = Some(error);
                }
            };
            again.extend(units::read(unit, &left, &mut read));
        })?;
        if let Some(error) = problem {
            return Err(error);
        }
        jobs = again;
    }
    Ok(())
}

/// A test passes when all of its runs do.
fn verdict(ends: &[End]) -> Word {
    let any = |word| ends.iter().any(|end| end.word == word);
    if any(Word::Fail) {
        Word::Fail
    } else if any(Word::Skip) {
        Word::Skip
    } else {
        Word::Pass
    }
}

fn together(ends: &[End]) -> End {
    let text = ends.iter().filter(|end| end.word != Word::Pass).map(|end| end.text.as_str()).collect();
    End { word: verdict(ends), ms: ends.iter().map(|end| end.ms).sum(), text }
}
