//! Measures what a start costs, Demitasse and a Linux guest side by side: same QEMU, same disks, same JDK and options.
//! How and why: README.md beside this file; the bars: ../PROMISES.md.

use anyhow::Result;
use clap::{Parser, ValueEnum};
use guest::report::{Bar, Row};
use guest::system::{Side, Systems};
use guest::turns::{self, Common};
use std::path::Path;
use std::process::ExitCode;

mod measure;

/// Measures start-up of Demitasse and of Linux in one run and prints a report in Markdown.
#[derive(Parser)]
struct Options {
    /// What to measure; everything if not given
    #[arg(value_enum)]
    what: Vec<What>,
    #[command(flatten)]
    common: Common,
    /// Interleaved runs of each wall-clock measurement
    #[arg(long, default_value_t = 11)]
    runs: usize,
    /// Runs of each instruction count
    #[arg(long, default_value_t = 5)]
    counts: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Instructions from reset to Hello's line
    Instructions,
    /// Instructions from kernel entry to ld.so
    Boot,
    /// Time from QEMU's start to Hello's line
    Wall,
    /// Smallest memory for Hello
    Memory,
    /// Size of the kernel file
    Size,
    /// System.nanoTime and the first SecureRandom bytes
    Clocks,
}

fn main() -> ExitCode {
    turns::exit("startup", measure(&Options::parse()))
}

/// Whether all is well: with `--check`, that every bar is held.
fn measure(options: &Options) -> Result<bool> {
    let sides = options.common.sides();
    let classes = tempfile::tempdir()?;
    guest::compile_java(&Path::new(env!("CARGO_MANIFEST_DIR")).join("startup/java"), classes.path())?;
    let systems = Systems::prepare(classes.path(), sides.contains(&Side::Demitasse))?;
    let is_wanted = |what| options.what.is_empty() || options.what.contains(&what);
    let mut rows = Vec::new();
    if is_wanted(What::Instructions) {
        rows.push(row("instructions to Hello's line, M", Bar::AtMost(380.0), &sides, options.counts, |side| {
            Ok(measure::instructions(&systems, side)? / 1e6)
        })?);
    }
    if is_wanted(What::Boot) && sides.contains(&Side::Demitasse) {
        let boot = measure::boot(&systems)?;
        eprintln!("firmware before the kernel: {:.1} M instructions", boot.firmware as f64 / 1e6);
        rows.push(Row {
            what: "instructions, kernel entry to ld.so, M".into(),
            ours: vec![boot.kernel as f64 / 1e6],
            linux: vec![],
            bar: Bar::AtMost(10.0),
        });
    }
    if is_wanted(What::Wall) {
        rows.push(row("QEMU start to Hello's line, 2 vCPUs, s", Bar::Ratio(0.42), &sides, options.runs, |side| {
            measure::wall(&systems, side)
        })?);
    }
    if is_wanted(What::Memory) {
        rows.push(row("smallest memory for Hello, MiB", Bar::AtMost(64.0), &sides, 1, |side| {
            Ok((measure::memory(&systems, side)? >> 20) as f64)
        })?);
    }
    if is_wanted(What::Size) {
        rows.push(row("kernel file, MiB", Bar::AtMost(1.0), &sides, 1, |side| {
            Ok(systems.kernel_bytes(side)? as f64 / (1 << 20) as f64)
        })?);
    }
    if is_wanted(What::Clocks) {
        let mut random =
            Row { what: "first SecureRandom bytes, ms".into(), ours: vec![], linux: vec![], bar: Bar::Ratio(1.0) };
        rows.push(row("System.nanoTime, ns a call", Bar::Ratio(1.0), &sides, options.runs, |side| {
            let (clock, bytes) = measure::clocks(&systems, side)?;
            if side == Side::Linux { &mut random.linux } else { &mut random.ours }.push(bytes);
            Ok(clock)
        })?);
        rows.push(random);
    }
    Ok(options.common.finish("Start-up", &systems, &rows))
}

/// Measures the sides in turns.
fn row(
    what: &'static str,
    bar: Bar,
    sides: &[Side],
    runs: usize,
    mut one: impl FnMut(Side) -> Result<f64>,
) -> Result<Row> {
    let show = |value: &f64| format!("{what}: {value:.3}");
    let [ours, linux] = turns::each(sides, runs, show, &mut one)?;
    Ok(Row { what: what.into(), ours, linux, bar })
}
