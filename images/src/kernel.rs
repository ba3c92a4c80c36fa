//! The kernel: built by cargo when its sources have changed, then stripped and given its symbol table.

use crate::cache::{Cache, Key, Record};
use crate::failure::{self, Failure};
use crate::interrupt;
use crate::ksyms;
use crate::progress::Task;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use walkdir::WalkDir;

/// What the kernel is built from, in the source tree.
const SOURCES: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    ".cargo",
    "kernel",
    "sched",
    "mm",
    "fs",
    "net",
    "libc-compat",
    "jvm-host",
    "jni-bridge/wire",
];
/// Largest kernel file without optional parts, in bytes.
const SIZE_MAX: u64 = 1 << 20;

/// A kernel that can be booted.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Stripped, with the symbol table in place.
    pub image: PathBuf,
    /// As cargo linked it, for debuggers and for files and lines of panics.
    pub unstripped: PathBuf,
}

impl Kernel {
    /// From the source tree that this tool was built in: as it is in the cache, or built.
    pub fn prepare(cache: &Cache) -> Result<Kernel, Failure> {
        Kernel::prepare_with(cache, &[])
    }

    /// The same with optional parts of the kernel: features of its Cargo.toml.
    pub fn prepare_with(cache: &Cache, features: &[&str]) -> Result<Kernel, Failure> {
        let root = source_root();
        let name = Key::new("kernel").with_path(&root).with(features.join(",")).finish();
        let unstripped = cache.directory().join(format!("kernel-{name}.debug"));
        let (image, _) = cache.entry(&format!("kernel-{name}.elf"), |image| {
            let inputs = sources(&root)?;
            let record = Record::of(inputs.iter().map(PathBuf::as_path), Vec::new());
            let built = build(&root, features)?;
            finish(&built, image, features)?;
            let copy = image.with_extension("debug");
            fs::copy(&built, &copy)
                .and_then(|_| fs::rename(&copy, &unstripped))
                .map_err(|error| Failure::own_file("write", &unstripped, &error))?;
            Ok(record)
        })?;
        Ok(Kernel { image, unstripped })
    }

    /// From an ELF file of the user's.
    pub fn from_file(cache: &Cache, file: &Path) -> Result<Kernel, Failure> {
        let file = file.canonicalize().map_err(|error| Failure::file("open the kernel", file, &error))?;
        let name = Key::new("kernel file").with_path(&file).finish();
        let (image, _) = cache.entry(&format!("kernel-{name}.elf"), |image| {
            let record = Record::of([file.as_path()], Vec::new());
            finish(&file, image, &[])?;
            Ok(record)
        })?;
        Ok(Kernel { image, unstripped: file })
    }
}

/// The workspace: where this tool was compiled, or `$DEMITASSE_ROOT`.
pub fn source_root() -> PathBuf {
    if let Some(root) = std::env::var_os("DEMITASSE_ROOT") {
        return PathBuf::from(root);
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// All source files and directories of the kernel: a new or removed file changes its directory.
fn sources(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !root.join("kernel/Cargo.toml").is_file() {
        let message = format!(
            "no kernel sources in {}: set DEMITASSE_ROOT to the Demitasse source tree, or give --kernel FILE",
            root.display()
        );
        return Err(Failure::usage(message));
    }
    let walks = SOURCES.iter().map(|name| WalkDir::new(root.join(name)).sort_by_file_name());
    Ok(walks.flatten().flatten().map(walkdir::DirEntry::into_path).collect())
}

fn build(root: &Path, features: &[&str]) -> Result<PathBuf, Failure> {
    let _task = Task::start("building the kernel");
    let log =
        tempfile::tempfile().map_err(|error| Failure::own_file("create a file in", &std::env::temp_dir(), &error))?;
    let clone = |file: &fs::File| file.try_clone().map(Stdio::from);
    let (stdout, stderr) = match (clone(&log), clone(&log)) {
        (Ok(stdout), Ok(stderr)) => (stdout, stderr),
        _ => (Stdio::null(), Stdio::null()),
    };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let profile = profile(features);
    command.args([profile, "--color=never"]);
    for feature in features {
        command.args(["--features", feature]);
    }
    command.current_dir(root).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::build("cargo is missing: install Rust (https://rustup.rs), or put cargo on the PATH")
        }
        _ => Failure::build(format!("cannot run cargo: {}", failure::reason(&error))),
    })?;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => {
                return Err(Failure::build(format!("cargo: {}", failure::reason(&error))));
            }
        }
        if let Err(interrupted) = interrupt::check() {
            // Cargo got the same signal from the terminal; from elsewhere it did not.
            let _ = child.kill();
            let _ = child.wait();
            return Err(interrupted);
        }
    };
    if !status.success() {
        let command = match features {
            [] => format!("cargo {profile}"),
            features => format!("cargo {profile} --features {}", features.join(",")),
        };
        let why = first_error(log);
        return Err(Failure::build(format!(
            "the kernel does not build ({status}): {why}; run \"{command}\" to see all"
        )));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(root.join(target).join(profile).join("kernel"))
}

/// Cargo's alias, and the profile of the same name: the kernel without optional parts is built for its bar of size.
fn profile(features: &[&str]) -> &'static str {
    if features.is_empty() { "kernel" } else { "kernel-fast" }
}

/// The first error line of a build's output.
fn first_error(mut log: fs::File) -> String {
    use std::io::{Read, Seek};
    let mut text = String::new();
    let _ = log.rewind().and_then(|()| log.read_to_string(&mut text));
    let is_error = |line: &&str| line.starts_with("error") && !line.starts_with("error: could not compile");
    text.lines().find(is_error).or(text.lines().last()).unwrap_or("no message").to_string()
}

fn finish(built: &Path, image: &Path, features: &[&str]) -> Result<(), Failure> {
    let elf = fs::read(built).map_err(|error| Failure::own_file("read", built, &error))?;
    let out = ksyms::finish(&elf).map_err(|why| Failure::build(format!("{}: {why}", built.display())))?;
    fs::write(image, &out).map_err(|error| Failure::own_file("write", image, &error))?;
    if features.is_empty() && out.len() as u64 > SIZE_MAX {
        let message = format!("the kernel file has {} bytes, more than the {SIZE_MAX} that it may have", out.len());
        crate::progress::note(&message);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_those_of_the_kernel() {
        let root = source_root();
        let files = sources(&root).unwrap();
        let holds = |name: &str| files.iter().any(|path| path.starts_with(root.join(name)));
        assert!(holds("kernel/src/main.rs") && holds("jvm-host/src") && holds("Cargo.lock"));
        assert!(!holds("images") && !holds("jni-bridge/agent"));
        assert_eq!(sources(Path::new("/nowhere")).unwrap_err().reason.status(), 2);
    }
}
