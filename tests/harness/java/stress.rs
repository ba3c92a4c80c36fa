//! `guest-tests --stress`: every collector in turn under real load for as long as is asked, on each number of vCPUs, with an
//! old and a new JDK. A boot runs many programs; each must end with status 0 and print what it prints on Linux but for the
//! counts, and in the end as much memory must be free as after the first turn.

use super::jdks::{self, Version};
use crate::Outcome;
use crate::build::Built;
use crate::compare;
use crate::guest::Guest;
use crate::host;
use crate::table::{Normalise, Program, Test};
use crate::tally::Tally;
use anyhow::{Result, anyhow};
use images::cache::Cache;
use images::{program, session};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For all boots together; what starting costs comes on top.
    pub minutes: u64,
    /// Numbers of vCPUs.
    pub cpus: Vec<u32>,
}

/// Name, JDKs that have it, options.
type Collector = (&'static str, &'static [Version], &'static [&'static str]);

const VERSIONS: &[Version] = &[Version::V17, Version::V25];
const COLLECTORS: [Collector; 7] = [
    ("serial", VERSIONS, &["-XX:+UseSerialGC", "-Xmx256m"]),
    ("parallel", VERSIONS, &["-XX:+UseParallelGC", "-Xmx256m"]),
    ("g1", VERSIONS, &["-XX:+UseG1GC", "-Xmx256m"]),
    ("shenandoah", VERSIONS, &["-XX:+UseShenandoahGC", "-Xmx256m"]),
    ("shenandoah-gen", &[Version::V25], &["-XX:+UseShenandoahGC", "-XX:ShenandoahGCMode=generational", "-Xmx256m"]),
    ("zgc", VERSIONS, &["-XX:+UseZGC", "-Xmx256m"]),
    ("epsilon", VERSIONS, &["-XX:+UnlockExperimentalVMOptions", "-XX:+UseEpsilonGC", "-Xmx768m"]),
];
/// A collector has its turn for about so long, in seconds.
const TURN: u64 = 40;
/// What may be missing in the end, in KiB: names that the kernel remembers, per-vCPU caches.
const CACHED_KIB: u64 = 2048;
/// The name of the program that prints the free memory; it ends with threads in every state.
const MARK: &str = "free memory";

/// Runs the plan and prints a table.
pub fn run(plan: &Plan, built: &Built, tally: &mut Tally) -> Result<()> {
    let began = Instant::now();
    let folder = built.folder.join("stress");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let seconds = plan.minutes * 60 / (plan.cpus.len() * VERSIONS.len()).max(1) as u64;
    let mut table = Vec::new();
    for &version in VERSIONS {
        let jdk = jdks::find(version, super::Extent::Full, &Cache::open()?)?;
        let guest = Guest::prepare(built, &jdk)?;
        for &cpus in &plan.cpus {
            let name = format!("stress-jdk{}-{cpus}cpu", version.name());
            let tests = tests(version, cpus, seconds);
            let mut expected = Vec::new();
            for test in &tests {
                expected.push(if test.name == MARK { None } else { Some(host::run(&short(test), built, &jdk)?) });
            }
            println!("        {name}: {} programs", tests.len());
            let mut run = Run { name: &name, folder: &folder, ends: Vec::new(), problems: Vec::new() };
            let mut done = 0;
            while done < tests.len() {
                done += run.boot(&tests[done..], &expected[done..], built, &guest)?;
            }
            table.extend(run.rows());
            tally.check(&name, if run.problems.is_empty() { Ok(()) } else { Err(run.problems.join("\n")) });
        }
    }
    println!("{:20} {:15} {:12} {:>4} {:>6} {:>8}", "boot", "collector", "program", "runs", "failed", "seconds");
    println!("{}", table.join("\n"));
    println!("{} minutes; outputs of what failed: {}", began.elapsed().as_secs() / 60, folder.display());
    Ok(())
}

/// The programs of one boot for about `seconds`: turns of all collectors, two at least.
fn tests(version: Version, cpus: u32, seconds: u64) -> Vec<Test> {
    let collectors: Vec<&Collector> =
        COLLECTORS.iter().filter(|(_, versions, _)| versions.contains(&version)).collect();
    let turns = (seconds / (collectors.len() as u64 * TURN)).max(2);
    let each = (seconds / (collectors.len() as u64 * turns)).max(4);
    let mut tests = Vec::new();
    for _ in 0..turns {
        for (name, _, options) in &collectors {
            // GcStress allocates as long as it runs: not for a collector that never frees.
            let programs = [("Churn", each * 3 / 4), ("GcStress", each / 4)];
            for (program, seconds) in
                programs.into_iter().filter(|(program, _)| (*name, *program) != ("epsilon", "GcStress"))
            {
                let mut test = Test::new(name, Program::Java(program.into()));
                test.jvm = options.iter().chain(&["-XX:+ErrorFileToStdout"]).map(|option| option.to_string()).collect();
                test.args = vec![seconds.to_string()];
                if *name == "epsilon" {
                    test.args.push("0.8".into());
                }
                test.normalise = vec![Normalise::Digits, Normalise::Drop("[warning]".into())];
                test.timeout_ms = (seconds * 4 + 180) * 1000;
                tests.push(test);
            }
        }
        let mut mark = Test::new(MARK, Program::C("exit_threads".into()));
        mark.args = vec!["block".into()];
        tests.push(mark);
    }
    tests.iter_mut().for_each(|test| test.cpus = cpus);
    tests
}

/// What is compared: the same for a second, on Linux.
fn short(test: &Test) -> Test {
    let mut short = test.clone();
    short.args[0] = "1".into();
    short
}

/// How one program ended.
struct End {
    collector: String,
    program: String,
    is_good: bool,
    seconds: u64,
}

struct Run<'a> {
    name: &'a str,
    folder: &'a PathBuf,
    ends: Vec<End>,
    problems: Vec<String>,
}

impl Run<'_> {
    /// Runs `tests` in one boot; how many are done with: all, or up to the one with which the machine ended.
    fn boot(&mut self, tests: &[Test], expected: &[Option<Outcome>], built: &Built, guest: &Guest) -> Result<usize> {
        let mut machine = guest.machine.clone();
        (machine.cpus, machine.memory_bytes) = (tests[0].cpus, tests[0].memory_bytes);
        let limit = tests.iter().map(|test| test.timeout_ms).sum::<u64>() + 60_000;
        let options = session::Options { time_limit: Some(Duration::from_millis(limit)), ..Default::default() };
        let manifest = program::manifest(tests.iter().map(|test| guest.program(test, built)));
        let outcome = session::run(&machine, &manifest, options).map_err(|failure| anyhow!(failure.message))?;
        let mut free_kib = Vec::new();
        for (index, result) in outcome.programs.iter().enumerate() {
            let (test, seconds) = (&tests[index], result.duration.as_secs());
            let here = Outcome { stdout: result.stdout.clone(), stderr: result.stderr.clone(), status: result.status };
            let text = String::from_utf8_lossy(&result.stdout);
            let problem = match &expected[index] {
                Some(linux) => compare::difference(linux, &here, &test.normalise),
                None => {
                    text.trim().parse::<u64>().map(|kib| free_kib.push(kib)).err().map(|_| format!("printed {text:?}"))
                }
            };
            self.note(test, seconds, problem, &here);
        }
        let done = outcome.programs.len();
        if let (Some(first), Some(last)) = (free_kib.first(), free_kib.last()) {
            println!("        {}: {first} KiB free after the first turn, {last} KiB after the last", self.name);
            if first.saturating_sub(*last) > CACHED_KIB {
                self.problems.push(format!("{first} KiB were free after the first turn, {last} KiB after the last"));
            }
        }
        if let Some(broken) = tests.get(done) {
            let why = outcome.failure.map_or(String::new(), |(reason, text)| format!("{}: {text}", reason.name()));
            let log = Outcome { stdout: outcome.log.join("\n").into_bytes(), stderr: vec![], status: 0 };
            self.note(broken, 0, Some(format!("the machine ended: {why}")), &log);
        }
        Ok(tests.len().min(done + 1))
    }

    fn note(&mut self, test: &Test, seconds: u64, problem: Option<String>, output: &Outcome) {
        let program = match &test.program {
            Program::Java(name) => name.clone(),
            _ => "exit_group".into(),
        };
        if let Some(problem) = &problem {
            let file = self.folder.join(format!(
                "{}-{}-{}-{program}.txt",
                self.name,
                self.ends.len(),
                test.name.replace(' ', "-")
            ));
            let first: String = problem.lines().take(4).collect::<Vec<_>>().join("\n");
            self.problems.push(format!(
                "{} {program} (program {}): {first}\n  {}",
                test.name,
                self.ends.len(),
                file.display()
            ));
            let _ = fs::write(&file, [problem.as_bytes(), b"\n", &output.stdout, b"\n", &output.stderr].concat());
        }
        self.ends.push(End { collector: test.name.clone(), program, is_good: problem.is_none(), seconds });
    }

    /// A line of the table for each collector and program.
    fn rows(&self) -> Vec<String> {
        let mut kinds: Vec<(&str, &str)> = Vec::new();
        for end in &self.ends {
            let kind = (end.collector.as_str(), end.program.as_str());
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let row = |(collector, program): (&str, &str)| {
            let ends = || {
                self.ends.iter().filter(|end| (end.collector.as_str(), end.program.as_str()) == (collector, program))
            };
            let failed = ends().filter(|end| !end.is_good).count();
            let seconds = ends().map(|end| end.seconds).sum::<u64>();
            format!("{:20} {collector:15} {program:12} {:>4} {failed:>6} {seconds:>8}", self.name, ends().count())
        };
        kinds.into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_collector_has_at_least_two_turns() {
        for (seconds, turns) in [(1, 2), (450, 2), (3600, 15)] {
            let tests = tests(Version::V17, 4, seconds);
            assert_eq!(tests.iter().filter(|test| test.name == "zgc").count(), 2 * turns);
            assert_eq!(tests.iter().filter(|test| test.name == MARK).count(), turns);
            assert!(tests.iter().all(|test| test.cpus == 4 && test.name != "shenandoah-gen"));
        }
        assert!(super::tests(Version::V25, 2, 1).iter().any(|test| test.name == "shenandoah-gen"));
    }
}
