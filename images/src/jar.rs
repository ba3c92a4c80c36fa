//! What a jar's manifest says: the main class and what else belongs on the class path.

use crate::failure::{self, Failure};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::result::ZipError;

/// Longest manifest that is read, in bytes.
const MANIFEST_MAX: u64 = 4 << 20;

/// The parts of a jar's manifest that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jar {
    /// `Main-Class`.
    pub main_class: Option<String>,
    /// `Class-Path`, resolved against the jar's directory: only entries that are files or directories of this host.
    pub class_path: Vec<PathBuf>,
}

/// Reads the jar at `path`. No such file, or not a jar: status 2.
pub fn read(path: &Path) -> Result<Jar, Failure> {
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!("no such jar: {}", path.display())),
        _ => Failure::file("open", path, &error),
    })?;
    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(Failure::usage(format!(
            "{} is a directory; for classes in it write: -cp {0} MainClass",
            path.display()
        )));
    }
    let not_a_jar = |why: String| Failure::usage(format!("not a jar: {} ({why})", path.display()));
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| not_a_jar(words(&error)))?;
    let text = match archive.by_name("META-INF/MANIFEST.MF") {
        Ok(entry) => {
            let mut bytes = Vec::new();
            let read = entry.take(MANIFEST_MAX).read_to_end(&mut bytes);
            read.map_err(|error| not_a_jar(format!("its manifest is damaged: {}", failure::reason(&error))))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Err(ZipError::FileNotFound) => String::new(),
        Err(error) => return Err(not_a_jar(words(&error))),
    };
    let directory = path.parent().unwrap_or(Path::new("/"));
    let attribute = |name: &str| main_attribute(&text, name);
    let class_path = attribute("Class-Path").unwrap_or_default();
    Ok(Jar {
        main_class: attribute("Main-Class").map(|value| value.trim().to_string()).filter(|value| !value.is_empty()),
        class_path: class_path.split_ascii_whitespace().filter_map(|entry| local_path(entry, directory)).collect(),
    })
}

fn words(error: &ZipError) -> String {
    match error {
        ZipError::Io(error) => failure::reason(error),
        ZipError::InvalidArchive(why) => why.to_string(),
        other => other.to_string(),
    }
}

/// The value of `name` in the main section, continuation lines (a leading space) joined.
/// JAR File Specification, "Notes on Manifest and Signature Files".
fn main_attribute(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().take_while(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        if !key.eq_ignore_ascii_case(name) {
            continue;
        }
        let mut value = value.strip_prefix(' ').unwrap_or(value).to_string();
        while let Some(more) = lines.next_if(|line| line.starts_with(' ')) {
            value.push_str(&more[1..]);
        }
        return Some(value);
    }
    None
}

/// A `Class-Path` entry is a relative URL; `file:` ones and plain paths are ours to take along.
fn local_path(entry: &str, directory: &Path) -> Option<PathBuf> {
    let text = match entry.split_once(':') {
        Some(("file", rest)) => rest.strip_prefix("//").unwrap_or(rest),
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => return None,
        _ => entry,
    };
    let bytes = wire::escape::decode(text).unwrap_or_else(|_| text.as_bytes().to_vec());
    Some(directory.join(String::from_utf8(bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    fn jar(manifest: Option<&str>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(file.reopen().unwrap());
        zip.start_file("A.class", SimpleFileOptions::default()).unwrap();
        if let Some(text) = manifest {
            zip.start_file("META-INF/MANIFEST.MF", SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        file
    }

    #[test]
    fn continued_lines_and_urls() {
        let text = "Manifest-Version: 1.0\r\nMain-Class: com.example.VeryLong\r\n Name\r\nClass-Path: lib/a.jar lib/b%20c.jar fi\r\n le:/opt/d.jar http://x/e.jar\r\n\r\nName: x\r\nMain-Class: Other\r\n";
        let file = jar(Some(text));
        let read = read(file.path()).unwrap();
        assert_eq!(read.main_class.as_deref(), Some("com.example.VeryLongName"));
        let directory = file.path().parent().unwrap();
        assert_eq!(read.class_path, [directory.join("lib/a.jar"), directory.join("lib/b c.jar"), "/opt/d.jar".into()]);
    }

    #[test]
    fn no_manifest_no_main_class() {
        assert_eq!(read(jar(None).path()).unwrap(), Jar::default());
        assert_eq!(read(jar(Some("Main-Class: \n")).path()).unwrap().main_class, None);
    }

    #[test]
    fn what_is_not_a_jar_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello").unwrap();
        assert!(read(file.path()).unwrap_err().message.starts_with("not a jar"));
        assert!(read(Path::new("/no/such.jar")).unwrap_err().message.starts_with("no such jar"));
        assert!(read(Path::new("/usr")).unwrap_err().message.contains("directory"));
    }
}
