//! `fuzz`: the long runs of the fuzzers and of the stress program; CI runs short ones among the guest tests.

use anyhow::Result;
use clap::Parser;
use harness::fuzz::{Bench, differential, fresh_seed, hostile, stress};
use std::process::ExitCode;

/// Fuzzes and stresses the guest. The same seed gives the same calls.
#[derive(Parser)]
enum Command {
    /// Random sequences of calls must print the same on Linux and in the guest
    Differential {
        /// Default: a fresh one
        #[arg(long)]
        seed: Option<u64>,
        /// Sequences
        #[arg(long, default_value_t = 200)]
        rounds: u32,
        /// Number of the first one: a seed's sequence N alone is `--first N --rounds 1`
        #[arg(long, default_value_t = 0)]
        first: u32,
        /// Calls in a sequence
        #[arg(long, default_value_t = 500)]
        calls: u32,
        /// memory, files, descriptors, signals, futexes, time, with commas between
        #[arg(long, default_value = "all")]
        families: String,
        /// Only the first line that differs of each sequence, nothing shrunk
        #[arg(long)]
        survey: bool,
    },
    /// Any call with any argument must leave the kernel alive and its memory alone
    Hostile {
        /// Default: a fresh one
        #[arg(long)]
        seed: Option<u64>,
        /// Calls in all
        #[arg(long, default_value_t = 1_000_000)]
        calls: u64,
    },
    /// vCPUs in munmap and mprotect against each other
    Stress {
        /// How long
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// vCPUs and threads
        #[arg(long, default_value_t = 4)]
        cpus: u32,
    },
}

fn main() -> ExitCode {
    match run(&Command::parse()) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<String> {
    let bench = Bench::prepare()?;
    let message = anyhow::Error::msg;
    match command {
        Command::Differential { seed, rounds, first, calls, families, survey } => {
            let seed = seed.unwrap_or_else(fresh_seed);
            println!("seed {seed}");
            let (rounds, first, calls) = (*rounds, *first, *calls);
            let plan = differential::Plan { seed, rounds, first, calls, families: families.clone(), survey: *survey };
            differential::run(&bench, &plan).map_err(message)?;
            Ok(format!("{rounds} sequences of {calls} calls: no difference"))
        }
        Command::Hostile { seed, calls } => {
            let seed = seed.unwrap_or_else(fresh_seed);
            println!("seed {seed}");
            let done = hostile::run(&bench, seed, *calls).map_err(message)?;
            let hostile::Done { calls, programs, late, boots } = done;
            Ok(format!("{calls} calls by {programs} programs ({late} ended by the time limit) in {boots} boots"))
        }
        Command::Stress { seconds, cpus } => stress::run(&bench, *cpus, *seconds).map_err(message),
    }
}
