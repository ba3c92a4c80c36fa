//! Finds a JDK and says what of it goes into an image.

use crate::closure::{Missing, Resolver};
use crate::elf;
use crate::failure::Failure;
use crate::tree::{self, Limits, OutsideLinks, Oversize, Tree};
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// Parts of a JDK that no program needs at run time: modules for jlink, sources, manuals.
const LEFT_OUT: [&str; 8] = ["jmods", "src.zip", "docs", "doc", "man", "demo", "sample", "include"];
/// Without these not even Hello starts; others may miss a library (desktop ones on a server, for instance).
const CORE: [&str; 9] = [
    "java",
    "libjvm.so",
    "libjava.so",
    "libjli.so",
    "libjimage.so",
    "libverify.so",
    "libzip.so",
    "libnio.so",
    "libnet.so",
];

/// A JDK (or JRE) on this host.
#[derive(Clone, Debug)]
pub struct Jdk {
    home: PathBuf,
}

impl Jdk {
    /// The one at `chosen`, else at `$JAVA_HOME`, else the `java` on the PATH.
    pub fn discover(chosen: Option<&Path>) -> Result<Jdk, Failure> {
        if let Some(directory) = chosen {
            return Jdk::at(directory, "--jdk");
        }
        if let Some(directory) = std::env::var_os("JAVA_HOME").filter(|value| !value.is_empty()) {
            return Jdk::at(Path::new(&directory), "JAVA_HOME");
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let java = std::env::split_paths(&path).map(|directory| directory.join("java")).find(|java| java.is_file());
        let Some(java) = java.and_then(|java| java.canonicalize().ok()) else {
            return Err(Failure::usage(
                "no JDK: there is no java on the PATH; install openjdk-17-jdk-headless or give --jdk DIR",
            ));
        };
        match java.parent().and_then(Path::parent) {
            Some(home) => Jdk::at(home, "the java on the PATH"),
            None => Err(Failure::usage(format!("no JDK around {}; give --jdk DIR", java.display()))),
        }
    }

    /// The one at `directory`, which `source` named.
    fn at(directory: &Path, source: &str) -> Result<Jdk, Failure> {
        let wrong = |why: String| Failure::usage(format!("not a usable JDK: {} ({source}) {why}", directory.display()));
        let home = directory
            .canonicalize()
            .map_err(|error| wrong(format!("cannot be opened: {}", crate::failure::reason(&error))))?;
        // An old layout keeps the runtime in jre/.
        let home = if home.join("jre/bin/java").is_file() && !home.join("lib/server").exists() {
            home.join("jre")
        } else {
            home
        };
        let java = home.join("bin/java");
        if !java.is_file() {
            return Err(wrong("has no bin/java".into()));
        }
        let jdk = Jdk { home };
        if !jdk.libjvm().is_file() {
            return Err(wrong("has no lib/server/libjvm.so; install a complete JDK or JRE".into()));
        }
        for file in [java, jdk.libjvm()] {
            elf::check(&file)?;
        }
        Ok(jdk)
    }

    /// Its directory, links followed.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The launcher.
    pub fn java(&self) -> PathBuf {
        self.home.join("bin/java")
    }

    fn libjvm(&self) -> PathBuf {
        self.home.join("lib/server/libjvm.so")
    }

    /// A value of the `release` file, for example `JAVA_VERSION`.
    pub fn release(&self, key: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.home.join("release")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches('"').to_string())
    }

    /// All of it that a program may use, and the libraries that it needs.
    pub fn add_to(&self, tree: &mut Tree, resolver: &Resolver) -> Result<(), Failure> {
        let skip = |entry: &DirEntry| {
            let inside = entry.path().strip_prefix(&self.home).unwrap_or(entry.path());
            let is_top = inside.components().count() == 1 || inside == Path::new("lib/src.zip");
            is_top && LEFT_OUT.iter().any(|name| entry.file_name() == *name)
        };
        let added = tree.add_directory(&self.home, &self.home, Limits::NONE, OutsideLinks::Follow, skip);
        if let Err(Oversize::Io(path, error)) = added {
            return Err(Failure::file("read", &path, &error));
        }
        let walk = WalkDir::new(&self.home).follow_links(true).into_iter().filter_entry(|entry| !skip(entry)).flatten();
        let is_code = |path: &Path| {
            path.extension().is_some_and(|e| e == "so") || path.parent().is_some_and(|p| p.ends_with("bin"))
        };
        let objects = walk.map(DirEntry::into_path).filter(|path| is_code(path) && elf::is_object(path));
        let closure = resolver.closure(objects)?;
        if let Some(Missing { name, needed_by }) = closure.missing.iter().find(|missing| is_core(&missing.needed_by)) {
            let message = format!("missing library: {} needs {name}, which is not installed", needed_by.display());
            return Err(Failure::usage(message));
        }
        for object in closure.objects {
            tree.add_host(&object).map_err(|error| Failure::file("read", &object, &error))?;
        }
        Ok(())
    }
}

fn is_core(path: &Path) -> bool {
    CORE.iter().any(|name| tree::name(path) == *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_hosts_jdk_is_found_with_its_version() {
        let jdk = Jdk::discover(None).unwrap();
        assert!(jdk.release("JAVA_VERSION").is_some());
    }

    #[test]
    fn a_directory_without_libjvm_is_no_jdk() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Jdk::discover(Some(dir.path())).unwrap_err().message.contains("has no bin/java"));
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(dir.path().join("bin/java"), "").unwrap();
        assert!(Jdk::discover(Some(dir.path())).unwrap_err().message.contains("libjvm.so"));
    }
}
