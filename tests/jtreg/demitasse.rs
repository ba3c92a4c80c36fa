//! Runs programs in the guest: many in one boot, and a new boot after whatever ended one early.

use super::facts::{CPUS, MEMORY};
use super::plan::Test;
use super::suite::Suite;
use super::units::{Left, Unit};
use crate::host::{DIRECTORY, ENVIRONMENT};
use anyhow::{Result, anyhow};
use images::cache::Cache;
use images::kernel::Kernel;
use images::layers::{self, Application, Target};
use images::machine::Machine;
use images::program;
use images::session::{self, Options, ProgramResult};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use wire::ExitReason;

/// Programs of one boot at most.
const AT_ONCE: usize = 150;

/// A machine with the tests on its disk.
pub struct Guest {
    machine: Machine,
    java: PathBuf,
}

impl Guest {
    /// Builds kernel and layers for `tests`.
    pub fn prepare(suite: &Suite, tests: &[&Test]) -> Result<Guest> {
        let cache = Cache::open()?;
        let mut machine = Machine::new(Kernel::prepare(&cache)?);
        let mut application = Application::new(Target::Nothing);
        let root = &suite.places.root;
        let mut paths = ["src", "jars", "runner", "testlib"].map(|name| root.join(name)).to_vec();
        paths.extend(tests.iter().map(|test| test.folder.clone()));
        application.additions = paths.into_iter().map(|path| (path.clone(), path)).collect();
        machine.add_layer(layers::application(&cache, &application)?);
        machine.add_layer(layers::base(&cache, Some(&suite.jdk))?);
        (machine.cpus, machine.memory_bytes) = (CPUS, MEMORY);
        Ok(Guest { machine, java: suite.jdk.java() })
    }

    /// Runs `units`, and reports each that has ended; the rest has not been started.
    pub fn run<'u, 'a>(&self, units: &'u [Unit<'a>], report: &mut dyn FnMut(&'u Unit<'a>, Left)) -> Result<()> {
        let mut left = units;
        while !left.is_empty() {
            let now = &left[..left.len().min(AT_ONCE)];
            let manifest = program::manifest(now.iter().map(|unit| self.program(unit)));
            let limit = now.iter().map(|unit| unit.limit_ms).sum::<u64>() + 120_000;
            let (sender, results) = mpsc::channel();
            let options =
                Options { time_limit: Some(Duration::from_millis(limit)), results: Some(sender), ..Options::default() };
            let start = Instant::now();
            // Each is reported when it ends, not with the last of its boot: who interrupts loses one program.
            let (outcome, done) = std::thread::scope(|scope| {
                let session = scope.spawn(|| session::run(&self.machine, &manifest, options));
                let mut done = 0;
                for result in results {
                    report(&now[done], left_by(&result));
                    done += 1;
                }
                session.join().map(|outcome| (outcome, done))
            })
            .map_err(|_| anyhow!("the session's thread panicked"))?;
            let outcome = outcome?;
            left = &left[done..];
            if done < now.len() {
                let why = outcome
                    .failure
                    .map_or("the machine ended early".into(), |(reason, text)| format!("{}: {text}", reason.name()));
                let log: Vec<&str> = outcome.log.iter().rev().take(40).rev().map(String::as_str).collect();
                // What the program wrote until then is in its result, when it had started.
                let (stdout, stderr) = outcome
                    .programs
                    .get(done)
                    .map_or_else(Default::default, |result| (text(&result.stdout), text(&result.stderr)));
                let note = format!("{why}\n{}", log.join("\n"));
                let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                report(&now[done], Left { status: None, stdout, stderr, ms, note });
                left = &left[1..];
            }
        }
        Ok(())
    }

    fn program(&self, unit: &Unit) -> wire::Program {
        let mut program = program::native(&self.java, "java", &unit.args);
        program.env = ENVIRONMENT.iter().map(|text| text.as_bytes().to_vec()).collect();
        program.cwd = DIRECTORY.into();
        program.timeout_ms = Some(unit.limit_ms);
        program
    }
}

fn left_by(result: &ProgramResult) -> Left {
    let ms = u64::try_from(result.duration.as_millis()).unwrap_or(u64::MAX);
    let (status, note) = match &result.end {
        ExitReason::Code(code) => (Some(*code), String::new()),
        ExitReason::Signal(_) => (Some(result.status), format!("{:?}", result.end)),
        other => (None, format!("{other:?} after {ms} ms")),
    };
    Left { status, stdout: text(&result.stdout), stderr: text(&result.stderr), ms, note }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
