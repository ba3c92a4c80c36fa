//! Memory gone under Java: an OutOfMemoryError in the thread that asked, or the end of the run with a status and a reason. Then the
//! next program of the same boot finds its memory again.

use crate::build::Built;
use crate::guest::Guest;
use crate::host::{DIRECTORY, ENVIRONMENT};
use crate::table::{Program, Test};
use crate::tally::Tally;
use anyhow::{Context, Result, bail, ensure};
use images::cache::Cache;
use images::kernel::Kernel;
use images::volume::Volume;
use images::{program, session};
use std::time::Duration;
use wire::ExitReason;

/// What a hog may come to.
enum End {
    /// It says so itself, with status 0.
    Says(&'static str),
    /// As `Says`, or the kernel ends it (137) with a reason, or the VM says that there is no memory (1).
    Any(&'static str),
}

/// Name, argument of `MemoryHog`, JVM options, end.
const HOGS: [(&str, &str, &[&str], End); 10] = [
    ("heap", "heap", &["-Xmx64m"], End::Says("heap: java.lang.OutOfMemoryError: Java heap space")),
    (
        "direct",
        "direct",
        &["-XX:MaxDirectMemorySize=32m"],
        End::Says("direct: java.lang.OutOfMemoryError: Cannot reserve"),
    ),
    (
        "metaspace",
        "metaspace",
        &["-XX:MaxMetaspaceSize=24m"],
        End::Says("metaspace: java.lang.OutOfMemoryError: Metaspace"),
    ),
    ("tmpfs", "tmpfs", &[], End::Says("tmpfs: No space left on device")),
    ("pretouch", "nothing", &["-Xms1g", "-Xmx1g", "-XX:+AlwaysPreTouch"], End::Any("nothing: ")),
    ("pretouch-nearly", "nothing", &["-Xms230m", "-Xmx230m", "-XX:+AlwaysPreTouch"], End::Any("nothing: ")),
    ("heap-all", "heap", &["-Xms16m", "-Xmx1g"], End::Any("heap: java.lang.OutOfMemoryError")),
    ("direct-all", "direct", &["-XX:MaxDirectMemorySize=4g"], End::Any("direct: java.lang.OutOfMemoryError")),
    ("metaspace-all", "metaspace", &[], End::Any("metaspace: java.lang.OutOfMemoryError")),
    ("threads", "threads", &["-Xss256k"], End::Any("threads: java.lang.OutOfMemoryError: unable to create native")),
];
/// Bytes of the machine.
const MEMORY: u64 = 256 << 20;
/// What a program may find less of than the first one did, after a hog that has emptied the caches.
const LOST_KIB: u64 = 6 << 10;

/// Runs the hogs whose names pass `filter`, in one boot; then the mapped file.
pub fn run(filter: &dyn Fn(&str) -> bool, built: &Built, guest: &Guest, tally: &mut Tally) {
    let name = |hog: &str| format!("memory-gone-java-{hog}");
    let hogs: Vec<_> = HOGS.iter().filter(|hog| filter(&name(hog.0))).collect();
    if !hogs.is_empty()
        && let Err(error) = run_hogs(&hogs, &name, built, guest, tally)
    {
        tally.fail("memory-gone-java", &format!("{error:#}"));
    }
    if filter(&name("mapped")) {
        let result = mapped_file(built, guest);
        tally.check(&name("mapped"), result.map_err(|error| format!("{error:#}")));
    }
}

fn java(argument: &[&str], jvm: &[&str]) -> Test {
    let mut test = Test::new("memory-gone-java", Program::Java("MemoryHog".into()));
    test.jvm = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"].iter().chain(jvm).map(|word| word.to_string()).collect();
    test.args = argument.iter().map(|word| word.to_string()).collect();
    test.timeout_ms = 600_000;
    test
}

fn run_hogs(
    hogs: &[&(&str, &str, &[&str], End)],
    name: &dyn Fn(&str) -> String,
    built: &Built,
    guest: &Guest,
    tally: &mut Tally,
) -> Result<()> {
    let native = |name: &str, args: &[&str]| {
        let mut program = program::native(&built.programs.join(name), name, args);
        program.env = ENVIRONMENT.iter().map(|text| text.as_bytes().to_vec()).collect();
        program.cwd = DIRECTORY.into();
        program
    };
    // The JDK's pages stay cached until somebody needs the memory: a hog does.
    let empty_and_count = || [native("oom_hog", &["anonymous"]), native("machine", &[])];
    let mut programs = Vec::from(empty_and_count());
    for (_, argument, jvm, _) in hogs {
        programs.push(guest.program(&java(&[argument], jvm), built));
        programs.extend(empty_and_count());
    }
    let mut machine = guest.machine.clone();
    (machine.memory_bytes, machine.cpus) = (MEMORY, 2);
    let limit = Duration::from_secs(180 * hogs.len() as u64 + 120);
    let options = session::Options { time_limit: Some(limit), ..Default::default() };
    let outcome = session::run(&machine, &program::manifest(programs), options)?;
    let free = |at: usize| outcome.programs.get(at).and_then(|result| crate::exhaustion::free_kib(&result.stdout));
    let at_first = free(1).context("the first program did not count its memory")?;
    for (at, (hog, _, _, end)) in hogs.iter().enumerate() {
        let found = match (outcome.programs.get(2 + 3 * at), free(4 + 3 * at)) {
            (None, _) => Err(format!("it did not end: {:?}\n{}", outcome.failure, outcome.log.join("\n"))),
            (Some(result), _) if !is_good(end, result) => {
                Err(format!("{:?}\n{}{}", result.end, text(&result.stdout), text(&result.stderr)))
            }
            (_, None) => Err("the next program did not count its memory".into()),
            (_, Some(now)) if now + LOST_KIB < at_first => {
                Err(format!("the next program finds {now} KiB free, the first one found {at_first}"))
            }
            _ => Ok(()),
        };
        tally.check(&name(hog), found);
    }
    Ok(())
}

fn is_good(end: &End, result: &session::ProgramResult) -> bool {
    let said = |expected: &str| matches!(result.end, ExitReason::Code(0)) && text(&result.stdout).contains(expected);
    match (end, &result.end) {
        (End::Says(expected) | End::Any(expected), ExitReason::Code(0)) => said(expected),
        (End::Any(_), ExitReason::OutOfMemory(reason)) => result.status == 137 && !reason.is_empty(),
        (End::Any(_), ExitReason::Code(1)) => {
            let output = text(&result.stdout) + &text(&result.stderr);
            output.contains("insufficient memory") || output.contains("Could not reserve")
        }
        _ => false,
    }
}

/// A file on a volume, three times as large as the memory, written and read through mappings.
fn mapped_file(built: &Built, guest: &Guest) -> Result<()> {
    const MEMORY_MIB: u64 = 128;
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let volume =
        Volume { file: dir.path().join("data.img"), size: Some(1 << 30), path: "/srv".into(), read_only: false };
    volume.ensure()?;
    let mut machine = guest.machine.clone();
    machine.kernel = Kernel::prepare_with(&Cache::open()?, &["volumes"])?;
    machine.memory_bytes = MEMORY_MIB << 20;
    machine.disks.push(volume.disk(0)?);
    let size = (3 * MEMORY_MIB).to_string();
    let test = java(&["mapped", "/srv/large", &size], &["-Xmx24m"]);
    let mut manifest = program::manifest([guest.program(&test, built)]);
    manifest.volumes.push(volume.entry(0));
    let options = session::Options { time_limit: Some(Duration::from_secs(600)), ..Default::default() };
    let outcome = session::run(&machine, &manifest, options)?;
    let Some(result) = outcome.programs.first() else {
        bail!("it did not end: {:?}\n{}", outcome.failure, outcome.log.join("\n"))
    };
    let output = text(&result.stdout) + &text(&result.stderr);
    ensure!(result.status == 0 && output == "mapped: done\n", "{:?}\n{output}", result.end);
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
