//! `jtreg`: runs OpenJDK's own tests on Linux and in the guest, and prints a table.

use anyhow::{Context, Result, bail};
use clap::Parser;
use harness::jtreg::describe::Description;
use harness::jtreg::records::{Here, Host, Records};
use harness::jtreg::suite::{FOLDERS, Suite};
use harness::jtreg::units::Word;
use harness::jtreg::{in_guest, on_host, report, source};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs OpenJDK's own tests (Debian's source package) on the host's Linux and in the guest. Chosen by --all, --sample or words.
#[derive(Parser)]
struct Options {
    /// Only tests whose names contain one of these words
    words: Vec<String>,
    /// All tests of the folders
    #[arg(long)]
    all: bool,
    /// So many, drawn by the seed from those that pass on Linux
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Decides which are drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only of these folders of OpenJDK's `test` folder (hotspot/jtreg/runtime, ...)
    #[arg(long, value_name = "FOLDER")]
    folder: Vec<String>,
    /// Leaves out what takes longer on Linux, in seconds; the table says how many
    #[arg(long, value_name = "SECONDS")]
    longest: Option<u64>,
    /// Where the source package cannot be fetched: says so, and is no failure
    #[arg(long)]
    skip_unfetched: bool,
    /// Only on the host
    #[arg(long)]
    host_only: bool,
    /// Where results are kept: a run that finds the file goes on where it ended
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Also writes the table there
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Names the tests and runs nothing
    #[arg(long)]
    list: bool,
}

impl Options {
    fn is_long(&self, host: &Host) -> bool {
        matches!((host, self.longest), (Host::Passed(times), Some(longest)) if times.iter().sum::<u64>() > longest * 1000)
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("jtreg: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<bool> {
    let folders: Vec<&str> =
        if options.folder.is_empty() { FOLDERS.to_vec() } else { options.folder.iter().map(String::as_str).collect() };
    if !options.all && options.sample.is_none() && options.words.is_empty() && !options.list {
        bail!("say which: --all, --sample N, or words of names");
    }
    if options.skip_unfetched
        && let Err(error) = source::fetch()
    {
        println!("SKIPPED jtreg: NOT ONE of OpenJDK's tests was run: cannot fetch Debian's source package: {error:#}");
        return Ok(true);
    }
    let mut suite = Suite::open(&folders)?;
    if !options.words.is_empty() {
        suite.tests.retain(|(test, _)| options.words.iter().any(|word| test.name.contains(word.as_str())));
    }
    if options.list {
        for (test, rule) in &suite.tests {
            println!("{}{}", test.name, rule.map_or(String::new(), |rule| format!("\t{rule}")));
        }
        return Ok(true);
    }
    let release =
        suite.jdk.release("JAVA_RUNTIME_VERSION").or_else(|| suite.jdk.release("JAVA_VERSION")).unwrap_or_default();
    let host_file = suite.places.root.join(format!("linux-{}.tsv", release.trim_matches('"')));
    let mut host = Records::<Host>::open(&host_file)?;
    let temporary = tempfile::NamedTempFile::new()?;
    let results = options.results.as_deref().unwrap_or(temporary.path());
    let mut here = Records::<Here>::open(results)?;
    if let Some(count) = options.sample {
        draw(&mut suite, count, options, &mut host)?;
    }
    let tests: Vec<&Description> =
        suite.tests.iter().filter(|(_, rule)| rule.is_none()).map(|(test, _)| test).collect();
    let ready = on_host(&suite, &tests, &mut host)?;
    if !options.host_only {
        let passed = ready.values().filter_map(|test| match host.get(&test.name) {
            Some(host) if options.is_long(host) => None,
            Some(Host::Passed(times)) if here.get(&test.name).is_none() => Some((test, times.clone())),
            _ => None,
        });
        let passed: Vec<_> = passed.collect();
        in_guest(&suite, &passed, &mut |test, end| {
            let is_good = end.word == Word::Pass;
            let first: Vec<&str> = end.text.lines().filter(|line| !line.is_empty()).take(12).collect();
            match is_good {
                true => println!("ok      {} ({} ms)", test.name, end.ms),
                false => println!("FAILED  {} ({} ms)\n        {}", test.name, end.ms, first.join("\n        ")),
            }
            here.put(&test.name, Here { is_good, ms: end.ms, text: end.text })
        })?;
    }
    let (mut text, is_good) = report::table(&suite, &host, &here);
    if let Some(longest) = options.longest {
        let is_long = |name: &str| host.get(name).is_some_and(|host| options.is_long(host));
        let count = suite.tests.iter().filter(|(test, rule)| rule.is_none() && is_long(&test.name)).count();
        text += &format!("\n{count} tests that take longer than {longest} s on Linux were not run here (--longest).\n");
    }
    print!("\n{text}");
    if let Some(path) = &options.table {
        std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(is_good || options.host_only)
}

/// Keeps `count` of the tests that pass on Linux, in the order that the seed gives, and those before them that do not.
fn draw(suite: &mut Suite, count: usize, options: &Options, host: &mut Records<Host>) -> Result<()> {
    suite.tests.sort_by_key(|(test, _)| mix(options.seed, &test.name));
    let mut at = 0;
    let mut passed = 0;
    while passed < count && at < suite.tests.len() {
        let mut now: Vec<&Description> = Vec::new();
        let start = at;
        while now.len() < count - passed && at < suite.tests.len() {
            let (test, rule) = &suite.tests[at];
            if rule.is_none() {
                now.push(test);
            }
            at += 1;
        }
        on_host(suite, &now, host)?;
        let is_passed = |name: &str| matches!(host.get(name), Some(host @ Host::Passed(_)) if !options.is_long(host));
        passed += suite.tests[start..at].iter().filter(|(test, rule)| rule.is_none() && is_passed(&test.name)).count();
    }
    suite.tests.truncate(at);
    Ok(())
}

/// A number that depends on both (FNV-1a with a final mix).
fn mix(seed: u64, name: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 31;
    hash = hash.wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 29
}
