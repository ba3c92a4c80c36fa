//! One boot of one side for each function here, with a fresh copy of one volume.

use crate::{Load, Name};
use anyhow::{Context, Result, bail, ensure};
use guest::run::Run;
use guest::system::{Plan, Program, Side, Systems, VOLUME};
use guest::turns::Samples;
use images::volume;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(1800);
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

/// H2 as Maven names it.
pub const H2_ARTIFACT: &str = "com.h2database:h2:2.2.224";
const H2_JAR: &str = "h2-2.2.224.jar";

/// The name of the 99th percentile of a case.
pub fn tail_of(case: &str) -> String {
    format!("{case}_p99")
}

/// Cassandra's folder beside the classes: `jars`, `conf`, the load.
pub const CASSANDRA: &str = "cassandra";
/// The name of the time until Cassandra serves, in seconds.
pub const START: &str = "cassandra_start";

/// By wall clock H2 does so many times what it does when instructions are counted: that would be over in a third of a second.
const H2_TIMES: u32 = 10;

fn java(load: &Load, pause: u32) -> Program {
    let folder = format!("/classes/{CASSANDRA}");
    // One compiler, one collector: what is compared is not theirs. Cassandra has the example's options.
    let options = match load.name {
        Name::Files | Name::H2 => {
            ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"].map(String::from).to_vec()
        }
        Name::Cassandra => vec![
            format!("@{folder}/conf/jvm.options"),
            "-Xms1g".into(),
            "-Xmx1g".into(),
            format!("-javaagent:{folder}/jars/jamm-0.4.0.jar"),
            format!("-Dcassandra.storagedir={VOLUME}"),
        ],
    };
    let path = match load.name {
        Name::Files | Name::H2 => format!("/classes:/classes/{H2_JAR}"),
        Name::Cassandra => format!("{folder}/conf:{folder}:/classes:{folder}/jars/*"),
    };
    let words = ["-cp", &path, load.class, VOLUME].map(String::from);
    let mut numbers = vec![pause.to_string()];
    if load.name == Name::H2 && pause == 0 {
        numbers.push(H2_TIMES.to_string());
    }
    Program::Java(options.into_iter().chain(words).chain(numbers).collect())
}

/// The volume, and memory for the load.
fn plan(load: &Load, volume: PathBuf, plan: Plan) -> Plan {
    let memory_bytes = if load.name == Name::Cassandra { 3 << 30 } else { plan.memory_bytes };
    Plan { volume: Some(volume), memory_bytes, ..plan }
}

/// A line `data end NAME OPERATIONS NANOSECONDS [P99]`.
#[derive(Debug, PartialEq)]
struct End {
    name: String,
    operations: f64,
    time_ns: f64,
    tail_ns: Option<f64>,
}

fn end_of(line: &str) -> Result<End> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, _, name, operations, time, ref tail @ ..] = words[..] else { bail!("the guest printed {line:?}") };
    let number = |text: &str| text.parse::<f64>().with_context(|| format!("the guest printed {line:?}"));
    let tail_ns = tail.first().map(|text| number(text)).transpose()?;
    Ok(End { name: name.to_string(), operations: number(operations)?, time_ns: number(time)?, tail_ns })
}

/// Instructions an operation of each case, everything that the guest does meanwhile included.
pub fn count(systems: &Systems, side: Side, volume: &Volume, load: &Load) -> Result<Samples> {
    let (_place, copy) = volume.copy()?;
    let mut run = Run::start(systems, side, &plan(load, copy, Plan::counted(java(load, PAUSE_MS))))?;
    let mut monitor = run.monitor()?;
    let mut samples = Samples::new();
    let mut before = None;
    loop {
        let (line, _) = run.wait_for_line("data ", LIMIT)?;
        if line.starts_with("data serving") {
            continue;
        }
        if line.starts_with("data all") {
            ensure!(samples.len() == load.cases.len(), "the guest ran {} cases", samples.len());
            return Ok(samples);
        }
        monitor.stop()?;
        let now = monitor.instructions()?;
        monitor.go_on()?;
        match before.take() {
            None => before = Some(now),
            Some(before) => {
                let end = end_of(&line)?;
                if end.name == REHEARSAL {
                    continue;
                }
                samples.insert(end.name, vec![(now - before) as f64 / end.operations]);
            }
        }
    }
}

/// Operations a second of each case, and the 99th percentile of an operation's time where the program says it.
pub fn wall(systems: &Systems, side: Side, volume: &Volume, load: &Load) -> Result<Samples> {
    let (_place, copy) = volume.copy()?;
    let mut run = Run::start(systems, side, &plan(load, copy, Plan::timed(java(load, 0))))?;
    let mut samples = Samples::new();
    if load.name == Name::Cassandra {
        let (_, since_start) = run.wait_for_line("data serving", LIMIT)?;
        samples.insert(START.into(), vec![since_start.as_secs_f64()]);
    }
    run.wait_for_line("data all", LIMIT)?;
    let output = run.output();
    for line in output.lines().map(str::trim).filter(|line| line.starts_with("data end")) {
        let end = end_of(line)?;
        samples.extend(end.tail_ns.map(|tail| (tail_of(&end.name), vec![tail])));
        samples.insert(end.name, vec![end.operations / end.time_ns * 1e9]);
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::{End, end_of};

    #[test]
    fn a_line_with_too_few_words_is_an_error() {
        let end = End { name: "a".into(), operations: 10.0, time_ns: 20.0, tail_ns: None };
        assert_eq!(end_of("data end a 10 20").unwrap(), end);
        assert_eq!(end_of("data end a 10 20 3").unwrap(), End { tail_ns: Some(3.0), ..end });
        assert!(end_of("data end a 10 20 x").is_err());
        assert!(end_of("data end a 10").is_err());
        assert!(end_of("data end a 10 x").is_err());
    }
}
