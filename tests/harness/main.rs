//! `guest-tests`: runs the suites, or those tests whose names contain a given word.

use anyhow::{Context, Result};
use clap::Parser;
use harness::guest::Guest;
use harness::java::Extent;
use harness::table::Test;
use harness::tally::Tally;
use harness::{
    boots, build, databases, differential, disk_faults, dns, endings, examples, exhaustion, exhaustion_java, fuzz,
    java, many, parts, power_cut,
};
use images::jdk::Jdk;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

/// Runs guest tests on Linux and in the guest and compares them; then the boot matrix and the endings.
#[derive(Parser)]
struct Options {
    /// Only tests whose names contain one of these words
    words: Vec<String>,
    /// Only on the host, each twice: shows tests that differ from themselves
    #[arg(long)]
    host_only: bool,
    /// Names the tests of the table and runs nothing
    #[arg(long)]
    list: bool,
    /// Java only, all of it: every JDK with every collector and every program (about an hour)
    #[arg(long)]
    matrix: bool,
    /// The examples only, each started, asked and ended (Maven fetches libraries for two), and names looked up over the network
    #[arg(long)]
    examples: bool,
    /// H2, Derby, ZooKeeper and Kafka on a volume, each in two boots (fetches them with Maven)
    #[arg(long)]
    databases: bool,
    /// Cuts the power under load (power-cut-c, -h2, -derby, -cassandra: name one) and looks at the disk after this many cuts
    #[arg(long, value_name = "CUTS")]
    power_cuts: Option<usize>,
    /// With --power-cuts: writes that the load acknowledges
    #[arg(long, default_value_t = 400)]
    writes: usize,
    /// With --power-cuts: decides where the cuts are and what they keep [default: a fresh one]
    #[arg(long)]
    seed: Option<u64>,
    /// With --power-cuts: a driver that never flushes, with which the test must fail
    #[arg(long)]
    no_flush: bool,
    /// With --power-cuts power-cut-cassandra: a guest mounts and reads what a cut left, Linux's JVM restarts Cassandra on it (seconds
    /// instead of minutes a cut)
    #[arg(long)]
    on_linux: bool,
    /// Java only, under load: every collector in turn for so many --minutes on each of --cpus
    #[arg(long)]
    stress: bool,
    /// How long --stress lasts
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// vCPUs of --stress, with commas between
    #[arg(long, value_delimiter = ',', default_values_t = [2, 4])]
    cpus: Vec<u32>,
    /// Adds the counts of a log of cargo test to the closing line
    #[arg(long, value_name = "FILE")]
    cargo_log: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut tally = Tally::default();
    if let Err(error) = run(&options, &mut tally) {
        tally.fail("the harness", &format!("{error:#}"));
    }
    if options.list || tally.close() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(options: &Options, tally: &mut Tally) -> Result<()> {
    if let Some(log) = &options.cargo_log {
        tally.add_cargo_log(log)?;
    }
    let filter = |name: &str| options.words.is_empty() || options.words.iter().any(|word| name.contains(word.as_str()));
    if options.examples {
        examples::run(&filter, tally);
        let built = build::all()?;
        let guest = Guest::prepare(&built, &Jdk::discover(None).context("the tests need a JDK")?)?;
        dns::run(&filter, &built, &guest, tally);
        return Ok(());
    }
    let built = build::all()?;
    let tests: Vec<&Test> = built.tests.iter().filter(|test| filter(&test.name)).collect();
    if options.list {
        tests.iter().for_each(|test| println!("{}", test.name));
        return Ok(());
    }
    if options.matrix {
        java::run(&filter, Extent::Full, &built, tally)?;
        let guest = Guest::prepare(&built, &Jdk::discover(None).context("the tests need a JDK")?)?;
        exhaustion_java::run(&filter, &built, &guest, tally);
        return Ok(());
    }
    if options.stress {
        let plan = java::stress::Plan { minutes: options.minutes, cpus: options.cpus.clone() };
        return java::stress::run(&plan, &built, tally);
    }
    let jdk = Jdk::discover(None).context("the tests need a JDK")?;
    if options.databases {
        return databases::run_all(&filter, &jdk, tally);
    }
    if options.host_only {
        return differential::host_only(&tests, &built, &jdk, tally);
    }
    let guest = Guest::prepare(&built, &jdk)?;
    if let Some(cuts) = options.power_cuts {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let seed = options.seed.unwrap_or(now.as_secs());
        let (writes, keeps_flush, on_linux) = (options.writes, !options.no_flush, options.on_linux);
        let extent = power_cut::Extent { cuts, writes, seed, keeps_flush, on_linux };
        return power_cut::long(&filter, extent, &built, &jdk, &guest, tally);
    }
    differential::run(&tests, &built, &jdk, &guest, tally)?;
    boots::run(&filter, &built, &jdk, &guest, tally);
    many::run(&filter, &built, &guest, tally);
    exhaustion::run(&filter, &built, &guest, tally);
    parts::run(&filter, &built, &jdk, &guest, tally);
    disk_faults::run(&filter, &built, &guest, tally);
    power_cut::short(&filter, &built, &guest, tally);
    fuzz::short(&filter, tally)?;
    endings::run(&filter, &built, tally)?;
    java::run(&filter, Extent::Sample, &built, tally)
}
