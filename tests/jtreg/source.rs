//! Fetches what OpenJDK's tests need, without touching the system: Debian's source package `openjdk-17` by lists of its own, and the jars
//! of TestNG, JUnit and AsmTools out of their packages. Everything stays in the cache, in a folder named after the source's version.

use anyhow::{Context, Result, bail};
use images::cache::Cache;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders of the source that are kept: the tests, their libraries, and what their names resolve to.
const KEPT: [&str; 10] = [
    "test/lib",
    "test/jdk/TEST.ROOT",
    "test/jdk/lib",
    "test/jdk/java/lang",
    "test/jdk/java/nio",
    "test/jdk/java/io",
    "test/hotspot/jtreg/TEST.ROOT",
    "test/hotspot/jtreg/runtime",
    "test/hotspot/jtreg/gc",
    "test/hotspot/jtreg/compiler",
];
/// Kept when it is there.
const LIBRARIES: [&str; 2] = ["test/hotspot/jtreg/testlibrary", "test/hotspot/jtreg/serviceability/jvmti"];
/// Packages with jars, and the jars.
const JARS: [(&str, &[&str]); 8] = [
    ("libtestng7-java", &["testng-7.5"]),
    ("libjcommander-java", &["jcommander-1.71"]),
    ("libslf4j-java", &["slf4j-api", "slf4j-nop"]),
    (
        "junit5",
        &[
            "junit-jupiter-api",
            "junit-jupiter-engine",
            "junit-jupiter-params",
            "junit-platform-commons",
            "junit-platform-engine",
            "junit-platform-launcher",
            "junit-vintage-engine",
        ],
    ),
    ("junit4", &["junit4"]),
    ("libhamcrest-java", &["hamcrest-2.2"]),
    ("libapiguardian-java", &["apiguardian-api-1.1.2"]),
    ("libopentest4j-java", &["opentest4j-1.2.0"]),
];

/// The folders of the cache.
#[derive(Clone, Debug)]
pub struct Places {
    /// Version of the source package.
    pub version: String,
    /// The folder with everything.
    pub root: PathBuf,
    /// The source's `test` folder.
    pub suites: PathBuf,
    /// Jars that tests and the runner use.
    pub jars: PathBuf,
    /// The assembler of class files, for `.jasm` and `.jcod`.
    pub asmtools: PathBuf,
}

/// The source, from the cache or fetched.
pub fn fetch() -> Result<Places> {
    let cache = Cache::open()?;
    let base = cache.directory().parent().context("the cache lies in a folder")?.join("demitasse-tests/jtreg");
    fs::create_dir_all(&base)?;
    // One version for all runs on a machine: what was fetched once stays.
    let mark = base.join("version");
    if let Ok(version) = fs::read_to_string(&mark) {
        return Ok(places(&base, &version));
    }
    let work = tempfile::tempdir_in(&base)?;
    let version = fetch_source(work.path())?;
    let made = places(work.path(), &version);
    fetch_jars(work.path(), &made.jars)?;
    let places = places(&base, &version);
    let _ = fs::remove_dir_all(&places.root);
    fs::rename(&made.root, &places.root)?;
    fs::write(mark, version)?;
    Ok(places)
}

fn places(base: &Path, version: &str) -> Places {
    let root = base.join(version);
    Places {
        version: version.into(),
        suites: root.join("src/test"),
        jars: root.join("jars"),
        asmtools: root.join("jars/tools/asmtools.jar"),
        root,
    }
}

/// Downloads and unpacks the newest version of the package that the mirror has; its version.
fn fetch_source(work: &Path) -> Result<String> {
    let list = work.join("sources.list");
    fs::write(&list, source_lines()?)?;
    fs::create_dir_all(work.join("lists/partial"))?;
    let apt = |program: &str| {
        let mut command = Command::new(program);
        command.current_dir(work).args(["-q", "-o", "Dir::Etc::sourceparts=/dev/null"]);
        for (key, value) in
            [("Etc::sourcelist", &list), ("State::lists", &work.join("lists")), ("Cache", &work.join("apt"))]
        {
            command.arg("-o").arg(format!("Dir::{key}={}", value.display()));
        }
        command
    };
    output(apt("apt-get").arg("update"))?;
    let shown = output(apt("apt-cache").args(["showsrc", "openjdk-17"]))?;
    let versions = shown.lines().filter_map(|line| line.strip_prefix("Version: "));
    let mut problem = anyhow::anyhow!("no source package openjdk-17");
    for version in versions {
        let got = output(apt("apt-get").args(["source", "--download-only"]).arg(format!("openjdk-17={version}")));
        match got.and_then(|_| unpack(work, version)) {
            Ok(()) => return Ok(version.to_string()),
            // A version that is listed but not there: an older one may be.
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

/// The system's own package sources (apt-get(8), `indextargets`) as sources of source packages.
fn source_lines() -> Result<String> {
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]);
    let lines: BTreeSet<String> = output(&mut apt)?.lines().map(String::from).collect();
    if lines.is_empty() {
        bail!("apt knows no package source: run apt-get update");
    }
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

fn unpack(work: &Path, version: &str) -> Result<()> {
    let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    let archive = work.join(format!("openjdk-17_{upstream}.orig.tar.xz"));
    let to = work.join(version).join("src");
    fs::create_dir_all(&to)?;
    let mut tar = Command::new("tar");
    tar.arg("-xJf").arg(archive).arg("-C").arg(&to).args(["--strip-components=1", "--wildcards", "--no-same-owner"]);
    output(tar.args(KEPT.iter().chain(&LIBRARIES).map(|folder| format!("*/{folder}"))))?;
    Ok(())
}

fn fetch_jars(work: &Path, jars: &Path) -> Result<()> {
    let packages = JARS.iter().map(|(package, _)| *package).chain(["libasmtools-java"]);
    output(Command::new("apt-get").current_dir(work).args(["-q", "download"]).args(packages))?;
    let unpacked = work.join("debs");
    for entry in fs::read_dir(work)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            output(Command::new("dpkg-deb").arg("-x").arg(&path).arg(&unpacked))?;
        }
    }
    let from = unpacked.join("usr/share/java");
    fs::create_dir_all(jars.join("tools"))?;
    for name in JARS.iter().flat_map(|(_, names)| *names) {
        let file = format!("{name}.jar");
        fs::copy(from.join(&file), jars.join(&file)).with_context(|| format!("no {file} in its package"))?;
    }
    let asmtools = fs::read_dir(&from)?.filter_map(|entry| Some(entry.ok()?.path()));
    let asmtools = asmtools.into_iter().find(|path| path.is_file() && path.to_string_lossy().contains("asmtools"));
    fs::copy(asmtools.context("no asmtools in its package")?, jars.join("tools/asmtools.jar"))?;
    Ok(())
}

/// The standard output of a command that has to end well.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        bail!("{:?} failed: {}", command.get_program(), last.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
