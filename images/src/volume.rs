//! Data volumes: files with an ext4 file system that the guest writes to.

use crate::failure::{self, Failure};
use crate::machine::Disk;
use crate::progress::Task;
use crate::size;
use crate::tree::absolute;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Size of a volume that is made without `size=`: only what is written takes room on the host.
const SIZE_DEFAULT: u64 = 10 << 30;
/// Smallest: the journal alone takes 4 MiB.
const SIZE_MIN: u64 = 16 << 20;
/// Where the guest has file systems of its own.
const TAKEN: [&str; 5] = ["/proc", "/sys", "/dev", "/tmp", "/run"];

/// `--volume FILE[,size=SIZE]:/PATH[:ro]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The image.
    pub file: PathBuf,
    /// Size to make it with if it is missing, in bytes.
    pub size: Option<u64>,
    /// Where the guest mounts it.
    pub path: PathBuf,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

impl Volume {
    /// From an option's value; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Volume, String> {
        let wrong = |what: &str| Err(format!("{text}: {what}; write FILE[,size=10G]:/PATH[:ro]"));
        let (rest, read_only) = match text.strip_suffix(":ro") {
            Some(rest) => (rest, true),
            None => (text.strip_suffix(":rw").unwrap_or(text), false),
        };
        let Some((file, path)) = rest.rsplit_once(':') else { return wrong("no guest path after the file") };
        if !path.starts_with('/') || path == "/" {
            return wrong("the guest path must be absolute, and not / itself");
        }
        if TAKEN.iter().any(|taken| Path::new(path).starts_with(taken)) {
            return wrong("the guest has a file system of its own there");
        }
        let (file, size) = match file.rsplit_once(",size=") {
            Some((file, size)) => (file, Some(size::parse(size)?)),
            None => (file, None),
        };
        if file.is_empty() {
            return wrong("no file");
        }
        if size.is_some_and(|size| size < SIZE_MIN) {
            return wrong(&format!("a volume needs at least {}", size::show(SIZE_MIN)));
        }
        Ok(Volume { file: file.into(), size, path: path.into(), read_only })
    }

    /// Makes and formats the file if it is missing. An existing one stays as it is, whatever `size=` says.
    pub fn ensure(&self) -> Result<(), Failure> {
        match fs::metadata(&self.file) {
            Ok(found) if found.is_dir() => {
                Err(Failure::usage(format!("--volume {}: is a directory; a volume is one file", self.file.display())))
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.read_only => {
                Err(Failure::usage(format!("--volume {}: no such file, and :ro makes none", self.file.display())))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.format(),
            Err(error) => Err(Failure::file("open the volume", &self.file, &error)),
        }
    }

    fn format(&self) -> Result<(), Failure> {
        let _task = Task::start(format!("formatting {}", self.file.display()));
        let mut name = self.file.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let failed = |error: io::Error| Failure::file("create the volume", &self.file, &error);
        let result = File::create(&new)
            .and_then(|file| file.set_len(self.size.unwrap_or(SIZE_DEFAULT)))
            .map_err(failed)
            .and_then(|()| format(&new, None))
            .and_then(|()| fs::rename(&new, &self.file).map_err(failed));
        if result.is_err() {
            // Nothing half made stays; that it cannot be removed is no news beside the first error.
            let _removed = fs::remove_file(&new);
        }
        result
    }

    /// The disk with the number `index`.
    pub fn disk(&self, index: usize) -> Result<Disk, Failure> {
        Ok(Disk { file: absolute(&self.file)?, serial: serial(index), is_writable: !self.read_only })
    }

    /// The manifest's line for it.
    pub fn entry(&self, index: usize) -> wire::Volume {
        let path = self.path.as_os_str().as_encoded_bytes().to_vec();
        wire::Volume { serial: serial(index), path, read_only: self.read_only }
    }
}

fn serial(index: usize) -> String {
    format!("volume{index}")
}

/// Makes a file system for the guest in `file`, with the files of `content`: blocks of 4 KiB are what it takes.
pub fn format(file: &Path, content: Option<&Path>) -> Result<(), Failure> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new("mkfs.ext4")
        .env("PATH", &path)
        .args(["-q", "-F", "-b", "4096", "-m", "0"])
        .args(content.into_iter().flat_map(|content| [OsStr::new("-d"), content.as_os_str()]))
        .arg(file)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Failure::build(format!("mkfs.ext4 {}: {}", file.display(), said.trim())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::build("mkfs.ext4 is missing; run: sudo apt-get install e2fsprogs"))
        }
        Err(error) => Err(Failure::build(format!("mkfs.ext4 does not start: {}", failure::reason(&error)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_a_file_and_a_path() {
        let volume = Volume::parse("data.img:/data").unwrap();
        assert_eq!((volume.file, volume.size, volume.read_only), ("data.img".into(), None, false));
        let volume = Volume::parse("a:b.img,size=64M:/var/lib/x:ro").unwrap();
        assert_eq!((volume.file, volume.size, volume.read_only), ("a:b.img".into(), Some(64 << 20), true));
        assert_eq!(volume.path, Path::new("/var/lib/x"));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in ["data.img", "data.img:data", ":/data", "x:/", "x:/tmp/y", "x,size=1M:/data", "x,size=a:/data"] {
            assert!(Volume::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_missing_file_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data.img");
        let volume = Volume { file: file.clone(), size: Some(32 << 20), path: "/data".into(), read_only: false };
        volume.ensure().unwrap();
        let made = fs::read(&file).unwrap();
        assert_eq!(made.len(), 32 << 20);
        assert_eq!(made[0x438..0x43a], [0x53, 0xef], "ext4's magic number");
        volume.ensure().unwrap();
        assert!(fs::read(&file).unwrap() == made, "an existing volume is left alone");
        assert!(Volume { file: dir.path().join("none"), read_only: true, ..volume }.ensure().is_err());
    }
}
