//! All libraries that a set of executables and libraries needs, as the dynamic loader would find them.
//!
//! Nothing is run to find out. Order as in ld.so(8): `DT_RPATH` of the object and of those that led to it (unless the
//! object has `DT_RUNPATH`), `LD_LIBRARY_PATH`, `DT_RUNPATH`, the index, the default directories.

use crate::elf::{self, Object};
use crate::failure::Failure;
use crate::interrupt;
use crate::ldcache::LdCache;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// Directories that the loader searches last, Debian's and the generic ones.
const DEFAULT_DIRECTORIES: [&str; 6] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// A library that was not found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// The object that needs it.
    pub needed_by: PathBuf,
}

/// What [`Resolver::closure`] found.
#[derive(Debug, Default)]
pub struct Closure {
    /// The objects asked for, their loaders and all that they need, at the paths where they were found.
    pub objects: BTreeSet<PathBuf>,
    /// What was not found.
    pub missing: BTreeSet<Missing>,
}

/// Finds libraries on this host.
pub struct Resolver {
    index: LdCache,
    library_path: Vec<PathBuf>,
}

impl Resolver {
    /// With the host's index, and the directories of an `LD_LIBRARY_PATH` that the program will have.
    pub fn new(library_path: &str) -> Resolver {
        let library_path = library_path.split(':').filter(|part| !part.is_empty()).map(PathBuf::from).collect();
        Resolver { index: LdCache::of_host(), library_path }
    }

    /// Everything that `roots` need.
    pub fn closure(&self, roots: impl IntoIterator<Item = PathBuf>) -> Result<Closure, Failure> {
        let mut found = Closure::default();
        // Libraries are known by name once loaded: whoever asks second gets the first one's. The roots count as loaded
        // (the JDK's launcher opens libjvm.so by its path before the libraries that need it by name).
        let mut queue: VecDeque<(PathBuf, Vec<PathBuf>)> = roots.into_iter().map(|root| (root, Vec::new())).collect();
        let name_of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut by_name: BTreeMap<String, PathBuf> =
            queue.iter().filter_map(|(root, _)| Some((name_of(root)?, root.clone()))).collect();
        while let Some((path, inherited)) = queue.pop_front() {
            if !found.objects.insert(path.clone()) {
                continue;
            }
            interrupt::check()?;
            let object = elf::read(&path)?;
            let origin = origin(&path);
            let mut rpath: Vec<PathBuf> = expand(&object.rpath, &origin);
            rpath.extend(inherited);
            if let Some(interpreter) = &object.interpreter {
                if interpreter.exists() {
                    queue.push_back((interpreter.clone(), Vec::new()));
                } else {
                    let name = interpreter.display().to_string();
                    found.missing.insert(Missing { name, needed_by: path.clone() });
                }
            }
            for name in &object.needed {
                if by_name.contains_key(name) {
                    continue;
                }
                match self.find(name, &object, &origin, &rpath) {
                    Some(library) => {
                        by_name.insert(name.clone(), library.clone());
                        queue.push_back((library, rpath.clone()));
                    }
                    None => {
                        found.missing.insert(Missing { name: name.clone(), needed_by: path.clone() });
                    }
                }
            }
        }
        Ok(found)
    }

    /// Where a program that opens `name` would get it from.
    pub fn find_by_name(&self, name: &str) -> Option<PathBuf> {
        self.find(name, &Object::default(), Path::new("/"), &[])
    }

    fn find(&self, name: &str, object: &Object, origin: &Path, rpath: &[PathBuf]) -> Option<PathBuf> {
        let fits = |path: &PathBuf| elf::is_object(path);
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(fits);
        }
        let rpath = if object.runpath.is_empty() { rpath } else { &[] };
        let runpath = expand(&object.runpath, origin);
        let first = rpath.iter().chain(&self.library_path).chain(&runpath);
        let default = DEFAULT_DIRECTORIES.map(PathBuf::from);
        first
            .map(|directory| directory.join(name))
            .find(fits)
            .or_else(|| self.index.get(name).map(Path::to_path_buf).filter(fits))
            .or_else(|| default.iter().map(|directory| directory.join(name)).find(fits))
    }
}

/// `$ORIGIN`: the directory of the file itself, links followed, as the loader takes it for executables. For libraries it
/// takes the path by which they were found, which differs only when the file is a link into another directory.
fn origin(path: &Path) -> PathBuf {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    real.parent().unwrap_or(Path::new("/")).to_path_buf()
}

fn expand(parts: &[String], origin: &Path) -> Vec<PathBuf> {
    let origin = origin.to_string_lossy();
    let full = |part: &String| {
        let mut text = part.clone();
        for (variable, value) in [("ORIGIN", origin.as_ref()), ("LIB", "lib/x86_64-linux-gnu"), ("PLATFORM", "x86_64")]
        {
            text = text.replace(&format!("${{{variable}}}"), value).replace(&format!("${variable}"), value);
        }
        PathBuf::from(text)
    };
    parts.iter().map(full).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_needs_its_loader_and_libc() {
        let closure = Resolver::new("").closure([std::env::current_exe().unwrap()]).unwrap();
        let names: Vec<_> = closure.objects.iter().filter_map(|path| path.file_name()).collect();
        assert!(names.iter().any(|name| *name == "libc.so.6"), "{names:?}");
        assert!(names.iter().any(|name| name.to_string_lossy().starts_with("ld-linux")), "{names:?}");
        assert!(closure.missing.is_empty(), "{:?}", closure.missing);
    }

    #[test]
    fn origin_is_expanded_in_both_spellings() {
        let parts = ["$ORIGIN/../lib".to_string(), "${ORIGIN}".to_string()];
        assert_eq!(
            expand(&parts, Path::new("/opt/x/bin")),
            [PathBuf::from("/opt/x/bin/../lib"), PathBuf::from("/opt/x/bin")]
        );
    }
}
