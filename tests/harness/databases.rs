//! Databases on a volume: each runs its own load in one machine, and the next machine finds the data as Linux does.

use crate::build::{folder, root};
use crate::tally::Tally;
use anyhow::{Context, Result, bail, ensure};
use images::cache::Cache;
use images::jdk::Jdk;
use images::kernel::Kernel;
use images::layers::{self, Application, Target};
use images::machine::Machine;
use images::program;
use images::session::{self, Options};
use images::volume::Volume;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const DATABASES: [&str; 4] = ["h2", "derby", "zookeeper", "kafka"];
/// Where the volume is.
const DIRECTORY: &str = "/data";
const MEMORY: u64 = 2 << 30;
/// Ten minutes: Kafka under software emulation on a busy computer.
const LIMIT: Duration = Duration::from_secs(600);

/// The databases' jars and the programs of `tests/databases`, compiled.
pub struct Databases {
    folder: PathBuf,
}

impl Databases {
    /// Fetches the jars that `databases/pom.xml` names with Maven, once, and compiles.
    pub fn prepare() -> Result<Databases> {
        let source = folder().join("databases");
        let databases = Databases::prepare_from("guest-databases", &source.join("pom.xml"), &source)?;
        fs::copy(source.join("logback.xml"), databases.folder.join("classes/logback.xml"))?;
        Ok(databases)
    }

    /// The same with the jars of `pom` and the sources in `source`; `name` is the folder in the build directory.
    pub fn prepare_from(name: &str, pom: &Path, source: &Path) -> Result<Databases> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let out = target.join(name);
        let (jars, classes) = (out.join("jars"), out.join("classes"));
        fs::create_dir_all(&classes)?;
        let mark = out.join("fetched");
        let is_newer =
            |a: &Path, b: &Path| Some(fs::metadata(a).ok()?.modified().ok()? > fs::metadata(b).ok()?.modified().ok()?);
        if is_newer(&mark, pom) != Some(true) {
            let mut mvn = Command::new("mvn");
            mvn.args(["--quiet", "--batch-mode", "--file"]).arg(pom).arg("dependency:copy-dependencies");
            mvn.arg("-DincludeScope=runtime").arg(format!("-DoutputDirectory={}", jars.display()));
            run(mvn.arg(format!("-DbuildDirectory={}", out.join("maven").display())))?;
            fs::write(&mark, "")?;
        }
        let mut javac = Command::new("javac");
        javac.args(["-nowarn", "-proc:none", "-cp"]).arg(jars.join("*")).arg("-d").arg(&classes);
        for entry in fs::read_dir(source)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "java") {
                javac.arg(path);
            }
        }
        run(&mut javac)?;
        Ok(Databases { folder: out.canonicalize()? })
    }

    /// Where the jars and classes are, in folders of these names.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What comes along into the guest.
    pub fn additions(&self) -> [PathBuf; 2] {
        ["jars", "classes"].map(|name| self.folder.join(name))
    }

    /// Words for `java`.
    pub fn words(&self, class: &str, args: &[&str]) -> Vec<String> {
        let path = format!("{0}/classes:{0}/jars/*", self.folder.display());
        let mut words: Vec<String> = ["-Xmx512m", "-cp", &path, class].map(String::from).into();
        words.extend(args.iter().map(|word| word.to_string()));
        words
    }
}

fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let said = [output.stdout.clone(), output.stderr].concat();
    ensure!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&said));
    Ok(output.stdout)
}

/// Runs those that `filter` lets through.
pub fn run_all(filter: &dyn Fn(&str) -> bool, jdk: &Jdk, tally: &mut Tally) -> Result<()> {
    let databases = Databases::prepare()?;
    for kind in DATABASES {
        let name = format!("database-{kind}");
        if filter(&name) {
            tally.check(&name, one(kind, &databases, jdk).map_err(|error| format!("{error:#}")));
        }
    }
    Ok(())
}

/// A machine with `additions`, a JDK, and empty directories to mount volumes at.
pub fn machine(jdk: &Jdk, additions: &[PathBuf], mount_points: &[PathBuf]) -> Result<Machine> {
    let cache = Cache::open()?;
    let mut machine = Machine::new(Kernel::prepare_with(&cache, &["volumes"])?);
    let mut application = Application::new(Target::Nothing);
    application.additions = additions.iter().map(|path| (path.clone(), path.clone())).collect();
    application.mount_points = mount_points.to_vec();
    machine.add_layer(layers::application(&cache, &application)?);
    machine.add_layer(layers::base(&cache, Some(jdk))?);
    machine.memory_bytes = MEMORY;
    Ok(machine)
}

fn one(kind: &str, databases: &Databases, jdk: &Jdk) -> Result<()> {
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let here = dir.path().join("data").display().to_string();
    fs::create_dir(&here)?;
    let image = dir.path().join("data.img");
    let volume = Volume { file: image.clone(), size: Some(1 << 30), path: DIRECTORY.into(), read_only: false };
    volume.ensure()?;
    for mode in ["write", "check"] {
        let mut java = Command::new(jdk.java());
        let expected = run(java.args(databases.words("Databases", &[kind, mode, &here])).current_dir(dir.path()))?;
        let mut machine = machine(jdk, &databases.additions(), &[DIRECTORY.into()])?;
        machine.disks.push(volume.disk(0)?);
        let mut program = program::java(jdk, &databases.words("Databases", &[kind, mode, DIRECTORY]));
        program.cwd = b"/tmp".to_vec();
        let mut manifest = program::manifest([program]);
        manifest.volumes.push(volume.entry(0));
        let outcome = session::run(&machine, &manifest, Options { time_limit: Some(LIMIT), ..Options::default() })?;
        let Some(result) = outcome.programs.into_iter().next() else { bail!("{mode}: {:?}", outcome.failure) };
        let (stdout, stderr) = (String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr));
        ensure!(result.status == 0, "{mode} ends with {}: {stdout}{stderr}", result.status);
        ensure!(
            result.stdout == expected,
            "{mode}, Linux:\n{}here:\n{stdout}{stderr}",
            String::from_utf8_lossy(&expected)
        );
        run(Command::new("e2fsck").args(["-f", "-n"]).arg(&image)).with_context(|| format!("after {mode}"))?;
    }
    Ok(())
}
