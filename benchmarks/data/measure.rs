//! One boot of one side for each function here, with a fresh copy of one volume.

use anyhow::{Context, Result, ensure};
use guest::run::Run;
use guest::system::{Plan, Program, Side, Systems, VOLUME};
use guest::turns::Samples;
use images::volume;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(600);
/// Bytes of the files that are read; FileLoad knows them too.
const FILE_BYTES: usize = 64 << 20;
const VOLUME_BYTES: u64 = 1 << 30;
/// FileLoad's first case: what the JVM does only once.
const REHEARSAL: &str = "rehearsal";
/// In which the host reads the counter, in milliseconds of the guest's.
const PAUSE_MS: u32 = 300;

/// A formatted volume with the files that are read.
pub struct Volume {
    directory: TempDir,
}

impl Volume {
    /// Formats it. The files are not zeros, which might be holes, and not compressible.
    pub fn make() -> Result<Volume> {
        let directory = tempfile::tempdir()?;
        let files = directory.path().join("files");
        fs::create_dir(&files)?;
        let mut state = 1_u64;
        let content: Vec<u8> = std::iter::repeat_with(|| {
            // Knuth's MMIX generator.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_le_bytes()
        })
        .take(FILE_BYTES / 8)
        .flatten()
        .collect();
        for name in ["warm", "cold-read", "cold-map"] {
            fs::write(files.join(name), &content)?;
        }
        let image = directory.path().join("volume");
        File::create(&image)?.set_len(VOLUME_BYTES)?;
        volume::format(&image, Some(&files))?;
        Ok(Volume { directory })
    }

    /// A copy, for one boot.
    fn copy(&self) -> Result<(TempDir, PathBuf)> {
        let place = tempfile::tempdir()?;
        let copy = place.path().join("volume");
        fs::copy(self.directory.path().join("volume"), &copy)?;
        Ok((place, copy))
    }
}

fn java(pause: u32) -> Program {
    // One compiler, one collector: what is compared is not theirs.
    let options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", "/classes", "FileLoad", VOLUME];
    Program::Java(options.into_iter().map(String::from).chain([pause.to_string()]).collect())
}

/// The words of a line `data end NAME OPERATIONS NANOSECONDS`.
fn end_of(line: &str) -> Result<(String, f64, f64)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, _, name, operations, time] = words[..] else { anyhow::bail!("the guest printed {line:?}") };
    let number = |text: &str| text.parse::<f64>().with_context(|| format!("the guest printed {line:?}"));
    Ok((name.to_string(), number(operations)?, number(time)?))
}

/// Instructions an operation of each case, everything that the guest does meanwhile included.
pub fn count(systems: &Systems, side: Side, volume: &Volume) -> Result<Samples> {
    let (_place, copy) = volume.copy()?;
    let mut run = Run::start(systems, side, &Plan { volume: Some(copy), ..Plan::counted(java(PAUSE_MS)) })?;
    let mut monitor = run.monitor()?;
    let mut samples = Samples::new();
    let mut before = None;
    loop {
        let (line, _) = run.wait_for_line("data ", LIMIT)?;
        if line.starts_with("data all") {
            ensure!(samples.len() == crate::CASES.len(), "the guest ran {} cases", samples.len());
            return Ok(samples);
        }
        monitor.stop()?;
        let now = monitor.instructions()?;
        monitor.go_on()?;
        match before.take() {
            None => before = Some(now),
            Some(before) => {
                let (name, operations, _) = end_of(&line)?;
                if name == REHEARSAL {
                    continue;
                }
                samples.insert(name, vec![(now - before) as f64 / operations]);
            }
        }
    }
}

/// Operations a second of each case.
pub fn wall(systems: &Systems, side: Side, volume: &Volume) -> Result<Samples> {
    let (_place, copy) = volume.copy()?;
    let mut run = Run::start(systems, side, &Plan { volume: Some(copy), ..Plan::timed(java(0)) })?;
    run.wait_for_line("data all", LIMIT)?;
    let output = run.output();
    let ends = output.lines().map(str::trim).filter(|line| line.starts_with("data end"));
    ends.map(|line| end_of(line).map(|(name, operations, time)| (name, vec![operations / time * 1e9]))).collect()
}

#[cfg(test)]
mod tests {
    use super::end_of;

    #[test]
    fn a_line_with_too_few_words_is_an_error() {
        assert_eq!(end_of("data end a 10 20").unwrap(), ("a".to_string(), 10.0, 20.0));
        assert!(end_of("data end a 10").is_err());
        assert!(end_of("data end a 10 x").is_err());
    }
}
