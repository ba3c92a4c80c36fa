//! What comes along into the guest besides a JDK: what was built, and the host's programs that the table names, with what they need.

use crate::build::{self, Built};
use crate::host::PYTHON;
use crate::table::Program;
use anyhow::{Context, Result, bail};
use images::closure::Resolver;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Paths, the same on both systems.
pub fn of(built: &Built) -> Result<BTreeSet<PathBuf>> {
    let mut paths = BTreeSet::from([built.folder.clone()]);
    let mut objects = BTreeSet::new();
    let built_programs = std::fs::read_dir(&built.programs)?.flatten().map(|entry| entry.path());
    objects.extend(built_programs);
    for test in &built.tests {
        if let Program::Host(path) = &test.program {
            objects.insert(path.clone());
        }
    }
    if built.tests.iter().any(|test| matches!(test.program, Program::Python(_))) {
        let library = standard_library()?;
        objects.insert(Path::new(PYTHON).canonicalize().context(PYTHON)?);
        objects.extend(std::fs::read_dir(library.join("lib-dynload"))?.flatten().map(|entry| entry.path()));
        paths.extend([PYTHON.into(), library, build::folder().join("guest/python")]);
    }
    let closure = Resolver::new("").closure(objects)?;
    if let Some(missing) = closure.missing.iter().find(|missing| !missing.needed_by.starts_with("/usr/lib/python3")) {
        bail!("{} needs {}, which is not installed", missing.needed_by.display(), missing.name);
    }
    paths.extend(closure.objects);
    Ok(paths)
}

/// Where the distribution's Python keeps its modules.
fn standard_library() -> Result<PathBuf> {
    let ask = ["-I", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"];
    let output = Command::new(PYTHON).args(ask).output().with_context(|| format!("cannot run {PYTHON}"))?;
    Ok(String::from_utf8(output.stdout)?.trim().into())
}
