//! The tests of the folders, compiled.

use super::describe::{self, Description};
use super::facts;
use super::plan::{Planner, Test};
use super::requires::Facts;
use super::rules::{self, Rule};
use super::source::{self, Places, output};
use crate::build;
use anyhow::{Context, Result, bail};
use images::jdk::Jdk;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders that the suite takes its tests from.
pub const FOLDERS: [&str; 6] = [
    "hotspot/jtreg/runtime",
    "hotspot/jtreg/gc",
    "hotspot/jtreg/compiler",
    "jdk/java/lang",
    "jdk/java/nio",
    "jdk/java/io",
];
/// Tests that one compiling JVM takes.
const COMPILED_AT_ONCE: usize = 400;

/// All that is known before anything is compiled.
pub struct Suite {
    /// Where everything lies.
    pub places: Places,
    /// The JDK under test.
    pub jdk: Jdk,
    /// Every test of the chosen folders, or why it is left out.
    pub tests: Vec<(Description, Option<Rule>)>,
}

impl Suite {
    /// Fetches what is missing and reads the descriptions below `folders`.
    pub fn open(folders: &[&str]) -> Result<Suite> {
        let places = source::fetch()?;
        let jdk = Jdk::discover(None).context("the tests need a JDK")?;
        let facts: Facts = facts::collect(&jdk)?;
        let mut tests = Vec::new();
        for folder in folders {
            for test in describe::find(&places.suites, folder)? {
                let text = fs::read(&test.file)?;
                let rule = rules::by_source(&test, &String::from_utf8_lossy(&text), &facts);
                tests.push((test, rule));
            }
        }
        let suite = Suite { places, jdk, tests };
        suite.build_runner()?;
        Ok(suite)
    }

    /// The C program that refuses system calls.
    pub fn refuse(&self) -> PathBuf {
        self.places.root.join("refuse")
    }

    /// The runner's class path.
    pub fn runner(&self) -> Result<String> {
        Ok(Planner::new(&self.places, self.jdk.home())?.runner().to_string())
    }

    /// Compiles `tests` that are not compiled yet. Each comes back ready, or with the rule that leaves it out.
    pub fn prepare(&self, tests: &[&Description]) -> Result<BTreeMap<String, Result<Test, Rule>>> {
        let planner = Planner::new(&self.places, self.jdk.home())?;
        let mut ready = BTreeMap::new();
        let mut jobs = Vec::new();
        for test in tests {
            let planned = planner.plan(test)?;
            if let Ok((test, steps)) = &planned
                && !test.folder.join("prepared").is_file()
            {
                jobs.push(steps.clone());
            }
            ready.insert(test.name.clone(), planned.map(|(test, _)| test));
        }
        for chunk in jobs.chunks(COMPILED_AT_ONCE) {
            self.run_steps(&chunk.concat())?;
        }
        for planned in ready.values_mut() {
            if let Ok(test) = planned {
                let problem =
                    fs::read_to_string(test.folder.join("prepared")).context("the compiler did not get there")?;
                if !problem.is_empty() {
                    *planned = Err(Rule::Compile);
                }
            }
        }
        Ok(ready)
    }

    fn run_steps(&self, steps: &str) -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), steps)?;
        let path = format!("{}:{}", self.runner()?, self.places.asmtools.display());
        let mut java = Command::new(self.jdk.java());
        output(java.args(["-Xmx1500m", "-XX:+UseParallelGC", "-cp", &path, "Prepare"]).arg(file.path()).arg("2"))?;
        Ok(())
    }

    /// Compiles the runner, the library that all tests share, and `refuse.c`, each when it has changed.
    fn build_runner(&self) -> Result<()> {
        let root = &self.places.root;
        let own = build::folder().join("jtreg");
        let mut java: Vec<PathBuf> =
            fs::read_dir(own.join("java"))?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        java.sort();
        let runner = root.join("runner");
        if is_older(&runner.join("Runner.class"), &java) {
            fs::create_dir_all(&runner)?;
            let exports = "--add-exports=java.base/jdk.internal.module=ALL-UNNAMED";
            let mut javac = Command::new(self.jdk.home().join("bin/javac"));
            output(
                javac
                    .args(["-nowarn", "-XDignore.symbol.file", exports, "-cp", &self.runner()?, "-d"])
                    .arg(&runner)
                    .args(&java),
            )?;
        }
        let refuse = own.join("refuse.c");
        if is_older(&self.refuse(), std::slice::from_ref(&refuse)) {
            output(Command::new("cc").args(["-O1", "-o"]).arg(self.refuse()).arg(refuse))?;
        }
        let library = root.join("testlib");
        let prepared = library.join("prepared");
        if !prepared.is_file() {
            fs::create_dir_all(&library)?;
            let classes = library.join("classes").display().to_string();
            let mut steps = format!("job {}\nstep javac-all\n", library.display());
            for arg in ["-nowarn", "-Xlint:none", "-d", &classes, "-cp", &self.runner()?] {
                steps += &format!("arg {arg}\n");
            }
            let mut sources = Vec::new();
            java_files(&self.places.suites.join("lib"), &mut sources)?;
            sources.iter().for_each(|file| steps += &format!("arg {}\n", file.display()));
            self.run_steps(&steps)?;
            let problem = fs::read_to_string(&prepared)?;
            if !problem.is_empty() {
                fs::remove_file(prepared)?;
                bail!("OpenJDK's test library does not compile: {problem}");
            }
        }
        Ok(())
    }
}

fn java_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            java_files(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "java") {
            files.push(path);
        }
    }
    Ok(())
}

fn is_older(made: &Path, sources: &[PathBuf]) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    time(made).is_none() || sources.iter().any(|source| time(source) > time(made))
}
