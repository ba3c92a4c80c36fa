//! One machine from start to end: streams, control channel, signals, time limits, and what became of each program.

use crate::collect::{Collector, Wish};
use crate::failure::{Failure, Reason};
use crate::machine::Machine;
use crate::ports;
use crate::pump::{self, Sink, Source, Stream};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;
use wire::{ExitReason, Manifest, WireError};

mod child;
mod state;
use child::Child;
use state::State;

/// What the session hears.
#[derive(Debug)]
pub enum Event {
    /// Output arrived at its sink.
    Moved {
        /// Which.
        stream: Stream,
        /// How much.
        bytes: u64,
    },
    /// No more output will arrive.
    Closed {
        /// Which.
        stream: Stream,
        /// What is wrong with the sink, unless its reader just left.
        problem: Option<String>,
    },
    /// Something from the control channel.
    Control(Result<wire::Event, WireError>),
    /// A line of the kernel's log.
    Log(String),
    /// The log's end.
    LogEnded,
    /// A line that QEMU wrote.
    Qemu(String),
    /// The end of those lines.
    QemuSilent,
    /// QEMU has ended; its status waits.
    Ended,
    /// This process got a signal.
    Signal(i32),
}

/// How a session is connected to the outside.
#[derive(Clone, Debug)]
pub struct Options {
    /// Standard input of the (first) program.
    pub stdin: Source,
    /// Standard output.
    pub stdout: Sink,
    /// Standard error.
    pub stderr: Sink,
    /// Kernel log and QEMU's messages on this process's stderr.
    pub is_verbose: bool,
    /// Signals to this process go to the program.
    pub forwards_signals: bool,
    /// Ends everything after this time from the start of the machine.
    pub time_limit: Option<Duration>,
    /// Files to bring back.
    pub wishes: Vec<Wish>,
    /// The image holds its manifest itself: no manifest device.
    pub has_own_manifest: bool,
    /// Hears of each program as soon as its output is there: what is known when the session does not come to its end.
    pub results: Option<Sender<ProgramResult>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            stdin: Source::Empty,
            stdout: Sink::Memory(Arc::default()),
            stderr: Sink::Memory(Arc::default()),
            is_verbose: false,
            forwards_signals: false,
            time_limit: None,
            wishes: Vec::new(),
            has_own_manifest: false,
            results: None,
        }
    }
}

/// What became of one program.
#[derive(Clone, Debug)]
pub struct ProgramResult {
    /// Its index in the manifest.
    pub program: u32,
    /// How it ended.
    pub end: ExitReason,
    /// The status that the run reports: its own, 128 + n after a signal, or one of ours.
    pub status: u8,
    /// What it wrote to standard output, if that was collected.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, if that was collected.
    pub stderr: Vec<u8>,
    /// From its start to its end as seen from here.
    pub duration: Duration,
}

/// What a session leaves.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// One for each program that ended, in order.
    pub programs: Vec<ProgramResult>,
    /// The kernel's log.
    pub log: Vec<String>,
    /// From the start of QEMU to the start of the first program.
    pub boot: Duration,
    /// Why not all programs ended, if so.
    pub failure: Option<(Reason, String)>,
}

impl Outcome {
    /// The failure as an error, if there was one.
    pub fn check(&self) -> Result<(), Failure> {
        match &self.failure {
            Some((reason, message)) => Err(Failure { reason: *reason, message: message.clone() }),
            None => Ok(()),
        }
    }
}

/// Runs the programs with no input and their output collected.
pub fn capture(machine: &Machine, manifest: &Manifest) -> Result<Outcome, Failure> {
    run(machine, manifest, Options::default())
}

/// Runs the programs of `manifest` in one boot of `machine`. An error means that the machine did not even start; all
/// later failures are in the outcome, beside the results of the programs that ended before.
pub fn run(machine: &Machine, manifest: &Manifest, options: Options) -> Result<Outcome, Failure> {
    machine.check()?;
    let collector = Collector::new(options.wishes.clone())?;
    let mut manifest = manifest.clone();
    for layer in &machine.layers {
        manifest.binds.extend(layer.binds.iter().cloned());
    }
    let disk = (!options.has_own_manifest).then(|| manifest.to_disk());
    let (host, guest) = ports::connect(disk.as_deref())?;
    let (events, inbox) = mpsc::channel();
    if options.forwards_signals {
        listen_for_signals(events.clone())?;
        // One that came before somebody listened was only noted.
        crate::interrupt::check()?;
    }
    let child = Child::start(machine, guest, events.clone())?;
    let clone = |port: &std::os::unix::net::UnixStream| {
        port.try_clone()
            .map_err(|error| Failure::machine(format!("no descriptors left: {}", crate::failure::reason(&error))))
    };
    let control = clone(&host.control)?;
    pump::output(Stream::Stdout, host.stdout, options.stdout.clone(), events.clone());
    pump::output(Stream::Stderr, host.stderr, options.stderr.clone(), events.clone());
    pump::control(host.control, events.clone());
    pump::log(host.log, events.clone());
    drop(events);
    Ok(State::new(machine, manifest, options, collector, child, control, host.stdin).run(&inbox))
}

/// Passes signals on as events. The handlers stay for the rest of the process: it ends with the session.
fn listen_for_signals(events: Sender<Event>) -> Result<(), Failure> {
    let wanted = crate::interrupt::FORWARDED.into_iter().chain([signal_hook::consts::SIGWINCH]);
    let mut signals = signal_hook::iterator::Signals::new(wanted)
        .map_err(|error| Failure::machine(format!("cannot listen for signals: {}", crate::failure::reason(&error))))?;
    thread::spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Takes the first `len` bytes of what was collected; nothing if output went elsewhere.
fn take(sink: &Sink, len: u64) -> Vec<u8> {
    match sink {
        Sink::Inherit => Vec::new(),
        Sink::Memory(memory) => {
            let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
            let len = usize::try_from(len).unwrap_or(usize::MAX).min(memory.len());
            memory.drain(..len).collect()
        }
    }
}
