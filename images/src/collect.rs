//! Files that the program leaves behind and the user wants (`--get GUEST:HOST`), written as they arrive.

use crate::failure::{self, Failure};
use crate::progress;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// One wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Absolute path in the guest.
    pub guest: PathBuf,
    /// Where it goes; into it if it is a directory and the guest's is a file.
    pub host: PathBuf,
}

impl Wish {
    /// From `GUEST:HOST`, or `GUEST` for the same name in the current directory.
    pub fn parse(text: &str) -> Result<Wish, String> {
        let (guest, host) = text.split_once(':').unwrap_or((text, "."));
        if !guest.starts_with('/') {
            return Err(format!("\"{text}\": the guest's path must be absolute (GUEST:HOST)"));
        }
        Ok(Wish { guest: guest.into(), host: host.into() })
    }

    /// Where the guest's `path` goes, if it is part of this wish.
    fn destination(&self, path: &Path) -> Option<PathBuf> {
        let inside = path.strip_prefix(&self.guest).ok()?;
        // The guest's words must not lead out of the place that the user named.
        if inside.components().any(|part| !matches!(part, Component::Normal(_))) {
            return None;
        }
        let into_directory = self.host.is_dir() || self.host.as_os_str().as_bytes().ends_with(b"/");
        let base = if into_directory { self.host.join(self.guest.file_name()?) } else { self.host.clone() };
        Some(if inside.as_os_str().is_empty() { base } else { base.join(inside) })
    }
}

/// Takes files off the control channel.
#[derive(Debug, Default)]
pub struct Collector {
    wishes: Vec<Wish>,
    /// Fixed at the first file of each wish: a directory that we make ourselves must not change where the rest goes.
    bases: Vec<Option<PathBuf>>,
    open: Option<(PathBuf, File)>,
}

impl Collector {
    /// For these wishes. Fails when the folder of a destination does not exist.
    pub fn new(wishes: Vec<Wish>) -> Result<Collector, Failure> {
        for wish in &wishes {
            let parent = wish.host.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if !wish.host.is_dir() && !parent.is_dir() {
                return Err(Failure::usage(format!(
                    "--get: there is no folder {} to put {} into",
                    parent.display(),
                    wish.guest.display()
                )));
            }
        }
        let bases = wishes.iter().map(|wish| wish.destination(&wish.guest)).collect();
        Ok(Collector { wishes, bases, open: None })
    }

    /// A file begins.
    pub fn begin_file(&mut self, path: &[u8], mode: u32) {
        self.open = None;
        let Some(to) = self.destination(path) else {
            return;
        };
        if let Some(parent) = to.parent() {
            let _ = fs::create_dir_all(parent);
        }
        match File::create(&to) {
            Ok(file) => {
                let _ = file.set_permissions(fs::Permissions::from_mode(mode & 0o777 | 0o200));
                self.open = Some((to, file));
            }
            Err(error) => complain(&to, &error),
        }
    }

    /// More bytes of that file.
    pub fn file_bytes(&mut self, bytes: &[u8]) {
        if let Some((to, file)) = &mut self.open
            && let Err(error) = file.write_all(bytes)
        {
            complain(to, &error);
            self.open = None;
        }
    }

    /// A directory.
    pub fn directory(&mut self, path: &[u8]) {
        if let Some(to) = self.destination(path)
            && let Err(error) = fs::create_dir_all(&to)
        {
            complain(&to, &error);
        }
    }

    fn destination(&self, path: &[u8]) -> Option<PathBuf> {
        let path = Path::new(OsStr::from_bytes(path));
        let (wish, base) = self.wishes.iter().zip(&self.bases).find(|(wish, _)| wish.destination(path).is_some())?;
        let inside = path.strip_prefix(&wish.guest).ok()?;
        let base = base.clone()?;
        Some(if inside.as_os_str().is_empty() { base } else { base.join(inside) })
    }
}

fn complain(path: &Path, error: &std::io::Error) {
    progress::note(&format!("cannot write {}: {}", path.display(), failure::reason(error)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_comes_whole_and_a_file_into_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let wishes = vec![
            Wish { guest: "/tmp/dump".into(), host: dir.path().join("out") },
            Wish { guest: "/tmp/a.jfr".into(), host: dir.path().into() },
        ];
        let mut collector = Collector::new(wishes).unwrap();
        collector.directory(b"/tmp/dump");
        collector.begin_file(b"/tmp/dump/x", 0o600);
        collector.file_bytes(b"one ");
        collector.file_bytes(b"two");
        collector.begin_file(b"/tmp/a.jfr", 0o644);
        collector.file_bytes(b"jfr");
        collector.begin_file(b"/tmp/dump/../../escape", 0o644);
        collector.begin_file(b"/elsewhere", 0o644);
        assert_eq!(fs::read(dir.path().join("out/x")).unwrap(), b"one two");
        assert_eq!(fs::read(dir.path().join("a.jfr")).unwrap(), b"jfr");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn wishes_are_guest_then_host() {
        assert_eq!(Wish::parse("/tmp/x:y/z").unwrap(), Wish { guest: "/tmp/x".into(), host: "y/z".into() });
        assert_eq!(Wish::parse("/tmp/x").unwrap().host, Path::new("."));
        assert!(Wish::parse("x:/tmp").is_err());
        let error = Collector::new(vec![Wish::parse("/x:/no/such/folder/file").unwrap()]).unwrap_err();
        assert_eq!(error.reason.status(), 2);
    }
}
