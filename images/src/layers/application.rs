//! What the application layer holds: found from the command line, nothing needs to be named twice.

use crate::cache::Key;
use crate::closure::Resolver;
use crate::failure::Failure;
use crate::tree::{Limits, OutsideLinks, Oversize, Tree, absolute};
use crate::{elf, jar, system};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use walkdir::DirEntry;

mod options;

/// A working directory up to this size comes along.
const WORKING_DIRECTORY_MAX: Limits = Limits { entries: 20_000, bytes: 128 << 20 };
/// Marks a directory that tools can fill again (<https://bford.info/cachedir/>).
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// What runs.
#[derive(Clone, Debug)]
pub enum Target {
    /// `java -jar`.
    Jar(PathBuf),
    /// `java -cp PATH MainClass`: the class path as the user gave it.
    ClassPath(String),
    /// Any Linux executable.
    Executable(PathBuf),
    /// Nothing on its own: all that is needed is in the additions.
    Nothing,
}

/// The description of an application layer.
#[derive(Clone, Debug)]
pub struct Application {
    /// What runs.
    pub target: Target,
    /// Options for the JVM: agents and files that they name come along.
    pub jvm_options: Vec<String>,
    /// Comes along read-only at its path, if it is not huge.
    pub working_directory: Option<PathBuf>,
    /// Host files or directories and the guest paths at which they are wanted.
    pub additions: Vec<(PathBuf, PathBuf)>,
    /// Empty directories for volumes.
    pub mount_points: Vec<PathBuf>,
    /// `LD_LIBRARY_PATH` of the program.
    pub library_path: String,
    /// The guest's name.
    pub hostname: String,
}

impl Application {
    /// A layer for `target` alone.
    pub fn new(target: Target) -> Application {
        Application {
            target,
            jvm_options: Vec::new(),
            working_directory: None,
            additions: Vec::new(),
            mount_points: Vec::new(),
            library_path: String::new(),
            hostname: crate::program::HOSTNAME.to_string(),
        }
    }

    /// A layer with the host directory `classes` at `/classes`.
    pub fn classes(classes: &Path) -> Application {
        Application { additions: vec![(classes.into(), "/classes".into())], ..Application::new(Target::Nothing) }
    }

    /// Everything that decides the content, except the files themselves.
    pub(super) fn key(&self) -> Key {
        let current = std::env::current_dir().unwrap_or_default();
        let mut key = Key::new("application").with_path(&current).with(&self.library_path).with(&self.hostname);
        key = match &self.target {
            Target::Jar(path) => key.with("jar").with_path(path),
            Target::ClassPath(path) => key.with("class path").with(path),
            Target::Executable(path) => key.with("executable").with_path(path),
            Target::Nothing => key.with("nothing"),
        };
        for option in &self.jvm_options {
            key = key.with("option").with(option);
        }
        if let Some(directory) = &self.working_directory {
            key = key.with("directory").with_path(directory);
        }
        for path in &self.mount_points {
            key = key.with("mount point").with_path(path);
        }
        for (host, guest) in &self.additions {
            key = key.with("addition").with_path(host).with_path(guest);
        }
        key
    }

    /// The tree, and lines about what did not come along.
    pub fn tree(&self) -> Result<(Tree, Vec<String>), Failure> {
        let resolver = Resolver::new(&self.library_path);
        let mut tree = Tree::new();
        let mut warnings = Vec::new();
        match &self.target {
            Target::Jar(path) => add_main_jar(&mut tree, path)?,
            Target::ClassPath(path) => options::add_path_list(&mut tree, path)?,
            Target::Executable(path) => add_objects(&mut tree, &resolver, path)?,
            Target::Nothing => {}
        }
        options::add_jvm_options(&mut tree, &resolver, &self.jvm_options)?;
        for (host, guest) in &self.additions {
            add_at(&mut tree, host, guest)?;
        }
        if let Some(directory) = &self.working_directory {
            warnings.extend(add_working_directory(&mut tree, directory));
        }
        self.mount_points.iter().for_each(|path| tree.directory(path));
        system::add_etc(&mut tree, &self.hostname)?;
        Ok((tree, warnings))
    }
}

fn add_main_jar(tree: &mut Tree, path: &Path) -> Result<(), Failure> {
    let path = absolute(path)?;
    let read = jar::read(&path)?;
    if read.main_class.is_none() {
        let message = format!("no Main-Class in the manifest of {}; write: -cp {0} MainClass", path.display());
        return Err(Failure::usage(message));
    }
    add_file(tree, &path)?;
    add_class_path(tree, &read.class_path)
}

/// A jar (or other file) of a class path, with what its manifest names.
fn add_jar(tree: &mut Tree, path: &Path) -> Result<(), Failure> {
    if tree.contains(path) {
        return Ok(());
    }
    add_file(tree, path)?;
    match jar::read(path) {
        Ok(read) => add_class_path(tree, &read.class_path),
        // The JVM ignores what is not a jar on the class path, or says so itself.
        Err(_) => Ok(()),
    }
}

/// Entries that do not exist are as absent in the guest as on the host.
fn add_class_path(tree: &mut Tree, entries: &[PathBuf]) -> Result<(), Failure> {
    for entry in entries {
        if entry.is_dir() {
            add_at(tree, entry, entry)?;
        } else if entry.is_file() {
            add_jar(tree, entry)?;
        } else {
            tree.depends_on(entry);
        }
    }
    Ok(())
}

/// An executable or library with all that it needs.
fn add_objects(tree: &mut Tree, resolver: &Resolver, path: &Path) -> Result<(), Failure> {
    let path = absolute(path)?;
    if !path.exists() {
        return Err(Failure::usage(format!("no such program: {}", path.display())));
    }
    add_file(tree, &path)?;
    let closure = resolver.closure([path])?;
    if let Some(missing) = closure.missing.first() {
        let message =
            format!("missing library: {} needs {}, which is not installed", missing.needed_by.display(), missing.name);
        return Err(Failure::usage(message));
    }
    closure.objects.iter().try_for_each(|object| add_file(tree, object))
}

fn add_file(tree: &mut Tree, path: &Path) -> Result<(), Failure> {
    match tree.add_host(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::file("read", path, &error)),
    }
}

/// The host file or directory `host` at the guest's `guest`.
fn add_at(tree: &mut Tree, host: &Path, guest: &Path) -> Result<(), Failure> {
    let host = absolute(host)?;
    if host == guest {
        let real = tree.add_host(&host).map_err(|error| Failure::file("add", &host, &error))?;
        if !real.is_dir() {
            return Ok(());
        }
        return add_all(tree, &real, &real);
    }
    let real = host.canonicalize().map_err(|error| Failure::file("add", &host, &error))?;
    add_all(tree, &real, guest)
}

fn add_all(tree: &mut Tree, host: &Path, guest: &Path) -> Result<(), Failure> {
    match tree.add_directory(host, guest, Limits::NONE, OutsideLinks::Follow, |_| false) {
        Ok(()) | Err(Oversize::Huge) => Ok(()),
        Err(Oversize::Io(path, error)) => Err(Failure::file("add", &path, &error)),
    }
}

/// The directory at its path; a line for the user if it stays behind.
fn add_working_directory(tree: &mut Tree, directory: &Path) -> Option<String> {
    tree.depends_on(directory);
    let real = tree.add_host(directory).ok()?;
    let skip = |entry: &DirEntry| {
        let is_directory = entry.file_type().is_dir();
        is_directory && (entry.file_name() == OsStr::new(".git") || entry.path().join(CACHE_TAG).exists())
    };
    match tree.add_directory(&real, &real, WORKING_DIRECTORY_MAX, OutsideLinks::Keep, skip) {
        Ok(()) => None,
        Err(Oversize::Huge) => Some(format!(
            "the working directory {} is too large to take along (over {}); name what the program needs with --add",
            directory.display(),
            crate::size::show(WORKING_DIRECTORY_MAX.bytes)
        )),
        Err(Oversize::Io(path, error)) => Some(format!(
            "the working directory stays behind: cannot read {}: {}",
            path.display(),
            crate::failure::reason(&error)
        )),
    }
}

/// A file that an option names: a library with what it needs, anything else as it is.
fn add_named_file(tree: &mut Tree, resolver: &Resolver, path: &Path) -> Result<(), Failure> {
    if elf::is_object(path) { add_objects(tree, resolver, path) } else { add_jar(tree, path) }
}
