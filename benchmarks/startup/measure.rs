//! The measurements. Each takes both sides in turns, so that whatever else the host does touches both alike.

use anyhow::{Context, Result};
use guest::run::Run;
use guest::system::{Plan, Program, Side, Systems};
use std::time::Duration;

/// Hello's line.
const HELLO: &str = "hello ";
/// A run without its line by then has failed.
const LIMIT: Duration = Duration::from_secs(180);
/// Smallest memory: a run that needs longer than this does not count as running.
const MEMORY_LIMIT: Duration = Duration::from_secs(25);
/// Memory sizes are tried in these steps, in bytes.
const MEMORY_STEP: u64 = 2 << 20;

/// Java options as given on both sides.
fn java(options: &[&str], class: &str) -> Program {
    Program::Java(options.iter().chain(&["-cp", "/classes", class]).map(|word| word.to_string()).collect())
}

/// Executed instructions from reset to Hello's line: one vCPU, SerialGC, record mode.
pub fn instructions(systems: &Systems, side: Side) -> Result<f64> {
    let plan = Plan { cpu_features: "", ..Plan::counted(java(&["-XX:+UseSerialGC"], "Hello")) };
    let mut run = Run::start(systems, side, &plan)?;
    let mut monitor = run.monitor()?;
    run.wait_for_line(HELLO, LIMIT)?;
    // What the vCPU executes until it has stopped counts as well: a few 100,000 at most.
    monitor.stop()?;
    Ok(monitor.instructions()? as f64)
}

/// Instructions of our kernel from its entry to the first one of ld.so.
pub struct Boot {
    /// From reset to the kernel's entry: the firmware.
    pub firmware: u64,
    /// From the entry to the application's first instruction.
    pub kernel: u64,
}

/// Exact: breakpoints at the ELF entry and at the function that enters the application for the first time.
pub fn boot(systems: &Systems) -> Result<Boot> {
    let file = std::fs::read(systems.unstripped(&[])?)?;
    let elf = goblin::elf::Elf::parse(&file)?;
    let entry = pvh_entry(&elf, &file).context("the kernel has no PVH entry note")?;
    let enter_app = symbol(&elf, "enter_app").context("the kernel has no symbol enter_app")?;
    let plan = Plan { is_debugged: true, cpu_features: "", ..Plan::counted(java(&["-XX:+UseSerialGC"], "Hello")) };
    let run = Run::start(systems, Side::Demitasse, &plan)?;
    let mut monitor = run.monitor()?;
    let mut stub = run.gdb()?;
    stub.run_to(entry)?;
    let firmware = monitor.instructions()?;
    stub.run_to(enter_app)?;
    let total = monitor.instructions()?;
    Ok(Boot { firmware, kernel: total - firmware })
}

/// The 32-bit entry in the ELF note that QEMU boots by (XEN_ELFNOTE_PHYS32_ENTRY).
fn pvh_entry(elf: &goblin::elf::Elf<'_>, file: &[u8]) -> Option<u64> {
    const PHYS32_ENTRY: u32 = 18;
    let note = elf.iter_note_headers(file)?.filter_map(Result::ok).find(|note| note.n_type == PHYS32_ENTRY)?;
    let bytes: [u8; 4] = note.desc.get(..4)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes).into())
}

/// The address of the only function whose name ends in `name` (Rust mangles the path before it).
fn symbol(elf: &goblin::elf::Elf<'_>, name: &str) -> Option<u64> {
    let mangled = format!("{}{name}17h", name.len());
    let is_it = |text: &str| {
        text == name
            || text.contains(&mangled)
            || (text.starts_with("_R") && text.ends_with(&format!("{}{name}", name.len())))
    };
    elf.syms
        .iter()
        .find(|symbol| symbol.is_function() && elf.strtab.get_at(symbol.st_name).is_some_and(is_it))
        .map(|symbol| symbol.st_value)
}

/// Wall time from QEMU's start to Hello's line, in seconds: 2 vCPUs, default options.
pub fn wall(systems: &Systems, side: Side) -> Result<f64> {
    let plan = Plan::timed(java(&[], "Hello"));
    let (_, time) = Run::start(systems, side, &plan)?.wait_for_line(HELLO, LIMIT)?;
    Ok(time.as_secs_f64())
}

/// System.nanoTime (ns a call) and the first SecureRandom bytes (ms).
pub fn clocks(systems: &Systems, side: Side) -> Result<(f64, f64)> {
    let plan = Plan::timed(java(&[], "Clocks"));
    let (line, _) = Run::start(systems, side, &plan)?.wait_for_line("clocks ", LIMIT)?;
    let mut numbers = line.split(' ').skip(1).map(str::parse::<f64>);
    let mut next = || numbers.next().and_then(Result::ok).with_context(|| format!("the guest printed {line:?}"));
    Ok((next()?, next()?))
}

/// Smallest memory that runs Hello, in bytes: bisection in steps of [`MEMORY_STEP`], then the result once more.
pub fn memory(systems: &Systems, side: Side) -> Result<u64> {
    let runs = |steps: u64| {
        let java = java(&["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx16m"], "Hello");
        let plan = Plan { cpus: 1, memory_bytes: steps * MEMORY_STEP, ..Plan::timed(java) };
        Run::start(systems, side, &plan).and_then(|mut run| run.wait_for_line(HELLO, MEMORY_LIMIT)).is_ok()
    };
    let (mut fails, mut works) = ((32 << 20) / MEMORY_STEP, (256 << 20) / MEMORY_STEP);
    anyhow::ensure!(runs(works), "{} does not run Hello in {} MiB", side.name(), (works * MEMORY_STEP) >> 20);
    while works - fails > 1 {
        let middle = (works + fails) / 2;
        *(if runs(middle) { &mut works } else { &mut fails }) = middle;
    }
    // A size that works only sometimes is not one that works.
    while !runs(works) {
        works += 1;
    }
    Ok(works * MEMORY_STEP)
}
