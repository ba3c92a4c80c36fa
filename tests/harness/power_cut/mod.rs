//! Power cuts of the whole machine under load. QEMU logs every write and flush of the volume while a program prints
//! "ack N" for each write that it was told is safe. The disk is then rebuilt as it may be after a cut at any entry of the
//! log. `e2fsck -p` must be able to repair it; the next machine mounts it as the cut left it, and the program must find
//! everything that was acknowledged before the cut.
//!
//! What was acknowledged before a cut: when a line "ack N" arrives, the log has some length; N counts for every cut at or
//! behind that. Killing QEMU alone would prove nothing: the host's cache survives that.

mod cassandra;
mod log;
mod rebuild;
mod restart;

use crate::build::Built;
use crate::databases::{self, Databases};
use crate::guest::Guest;
use crate::tally::Tally;
use anyhow::{Context, Result, bail, ensure};
use images::jdk::Jdk;
use images::machine::Machine;
use images::pump::Sink;
use images::session::{self, Options};
use images::volume::Volume;
use images::{cache::Cache, kernel::Kernel, program};
use rebuild::Random;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Volumes that one machine checks, of a program that can look at several.
const TOGETHER: usize = 10;
/// The kernel's feature that leaves the device's flush out: the test of the test.
const NO_FLUSH: &str = "no-flush";

/// Cuts in the daily run.
const SHORT: Extent = Extent { cuts: 10, writes: 150, seed: 1, keeps_flush: true, on_linux: false };

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Cuts.
    pub cuts: usize,
    /// Writes that are acknowledged.
    pub writes: usize,
    /// Of the cuts' places and of what they keep.
    pub seed: u64,
    /// Whether the driver flushes, as it should.
    pub keeps_flush: bool,
    /// Whether the guest only mounts and unmounts a cut's volume, and Linux restarts the database on its files.
    pub on_linux: bool,
}

/// The program for the manifest that gets these arguments.
type Make<'a> = Box<dyn Fn(&[String]) -> wire::Program + 'a>;

/// What runs in the guest.
struct Load<'a> {
    machine: Machine,
    program: Make<'a>,
    /// Whether the second number that a check prints fits the first one and what was acknowledged.
    is_in_step: fn(usize, usize, usize) -> bool,
    size: u64,
    limit: Duration,
    /// Volumes that one machine checks.
    together: usize,
    /// Whether cuts before the first acknowledgement are of interest: not where a start alone writes more than the load.
    cuts_start: bool,
    /// How Linux's own JVM runs the program on files in a directory of its own.
    on_linux: Option<OnLinux<'a>>,
    /// The files in its directory that a known fault of the program's makes it stumble over after a cut. For Linux only.
    stumbles_over: Option<Look>,
}

/// The command for these words, which ends with the directory of the data: there the guest had what is now in the path.
type OnLinux<'a> = Box<dyn Fn(&Path, &[&str]) -> Command + 'a>;

/// Looks for files in a directory.
type Look = fn(&Path) -> Result<Vec<PathBuf>>;

/// A disk as a cut left it.
struct Cut {
    image: PathBuf,
    /// The last write that was acknowledged before it.
    acked: usize,
    /// For a message.
    what: String,
}

/// What is known of a run under load.
struct Recording {
    /// The volume before.
    before: Vec<u8>,
    log: Vec<u8>,
    entries: Vec<log::Entry>,
    /// Acknowledged writes, each with the length of the log when it was heard of.
    acks: Vec<(usize, u64)>,
}

/// The daily run: the program in C.
pub fn short(filter: &dyn Fn(&str) -> bool, built: &Built, guest: &Guest, tally: &mut Tally) {
    let name = "parts-power-cut";
    if filter(name) {
        let result = native(built, guest, SHORT).and_then(|load| cut(&load, SHORT));
        tally.check(name, result.map_err(|error| format!("{error:#}")));
    }
}

/// The long runs: the program in C, H2, Derby and Cassandra, those that `filter` lets through.
pub fn long(
    filter: &dyn Fn(&str) -> bool,
    extent: Extent,
    built: &Built,
    jdk: &Jdk,
    guest: &Guest,
    tally: &mut Tally,
) -> Result<()> {
    println!("seed {}", extent.seed);
    if filter("power-cut-c") {
        let result = native(built, guest, extent).and_then(|load| cut(&load, extent));
        tally.check("power-cut-c", result.map_err(|error| format!("{error:#}")));
    }
    for kind in ["h2", "derby"] {
        let name = format!("power-cut-{kind}");
        if filter(&name) {
            let databases = Databases::prepare()?;
            let result = database(kind, &databases, jdk, extent).and_then(|load| cut(&load, extent));
            tally.check(&name, result.map_err(|error| format!("{error:#}")));
        }
    }
    if filter("power-cut-cassandra") {
        let cassandra = cassandra::Cassandra::prepare()?;
        let result = cassandra.load(jdk, extent).and_then(|load| cut(&load, extent));
        tally.check("power-cut-cassandra", result.map_err(|error| format!("{error:#}")));
    }
    Ok(())
}

fn kernel(extent: Extent) -> Result<Kernel> {
    let features: &[&str] = if extent.keeps_flush { &["volumes"] } else { &["volumes", NO_FLUSH] };
    Ok(Kernel::prepare_with(&Cache::open()?, features)?)
}

fn mount_points() -> Vec<PathBuf> {
    (0..TOGETHER).map(|i| format!("/mnt/{i}").into()).collect()
}

fn native<'a>(built: &'a Built, guest: &Guest, extent: Extent) -> Result<Load<'a>> {
    let cache = Cache::open()?;
    let mut application = images::layers::Application::new(images::layers::Target::Nothing);
    application.additions = crate::additions::of(built)?.into_iter().map(|path| (path.clone(), path)).collect();
    application.mount_points = mount_points();
    let mut machine = guest.machine.clone();
    machine.layers[0] = images::layers::application(&cache, &application)?;
    machine.kernel = kernel(extent)?;
    let program = Box::new(|words: &[String]| program::native(&built.programs.join("powercut"), "powercut", words));
    // Every eighth record replaces the file.
    let is_in_step = |found, last, acked| last >= acked / 8 * 8 && last <= found;
    let limit = Duration::from_secs(300);
    Ok(Load {
        machine,
        program,
        is_in_step,
        size: 64 << 20,
        limit,
        together: TOGETHER,
        cuts_start: true,
        on_linux: None,
        stumbles_over: None,
    })
}

fn database<'a>(kind: &'a str, databases: &'a Databases, jdk: &'a Jdk, extent: Extent) -> Result<Load<'a>> {
    let mut machine = databases::machine(jdk, &databases.additions(), &mount_points())?;
    machine.kernel = kernel(extent)?;
    let program = Box::new(move |words: &[String]| {
        let words: Vec<&str> = [kind].into_iter().chain(words.iter().map(String::as_str)).collect();
        program::java(jdk, &databases.words("PowerCut", &words))
    });
    // One transaction changes both tables.
    let is_in_step = |found, last, _acked| last == found;
    let limit = Duration::from_secs(900);
    // Derby does not recover a database that was being created, and says so.
    let cuts_start = kind == "h2";
    Ok(Load {
        machine,
        program,
        is_in_step,
        size: 192 << 20,
        limit,
        together: TOGETHER,
        cuts_start,
        on_linux: None,
        stumbles_over: None,
    })
}

fn cut(load: &Load<'_>, extent: Extent) -> Result<()> {
    ensure!(!extent.on_linux || load.on_linux.is_some(), "--on-linux is for power-cut-cassandra alone");
    let mut dir = tempfile::tempdir_in("/var/tmp")?;
    // To look into a failure: POWER_CUT_KEEP=1 leaves the log and the last disks.
    dir.disable_cleanup(std::env::var_os("POWER_CUT_KEEP").is_some());
    let recording = record(load, extent.writes, dir.path()).context("under load")?;
    let mut random = Random::new(extent.seed);
    let first = if load.cuts_start { 0 } else { recording.first_acked() };
    let mut problems = Vec::new();
    let (mut checked, mut least, mut mended) = (0, 0, 0);
    while checked < extent.cuts {
        let together = if extent.on_linux { TOGETHER } else { load.together };
        let count = together.min(extent.cuts - checked);
        let mut cuts = Vec::new();
        for i in 0..count {
            let cut = first + 1 + random.below(recording.entries.len() - first);
            let image = dir.path().join(format!("cut{i}.img"));
            let acked = recording.acked(cut);
            let what = format!("cut behind entry {cut} of {}, {acked} acknowledged", recording.entries.len());
            let mut disk = recording.before.clone();
            rebuild::rebuild(&mut disk, &recording.log, &recording.entries, cut, &mut random);
            save(&disk, &image)?;
            let copy = dir.path().join("copy.img");
            save(&disk, &copy)?;
            if let Err(error) = e2fsck(&copy, "-p", 1) {
                problems.push(format!("{what}: {error:#}"));
            }
            least += usize::from(acked > 0);
            cuts.push(Cut { image, acked, what });
        }
        if extent.on_linux {
            mended += restart::on_linux(load, &cuts, dir.path(), &mut problems)?;
        } else {
            restart::in_guest(load, &cuts, &mut problems)?;
        }
        checked += count;
    }
    println!(
        "        {checked} cuts in {} entries with {} flushes and {} discards, {} acknowledged writes; {least} cuts after the first",
        recording.entries.len(),
        recording.entries.iter().filter(|entry| entry.is_flush).count(),
        recording.entries.iter().filter(|entry| entry.discarded > 0).count(),
        recording.acks.last().map_or(0, |(ack, _)| *ack),
    );
    if mended > 0 {
        println!("        {mended} restarts only after what a known fault of the program's leaves was taken away");
    }
    ensure!(problems.is_empty(), "{} of {checked} cuts:\n{}", problems.len(), problems.join("\n"));
    ensure!(least * 2 > checked, "hardly anything was acknowledged before a cut");
    Ok(())
}

impl Recording {
    /// Entries before the first acknowledgement.
    fn first_acked(&self) -> usize {
        let heard = self.acks.first().map_or(0, |(_, heard)| *heard);
        self.entries.iter().filter(|entry| entry.data.end as u64 <= heard).count().min(self.entries.len() - 1)
    }

    /// The last write that was acknowledged before a cut behind `cut` entries.
    fn acked(&self, cut: usize) -> usize {
        let length = self.entries[cut - 1].data.end as u64;
        self.acks.iter().rev().find(|(_, heard)| *heard <= length).map_or(0, |(ack, _)| *ack)
    }
}

/// Runs the load on a fresh volume behind QEMU's logging driver.
fn record(load: &Load<'_>, writes: usize, dir: &Path) -> Result<Recording> {
    let volume = Volume { file: dir.join("data.img"), size: Some(load.size), path: "/mnt/0".into(), read_only: false };
    volume.ensure()?;
    let before = fs::read(&volume.file)?;
    let log = dir.join("log");
    File::create(&log)?;
    let mut machine = load.machine.clone();
    let serial = &volume.entry(0).serial;
    // By the side of the tool's own disks: those have no driver in between.
    let drive = format!(
        "if=none,id=logged,discard=unmap,driver=blklogwrites,file.driver=file,file.filename={},log.driver=file,log.filename={},log-sector-size={}",
        volume.file.display(),
        log.display(),
        log::SECTOR
    );
    machine.qemu_args.extend(["-drive", &drive, "-device"].map(Into::into));
    machine.qemu_args.push(format!("virtio-blk-pci,disable-legacy=on,drive=logged,serial={serial}").into());
    let words = ["load", "/mnt/0", &writes.to_string()].map(String::from);
    let mut manifest = program::manifest([(load.program)(&words)]);
    manifest.volumes.push(volume.entry(0));
    let output = Arc::new(Mutex::new(Vec::new()));
    let ended = AtomicBool::new(false);
    let options = Options { stdout: Sink::Memory(output.clone()), time_limit: Some(load.limit), ..Options::default() };
    let (outcome, acks) = thread::scope(|scope| {
        let listener = scope.spawn(|| listen(&output, &log, &ended));
        let outcome = session::run(&machine, &manifest, options);
        ended.store(true, Ordering::Release);
        (outcome, listener.join())
    });
    let outcome = outcome?;
    let acks = acks.map_err(|_| anyhow::anyhow!("the listener panicked"))??;
    let Some(result) = outcome.programs.first() else { bail!("{:?}\n{}", outcome.failure, outcome.log.join("\n")) };
    let stderr = String::from_utf8_lossy(&result.stderr);
    ensure!(result.status == 0, "the load ends with {}: {stderr}", result.status);
    ensure!(acks.last().is_some_and(|(ack, _)| *ack == writes), "the load acknowledged {:?}: {stderr}", acks.last());
    let log = fs::read(&log)?;
    let entries = log::parse(&log)?;
    Ok(Recording { before, log, entries, acks })
}

/// Notes the length of the log at each acknowledgement.
fn listen(output: &Mutex<Vec<u8>>, log: &Path, ended: &AtomicBool) -> Result<Vec<(usize, u64)>> {
    let mut acks: Vec<(usize, u64)> = Vec::new();
    let mut seen = 0;
    loop {
        let is_last = ended.load(Ordering::Acquire);
        let fresh = {
            let output = output.lock().unwrap_or_else(PoisonError::into_inner);
            // A session takes its output with it at its end.
            let whole = output.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let fresh = output.get(seen..whole).map(<[u8]>::to_vec).unwrap_or_default();
            seen += fresh.len();
            fresh
        };
        // After the lines: what they acknowledge was in the log before.
        let length = fs::metadata(log)?.len();
        for line in String::from_utf8_lossy(&fresh).lines() {
            let number = line.strip_prefix("ack ").and_then(|number| number.parse().ok());
            acks.push((number.with_context(|| format!("the load says {line:?}"))?, length));
        }
        if is_last {
            return Ok(acks);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// `e2fsck -f MODE`; a status above `most` is an error.
fn e2fsck(image: &Path, mode: &str, most: i32) -> Result<()> {
    let output = Command::new("e2fsck").args(["-f", mode]).arg(image).output().context("e2fsck")?;
    let status = output.status.code().unwrap_or(-1);
    ensure!(
        (0..=most).contains(&status),
        "e2fsck {mode} exits with {status}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

/// Sparse: only blocks with something in them.
fn save(disk: &[u8], to: &Path) -> Result<()> {
    let file = File::create(to)?;
    file.set_len(disk.len() as u64)?;
    for (index, block) in disk.chunks(4096).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, index as u64 * 4096)?;
        }
    }
    Ok(())
}
