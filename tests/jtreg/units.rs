//! Programs that run tests, the same on both systems: a JVM of its own for a run that wants one, a shared one for many of the others.

use super::plan::{Run, Test};
use std::collections::BTreeMap;

/// Lines of the runner in the JVM start so (`Runner.java`).
const MARK: &str = "@@jtreg ";
/// Exit statuses of the runner for a single run.
const PASSED: u8 = 95;
const SKIPPED: u8 = 96;
/// Runs in one shared JVM.
const SHARED: usize = 20;
/// What is kept of the text of a failure, in bytes.
const TEXT_MAX: usize = 6000;

/// One run of a test, to be done.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Its test.
    pub test: &'a Test,
    /// Which of the test's runs.
    pub index: usize,
    /// Ended after this time, in milliseconds.
    pub limit_ms: u64,
    /// What it may take within a shared JVM before that counts as hung, in milliseconds.
    pub expected_ms: u64,
}

impl Job<'_> {
    fn run(&self) -> &Run {
        &self.test.runs[self.index]
    }

    fn id(&self) -> String {
        format!("{}!{}", self.test.name, self.index)
    }
}

/// A program to start.
pub struct Unit<'a> {
    /// What it does.
    pub jobs: Vec<Job<'a>>,
    /// Arguments for java.
    pub args: Vec<String>,
    /// Time limit of the program, in milliseconds.
    pub limit_ms: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// What it said.
    pub word: Word,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// Of a failure: what is known.
    pub text: String,
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// As it should.
    Pass,
    /// Not so.
    Fail,
    /// It says that it does not apply.
    Skip,
}

/// What a program left.
pub struct Left {
    /// Exit status; `None`: it was ended (time limit, or the machine's end).
    pub status: Option<u8>,
    /// Its output.
    pub stdout: String,
    /// Its error output.
    pub stderr: String,
    /// How long it ran, in milliseconds.
    pub ms: u64,
    /// Why it was ended.
    pub note: String,
}

/// Options of every JVM, on both systems: the machine's memory.
const EVERY: [&str; 2] = ["-XX:MaxRAM=4g", "-Djava.awt.headless=true"];

/// Programs for `jobs`.
pub fn units<'a>(jobs: &[Job<'a>], runner: &str) -> Vec<Unit<'a>> {
    let (own, shared): (Vec<Job>, Vec<Job>) = jobs.iter().partition(|job| job.run().jvm.is_some());
    let mut units = Vec::new();
    for chunk in shared.chunks(SHARED) {
        let mut args: Vec<String> = EVERY.map(String::from).to_vec();
        args.extend(
            ["--add-exports=java.base/jdk.internal.module=ALL-UNNAMED", "-cp", runner, "Runner", "many"]
                .map(String::from),
        );
        args.extend(chunk.iter().map(|job| format!("{}:{}", job.limit_ms, job.run().file.display())));
        // The runner ends a hung test itself, so it has to get the time for that beside the others'.
        let longest = chunk.iter().map(|job| job.limit_ms).max().unwrap_or(0);
        let limit_ms = longest + 60_000 + chunk.iter().map(|job| job.expected_ms.max(5000)).sum::<u64>();
        units.push(Unit { jobs: chunk.to_vec(), args, limit_ms });
    }
    for job in own {
        let mut args: Vec<String> = EVERY.map(String::from).to_vec();
        args.extend(job.run().jvm.iter().flatten().cloned());
        args.extend(["Runner".into(), "one".into(), job.run().file.display().to_string()]);
        units.push(Unit { jobs: vec![job], args, limit_ms: job.limit_ms });
    }
    units
}

/// Reads what a program left: reports each run that ended, and returns those that have to be tried again.
pub fn read<'a>(unit: &Unit<'a>, left: &Left, report: &mut dyn FnMut(Job<'a>, End)) -> Vec<Job<'a>> {
    if let [job] = &unit.jobs[..]
        && job.run().jvm.is_some()
    {
        report(*job, single(job, left));
        return Vec::new();
    }
    let mut ends: BTreeMap<String, End> = BTreeMap::new();
    let mut begun = None;
    for line in left.stdout.lines().filter_map(|line| line.strip_prefix(MARK)) {
        let mut words = line.splitn(4, ' ');
        let (Some(word), id) = (words.next(), words.next().unwrap_or_default()) else { continue };
        let word = match word {
            "begin" => {
                begun = Some(id.to_string());
                continue;
            }
            "pass" => Word::Pass,
            "skip" => Word::Skip,
            "fail" => Word::Fail,
            _ => continue,
        };
        let ms = words.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let text = words.next().unwrap_or_default().replace("\\n", "\n");
        ends.insert(id.to_string(), End { word, ms, text: cut(&text) });
        begun = None;
    }
    if ends.is_empty() && begun.is_none() {
        // Not even the first began: it answers for that, so that there is an end to trying.
        begun = Some(unit.jobs[0].id());
    }
    let mut again = Vec::new();
    for job in &unit.jobs {
        let id = job.id();
        if let Some(end) = ends.remove(&id) {
            report(*job, end);
        } else if begun.as_ref() == Some(&id) {
            let text = cut(&format!("the JVM ended in it: {}\n{}\n{}", ending(left), left.stdout, left.stderr));
            report(*job, End { word: Word::Fail, ms: left.ms, text });
        } else {
            again.push(*job);
        }
    }
    again
}

fn single(job: &Job, left: &Left) -> End {
    let word = match left.status {
        Some(PASSED) if !job.run().has_to_fail => Word::Pass,
        Some(97) if job.run().has_to_fail => Word::Pass,
        Some(SKIPPED) => Word::Skip,
        _ => Word::Fail,
    };
    let text = if word == Word::Fail {
        cut(&format!("{}\n{}\n{}", ending(left), left.stdout, left.stderr))
    } else {
        String::new()
    };
    End { word, ms: left.ms, text }
}

fn ending(left: &Left) -> String {
    match left.status {
        Some(status) => format!("status {status} {}", left.note),
        None => left.note.clone(),
    }
}

/// Start and end of a long text.
fn cut(text: &str) -> String {
    if text.len() <= TEXT_MAX {
        return text.into();
    }
    let start = text.floor_char_boundary(TEXT_MAX / 2);
    let end = text.ceil_char_boundary(text.len() - TEXT_MAX / 2);
    format!("{}\n[...]\n{}", &text[..start], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str) -> Test {
        let run = Run { file: "/a".into(), jvm: None, has_to_fail: false, limit_ms: 1 };
        Test { name: name.into(), folder: "/t".into(), runs: vec![run] }
    }

    #[test]
    fn what_a_dead_jvm_had_begun_failed_and_the_rest_is_tried_again() {
        let tests = ["a", "b", "c"].map(test);
        let jobs: Vec<Job> = tests.iter().map(|test| Job { test, index: 0, limit_ms: 1, expected_ms: 1 }).collect();
        let unit = Unit { jobs, args: vec![], limit_ms: 1 };
        let stdout = "@@jtreg begin a!0\nnoise\n@@jtreg pass a!0 12 \n@@jtreg begin b!0\n".to_string();
        let left = Left { status: Some(134), stdout, stderr: String::new(), ms: 5, note: String::new() };
        let mut ends = Vec::new();
        let again = read(&unit, &left, &mut |job, end| ends.push((job.test.name.clone(), end.word, end.ms)));
        assert_eq!(ends, [("a".into(), Word::Pass, 12), ("b".into(), Word::Fail, 5)]);
        assert_eq!(again.len(), 1);
        let left = Left { stdout: String::new(), ..left };
        assert_eq!(read(&unit, &left, &mut |_, _| ()).len(), 2);
    }
}
