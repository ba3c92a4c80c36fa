//! Compiles the guest programs, once for both systems: C with the host's cc against the host's glibc, Java with javac.

use crate::table::{self, Test};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Of the probes in the shared folder, those that must equal Linux.
const PROBES: [&str; 9] =
    ["Hello", "ExitHook", "TimeLocale", "Rand", "GcSmall", "GcStress", "Faults", "Oom", "Threads2000"];

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Built {
    /// Executables, one for each C file; seen by the guest at the same path.
    pub programs: PathBuf,
    /// Classes; seen by the guest at the same path.
    pub classes: PathBuf,
    /// The tests.
    pub tests: Vec<Test>,
}

/// This crate's folder.
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The project's root.
pub fn root() -> &'static Path {
    folder().parent().expect("the crate lies in the project")
}

/// Builds what has changed.
pub fn all() -> Result<Built> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let out = target.join("guest-tests");
    let (programs, classes) = (out.join("bin"), out.join("classes"));
    fs::create_dir_all(&programs)?;
    let c_files = compile_c(&programs)?;
    compile_java(&classes)?;
    let text = fs::read_to_string(folder().join("guest/table.txt"))?;
    Ok(Built {
        programs: programs.canonicalize()?,
        classes: classes.canonicalize()?,
        tests: table::parse(&text, &c_files)?,
    })
}

fn compile_c(programs: &Path) -> Result<Vec<String>> {
    let sources = folder().join("guest/c");
    let header = modified(&sources.join("t.h"))?;
    let mut names = Vec::new();
    for file in files(&sources, "c")? {
        let name = file.file_stem().context("a name")?.to_str().context("UTF-8")?.to_string();
        let program = programs.join(&name);
        let is_new =
            modified(&program).is_ok_and(|built| built > header && modified(&file).is_ok_and(|source| built > source));
        if !is_new {
            let warnings = ["-Wall", "-Wextra", "-Werror"];
            run(Command::new("cc").args(["-O1", "-pthread"]).args(warnings).arg("-o").arg(&program).arg(&file))?;
        }
        names.push(name);
    }
    // What has lost its source would be run for ever.
    for entry in fs::read_dir(programs)? {
        let entry = entry?;
        if !names.iter().any(|name| entry.file_name() == name.as_str()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(names)
}

fn compile_java(classes: &Path) -> Result<()> {
    let probes = probes()?;
    let mut sources: Vec<PathBuf> = PROBES.iter().map(|name| probes.join(format!("{name}.java"))).collect();
    if let Some(missing) = sources.iter().find(|file| !file.is_file()) {
        bail!("the probe {} is missing", missing.display());
    }
    let own = folder().join("guest/java");
    if own.is_dir() {
        sources.extend(files(&own, "java")?);
    }
    let newest = sources.iter().map(|file| modified(file)).collect::<Result<Vec<_>>>()?.into_iter().max();
    let mark = classes.join("built");
    if modified(&mark).ok() > newest {
        return Ok(());
    }
    let _ = fs::remove_dir_all(classes);
    fs::create_dir_all(classes)?;
    run(Command::new("javac")
        .args(["-nowarn", "-Xlint:none", "-XDignore.symbol.file", "-d"])
        .arg(classes)
        .args(&sources))?;
    Ok(fs::write(mark, "")?)
}

/// The probes lie in the folder that the project shares with others: beside the project, or where DEMITASSE_SHARED says.
fn probes() -> Result<PathBuf> {
    let shared = std::env::var_os("DEMITASSE_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let probes = shared.join("probes");
    if !probes.is_dir() {
        bail!(
            "the Java probes are missing: {} is no folder; set DEMITASSE_SHARED to the shared folder",
            probes.display()
        );
    }
    Ok(probes)
}

fn files(directory: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == end))
        .collect();
    files.sort();
    Ok(files)
}

fn modified(path: &Path) -> Result<std::time::SystemTime> {
    Ok(fs::metadata(path)?.modified()?)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
