//! Where built things are kept: `$XDG_CACHE_HOME/demitasse`, else `~/.cache/demitasse`.
//!
//! An entry is a file and beside it `NAME.inputs`: the stamps of all host paths that went into it. It is used again while
//! none of them has changed. Entries are replaced by rename, so a run that still uses the old file keeps it. Unused entries
//! go after a month, and the longest unused ones when all together grow beyond [`BYTES_MAX`].

use crate::failure::Failure;
use crate::interrupt;
use crate::tree::stamp;
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Part of every key: changes when the same inputs give another result.
const FORMAT: &str = "demitasse cache 1";
/// Entries not used for this long go.
const KEPT_UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);
/// All layers together, in bytes.
const BYTES_MAX: u64 = 10 << 30;

/// The directory.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
}

/// Names an entry by what was asked for.
pub struct Key(Sha256);

impl Key {
    /// A key for `kind` of entries.
    pub fn new(kind: &str) -> Key {
        Key(Sha256::new()).with(FORMAT).with(kind)
    }

    /// Adds something that makes the request another one.
    pub fn with(mut self, part: impl AsRef<[u8]>) -> Key {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// Adds a path.
    pub fn with_path(self, path: &Path) -> Key {
        self.with(path.as_os_str().as_bytes())
    }

    /// The name: 24 hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a finished entry depends on, and lines of its maker's choice that come back with it.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Host paths with their stamps.
    inputs: Vec<(PathBuf, String)>,
    /// Free lines.
    pub notes: Vec<String>,
}

impl Record {
    /// Stamps `inputs` now: make the record before the entry is built from them.
    pub fn of<'a>(inputs: impl IntoIterator<Item = &'a Path>, notes: Vec<String>) -> Record {
        Record { inputs: inputs.into_iter().map(|path| (path.to_path_buf(), stamp(path))).collect(), notes }
    }
}

impl Cache {
    /// The user's.
    pub fn open() -> Result<Cache, Failure> {
        let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
        let base =
            base.ok_or_else(|| Failure::usage("no place for built images: neither HOME nor XDG_CACHE_HOME is set"))?;
        Cache::at(base.join("demitasse"))
    }

    /// The one at `directory`, made if need be.
    pub fn at(directory: PathBuf) -> Result<Cache, Failure> {
        fs::create_dir_all(&directory).map_err(|error| Failure::file("create the cache folder", &directory, &error))?;
        Ok(Cache { directory })
    }

    /// Its path.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The entry `name` and its record: as it is, or made by `make` at the path that it is given.
    pub fn entry(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<Record, Failure>,
    ) -> Result<(PathBuf, Record), Failure> {
        let path = self.directory.join(name);
        if let Some(record) = self.unchanged(&path) {
            return Ok((path, record));
        }
        let lock_path = self.directory.join(format!("{name}.lock"));
        let lock = File::create(&lock_path).map_err(|error| Failure::own_file("write", &lock_path, &error))?;
        self.wait_for(&lock, &lock_path)?;
        // Another run may have made it while this one waited.
        if let Some(record) = self.unchanged(&path) {
            return Ok((path, record));
        }
        self.remove_old();
        let work = self.work_directory()?;
        let made = work.path().join("entry");
        let record = make(&made)?;
        let inputs = work.path().join("inputs");
        fs::write(&inputs, format(&record)).map_err(|error| Failure::own_file("write", &inputs, &error))?;
        // The record goes first and comes last: an entry without one is not used.
        let _ = fs::remove_file(record_path(&path));
        for (from, to) in [(made, path.clone()), (inputs, record_path(&path))] {
            fs::rename(&from, &to).map_err(|error| Failure::own_file("write", &to, &error))?;
        }
        Ok((path, record))
    }

    fn wait_for(&self, lock: &File, path: &Path) -> Result<(), Failure> {
        loop {
            match rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(50)),
                Err(error) => return Err(Failure::own_file("lock", path, &error.into())),
            }
            interrupt::check()?;
        }
    }

    /// An empty directory that goes when it is dropped.
    pub fn work_directory(&self) -> Result<tempfile::TempDir, Failure> {
        let prefix = format!("work-{}-", std::process::id());
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(&self.directory);
        made.map_err(|error| Failure::own_file("create a folder in", &self.directory, &error))
    }

    fn unchanged(&self, path: &Path) -> Option<Record> {
        let text = fs::read(record_path(path)).ok()?;
        let entry = File::open(path).ok()?;
        let record = parse_if_unchanged(&text)?;
        // Marks it as used; not worth a failure.
        let _ = entry.set_modified(SystemTime::now());
        Some(record)
    }

    /// Removes what is not used any more. Errors do not matter: the next run tries again.
    fn remove_old(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        let now = SystemTime::now();
        let mut images = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(meta) = entry.metadata() else { continue };
            if let Some(rest) = name.strip_prefix("work-") {
                let owner = rest.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
                if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                    let _ = fs::remove_dir_all(entry.path());
                }
            } else if record_path(&entry.path()).exists() {
                images.push((meta.modified().unwrap_or(now), meta.len(), entry.path()));
            }
        }
        images.sort();
        let mut total: u64 = images.iter().map(|(_, len, _)| len).sum();
        for (used, len, path) in images {
            if total > BYTES_MAX || now.duration_since(used).is_ok_and(|age| age > KEPT_UNUSED) {
                total -= len;
                let _ = fs::remove_file(record_path(&path));
                let _ = fs::remove_file(path.with_extension(format!("{}.lock", extension(&path))));
                let _ = fs::remove_file(&path);
            }
        }
    }
}

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default()
}

fn record_path(entry: &Path) -> PathBuf {
    let mut name = entry.as_os_str().to_os_string();
    name.push(".inputs");
    PathBuf::from(name)
}

/// One line an input: its stamp and its path; then one line a note.
fn format(record: &Record) -> String {
    let mut text = String::new();
    for (path, stamp) in &record.inputs {
        text.push_str("in ");
        text.push_str(stamp);
        text.push(' ');
        wire::escape::rest(&mut text, path.as_os_str().as_bytes());
        text.push('\n');
    }
    for note in &record.notes {
        text.push_str("note ");
        wire::escape::rest(&mut text, note.as_bytes());
        text.push('\n');
    }
    text.push_str("end\n");
    text
}

fn parse_if_unchanged(text: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix("end\n")?;
    let mut record = Record::default();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("in ") {
            let (expected, path) = rest.split_once(' ')?;
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(&wire::escape::decode(path).ok()?));
            if stamp(&path) != expected {
                return None;
            }
            record.inputs.push((path, expected.to_string()));
        } else {
            let note = wire::escape::decode(line.strip_prefix("note ")?).ok()?;
            record.notes.push(String::from_utf8(note).ok()?);
        }
    }
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn an_entry_is_made_once_until_an_input_changes() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("cache")).unwrap();
        let input = dir.path().join("a b%");
        let made = Cell::new(0);
        let get = || {
            let make = |path: &Path| {
                made.set(made.get() + 1);
                fs::write(path, "built").unwrap();
                Ok(Record::of([input.as_path()], vec!["a note".into()]))
            };
            let (path, record) = cache.entry("x.erofs", make).unwrap();
            assert_eq!((fs::read(path).unwrap(), record.notes), (b"built".to_vec(), vec!["a note".to_string()]));
            made.get()
        };
        assert_eq!([get(), get()], [1, 1]);
        fs::write(&input, "now it exists").unwrap();
        assert_eq!([get(), get()], [2, 2]);
    }

    #[test]
    fn a_failed_build_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().to_path_buf()).unwrap();
        assert!(
            cache
                .entry("x", |path| {
                    fs::write(path, "half").unwrap();
                    Err(Failure::build("no"))
                })
                .is_err()
        );
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["x.lock"]);
    }

    #[test]
    fn keys_do_not_run_together() {
        assert_ne!(Key::new("k").with("ab").with("c").finish(), Key::new("k").with("a").with("bc").finish());
    }
}
