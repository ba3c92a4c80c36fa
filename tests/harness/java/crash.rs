//! Native crashes: HotSpot's report is taken out of the machine and says what Linux's says, the status is SIGABRT's. A program that
//! hits the kernel's half may take the machine down; the run must still end with a status.

use super::jdks::Version;
use super::{Extent, report};
use crate::build::Built;
use crate::guest::Guest;
use crate::host;
use crate::table::{Program, Test};
use crate::tally::Tally;
use images::collect::Wish;
use images::jdk::Jdk;
use images::session;
use std::fs;

/// What all names here begin with.
pub const NAMES_START: &str = "crash-jdk";
const REPORT: &str = "/tmp/hs_err.log";

/// Ways of `NativeCrash` that Linux knows too; `oom` is the VM's own option.
const EQUAL: [&str; 7] =
    ["null", "jump", "noncanonical-write", "noncanonical-jump", "overflow", "overflow-below", "oom"];
/// Ways into the kernel's half.
const FOREIGN: [&str; 3] = ["kernel-write", "kernel-jump", "kernel-memory"];

/// All names for a JDK.
pub fn names(version: Version) -> Vec<String> {
    EQUAL.iter().chain(&FOREIGN).map(|way| name(version, way)).collect()
}

fn name(version: Version, way: &str) -> String {
    format!("{NAMES_START}{}-{way}", version.name())
}

/// Runs all (the sample: only with JDK 17, those into the kernel's half).
pub fn run(
    filter: &dyn Fn(&str) -> bool,
    version: Version,
    extent: Extent,
    built: &Built,
    jdk: &Jdk,
    guest: &Guest,
    tally: &mut Tally,
) {
    let is_sampled = |way: &&str| extent == Extent::Full || (version == Version::V17 && FOREIGN.contains(way));
    for way in EQUAL.iter().copied().filter(is_sampled) {
        let name = name(version, way);
        if filter(&name) {
            tally.check(&name, equal(way, built, jdk, guest));
        }
    }
    for way in FOREIGN.iter().copied().filter(is_sampled) {
        let name = name(version, way);
        if filter(&name) {
            tally.check(&name, ends(way, built, guest));
        }
    }
}

fn test(way: &str, built: &Built) -> Test {
    let class = if way == "oom" { "Exhaust" } else { "NativeCrash" };
    let mut test = Test::new(way, Program::Java(class.into()));
    test.jvm = vec!["-Xmx64m".into(), format!("-XX:ErrorFile={REPORT}")];
    if way == "oom" {
        test.jvm.push("-XX:+CrashOnOutOfMemoryError".into());
    } else {
        test.args = vec![way.into(), built.libraries.join("libcrash.so").display().to_string()];
    }
    test
}

fn equal(way: &str, built: &Built, jdk: &Jdk, guest: &Guest) -> Result<(), String> {
    let test = test(way, built);
    let (outcome, expected) =
        host::run_and_take(&test, built, jdk, REPORT).map_err(|error| format!("on Linux: {error:#}"))?;
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let taken = scratch.path().join("hs_err.log");
    let wishes = vec![Wish { guest: REPORT.into(), host: taken.clone() }];
    let options = session::Options { wishes, ..Default::default() };
    let (here, log) = guest.run_alone(guest.machine.clone(), &test, built, options)?;
    if here.status != outcome.status {
        let said = String::from_utf8_lossy(&here.stdout);
        return Err(format!("status {} on Linux, {} here\n{said}\n{log}", outcome.status, here.status));
    }
    if expected.is_empty() {
        // Linux has no room for the signal's frame: the process ends without HotSpot's knowledge.
        return if taken.exists() { Err("a report, but none on Linux".into()) } else { Ok(()) };
    }
    let report = fs::read(&taken).map_err(|error| format!("no report came out: {error}"))?;
    // A CPU refuses the call itself (SDM volume 2, CALL); QEMU's emulation makes it and faults at the target, so that the frame is
    // that of the return address, two bytes on. The function's name and all else are compared.
    let comparable = |line: String| match line.split_once("libcrash.so+0x") {
        Some((start, rest)) if way == "noncanonical-jump" => {
            let name = rest.split_once("  ").map_or(rest, |(_, name)| name);
            format!("{start}{}", name.split_once("+0x").map_or(name, |(name, _)| name))
        }
        _ => line,
    };
    let essence = |bytes: &[u8]| -> Vec<String> {
        report::essence(&String::from_utf8_lossy(bytes)).into_iter().map(comparable).collect()
    };
    let (expected, found) = (essence(&expected), essence(&report));
    if expected.last().is_none_or(|line| line != "END.") {
        return Err(format!("the report on Linux is not whole: {expected:?}"));
    }
    if expected == found {
        return Ok(());
    }
    Err(format!("reports differ\nLinux: {}\nhere:  {}", expected.join("\n       "), found.join("\n       ")))
}

/// Any end but the time limit's, and no success.
fn ends(way: &str, built: &Built, guest: &Guest) -> Result<(), String> {
    let test = test(way, built);
    let manifest = images::program::manifest([guest.program(&test, built)]);
    let limit = std::time::Duration::from_millis(test.timeout_ms);
    let options = session::Options { time_limit: Some(limit), ..Default::default() };
    let outcome = session::run(&guest.machine, &manifest, options).map_err(|failure| failure.message)?;
    let status = match (&outcome.failure, outcome.programs.first()) {
        (Some((reason, _)), _) => reason.status(),
        (None, Some(result)) => result.status,
        (None, None) => return Err("neither a failure nor a result".into()),
    };
    match status {
        121 | 134 | 139 => Ok(()),
        status => Err(format!("status {status}: {:?}\n{}", outcome.failure, outcome.log.join("\n"))),
    }
}
