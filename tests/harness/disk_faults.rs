//! Volumes whose disk fails, is full, or holds something else. QEMU's block driver `blkdebug` fails reads, writes and
//! flushes; which ones is chosen by the disk block that an earlier machine's file or the journal has.

use crate::build::Built;
use crate::guest::Guest;
use crate::tally::Tally;
use anyhow::{Context, Result, ensure};
use images::cache::Cache;
use images::kernel::Kernel;
use images::machine::Machine;
use images::program;
use images::session::{self, Options, ProgramResult};
use images::volume::Volume;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use wire::ExitReason;

/// Runs those that `filter` lets through.
pub fn run(filter: &dyn Fn(&str) -> bool, built: &Built, guest: &Guest, tally: &mut Tally) {
    for (name, fault, expected) in [
        ("read", Fault::Block("read", "/old", 3), READ),
        ("write", Fault::Block("write", "/old", 3), WRITE),
        ("log", Fault::Block("write", "<8>", 1), LOG),
        ("flush", Fault::Flush, FLUSH),
    ] {
        check(filter, &format!("parts-disk-{name}"), tally, || failing(name, &fault, expected, built, guest));
    }
    check(filter, "parts-disk-full", tally, || full(built, guest));
    check(filter, "parts-disk-refused", tally, || refused(built, guest));
}

fn check(filter: &dyn Fn(&str) -> bool, name: &str, tally: &mut Tally, test: impl FnOnce() -> Result<()>) {
    if filter(name) {
        tally.check(name, test().map_err(|error| format!("{error:#}")));
    }
}

/// What fails.
enum Fault {
    /// Reads or writes of a block of a file: its kind, the file as debugfs names it, the block in it.
    Block(&'static str, &'static str, u32),
    /// Every flush from the tenth on: mounting has a few.
    Flush,
}

const FLUSHES: usize = 10;

/// The neighbours of a block that cannot be read can.
const READ: &str = "block 0: a a
block 1: b b
block 2: c c
block 3: -1 EIO
block 4: e e
block 5: f f
block 6: g g
block 7: h h
mapped 2: c
mapped 3: SIGBUS
mapped 4: e
";
/// As Linux does with errors=remount-ro: what fails is told, nothing is changed any more, what can be read is.
const WRITE: &str = "pwrite(f, block, sizeof block, 3 * PAGE): ok
fsync(f): EIO
statvfs(\".\", &v): ok
read-only: 1
open(\"later\", O_CREAT | O_WRONLY, 0644): EROFS
mkdir(\"directory\", 0755): EROFS
unlink(\"old\"): EROFS
rename(\"old\", \"new\"): EROFS
again: -1
block 0: a a
block 1: b b
block 2: c c
block 3: N N
block 4: e e
block 5: f f
block 6: g g
block 7: h h
mapped 2: c
mapped 3: N
mapped 4: e
";
const LOG: &str = "write(f, \"fresh\", 5): ok
fsync(f): EIO
statvfs(\".\", &v): ok
read-only: 1
open(\"later\", O_CREAT | O_WRONLY, 0644): EROFS
mkdir(\"directory\", 0755): EROFS
unlink(\"old\"): EROFS
rename(\"old\", \"new\"): EROFS
again: -1
";
const FLUSH: &str = "a flush fails: EIO
statvfs(\".\", &v): ok
read-only: 1
open(\"later\", O_CREAT | O_WRONLY, 0644): EROFS
mkdir(\"directory\", 0755): EROFS
unlink(\"old\"): EROFS
rename(\"old\", \"new\"): EROFS
again: -1
";
/// As the same program prints it on Linux's ext4 of the same size.
const FULL: &str = "write: ENOSPC, after more than 10 MB: 1
write: ENOSPC, fsync: 0
write: ENOSPC, fsync: 0
write: ENOSPC, fsync: 0
statvfs(\".\", &v): ok
hardly a block left: 1, read-only: 0
ftruncate(g, 100 * PAGE): ok
fallocate(g, 0, 0, 100 * PAGE): ENOSPC
a store into a hole: SIGBUS
ftruncate(f, 0): ok
pwrite(f, much, PAGE, 0): ok
fsync(f): ok
";

fn volume(dir: &Path) -> Result<Volume> {
    let volume = Volume { file: dir.join("data.img"), size: Some(32 << 20), path: "/srv".into(), read_only: false };
    volume.ensure()?;
    Ok(volume)
}

fn machine(guest: &Guest) -> Result<Machine> {
    let mut machine = guest.machine.clone();
    machine.kernel = Kernel::prepare_with(&Cache::open()?, &["volumes"])?;
    Ok(machine)
}

/// What the program prints, or why it did not run; and the kernel's log.
fn boot(machine: &Machine, volume: &Volume, mode: &str, built: &Built) -> Result<(Result<String, String>, String)> {
    let words = [mode, "/srv"];
    let mut manifest = program::manifest([program::native(&built.programs.join("disk_faults"), "disk_faults", &words)]);
    manifest.volumes.push(volume.entry(0));
    let options = Options { time_limit: Some(Duration::from_secs(180)), ..Options::default() };
    let outcome = session::run(machine, &manifest, options)?;
    let log = outcome.log.join("\n");
    let said = match outcome.programs.into_iter().next() {
        Some(ProgramResult { end: ExitReason::Failed(why), .. }) => Err(why),
        Some(result) => Ok(String::from_utf8_lossy(&[result.stdout, result.stderr].concat()).into_owned()),
        None => Err(outcome.failure.map_or_else(String::new, |(_, text)| text)),
    };
    Ok((said, log))
}

/// The same on a disk without faults.
fn boot_sound(volume: &Volume, mode: &str, built: &Built, guest: &Guest) -> Result<String> {
    let mut machine = machine(guest)?;
    machine.disks.push(volume.disk(0)?);
    boot(&machine, volume, mode, built)?.0.map_err(anyhow::Error::msg)
}

fn failing(mode: &str, fault: &Fault, expected: &str, built: &Built, guest: &Guest) -> Result<()> {
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let volume = volume(dir.path())?;
    let prepared = boot_sound(&volume, "prepare", built, guest)?;
    ensure!(prepared == "fsync(f): ok\n", "without faults: {prepared}");
    let safe = boot_sound(&volume, "verify", built, guest)?;

    let mut machine = machine(guest)?;
    let file = volume.file.display();
    let rules = rules(fault, &volume.file)?;
    machine.qemu_args.push("-drive".into());
    machine.qemu_args.push(
        format!("if=none,id=faulty,driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={file},{rules},werror=report")
            .into(),
    );
    machine.qemu_args.push("-device".into());
    let serial = volume.entry(0).serial;
    machine.qemu_args.push(format!("virtio-blk-pci,disable-legacy=on,drive=faulty,serial={serial}").into());
    let (said, log) = boot(&machine, &volume, mode, built)?;
    let said = said.map_err(anyhow::Error::msg)?;
    ensure!(said == expected, "expected:\n{expected}here:\n{said}{log}");
    let is_told = log.contains("the volume is read-only from now on");
    ensure!(is_told == (mode != "read"), "the kernel's log: {log}");

    // The disk is sound again: what was safe is there. e2fsck replays the log, and may have to mend counts.
    let checked = Command::new("e2fsck").args(["-f", "-p"]).arg(&volume.file).output().context("e2fsck")?;
    let status = checked.status.code().unwrap_or(-1);
    ensure!((0..=1).contains(&status), "e2fsck exits with {status}: {}", String::from_utf8_lossy(&checked.stdout));
    let found = boot_sound(&volume, "verify", built, guest)?;
    ensure!(found == safe, "before:\n{safe}after:\n{found}");
    Ok(())
}

/// Options of `blkdebug` (QEMU's qapi/block-core.json, BlockdevOptionsBlkdebug).
fn rules(fault: &Fault, image: &Path) -> Result<String> {
    Ok(match fault {
        Fault::Block(kind, file, block) => {
            let output = Command::new("debugfs").arg("-R").arg(format!("bmap {file} {block}")).arg(image).output();
            let output = output.context("debugfs")?;
            let text = String::from_utf8_lossy(&output.stdout);
            let number: u64 = text.trim().parse().with_context(|| format!("debugfs says {text:?}"))?;
            let sector = number * 8;
            format!(
                "file.inject-error.0.event=none,file.inject-error.0.iotype={kind},file.inject-error.0.errno=5,file.inject-error.0.sector={sector}"
            )
        }
        Fault::Flush => {
            let count = (1..FLUSHES).map(|state| {
                let rule = format!("file.set-state.{}", state - 1);
                format!("{rule}.event=flush_to_disk,{rule}.state={state},{rule}.new_state={}", state + 1)
            });
            let count = count.collect::<Vec<_>>().join(",");
            format!(
                "{count},file.inject-error.0.event=flush_to_disk,file.inject-error.0.state={FLUSHES},file.inject-error.0.errno=5,file.inject-error.0.iotype=flush"
            )
        }
    })
}

fn full(built: &Built, guest: &Guest) -> Result<()> {
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let volume = volume(dir.path())?;
    let said = boot_sound(&volume, "full", built, guest)?;
    ensure!(said == FULL, "Linux:\n{FULL}here:\n{said}");
    let checked = Command::new("e2fsck").args(["-f", "-n"]).arg(&volume.file).output().context("e2fsck")?;
    ensure!(checked.status.success(), "e2fsck: {}", String::from_utf8_lossy(&checked.stdout));
    Ok(())
}

/// What is no sound ext4 is refused in a sentence that says what is there, and is left as it was.
fn refused(built: &Built, guest: &Guest) -> Result<()> {
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let image = |name: &str| -> Result<PathBuf> {
        let path = dir.path().join(name);
        fs::File::create(&path)?.set_len(32 << 20)?;
        Ok(path)
    };
    let mkfs = |file: &Path, words: &[&str]| -> Result<()> {
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).args(words).arg(file).output().context("mkfs.ext4")?;
        ensure!(made.status.success(), "mkfs.ext4: {}", String::from_utf8_lossy(&made.stderr));
        Ok(())
    };
    let zeros = image("zeros")?;
    let small_blocks = image("small-blocks")?;
    mkfs(&small_blocks, &["-b", "1024"])?;
    let no_journal = image("no-journal")?;
    mkfs(&no_journal, &["-b", "4096", "-O", "^has_journal"])?;
    let encrypted = image("encrypted")?;
    mkfs(&encrypted, &["-b", "4096", "-O", "encrypt"])?;
    let damaged = image("damaged")?;
    mkfs(&damaged, &["-b", "4096"])?;
    fs::OpenOptions::new().write(true).open(&damaged)?.write_all_at(&[0xff; 64], 1024 + 0x80)?;
    let shorter = image("shorter")?;
    mkfs(&shorter, &["-b", "4096"])?;
    fs::OpenOptions::new().write(true).open(&shorter)?.set_len(16 << 20)?;
    let squashed = image("gzip")?;
    fs::OpenOptions::new().write(true).open(&squashed)?.write_all_at(b"\x1f\x8b some archive", 0)?;

    for (file, reason) in [
        (zeros, "it is empty"),
        (small_blocks, "mkfs.ext4 -b 4096"),
        (no_journal, "no journal"),
        (encrypted, "encrypt"),
        (damaged, "checksum"),
        (shorter, "the device has only"),
        (squashed, "no magic number"),
    ] {
        let name = file.display().to_string();
        let before = fs::read(&file)?;
        let volume = Volume { file, size: None, path: "/srv".into(), read_only: false };
        let mut machine = machine(guest)?;
        machine.disks.push(volume.disk(0)?);
        let (said, log) = boot(&machine, &volume, "verify", built)?;
        let Err(why) = said else { anyhow::bail!("{name} is mounted: {said:?}") };
        ensure!(why.contains("/srv cannot be mounted: ") && why.contains(reason), "{name}: {why:?}\n{log}");
        ensure!(fs::read(&volume.file)? == before, "{name} was written to");
        println!("        {}: {why}", volume.file.file_name().unwrap_or_default().display());
    }
    Ok(())
}
