//! The databases' jars and programs, put where guests see them as /classes.

use crate::measure::{CASSANDRA, H2_ARTIFACT};
use anyhow::{Context, Result, ensure};
use guest::system::VOLUME;
use std::fs;
use std::path::Path;
use std::process::Command;

/// H2's jar, beside the classes.
pub fn h2(classes: &Path) -> Result<()> {
    let mut mvn = Command::new("mvn");
    mvn.args(["--quiet", "--batch-mode", "dependency:copy"]).arg(format!("-Dartifact={H2_ARTIFACT}"));
    run(mvn.arg(format!("-DoutputDirectory={}", classes.display())))
}

/// Cassandra in a folder of its own: the example's jars and configuration for a node alone, and the load, which uses `classes`.
pub fn cassandra(classes: &Path) -> Result<()> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = project.join("../examples/cassandra");
    let folder = classes.join(CASSANDRA);
    fs::create_dir_all(&folder)?;
    let (jars, conf) = (folder.join("jars"), folder.join("conf"));
    let mut mvn = Command::new("mvn");
    mvn.args(["--quiet", "--batch-mode", "--file"]).arg(example.join("pom.xml")).arg("dependency:copy-dependencies");
    mvn.arg("-DincludeScope=runtime").arg(format!("-DoutputDirectory={}", jars.display()));
    let build = tempfile::tempdir()?;
    run(mvn.arg(format!("-DbuildDirectory={}", build.path().display())))?;
    run(Command::new(example.join("configure.sh")).arg(&conf).args([VOLUME, "127.0.0.1", "127.0.0.1"]))?;
    let load = project.join("data/cassandra");
    // Its standard output is the figures alone.
    fs::copy(load.join("logback.xml"), conf.join("logback.xml"))?;
    let mut javac = Command::new("javac");
    let path = format!("{}:{}/*", classes.display(), jars.display());
    javac.args(["-nowarn", "-proc:none", "-cp", &path]).arg("-d").arg(&folder);
    run(javac.arg(load.join("CassandraLoad.java")))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
