//! Measures what single kernel services cost, Demitasse and a Linux guest side by side: same QEMU, same binaries.
//! How and why: README.md beside this file; the bars: ../PROMISES.md.

use anyhow::Result;
use clap::{Parser, ValueEnum};
use guest::report::{Bar, Row};
use guest::system::{Side, Systems};
use guest::turns::{self, Common};
use measure::Samples;
use std::path::Path;
use std::process::ExitCode;

mod measure;

/// Measures the kernel services of Demitasse and of Linux in one run and prints a report in Markdown.
#[derive(Parser)]
struct Options {
    /// What to measure; everything if not given
    #[arg(value_enum)]
    what: Vec<What>,
    #[command(flatten)]
    common: Common,
    /// Only these cases of micro.c
    #[arg(long)]
    case: Vec<String>,
    /// Boots a side for each instruction count
    #[arg(long, default_value_t = 3)]
    counts: usize,
    /// Boots a side for each wall-clock figure, in turns
    #[arg(long, default_value_t = 11)]
    runs: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Instructions of each operation (micro.c)
    Count,
    /// Wall time of each operation (micro.c)
    Wall,
    /// Instructions of a null check in Java
    Java,
    /// Instructions to Hello's line with ZGC and a heap of 4 GB
    Zgc,
    /// Instructions an array of GcLoad with each collector
    GcCount,
    /// Arrays a second of GcLoad with each collector
    Gc,
    /// How evenly runnable threads share two vCPUs
    Fair,
}

/// One case of micro.c: its name there and in the report, the bar for its instructions, whether its faults zero pages.
struct Case {
    name: &'static str,
    text: &'static str,
    bar: Option<f64>,
    zeroed_pages: f64,
}

const fn case(name: &'static str, text: &'static str, bar: Option<f64>, zeroed_pages: f64) -> Case {
    Case { name, text, bar, zeroed_pages }
}

const HALF: Option<f64> = Some(0.5);
const THIRD: Option<f64> = Some(0.334);
const CASES: [Case; 18] = [
    case("null_call", "null call (getpid)", HALF, 0.0),
    case("clock_gettime", "clock_gettime (vDSO)", None, 0.0),
    case("dev_zero", "read + write of /dev/zero, 1 byte each", HALF, 0.0),
    case("pipe_byte", "write + read of a pipe, 1 byte", HALF, 0.0),
    case("futex_hand_over", "hand-over by futex", THIRD, 0.0),
    case("condition_hand_over", "hand-over by mutex and condition", THIRD, 0.0),
    case("context_switch", "context switch (sched_yield)", None, 0.0),
    case("thread_start_join", "thread start + join", None, 0.0),
    case("fault_4k", "fault, 4 KiB anonymous", HALF, 511.0 / 512.0),
    case("fault_2m", "2 MiB anonymous, touched", HALF, 512.0),
    case("fault_file", "fault, file in the page cache, 64 KiB", HALF, 0.0),
    case("map_unmap_4k", "mmap + munmap, 4 KiB", HALF, 0.0),
    case("map_touch_unmap_4k", "mmap + touch + munmap, 4 KiB", HALF, 1.0),
    case("map_unmap_1m", "mmap + munmap, 1 MiB", HALF, 0.0),
    case("mprotect_grow", "mprotect growth, 4 KiB", HALF, 0.0),
    case("commit_grow", "mmap growth (heap commit), 64 KiB", HALF, 0.0),
    case("zgc_granule", "2 MiB of a memfd in ZGC's three views, touched in each", HALF, 512.0),
    case("segv", "SIGSEGV round trip in C", HALF, 0.0),
];

const COLLECTORS: [&str; 5] = ["Serial", "Parallel", "G1", "Shenandoah", "Z"];

fn main() -> ExitCode {
    turns::exit("micro", measure(&Options::parse()))
}

/// Whether all is well: with `--check`, that every bar is held.
fn measure(options: &Options) -> Result<bool> {
    let sides = options.common.sides();
    let shared = tempfile::tempdir()?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("micro");
    guest::compile_java(&here.join("java"), shared.path())?;
    guest::compile_c(&here.join("c/micro.c"), shared.path())?;
    guest::compile_c(&here.join("c/fairness.c"), shared.path())?;
    // Not zeros: those would be a hole, which needs no page cache.
    std::fs::write(shared.path().join("data"), vec![0x5a; 8 << 20])?;
    let systems = Systems::prepare(shared.path(), sides.contains(&Side::Demitasse))?;
    let is_wanted = |what| options.what.is_empty() || options.what.contains(&what);
    let mut rows = Vec::new();
    if is_wanted(What::Count) {
        let samples = both(&sides, options.counts, |side| measure::count(&systems, side, &options.case))?;
        rows.extend(counted_rows(&samples));
    }
    if is_wanted(What::Java) {
        let samples = both(&sides, options.counts, |side| measure::null_check(&systems, side))?;
        rows.push(row(&samples, "null_check", "SIGSEGV round trip in Java (null check), instructions", Bar::None, 0.0));
    }
    if is_wanted(What::Zgc) {
        let samples = both(&sides, options.counts, |side| measure::zgc(&systems, side))?;
        rows.push(row(&samples, "zgc", "ZGC -Xmx4g, reset to Hello's line, M instructions", Bar::Ratio(0.5), 0.0));
    }
    if is_wanted(What::GcCount) {
        for collector in COLLECTORS {
            let samples = both(&sides, options.counts, |side| measure::gc_count(&systems, side, collector))?;
            rows.push(row(
                &samples,
                "gc",
                &format!("GcLoad, {collector}, instructions an array"),
                Bar::Ratio(1.0),
                0.0,
            ));
        }
    }
    if is_wanted(What::Wall) {
        let samples = both(&sides, options.runs, |side| measure::wall(&systems, side, &options.case))?;
        for case in &CASES {
            rows.push(row(&samples, case.name, &format!("{}, ns (2 vCPUs)", case.text), Bar::None, 0.0));
        }
    }
    if is_wanted(What::Gc) {
        for collector in COLLECTORS {
            let samples = both(&sides, options.runs, |side| measure::gc(&systems, side, collector))?;
            rows.push(row(&samples, "gc", &format!("GcLoad, {collector}, arrays a second"), Bar::AtLeast(1.0), 0.0));
        }
    }
    if is_wanted(What::Fair) {
        let samples = both(&sides, options.runs, |side| measure::fairness(&systems, side))?;
        for (threads, _) in measure::FAIRNESS {
            for (name, text) in [
                ("least", "least that one got, of the mean"),
                ("most", "most that one got, of the mean"),
                ("jain", "Jain's index"),
                ("gap", "longest wait for a turn, ms"),
            ] {
                let text = format!("{threads} threads that compute, {text}");
                rows.push(row(&samples, &format!("{name}-{threads}"), &text, Bar::None, 0.0));
            }
        }
    }
    rows.retain(|row| !row.ours.is_empty() || !row.linux.is_empty());
    Ok(options.common.finish("Kernel services", &systems, &rows))
}

/// The rows of the instruction counts. A fault's row comes without the zeroing, and then with it.
fn counted_rows(samples: &[Samples; 2]) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in &CASES {
        let bar = || case.bar.map_or(Bar::None, Bar::Ratio);
        if case.zeroed_pages == 0.0 {
            rows.push(row(samples, case.name, &format!("{}, instructions", case.text), bar(), 0.0));
        } else {
            let text = format!("{}, instructions less zeroing", case.text);
            rows.push(row(samples, case.name, &text, bar(), case.zeroed_pages));
            rows.push(row(samples, case.name, &format!("{}, instructions in all", case.text), Bar::None, 0.0));
            let faults = |side: usize| samples[side].faults(case.name);
            if case.name == "fault_2m" {
                let text = format!("{}, faults", case.text);
                rows.push(Row { what: text, ours: faults(0), linux: faults(1), bar: Bar::Ratio(1.0) });
            }
        }
    }
    rows
}

/// A row of the table, `zeroed_pages` times the cost of clearing a page as the side's kernel does it taken off.
fn row(samples: &[Samples; 2], name: &str, text: &str, bar: Bar, zeroed_pages: f64) -> Row {
    let of = |side: usize| samples[side].values(name, zeroed_pages);
    Row { what: text.to_string(), ours: of(0), linux: of(1), bar }
}

/// Samples of the sides, taken in turns: ours, Linux's.
fn both(sides: &[Side], runs: usize, one: impl FnMut(Side) -> Result<Samples>) -> Result<[Samples; 2]> {
    Ok(turns::each(sides, runs, Samples::to_string, one)?.map(|all| {
        let mut merged = Samples::default();
        all.into_iter().for_each(|samples| merged.add(samples));
        merged
    }))
}
