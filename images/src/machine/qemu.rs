//! Which QEMU there is.

use crate::cache::{Cache, Key, Record};
use crate::failure::{self, Failure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Its name on the PATH.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// Oldest version that has all options in use (`reserve=off` is the newest of them).
const VERSION_MIN: (u32, u32) = (6, 1);
const INSTALL: &str = "run: apt-get install qemu-system-x86";

/// A QEMU that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    /// Its file.
    pub program: PathBuf,
    /// As it prints it.
    pub version: String,
}

impl Qemu {
    /// The one on the PATH (or `$DEMITASSE_QEMU`). Missing or too old: status 2.
    pub fn find(cache: &Cache) -> Result<Qemu, Failure> {
        let program = match std::env::var_os("DEMITASSE_QEMU") {
            Some(chosen) => PathBuf::from(chosen),
            None => on_path()
                .ok_or_else(|| Failure::usage(format!("QEMU is missing: no {PROGRAM} on the PATH; {INSTALL}")))?,
        };
        let name = format!("qemu-{}", Key::new("qemu").with_path(&program).finish());
        // Links are followed: an update changes the file, not the link.
        let file = program.canonicalize().unwrap_or_else(|_| program.clone());
        let (_, record) = cache.entry(&name, |entry| {
            let record = Record::of([program.as_path(), file.as_path()], vec![ask_version(&program)?]);
            std::fs::write(entry, "").map_err(|error| Failure::own_file("write", entry, &error))?;
            Ok(record)
        })?;
        let version = record.notes.into_iter().next().unwrap_or_default();
        Ok(Qemu { program, version })
    }
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(PROGRAM)).find(|file| file.is_file())
}

/// The version, if it is new enough.
fn ask_version(program: &Path) -> Result<String, Failure> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| {
        Failure::usage(format!("cannot run {}: {}; {INSTALL}", program.display(), failure::reason(&error)))
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = || Failure::usage(format!("{} does not say its version; {INSTALL}", program.display()));
    let version =
        text.split_once("version ").and_then(|(_, rest)| rest.split_ascii_whitespace().next()).ok_or_else(wrong)?;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (parts.next(), parts.next()) else {
        return Err(wrong());
    };
    if (major, minor) < VERSION_MIN {
        let (least, minor) = VERSION_MIN;
        return Err(Failure::usage(format!(
            "QEMU {version} is too old; {least}.{minor} or newer is needed; {INSTALL}"
        )));
    }
    Ok(version.to_string())
}
