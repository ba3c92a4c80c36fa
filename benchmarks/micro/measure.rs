//! One boot of one side for each function here; what the guest prints becomes samples.

use anyhow::{Context, Result};
use guest::run::Run;
use guest::system::{Plan, Program, Side, Systems};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);

/// Figures by the names of their cases: the median of each boot.
#[derive(Default)]
pub struct Samples(BTreeMap<String, Vec<Sample>>);

#[derive(Clone, Copy)]
struct Sample {
    value: f64,
    faults: f64,
    /// Instructions to clear a page as that kernel does it; 0 where none was measured.
    zeroing: f64,
}

impl Samples {
    /// One sample of `name`.
    fn one(name: &str, value: f64) -> Samples {
        Samples(BTreeMap::from([(name.to_string(), vec![Sample { value, faults: 0.0, zeroing: 0.0 }])]))
    }

    /// Takes `others` in.
    pub fn add(&mut self, others: Samples) {
        for (name, values) in others.0 {
            self.0.entry(name).or_default().extend(values);
        }
    }

    /// The figures of `name`, less `zeroed_pages` times the cost of clearing a page.
    pub fn values(&self, name: &str, zeroed_pages: f64) -> Vec<f64> {
        self.of(name).iter().map(|sample| sample.value - zeroed_pages * sample.zeroing).collect()
    }

    /// Minor faults an operation.
    pub fn faults(&self, name: &str) -> Vec<f64> {
        self.of(name).iter().map(|sample| sample.faults).collect()
    }

    fn of(&self, name: &str) -> &[Sample] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// From the lines `micro NAME VALUE FAULTS`: the median of each name's rounds.
    fn from_output(output: &str, side: Side) -> Result<Samples> {
        let mut rounds: BTreeMap<String, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
        for line in output.lines().filter_map(|line| line.trim().strip_prefix("micro ")) {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, value, faults] = words[..] else { continue };
            let number = |text: &str| text.parse::<f64>().with_context(|| format!("the guest printed {line:?}"));
            let (values, all_faults) = rounds.entry(name.to_string()).or_default();
            values.push(number(value)?);
            all_faults.push(number(faults)?);
        }
        let median = |name| rounds.get(name).map(|(values, _)| guest::stats::median(values));
        // Linux clears pages by `rep stosq` (without ERMS), we by vector stores: see README.md.
        let zeroing = median(if side == Side::Linux { "zero_quads" } else { "zero_vectors" }).unwrap_or_default();
        let sample = |(values, faults): (Vec<f64>, Vec<f64>)| Sample {
            value: guest::stats::median(&values),
            faults: guest::stats::median(&faults),
            zeroing,
        };
        Ok(Samples(rounds.into_iter().map(|(name, rounds)| (name, vec![sample(rounds)])).collect()))
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, samples) in &self.0 {
            for sample in samples {
                write!(f, "{name} {:.2} ", sample.value)?;
            }
        }
        Ok(())
    }
}

fn plan(program: Program, is_counted: bool) -> Plan {
    if is_counted { Plan::counted(program) } else { Plan::timed(program) }
}

fn native(mode: &str, cases: &[String]) -> Program {
    let mut arguments = vec![mode.to_string()];
    if !cases.is_empty() {
        arguments.extend(cases.iter().cloned());
        arguments.extend(["zero_quads", "zero_vectors"].map(String::from));
    }
    Program::Native("micro".into(), arguments)
}

fn java(words: &[&str]) -> Program {
    Program::Java(words.iter().map(|word| word.to_string()).collect())
}

fn output(systems: &Systems, side: Side, plan: &Plan) -> Result<Samples> {
    let mut run = Run::start(systems, side, plan)?;
    let (_, _) = run.wait_for_line("micro end", LIMIT)?;
    Samples::from_output(&run.output(), side)
}

/// Instructions of each case of micro.c.
pub fn count(systems: &Systems, side: Side, cases: &[String]) -> Result<Samples> {
    output(systems, side, &plan(native("count", cases), true))
}

/// Nanoseconds of each case of micro.c.
pub fn wall(systems: &Systems, side: Side, cases: &[String]) -> Result<Samples> {
    output(systems, side, &plan(native("wall", cases), false))
}

/// Instructions of a null check that faults, in the code of the first compiler. The clock counts instructions here.
pub fn null_check(systems: &Systems, side: Side) -> Result<Samples> {
    let program = java(&["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", "/classes", "NullCheck"]);
    output(systems, side, &plan(program, true))
}

/// Instructions from reset to Hello's line with ZGC and a heap of 4 GB, in millions.
pub fn zgc(systems: &Systems, side: Side) -> Result<Samples> {
    let mut plan = plan(java(&["-XX:+UseZGC", "-Xmx4g", "-cp", "/classes", "Hello"]), true);
    plan.memory_bytes = 6 << 30;
    let mut run = Run::start(systems, side, &plan)?;
    let mut monitor = run.monitor()?;
    run.wait_for_line("hello ", LIMIT)?;
    monitor.stop()?;
    Ok(Samples::one("zgc", monitor.instructions()? as f64 / 1e6))
}

fn gc_load(collector: &str, arguments: [&str; 2]) -> Program {
    let option = format!("-XX:+Use{collector}GC");
    java(&[&option, "-Xmx512m", "-cp", "/classes", "GcLoad", arguments[0], arguments[1]])
}

/// Instructions an array of GcLoad.
pub fn gc_count(systems: &Systems, side: Side, collector: &str) -> Result<Samples> {
    output(systems, side, &plan(gc_load(collector, ["arrays", "40000"]), true))
}

/// Arrays a second of GcLoad on 2 vCPUs.
pub fn gc(systems: &Systems, side: Side, collector: &str) -> Result<Samples> {
    output(systems, side, &plan(gc_load(collector, ["seconds", "4"]), false))
}

/// Threads that compute at once on 2 vCPUs, and for how many seconds.
pub const FAIRNESS: [(u32, u32); 3] = [(2, 5), (4, 5), (2000, 20)];

/// How evenly they ran (fairness.c).
pub fn fairness(systems: &Systems, side: Side) -> Result<Samples> {
    let words = FAIRNESS.iter().flat_map(|(threads, seconds)| [threads.to_string(), seconds.to_string()]);
    output(systems, side, &plan(Program::Native("fairness".into(), words.collect()), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_become_their_median_and_zeroing_comes_off() {
        let output = "noise\nmicro a 5 1\r\nmicro a 700 1\nmicro a 600 2\nmicro zero_vectors 512 0\nmicro end\n";
        let samples = Samples::from_output(output, Side::Demitasse).expect("it parses");
        assert_eq!(samples.values("a", 1.0), [88.0]);
        assert_eq!(samples.faults("a"), [1.0]);
        assert!(samples.values("b", 0.0).is_empty());
    }
}
