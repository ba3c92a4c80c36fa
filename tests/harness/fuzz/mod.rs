//! The fuzzers and the stress programs: static C programs of `tests/fuzz` and `tests/stress`, many in one boot.
//!
//! * [`differential`]: seeded sequences of calls must print the same on Linux and in the guest
//! * [`hostile`]: any call with any argument must leave the kernel alive and its memory alone
//! * [`stress`]: vCPUs that unmap and protect against each other

pub mod differential;
pub mod hostile;
pub mod stress;

use crate::{build, host};
use anyhow::{Context, Result, bail};
use images::cache::Cache;
use images::kernel::Kernel;
use images::layers::{self, Application, Target};
use images::machine::Machine;
use images::{program, session};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The programs, and a machine that has them.
pub struct Bench {
    folder: PathBuf,
    machine: Machine,
}

impl Bench {
    /// Compiles the programs and builds kernel and disks.
    pub fn prepare() -> Result<Bench> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| build::root().join("target"), PathBuf::from);
        let folder = target.join("guest-tests/fuzz");
        std::fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        for (name, sources) in
            [("differential", "fuzz/differential"), ("hostile", "fuzz/hostile"), ("protect", "stress/protect")]
        {
            compile(&build::folder().join(sources), &folder.join(name))?;
        }
        let cache = Cache::open()?;
        let mut machine = Machine::new(Kernel::prepare(&cache)?);
        let mut application = Application::new(Target::Nothing);
        application.additions = vec![(folder.clone(), folder.clone())];
        machine.add_layer(layers::application(&cache, &application)?);
        machine.add_layer(layers::base(&cache, None)?);
        machine.memory_bytes = 1 << 30;
        Ok(Bench { folder, machine })
    }

    /// Runs programs in one boot, each with `arguments` and a time limit in milliseconds.
    fn boot(&self, cpus: u32, name: &str, arguments: &[Vec<String>], limit_ms: u64) -> Result<session::Outcome> {
        let file = self.folder.join(name);
        let programs = arguments.iter().map(|arguments| {
            let mut program = program::native(&file, name, arguments);
            program.env = host::ENVIRONMENT.iter().map(|text| text.as_bytes().to_vec()).collect();
            program.cwd = host::DIRECTORY.into();
            program.timeout_ms = Some(limit_ms);
            program
        });
        let mut machine = self.machine.clone();
        machine.cpus = cpus;
        let time_limit = Some(Duration::from_millis(limit_ms * arguments.len() as u64 + 60_000));
        let options = session::Options { time_limit, ..Default::default() };
        Ok(session::run(&machine, &program::manifest(programs), options)?)
    }
}

fn compile(sources: &Path, program: &Path) -> Result<()> {
    let mut command = Command::new("cc");
    command.args(["-O1", "-g", "-pthread", "-static", "-Wall", "-Wextra", "-Werror", "-Wno-nonnull"]);
    command.args(["-Wno-stringop-overflow", "-Wno-unused-result", "-o"]).arg(program);
    let mut files: Vec<PathBuf> = std::fs::read_dir(sources)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "c"));
    files.sort();
    let output = command.args(files).output().context("cannot start cc")?;
    if !output.status.success() {
        bail!("{} does not compile:\n{}", sources.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// A seed that no run had before.
pub fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 % 1_000_000_007
}

/// What the machine said in the end.
fn last_words(outcome: &session::Outcome) -> String {
    let log: Vec<&str> = outcome.log.iter().rev().take(40).rev().map(String::as_str).collect();
    let why = outcome.failure.as_ref().map(|(reason, text)| format!("{}: {text}\n", reason.name()));
    format!("{}{}", why.unwrap_or_default(), log.join("\n"))
}

/// Decides the sequences of all families that CI runs.
const MIXED_SEED: u64 = 999;

/// The short forms that CI runs: half a minute in all.
pub fn short(filter: &dyn Fn(&str) -> bool, tally: &mut crate::tally::Tally) -> Result<()> {
    let names =
        ["fuzz-differential", "fuzz-differential-fresh", "fuzz-differential-mixed", "fuzz-hostile", "stress-protect"];
    if !names.iter().any(|name| filter(name)) {
        return Ok(());
    }
    let bench = Bench::prepare()?;
    for (name, seed) in [(names[0], 1), (names[1], fresh_seed())] {
        if filter(name) {
            let families = differential::AGREED.to_string();
            let plan = differential::Plan { seed, rounds: 40, first: 0, calls: 500, families, survey: false };
            tally.check(&format!("{name} (seed {seed})"), differential::run(&bench, &plan));
        }
    }
    // Some thousand sequences of these may have one that differs still (README.md), so not with a fresh seed.
    if filter(names[2]) {
        let (seed, families) = (MIXED_SEED, "all".to_string());
        let plan = differential::Plan { seed, rounds: 60, first: 0, calls: 300, families, survey: false };
        tally.check(&format!("{} (seed {seed})", names[2]), differential::run(&bench, &plan));
    }
    if filter(names[3]) {
        let seed = fresh_seed();
        tally.check(&format!("{} (seed {seed})", names[3]), hostile::run(&bench, seed, 20_000).map(drop));
    }
    if filter(names[4]) {
        tally.check(names[4], stress::run(&bench, 4, 5).map(drop));
    }
    Ok(())
}
