//! Class-data archives of an application: written here and used here, and each across the border: one from here on Linux, one from
//! Linux here. HotSpot takes an archive only if jar, modules file and build are the ones that it was made with.

use super::jdks::Version;
use crate::build::Built;
use crate::guest::Guest;
use crate::host;
use crate::table::{Program, Test};
use images::collect::Wish;
use images::jdk::Jdk;
use images::layers::{self, Application, Target};
use images::session;
use std::fs;
use std::path::Path;

/// Where programs write an archive.
const WRITTEN: &str = "/tmp/app.jsa";
/// The class, and the line that says that it came out of the archive.
const CLASS: &str = "GcSmall";
const FROM_ARCHIVE: &str = "GcSmall source: shared objects file (top)";

/// The test's name.
pub fn name(version: Version) -> String {
    format!("jdk{}-archive", version.name())
}

/// Writes and uses archives.
pub fn check(version: Version, built: &Built, jdk: &Jdk, guest: &Guest) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let scratch = tempfile::tempdir_in(&built.folder).map_err(|error| text(&error))?;
    let place = scratch.path().join("archive");
    let file = place.join("app.jsa");
    let dump = format!("-XX:ArchiveClassesAtExit={WRITTEN}");
    let create = format!("-XX:+AutoCreateSharedArchive -XX:SharedArchiveFile={WRITTEN}");
    let mut ways = vec![(dump.as_str(), true), (dump.as_str(), false)];
    if version != Version::V17 {
        ways.push((create.as_str(), true));
    }
    for (options, writes_here) in ways {
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).map_err(|error| text(&error))?;
        let writer = test(options);
        if writes_here {
            in_guest(&writer, built, guest, None, Some(&file))?;
        } else {
            let (outcome, archive) =
                host::run_and_take(&writer, built, jdk, WRITTEN).map_err(|error| format!("{error:#}"))?;
            fs::write(&file, archive).map_err(|error| text(&error))?;
            if outcome.status != 0 {
                return Err(format!("status {} on Linux when writing", outcome.status));
            }
        }
        // `on`: no archive, no start.
        let reader = test(&format!("-Xshare:on -Xlog:cds -XX:SharedArchiveFile={}", file.display()));
        let here = in_guest(&reader, built, guest, Some(&place), None)?;
        let on_linux = host::run_keeping(&reader, built, jdk, &place).map_err(|error| format!("{error:#}"))?;
        for (system, output) in [("here", here), ("on Linux", on_linux.stdout)] {
            let output = String::from_utf8_lossy(&output).into_owned();
            if !output.contains(FROM_ARCHIVE) {
                let written = if writes_here { "here" } else { "on Linux" };
                let about: Vec<&str> = output.lines().filter(|line| !line.contains("source: ")).collect();
                return Err(format!("{options}: written {written}, used {system}: not used\n{}", about.join("\n")));
            }
        }
    }
    Ok(())
}

fn test(options: &str) -> Test {
    let mut test = Test::new("archive", Program::Jar(CLASS.into()));
    test.jvm = ["-Xmx64m", "-Xlog:class+load"].into_iter().chain(options.split(' ')).map(String::from).collect();
    test
}

/// Runs it in a boot of its own: with a folder of the host added, with a file taken out. What it wrote to its standard output.
fn in_guest(
    test: &Test,
    built: &Built,
    guest: &Guest,
    added: Option<&Path>,
    taken: Option<&Path>,
) -> Result<Vec<u8>, String> {
    let mut machine = guest.machine.clone();
    machine.memory_bytes = test.memory_bytes;
    if let Some(folder) = added {
        let tree = || {
            let mut application = Application::new(Target::Nothing);
            application.additions = vec![(folder.to_path_buf(), folder.to_path_buf())];
            application.tree().map(|(tree, _)| tree)
        };
        let cache = images::cache::Cache::open().map_err(|failure| failure.message)?;
        machine.add_layer(layers::custom(&cache, "archive", tree).map_err(|failure| failure.message)?);
    }
    let wishes = taken.map(|file| Wish { guest: WRITTEN.into(), host: file.into() }).into_iter().collect();
    let (outcome, log) = guest.run_alone(machine, test, built, session::Options { wishes, ..Default::default() })?;
    match outcome.status {
        0 => Ok(outcome.stdout),
        status => {
            let said = [outcome.stdout, outcome.stderr].concat();
            Err(format!("status {status}: {}\n{log}", String::from_utf8_lossy(&said)))
        }
    }
}
