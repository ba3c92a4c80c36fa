//! The boot matrix: numbers of vCPUs, machine types, memory sizes; and what HotSpot makes of the processor.

use crate::build::Built;
use crate::guest::Guest;
use crate::host::{DIRECTORY, ENVIRONMENT};
use crate::tally::Tally;
use images::jdk::Jdk;
use images::machine::Kind;
use images::{program, session};
use std::time::Duration;
use wire::ExitReason;

/// One machine.
struct Boot {
    kind: Kind,
    cpus: u32,
    memory_bytes: u64,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Every machine must run the program that counts vCPUs and memory; the ones of ordinary size also Java.
pub fn run(filter: &dyn Fn(&str) -> bool, built: &Built, jdk: &Jdk, guest: &Guest, tally: &mut Tally) {
    let mut boots = Vec::new();
    for kind in [Kind::Q35, Kind::Microvm] {
        for cpus in [1, 2, 4] {
            boots.push(Boot { kind, cpus, memory_bytes: 2 * GIB });
        }
    }
    for memory_bytes in [64 * MIB, 16 * GIB, 512 * GIB] {
        boots.push(Boot { kind: Kind::Q35, cpus: 2, memory_bytes });
    }
    for boot in boots {
        let size = images::size::show(boot.memory_bytes);
        let kind = if boot.kind == Kind::Q35 { "q35" } else { "microvm" };
        let name = format!("boot-{kind}-{}cpu-{size}", boot.cpus).replace(' ', "");
        if filter(&name) {
            tally.check(&name, try_boot(&boot, built, jdk, guest));
        }
    }
    if filter("vector-size") {
        tally.check("vector-size: MaxVectorSize is 32", vector_size(built, jdk, guest));
    }
}

fn try_boot(boot: &Boot, built: &Built, jdk: &Jdk, guest: &Guest) -> Result<(), String> {
    let mut machine = guest.machine.clone();
    (machine.kind, machine.cpus, machine.memory_bytes) = (boot.kind, boot.cpus, boot.memory_bytes);
    let counts = built.programs.join("machine");
    let mut programs = vec![program::native::<&str>(&counts, "machine", &[])];
    if boot.memory_bytes >= GIB {
        let classes = built.classes.display().to_string();
        programs.push(program::java(jdk, &["-cp", &classes, "Hello"]));
    }
    let results = outputs(&machine, programs)?;
    let numbers: Vec<u64> = results[0].split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [cpus, total_kib, free_kib] = numbers[..] else {
        return Err(format!("the program printed {:?}", results[0]));
    };
    if cpus != u64::from(boot.cpus) {
        return Err(format!("{cpus} vCPUs are up, not {}", boot.cpus));
    }
    // What the kernel keeps for itself: a little, and nothing that grows with what nobody uses.
    let least = boot.memory_bytes / 1024 - boot.memory_bytes / 1024 / 50 - 8 * 1024;
    if total_kib < least || total_kib > boot.memory_bytes / 1024 || free_kib > total_kib {
        return Err(format!("memory of {} KiB: total {total_kib}, free {free_kib} KiB", boot.memory_bytes / 1024));
    }
    match results.get(1) {
        Some(text) if !text.starts_with("hello ") => Err(format!("Java printed {text:?}")),
        _ => Ok(()),
    }
}

/// HotSpot tests at its start whether vector registers survive a signal, and says nothing when they do not.
fn vector_size(built: &Built, jdk: &Jdk, guest: &Guest) -> Result<(), String> {
    let classes = built.classes.display().to_string();
    let java = program::java(jdk, &["-XX:+PrintFlagsFinal", "-cp", &classes, "Hello"]);
    let text = outputs(&guest.machine, vec![java])?.remove(0);
    let line = text.lines().find(|line| line.contains(" MaxVectorSize ")).ok_or("no line MaxVectorSize")?;
    let is_32 = line.split_ascii_whitespace().skip_while(|word| *word != "=").nth(1) == Some("32");
    if is_32 { Ok(()) } else { Err(line.trim().into()) }
}

/// Standard outputs of programs that must end well.
pub(crate) fn outputs(
    machine: &images::machine::Machine,
    mut programs: Vec<wire::Program>,
) -> Result<Vec<String>, String> {
    let count = programs.len();
    for program in &mut programs {
        program.env = ENVIRONMENT.iter().map(|text| text.as_bytes().to_vec()).collect();
        program.cwd = DIRECTORY.into();
    }
    let options = session::Options { time_limit: Some(Duration::from_secs(240)), ..Default::default() };
    let outcome = session::run(machine, &program::manifest(programs), options).map_err(|failure| failure.message)?;
    if let Some((reason, text)) = &outcome.failure {
        return Err(format!("{}: {text}\n{}", reason.name(), outcome.log.join("\n")));
    }
    for result in &outcome.programs {
        if result.end != ExitReason::Code(0) {
            return Err(format!(
                "{:?}\n{}\n{}",
                (result.program, &result.end),
                String::from_utf8_lossy(&result.stderr),
                outcome.log.join("\n")
            ));
        }
    }
    let texts: Vec<String> =
        outcome.programs.iter().map(|result| String::from_utf8_lossy(&result.stdout).into_owned()).collect();
    if texts.len() == count { Ok(texts) } else { Err(format!("{} of {count} programs ended", texts.len())) }
}
