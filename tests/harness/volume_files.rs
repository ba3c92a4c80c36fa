//! Files on ext4, the same programs on the host's own volume and here: O_DIRECT, and a directory that is read while it
//! changes.

use crate::build::Built;
use crate::guest::Guest;
use crate::host;
use crate::parts::with_part;
use crate::table::{Program, Test};
use anyhow::{Context, Result, ensure};
use images::jdk::Jdk;
use images::program;
use images::session::{self, Options};
use images::volume::Volume;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Names in the large directory, unless `VOLUME_NAMES` says how many.
const NAMES: &str = "4000";

/// All programs in one machine, then each on the host.
pub fn run(built: &Built, jdk: &Jdk, guest: &Guest) -> Result<()> {
    let names = std::env::var("VOLUME_NAMES").unwrap_or_else(|_| NAMES.into());
    let programs = |directory: &str| {
        let test = |program, words: &[&str]| Test {
            args: [directory].iter().chain(words).map(|word| word.to_string()).collect(),
            timeout_ms: 300_000,
            ..Test::new("parts-files", program)
        };
        [
            test(Program::C("direct_io".into()), &[]),
            test(Program::C("volume_names".into()), &[&names]),
            test(Program::Java("DirectFiles".into()), &[]),
        ]
    };
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let on_host = dir.path().join("host");
    fs::create_dir(&on_host)?;
    let kind = Command::new("stat").args(["--file-system", "--format=%T"]).arg(&on_host).output()?.stdout;
    let kind = String::from_utf8_lossy(&kind);
    ensure!(kind.starts_with("ext"), "/var/tmp is on {}: this test needs ext4 there to compare with", kind.trim());
    let image = dir.path().join("data.img");
    let volume = Volume { file: image.clone(), size: Some(256 << 20), path: "/srv".into(), read_only: false };
    volume.ensure()?;
    let mut machine = with_part(guest, "volumes")?;
    machine.disks.push(volume.disk(0)?);
    let mut manifest = program::manifest(programs("/srv").iter().map(|test| guest.program(test, built)));
    manifest.volumes.push(volume.entry(0));
    let options = Options { time_limit: Some(Duration::from_secs(600)), ..Options::default() };
    let outcome = session::run(&machine, &manifest, options)?;
    let tests = programs(&on_host.display().to_string());
    ensure!(outcome.programs.len() == tests.len(), "{:?}\n{}", outcome.failure, outcome.log.join("\n"));
    for (result, test) in outcome.programs.iter().zip(&tests) {
        // Not in the sandbox: there is no ext4 to be written to, and these write in their directory alone.
        let (program, words) = host::command(test, built, jdk);
        let expected = Command::new(program).args(words).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ensure!(
            result.stdout == expected.stdout && i32::from(result.status) == expected.status.code().unwrap_or(-1),
            "{:?}, Linux:\n{}here, with {}:\n{}{}",
            test.args,
            text(&expected.stdout),
            result.status,
            text(&result.stdout),
            text(&result.stderr)
        );
    }
    let checked = Command::new("e2fsck").args(["-f", "-n"]).arg(&image).output().context("e2fsck")?;
    ensure!(checked.status.success(), "e2fsck: {}", String::from_utf8_lossy(&checked.stdout));
    Ok(())
}
