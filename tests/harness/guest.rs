//! Runs tests in the guest, many in one boot.

use crate::Outcome;
use crate::build::Built;
use crate::host;
use crate::table::{Program, Test};
use anyhow::Result;
use images::cache::Cache;
use images::jdk::Jdk;
use images::kernel::Kernel;
use images::layers::{self, Application, Target};
use images::machine::Machine;
use images::program;
use images::pump::Source;
use images::session::{self, Options};
use std::time::Duration;

/// Kernel and disks, ready to boot.
pub struct Guest {
    /// A machine with the tests' programs on it.
    pub machine: Machine,
    jdk: Jdk,
}

/// How one test ended.
pub enum Ending {
    /// On its own.
    Ran(Outcome),
    /// Not: what the machine said.
    Broken(String),
}

impl Guest {
    /// Builds kernel and layers.
    pub fn prepare(built: &Built, jdk: &Jdk) -> Result<Guest> {
        let cache = Cache::open()?;
        let mut machine = Machine::new(Kernel::prepare(&cache)?);
        let mut application = Application::new(Target::Nothing);
        application.additions = crate::additions::of(built)?.into_iter().map(|path| (path.clone(), path)).collect();
        machine.add_layer(layers::application(&cache, &application)?);
        machine.add_layer(layers::base(&cache, Some(jdk))?);
        Ok(Guest { machine, jdk: jdk.clone() })
    }

    /// Runs `tests`, all for the same machine, in as few boots as the kernel allows: after a panic the rest gets a new one.
    pub fn run(&self, tests: &[&Test], built: &Built, report: &mut dyn FnMut(&Test, Ending)) -> Result<()> {
        let mut left = tests;
        while let [first, ..] = left {
            let mut machine = self.machine.clone();
            machine.cpus = first.cpus;
            machine.memory_bytes = first.memory_bytes;
            let manifest = program::manifest(left.iter().map(|test| self.program(test, built)));
            let limit = left.iter().map(|test| test.timeout_ms).sum::<u64>() + 60_000;
            let options = Options {
                stdin: first.stdin.clone().map_or(Source::Empty, |text| Source::Memory(text.into_bytes())),
                time_limit: Some(Duration::from_millis(limit)),
                ..Options::default()
            };
            let outcome = session::run(&machine, &manifest, options)?;
            let done = outcome.programs.len();
            for (test, result) in left.iter().zip(outcome.programs) {
                let ended = Outcome { stdout: result.stdout, stderr: result.stderr, status: result.status };
                report(test, Ending::Ran(ended));
            }
            left = left.get(done..).unwrap_or_default();
            if let [broken, rest @ ..] = left {
                let why = outcome
                    .failure
                    .map_or("the machine ended early".into(), |(reason, text)| format!("{}: {text}", reason.name()));
                let log: Vec<&str> = outcome.log.iter().rev().take(30).rev().map(String::as_str).collect();
                report(broken, Ending::Broken(format!("{why}\n{}", log.join("\n"))));
                left = rest;
            }
        }
        Ok(())
    }

    /// Runs one test in a boot of `machine` for itself: how it ended, and the kernel's log.
    pub fn run_alone(
        &self,
        machine: Machine,
        test: &Test,
        built: &Built,
        options: Options,
    ) -> Result<(Outcome, String), String> {
        let limit = Duration::from_millis(test.timeout_ms + 60_000);
        let options = Options { time_limit: Some(limit), ..options };
        let mut program = self.program(test, built);
        program.get = options.wishes.iter().map(|wish| wish.guest.as_os_str().as_encoded_bytes().to_vec()).collect();
        let manifest = program::manifest([program]);
        let outcome = session::run(&machine, &manifest, options).map_err(|failure| failure.message)?;
        let log = outcome.log.join("\n");
        match outcome.programs.into_iter().next() {
            Some(result) => Ok((Outcome { stdout: result.stdout, stderr: result.stderr, status: result.status }, log)),
            None => Err(format!("{:?}\n{log}", outcome.failure)),
        }
    }

    /// `test` as a program of the manifest.
    pub fn program(&self, test: &Test, built: &Built) -> wire::Program {
        let (exe, args) = host::command(test, built, &self.jdk);
        let mut program = program::native(exe.as_ref(), &exe, &args);
        if matches!(test.program, Program::Java(_) | Program::Java22(_) | Program::Tomcat(_) | Program::Jar(_)) {
            program.kind = wire::Kind::Java;
        }
        program.env = host::ENVIRONMENT.iter().map(|text| text.as_bytes().to_vec()).collect();
        program.cwd = host::DIRECTORY.into();
        program.timeout_ms = Some(test.timeout_ms);
        if test.stdin.is_some() {
            program.stdin = wire::Stdin::Port;
        }
        program
    }
}

/// Groups tests that can share a boot: the same machine, and at most one that reads input.
pub fn groups<'a>(tests: &[&'a Test]) -> Vec<Vec<&'a Test>> {
    let mut groups: Vec<Vec<&Test>> = Vec::new();
    for &test in tests {
        let fits = |group: &Vec<&Test>| {
            let first = group[0];
            let is_same = (first.memory_bytes, first.cpus) == (test.memory_bytes, test.cpus);
            is_same && first.stdin.is_none() && test.stdin.is_none()
        };
        match groups.iter_mut().find(|group| fits(group)) {
            Some(group) => group.push(test),
            None => groups.push(vec![test]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_boot_for_all_that_want_the_same_machine_and_no_input() {
        let plain = Test::new("a", Program::C("a".into()));
        let input = Test { stdin: Some("x".into()), ..plain.clone() };
        let small = Test { memory_bytes: 64 << 20, ..plain.clone() };
        let lengths: Vec<usize> = groups(&[&plain, &input, &plain, &small, &input]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1, 1, 1]);
    }
}
