//! Measures what files on a volume cost, Demitasse and a Linux guest side by side: same QEMU, same disk, same JDK.
//! How and why: README.md beside this file; the bars: ../PROMISES.md.

use anyhow::Result;
use clap::{Parser, ValueEnum};
use guest::report::Bar;
use guest::system::{Side, Systems};
use guest::turns::{self, Common, both, row};
use std::path::Path;
use std::process::ExitCode;

mod fetch;
mod measure;

/// Measures files and a database on a volume of Demitasse and of Linux in one run and prints a report in Markdown.
#[derive(Parser)]
struct Options {
    /// What to measure; everything if not given
    #[arg(value_enum)]
    what: Vec<What>,
    /// With which program [default: each]
    #[arg(long, value_enum)]
    load: Option<Name>,
    #[command(flatten)]
    common: Common,
    /// Boots a side for each instruction count
    #[arg(long, default_value_t = 3)]
    counts: usize,
    /// Boots a side for each wall-clock figure, in turns
    #[arg(long, default_value_t = 11)]
    runs: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Instructions an operation
    Count,
    /// Operations a second; needs an idle machine
    Wall,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// FileChannel: read, write, map
    Files,
    /// H2 in the same VM: insert, read, mixed, by 1 and by 64 clients
    H2,
    /// A node of Cassandra and its clients in the same VM: the same, and its start; minutes a boot
    Cassandra,
}

/// Of Linux's time until Cassandra accepts CQL, at most this.
const START_BAR: f64 = 0.8;

/// A program that runs cases.
struct Load {
    name: Name,
    class: &'static str,
    cases: &'static [Case],
    /// Whether its lines end with the 99th percentile of an operation's time.
    has_tail: bool,
}

const LOADS: [Load; 3] = [
    Load { name: Name::Files, class: "FileLoad", cases: &FILES, has_tail: false },
    Load { name: Name::H2, class: "H2Load", cases: &H2, has_tail: true },
    Load { name: Name::Cassandra, class: "CassandraLoad", cases: &CASSANDRA, has_tail: true },
];

/// A case of a load: its name there and in the report, and what decides how fast it is.
struct Case {
    name: &'static str,
    text: &'static str,
    limit: Limit,
}

#[derive(Clone, Copy)]
enum Limit {
    /// The kernel's code: at least 1.2 of Linux's speed.
    Code,
    /// The disk, or the memory that bytes are copied in: at least Linux's speed.
    Machine,
}

impl Limit {
    /// The least ratio of the speeds.
    const fn speed(self) -> f64 {
        match self {
            Limit::Code => 1.2,
            Limit::Machine => 1.0,
        }
    }
}

const fn case(name: &'static str, text: &'static str, limit: Limit) -> Case {
    Case { name, text, limit }
}

const FILES: [Case; 8] = [
    case("random_read_4k", "random read, 4 KiB, cached", Limit::Code),
    case("random_write_4k", "random write, 4 KiB, cached", Limit::Code),
    case("map_read_warm", "mapped read, a page, cached", Limit::Code),
    case("sequential_read_warm", "read in order, 1 MiB, cached", Limit::Machine),
    case("sequential_read_cold", "read in order, 1 MiB, from the disk", Limit::Machine),
    case("map_read_cold", "mapped read, a page, from the disk", Limit::Machine),
    case("sequential_write", "write in order, 1 MiB, force at the end", Limit::Machine),
    case("append_force", "append 4 KiB and force", Limit::Machine),
];

const H2: [Case; 6] = [
    case("h2_insert_1", "H2, insert, 1 client", Limit::Machine),
    case("h2_read_1", "H2, read, 1 client", Limit::Code),
    case("h2_mixed_1", "H2, half reads, half inserts, 1 client", Limit::Machine),
    case("h2_insert_64", "H2, insert, 64 clients", Limit::Machine),
    case("h2_read_64", "H2, read, 64 clients", Limit::Code),
    case("h2_mixed_64", "H2, half reads, half inserts, 64 clients", Limit::Machine),
];

const CASSANDRA: [Case; 6] = [
    case("cassandra_insert_1", "Cassandra, insert, 1 client", Limit::Machine),
    case("cassandra_read_1", "Cassandra, read, 1 client", Limit::Code),
    case("cassandra_mixed_1", "Cassandra, half reads, half inserts, 1 client", Limit::Machine),
    case("cassandra_insert_64", "Cassandra, insert, 64 clients", Limit::Machine),
    case("cassandra_read_64", "Cassandra, read, 64 clients", Limit::Code),
    case("cassandra_mixed_64", "Cassandra, half reads, half inserts, 64 clients", Limit::Machine),
];

fn main() -> ExitCode {
    turns::exit("data", measure(&Options::parse()))
}

/// Whether all is well: with `--check`, that every bar is held.
fn measure(options: &Options) -> Result<bool> {
    let sides = options.common.sides();
    let shared = tempfile::tempdir()?;
    guest::compile_java(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/java"), shared.path())?;
    let loads = || LOADS.iter().filter(|load| options.load.is_none_or(|name| name == load.name));
    if loads().any(|load| load.name == Name::H2) {
        fetch::h2(shared.path())?;
    }
    if loads().any(|load| load.name == Name::Cassandra) {
        fetch::cassandra(shared.path())?;
    }
    let systems = Systems::prepare(shared.path(), sides.contains(&Side::Demitasse))?;
    let volume = measure::Volume::make()?;
    let is_wanted = |what| options.what.is_empty() || options.what.contains(&what);
    let mut rows = Vec::new();
    for load in loads() {
        if is_wanted(What::Count) {
            let samples = both(&sides, options.counts, |side| measure::count(&systems, side, &volume, load))?;
            for case in load.cases {
                let bar = Bar::Ratio(1.0 / case.limit.speed());
                rows.push(row(&samples, case.name, &format!("{}, instructions", case.text), bar));
            }
        }
        if is_wanted(What::Wall) {
            let samples = both(&sides, options.runs, |side| measure::wall(&systems, side, &volume, load))?;
            for case in load.cases {
                let bar = Bar::AtLeast(case.limit.speed());
                rows.push(row(&samples, case.name, &format!("{}, operations a second", case.text), bar));
            }
            if load.name == Name::Cassandra {
                let text = "Cassandra, QEMU's start to CQL, s";
                rows.push(row(&samples, measure::START, text, Bar::Ratio(START_BAR)));
            }
            for case in load.cases.iter().filter(|_| load.has_tail) {
                let (name, text) = (measure::tail_of(case.name), format!("{}, 99th percentile, ns", case.text));
                rows.push(row(&samples, &name, &text, Bar::Ratio(1.0 / case.limit.speed())));
            }
        }
    }
    Ok(options.common.finish("Files on a volume", &systems, &rows))
}
