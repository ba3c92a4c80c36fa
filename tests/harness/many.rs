//! A thousand programs in one boot: each ends by exit_group with threads that spin, wait and are runnable, and none of
//! them may leave anything behind.

use crate::boots::outputs;
use crate::build::Built;
use crate::guest::Guest;
use crate::tally::Tally;
use images::program;

/// Programs in one boot.
const PROGRAMS: usize = 1000;
/// The first programs fill the page cache and the kernel's own caches.
const WARM_UP: usize = 50;
/// What may be missing in the end, in pages: what per-vCPU caches of frames and heap blocks hold back.
const CACHED_PAGES: u64 = 64;

/// On one, two and four vCPUs.
pub fn run(filter: &dyn Fn(&str) -> bool, built: &Built, guest: &Guest, tally: &mut Tally) {
    for cpus in [1, 2, 4] {
        let name = format!("many-programs-{cpus}cpu");
        if filter(&name) {
            tally.check(&name, many(cpus, built, guest));
        }
    }
}

fn many(cpus: u32, built: &Built, guest: &Guest) -> Result<(), String> {
    let mut machine = guest.machine.clone();
    (machine.cpus, machine.memory_bytes) = (cpus, 512 << 20);
    let file = built.programs.join("exit_threads");
    let modes = ["spin", "block", "runnable", "other"];
    let programs = (0..PROGRAMS).map(|n| program::native(&file, "exit_threads", &[modes[n % modes.len()]])).collect();
    let texts = outputs(&machine, programs)?;
    let around = |n: usize| &texts[n.saturating_sub(2)..texts.len().min(n + 3)];
    let free_kib = (texts.iter().enumerate())
        .map(|(n, text)| {
            let number = text.trim().parse::<u64>();
            number.map_err(|_| format!("program {n} printed {text:?}; it and its neighbours: {:?}", around(n)))
        })
        .collect::<Result<Vec<u64>, String>>()?;
    // The least of four that follow each other, one of each kind.
    let least = |from: usize| free_kib[from..from + modes.len()].iter().min().copied().unwrap_or(0);
    let (before, after) = (least(WARM_UP), least(PROGRAMS - modes.len()));
    if before.saturating_sub(after) > CACHED_PAGES * 4 * u64::from(cpus) {
        return Err(format!("{before} KiB were free after {WARM_UP} programs, {after} KiB after {PROGRAMS}"));
    }
    println!("     {PROGRAMS} programs on {cpus} vCPUs: {before} KiB free after {WARM_UP}, {after} KiB at the end");
    Ok(())
}
