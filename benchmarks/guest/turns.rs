//! Samples of both systems, taken in turns, and what the programs of this folder do with them at their end.

use crate::report::{self, Bar, Row};
use crate::stats::median;
use crate::system::{Side, Systems};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Figures by name; a boot adds some to each.
pub type Samples = BTreeMap<String, Vec<f64>>;

/// What all programs of this folder can be told.
#[derive(clap::Args)]
pub struct Common {
    /// Only this side
    #[arg(long, value_enum)]
    only: Option<Side>,
    /// Exit with status 1 when a bar is missed, or was not measured
    #[arg(long)]
    check: bool,
}

impl Common {
    /// The systems to measure.
    pub fn sides(&self) -> Vec<Side> {
        Side::BOTH.into_iter().filter(|side| self.only.is_none_or(|only| only == *side)).collect()
    }

    /// Prints the report. Whether all is well: with `--check`, that every bar is held.
    pub fn finish(&self, title: &str, systems: &Systems, rows: &[Row]) -> bool {
        print!("{}", report::markdown(title, &systems.description(), rows));
        let is_held = |row: &Row| matches!(row.bar, Bar::None) || row.is_held() == Some(true);
        !self.check || rows.iter().all(is_held)
    }
}

/// Runs `one` for each side in turns, `runs` times: all results of ours, all of Linux's. `show` says what one was.
pub fn each<T>(
    sides: &[Side],
    runs: usize,
    show: impl Fn(&T) -> String,
    mut one: impl FnMut(Side) -> Result<T>,
) -> Result<[Vec<T>; 2]> {
    let mut all = [Vec::new(), Vec::new()];
    for turn in 1..=runs {
        for &side in sides {
            let new = one(side).with_context(|| side.name())?;
            eprintln!("{turn} of {runs}, {}: {}", side.name(), show(&new));
            all[usize::from(side == Side::Linux)].push(new);
        }
    }
    Ok(all)
}

/// The same for figures by name: ours, Linux's.
pub fn both(sides: &[Side], runs: usize, one: impl FnMut(Side) -> Result<Samples>) -> Result<[Samples; 2]> {
    let show = |samples: &Samples| {
        let figures: Vec<String> =
            samples.iter().map(|(name, values)| format!("{name} {:.0}", median(values))).collect();
        figures.join(", ")
    };
    let merge = |all: Vec<Samples>| {
        let mut merged = Samples::new();
        for (name, values) in all.into_iter().flatten() {
            merged.entry(name).or_default().extend(values);
        }
        merged
    };
    Ok(each(sides, runs, show, one)?.map(merge))
}

/// The row of the figures `name`.
pub fn row(samples: &[Samples; 2], name: &str, text: &str, bar: Bar) -> Row {
    let of = |side: usize| samples[side].get(name).cloned().unwrap_or_default();
    Row { what: text.to_string(), ours: of(0), linux: of(1), bar }
}

/// The status of the program `name`: 0 if all is well, 1 if `--check` found a missed bar, 2 with a message for an error.
pub fn exit(name: &str, result: Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::from(2)
        }
    }
}
