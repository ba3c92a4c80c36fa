//! Linux and the guest run the same sequences; the first difference of a round is shrunk to the calls that it needs.

use super::{Bench, last_words};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::process::{Command, Stdio};

/// Which sequences.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of all sequences.
    pub seed: u64,
    /// Sequences.
    pub rounds: u32,
    /// Number of the first one.
    pub first: u32,
    /// Calls in each.
    pub calls: u32,
    /// Families with commas between, or `all`.
    pub families: String,
    /// Only the first line that differs of each round: nothing is shrunk.
    pub survey: bool,
}

/// Families without a known difference, which CI holds. The others differ in places: `tests/fuzz/README.md`.
pub const AGREED: &str = "futexes,time,signals";

/// Rounds in one run of the program.
const CHUNK: u32 = 20;
/// Candidates that are tried in one boot while shrinking.
const CANDIDATES: usize = 48;

impl Plan {
    fn arguments(&self, first: u32, rounds: u32) -> Vec<String> {
        [self.seed.to_string(), first.to_string(), rounds.to_string(), self.calls.to_string(), self.families.clone()]
            .into()
    }

    /// One round with only these calls.
    fn only(&self, round: u32, calls: &[u32]) -> Vec<String> {
        let list = calls.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let mut arguments = self.arguments(round, 1);
        arguments.push(list);
        arguments
    }
}

/// Runs the plan. An error tells seed, round and the shortest sequence that was found.
pub fn run(bench: &Bench, plan: &Plan) -> Result<(), String> {
    let failure = |error: anyhow::Error| format!("{error:#}");
    let end = plan.first + plan.rounds;
    let firsts = (plan.first..end).step_by(CHUNK as usize);
    let chunks: Vec<Vec<String>> = firsts.map(|first| plan.arguments(first, CHUNK.min(end - first))).collect();
    let here = in_guest(bench, &chunks).map_err(failure)?;
    let mut problems = String::new();
    let mut count = 0;
    for (arguments, here) in chunks.iter().zip(&here) {
        let linux = on_linux(bench, arguments).map_err(failure)?;
        for (round, linux, here) in rounds(&linux, here) {
            let Some((linux, here)) = first_difference(&linux, &here) else { continue };
            count += 1;
            if plan.survey {
                let _ = writeln!(problems, "Linux {linux}\n here {here}");
            } else if count <= 3 {
                problems += &shrink(bench, plan, round).map_err(failure)?;
            }
        }
    }
    if count == 0 { Ok(()) } else { Err(format!("{count} of {} rounds differ\n{problems}", plan.rounds)) }
}

/// The rounds of two outputs: number, lines on Linux, lines here.
fn rounds(linux: &str, here: &str) -> Vec<(u32, String, String)> {
    let split = |text: &str| -> Vec<(u32, String)> {
        text.split("round ")
            .skip(1)
            .filter_map(|part| Some((part.split(':').next()?.parse().ok()?, part.to_string())))
            .collect()
    };
    let mut others = split(here).into_iter().peekable();
    split(linux)
        .into_iter()
        .map(|(round, lines)| {
            let other = others.next_if(|(other, _)| *other == round).map(|(_, lines)| lines).unwrap_or_default();
            (round, lines, other)
        })
        .collect()
}

fn first_difference(linux: &str, here: &str) -> Option<(String, String)> {
    if linux == here {
        return None;
    }
    let (mut linux, mut here) = (linux.lines(), here.lines());
    loop {
        match (linux.next(), here.next()) {
            (Some(a), Some(b)) if a == b => {}
            (a, b) => return Some((a.unwrap_or("(no line)").into(), b.unwrap_or("(no line)").into())),
        }
    }
}

/// The sequence up to the first difference, with as many calls left out as it can do without.
fn shrink(bench: &Bench, plan: &Plan, round: u32) -> Result<String> {
    let all: Vec<u32> = (0..plan.calls).collect();
    let differs = |candidates: &[Vec<u32>]| -> Result<Vec<Option<(String, String)>>> {
        let arguments: Vec<Vec<String>> = candidates.iter().map(|calls| plan.only(round, calls)).collect();
        let here = in_guest(bench, &arguments)?;
        let compare = |(arguments, here): (&Vec<String>, &String)| {
            let linux = on_linux(bench, arguments)?;
            Ok(first_difference(&linux, here))
        };
        arguments.iter().zip(&here).map(compare).collect()
    };
    let index = |line: &str| line.split([' ', '.']).nth(1)?.parse::<u32>().ok();
    let mut kept = all;
    let mut shown = differs(&[kept.clone()])?.remove(0);
    if let Some(last) = shown.as_ref().and_then(|(line, _)| index(line)) {
        kept.retain(|&call| call <= last);
    }
    // Pieces are left out, then smaller ones, down to single calls; each boot tries all pieces of a size.
    let mut size = kept.len().div_ceil(4);
    while shown.is_some() && kept.len() > 1 {
        let mut found = false;
        let mut end = kept.len();
        while end > 0 {
            let starts: Vec<usize> =
                (0..end).rev().step_by(size).take(CANDIDATES).map(|at| (at + 1).saturating_sub(size)).collect();
            end = *starts.last().unwrap_or(&0);
            let without = |&start: &usize| [&kept[..start], &kept[(start + size).min(kept.len())..]].concat();
            let candidates: Vec<Vec<u32>> = starts.iter().map(without).filter(|calls| !calls.is_empty()).collect();
            let results = differs(&candidates)?;
            // All that can go alone can mostly go together.
            let gone: Vec<usize> = (0..results.len()).filter(|&n| results[n].is_some()).collect();
            let Some(&first) = gone.first() else { continue };
            found = true;
            let together: Vec<u32> =
                kept.iter().copied().filter(|call| gone.iter().all(|&n| candidates[n].contains(call))).collect();
            let both = if together.is_empty() { None } else { differs(std::slice::from_ref(&together))?.remove(0) };
            let (calls, difference) = match both {
                Some(difference) => (together, Some(difference)),
                None => (candidates[first].clone(), results[first].clone()),
            };
            (kept, shown) = (calls, difference);
            end = end.min(kept.len());
        }
        if size == 1 && !found {
            break;
        }
        size = (size / 2).clamp(1, kept.len());
    }
    let Some((linux, here)) = shown else {
        return Ok(format!("round {round}: a difference that did not come again\n"));
    };
    let mut text = format!(
        "seed {} round {round}: Linux {linux:?}\n{:19} here {here:?}\n  again: differential {}\n",
        plan.seed,
        "",
        plan.only(round, &kept).join(" ")
    );
    let calls = on_linux(bench, &plan.only(round, &kept))?;
    for line in calls.lines().take(kept.len().min(30) + 1) {
        let _ = writeln!(text, "    {}", line.chars().take(160).collect::<String>());
    }
    Ok(text)
}

fn in_guest(bench: &Bench, arguments: &[Vec<String>]) -> Result<Vec<String>> {
    let outcome = bench.boot(2, "differential", arguments, 120_000)?;
    if outcome.programs.len() != arguments.len() {
        bail!("program {} ended the machine\n{}", outcome.programs.len(), last_words(&outcome));
    }
    let text = |result: &images::session::ProgramResult| {
        let mut text = String::from_utf8_lossy(&result.stdout).into_owned();
        if result.status != 0 {
            let _ = write!(text, "status {} {}", result.status, String::from_utf8_lossy(&result.stderr));
        }
        text
    };
    Ok(outcome.programs.iter().map(text).collect())
}

fn on_linux(bench: &Bench, arguments: &[String]) -> Result<String> {
    let output = Command::new("timeout")
        .args(["--foreground", "--signal=KILL", "120"])
        .arg(crate::build::folder().join("host/sandbox.sh"))
        .env("SANDBOX_KEEP", &bench.folder)
        .args(["/usr/bin/env", "-i"])
        .args(crate::host::ENVIRONMENT)
        .arg(bench.folder.join("differential"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot start the sandbox")?;
    if !output.status.success() {
        bail!("the fuzzer failed on Linux: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
