//! Results in files: one line a test, appended as soon as it is known, so that a run that was interrupted goes on.

use super::rules::Rule;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// What the host said of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// It passes there; milliseconds of each run.
    Passed(Vec<u64>),
    /// It does not count; what is known of a failure.
    Out(Rule, String),
}

/// What the guest said of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// Whether it passed.
    pub is_good: bool,
    /// Milliseconds.
    pub ms: u64,
    /// What is known of a failure.
    pub text: String,
}

/// A result as a line.
pub trait Line: Sized {
    /// As text.
    fn show(&self) -> String;
    /// From text.
    fn parse(text: &str) -> Option<Self>;
}

impl Line for Host {
    fn show(&self) -> String {
        match self {
            Host::Passed(ms) => {
                format!("Passed\t{}", ms.iter().map(u64::to_string).collect::<Vec<_>>().join(","))
            }
            Host::Out(rule, text) => format!("{}\t{text}", rule.word()),
        }
    }

    fn parse(text: &str) -> Option<Host> {
        let (word, rest) = text.split_once('\t')?;
        if word == "Passed" {
            return rest.split(',').map(|ms| ms.parse().ok()).collect::<Option<_>>().map(Host::Passed);
        }
        Some(Host::Out(Rule::parse(word)?, rest.into()))
    }
}

impl Line for Here {
    fn show(&self) -> String {
        format!("{}\t{}\t{}", self.is_good, self.ms, self.text)
    }

    fn parse(text: &str) -> Option<Here> {
        let mut parts = text.splitn(3, '\t');
        Some(Here { is_good: parts.next()? == "true", ms: parts.next()?.parse().ok()?, text: parts.next()?.into() })
    }
}

/// The file and what is in it.
pub struct Records<T> {
    file: File,
    known: BTreeMap<String, T>,
}

impl<T: Line> Records<T> {
    /// Those in `path`, which is made if need be.
    pub fn open(path: &Path) -> Result<Records<T>> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let parse = |line: &str| {
            let (name, rest) = line.split_once('\t')?;
            Some((name.to_string(), T::parse(&rest.replace("\\n", "\n"))?))
        };
        let known = text.lines().filter_map(parse).collect();
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Records { file: file.with_context(|| format!("cannot write {}", path.display()))?, known })
    }

    /// What is known of a test.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.known.get(name)
    }

    /// Notes a result.
    pub fn put(&mut self, name: &str, result: T) -> Result<()> {
        let text = result.show().replace('\n', "\\n").replace('\r', "");
        writeln!(self.file, "{name}\t{text}")?;
        self.known.insert(name.into(), result);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let results = [
            ("a", Host::Passed(vec![1, 20])),
            ("b", Host::Out(Rule::Child, "x\ny\tz".into())),
            ("c", Host::Out(Rule::Skips, String::new())),
        ];
        let mut records = Records::open(&path).unwrap();
        results.iter().for_each(|(name, result)| records.put(name, result.clone()).unwrap());
        let records: Records<Host> = Records::open(&path).unwrap();
        for (name, result) in &results {
            assert_eq!(records.get(name), Some(result));
        }
    }
}
