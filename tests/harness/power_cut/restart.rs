//! What is left after a cut: the next machine mounts it as it is, and the program looks for what was acknowledged.

use super::{Cut, Load, e2fsck};
use anyhow::{Context, Result, bail, ensure};
use images::program;
use images::session::{self, Options};
use images::volume::Volume;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One machine that mounts all of `cuts` as they are, and the program in it.
pub(super) fn in_guest(load: &Load<'_>, cuts: &[Cut], problems: &mut Vec<String>) -> Result<()> {
    let Some(said) = run_in_guest(load, cuts, "check", problems)? else { return Ok(()) };
    for (line, cut) in said.iter().zip(cuts) {
        judge(load, line, cut, problems)?;
    }
    Ok(())
}

/// One machine that mounts all of `cuts`, reads every file, and unmounts; then Linux's own JVM restarts the program on each
/// volume's files, which it must read as the machine did. A restart of minutes under emulation takes seconds there. How many
/// restarts needed that [`Load::stumbles_over`] was taken away.
pub(super) fn on_linux(load: &Load<'_>, cuts: &[Cut], dir: &Path, problems: &mut Vec<String>) -> Result<usize> {
    let Some(said) = run_in_guest(load, cuts, "contents", problems)? else { return Ok(0) };
    let mut mended = 0;
    let make = load.on_linux.as_ref().context("no command for Linux")?;
    for (contents, cut) in said.iter().zip(cuts) {
        let files = dir.join("files");
        fs::create_dir(&files)?;
        let request = format!("rdump / {}", files.display());
        run(Command::new("debugfs").args(["-R", &request]).arg(&cut.image))?;
        let read = run(&mut make(&files, &["contents"]))?;
        if read.trim() != contents {
            problems.push(format!(
                "{}: the guest read {contents} (files, bytes, sum), Linux {}",
                cut.what,
                read.trim()
            ));
        }
        // Before the program starts, which may take some of them away itself.
        let known = load.stumbles_over.map_or(Ok(Vec::new()), |known| known(&files))?;
        let mut checked = run(&mut make(&files, &["check"]));
        if checked.is_err() && !known.is_empty() {
            mended += 1;
            for file in known.iter().filter(|file| file.exists()) {
                fs::remove_file(file)?;
            }
            checked = run(&mut make(&files, &["check"]));
        }
        match checked {
            Ok(said) => judge(load, said.trim(), cut, problems)?,
            Err(error) => problems.push(format!("{}: {error:#}", cut.what)),
        }
        fs::remove_dir_all(&files)?;
    }
    Ok(mended)
}

/// What the program says in a machine with all of `cuts`, a line for each; `e2fsck -n` must like the disks afterwards.
fn run_in_guest(load: &Load<'_>, cuts: &[Cut], verb: &str, problems: &mut Vec<String>) -> Result<Option<Vec<String>>> {
    let mut machine = load.machine.clone();
    let mut words = vec![verb.to_string()];
    let mut volumes = Vec::new();
    for (index, cut) in cuts.iter().enumerate() {
        let path = PathBuf::from(format!("/mnt/{index}"));
        words.push(path.display().to_string());
        let volume = Volume { file: cut.image.clone(), size: None, path, read_only: false };
        machine.disks.push(volume.disk(index)?);
        volumes.push(volume.entry(index));
    }
    let mut manifest = program::manifest([(load.program)(&words)]);
    manifest.volumes = volumes;
    let options = Options { time_limit: Some(load.limit), ..Options::default() };
    let outcome = session::run(&machine, &manifest, options)?;
    let names = || cuts.iter().map(|cut| cut.what.as_str()).collect::<Vec<_>>().join("; ");
    let Some(result) = outcome.programs.into_iter().next() else {
        problems.push(format!("one of {}: {:?}\n{}", names(), outcome.failure, outcome.log.join("\n")));
        return Ok(None);
    };
    let (stdout, stderr) = (String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr));
    if result.status != 0 {
        problems.push(format!("one of {}: {verb} ends with {}: {stdout}{stderr}", names(), result.status));
        return Ok(None);
    }
    ensure!(stdout.lines().count() == cuts.len(), "{verb} says {stdout}{stderr}");
    for cut in cuts {
        if let Err(error) = e2fsck(&cut.image, "-n", 0) {
            problems.push(format!("{}: mounted and unmounted by the guest, and then: {error:#}", cut.what));
        }
    }
    Ok(Some(stdout.lines().map(String::from).collect()))
}

/// A check's line: its directory, how many writes are there, and the last.
fn judge(load: &Load<'_>, line: &str, cut: &Cut, problems: &mut Vec<String>) -> Result<()> {
    let mut numbers = line.split(' ').skip(1).map(str::parse::<usize>);
    let (Some(Ok(found)), Some(Ok(last))) = (numbers.next(), numbers.next()) else { bail!("no result: {line}") };
    if found < cut.acked || !(load.is_in_step)(found, last, cut.acked) {
        problems.push(format!("{}, but {found} are there, and last {last}", cut.what));
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last: Vec<&str> = stderr.lines().rev().take(12).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    ensure!(output.status.success(), "{command:?} exits with {}: {stdout}{}", output.status, last.join("\n"));
    Ok(stdout.into_owned())
}
