//! The session's state: events in, an outcome out.
//!
//! ```text
//! booting --start--> running --exit--> settling (its output is still on the way) --all there--> next program
//!                                                                            `--done--> ack --> machine ends
//! ```

use super::{Child, Event, Options, Outcome, ProgramResult, take};
use crate::collect::Collector;
use crate::failure::Reason;
use crate::machine::Machine;
use crate::progress;
use crate::pump::{self, Stream};
use signal_hook::consts::{SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGWINCH};
use std::collections::VecDeque;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use wire::{ExitReason, GuestMessage, HostMessage, Manifest};

mod ending;
use ending::status_of;

/// After `ack` the machine switches itself off within this time, or is ended.
const POWER_OFF: Duration = Duration::from_secs(3);
/// After a time limit or a panic the guest has this long to report.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Lines of the log that are kept.
const LOG_LINES: usize = 100_000;

/// A program that has ended, waiting for its output.
struct Settling {
    program: u32,
    end: ExitReason,
    /// Totals of the streams at its end.
    stdout_total: u64,
    stderr_total: u64,
    stdout_bytes: u64,
    stderr_bytes: u64,
    started: Instant,
    ended: Instant,
}

/// Counts of one stream over all programs.
#[derive(Default)]
struct Flow {
    moved: u64,
    announced: u64,
    is_closed: bool,
}

pub(super) struct State<'a> {
    machine: &'a Machine,
    manifest: Manifest,
    options: Options,
    collector: Collector,
    child: Child,
    control: UnixStream,
    stdin: Option<UnixStream>,
    outcome: Outcome,
    began: Instant,
    /// The running program and when it started.
    running: Option<(u32, Instant)>,
    /// Programs that have ended, the earliest first: a guest may hurry on before the output of the last one is here.
    settling: VecDeque<Settling>,
    flows: [Flow; 2],
    is_done: bool,
    log_ended: bool,
    qemu_is_silent: bool,
    interrupts: u32,
    /// When the current time limit strikes, and whether it has.
    limit: Option<Instant>,
    is_over_limit: bool,
    /// When the machine is ended if it has not ended itself.
    kill_at: Option<Instant>,
    qemu_lines: Vec<String>,
}

impl<'a> State<'a> {
    pub(super) fn new(
        machine: &'a Machine,
        manifest: Manifest,
        options: Options,
        collector: Collector,
        child: Child,
        control: UnixStream,
        stdin: UnixStream,
    ) -> State<'a> {
        let began = Instant::now();
        State {
            machine,
            manifest,
            collector,
            child,
            control,
            stdin: Some(stdin),
            outcome: Outcome::default(),
            began,
            running: None,
            settling: VecDeque::new(),
            flows: Default::default(),
            is_done: false,
            log_ended: false,
            qemu_is_silent: false,
            interrupts: 0,
            limit: options.time_limit.map(|limit| began + limit),
            is_over_limit: false,
            kill_at: None,
            qemu_lines: Vec::new(),
            options,
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Event>) -> Outcome {
        let mut status = None;
        loop {
            let deadline = [self.limit, self.kill_at].into_iter().flatten().min();
            let wait = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            match inbox.recv_timeout(wait.min(Duration::from_secs(3600))) {
                Ok(Event::Ended) => {
                    status = self.child.wait();
                    // What the machine wrote is still in the sockets: give the pumps the time to empty them.
                    self.kill_at = Some(Instant::now() + Duration::from_secs(1));
                }
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if status.is_some() && self.is_drained() {
                break;
            }
            if self.is_past(self.kill_at) {
                if status.is_some() {
                    break;
                }
                self.child.kill();
                self.kill_at = None;
            }
            if self.is_past(self.limit) {
                self.limit = None;
                self.time_is_up();
            }
        }
        self.finish(status)
    }

    fn is_past(&self, moment: Option<Instant>) -> bool {
        moment.is_some_and(|moment| Instant::now() >= moment)
    }

    fn is_drained(&self) -> bool {
        self.log_ended && self.qemu_is_silent && self.flows.iter().all(|flow| flow.is_closed)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Moved { stream, bytes } => self.flows[stream as usize].moved += bytes,
            Event::Closed { stream, problem } => {
                self.flows[stream as usize].is_closed = true;
                if let Some(problem) = problem {
                    let name = if stream == Stream::Stdout { "output" } else { "error" };
                    progress::note(&format!("cannot write standard {name}: {problem}"));
                }
            }
            Event::Control(Ok(wire::Event::Message(message))) => self.message(message),
            Event::Control(Ok(wire::Event::FileBytes(bytes))) => self.collector.file_bytes(&bytes),
            Event::Control(Err(error)) => progress::note(&error.to_string()),
            Event::Log(line) => self.log_line(line),
            Event::LogEnded => self.log_ended = true,
            Event::QemuSilent => self.qemu_is_silent = true,
            Event::Qemu(line) => {
                if self.options.is_verbose {
                    progress::note(&format!("qemu: {line}"));
                }
                self.qemu_lines.push(line);
            }
            Event::Signal(signal) => self.signal(signal),
            Event::Ended => {}
        }
        self.settle();
    }

    fn message(&mut self, message: GuestMessage) {
        match message {
            GuestMessage::Start { program } => {
                let now = Instant::now();
                if self.outcome.boot.is_zero() {
                    self.outcome.boot = now - self.began;
                }
                self.running = Some((program, now));
                let described = self.manifest.programs.get(program as usize);
                if self.options.time_limit.is_none() {
                    self.limit =
                        described.and_then(|program| program.timeout_ms).map(|ms| now + Duration::from_millis(ms));
                }
                let wants_input = described.is_some_and(|program| program.stdin == wire::Stdin::Port);
                if let Some(port) = self.stdin.take_if(|_| wants_input) {
                    pump::input(port, std::mem::take(&mut self.options.stdin));
                }
            }
            GuestMessage::Exit { program, reason, stdout_bytes, stderr_bytes } => {
                self.flows[0].announced += stdout_bytes;
                self.flows[1].announced += stderr_bytes;
                if self.options.time_limit.is_none() {
                    self.limit = None;
                }
                let ended = Instant::now();
                let started = self.running.take().map_or(ended, |(_, started)| started);
                self.settling.push_back(Settling {
                    program,
                    end: reason,
                    stdout_total: self.flows[0].announced,
                    stderr_total: self.flows[1].announced,
                    stdout_bytes,
                    stderr_bytes,
                    started,
                    ended,
                });
            }
            GuestMessage::File { path, mode, .. } => self.collector.begin_file(&path, mode),
            GuestMessage::Dir { path, .. } => self.collector.directory(&path),
            GuestMessage::Missing { path, reason } => {
                progress::note(&format!("--get {}: {reason}", String::from_utf8_lossy(&path)));
            }
            GuestMessage::Note(text) => progress::note(&text),
            GuestMessage::Done => self.is_done = true,
        }
    }

    /// Concludes the programs whose output is all there; answers `done` when nothing is on the way any more. The output
    /// is cut by count, so none is concluded before its own bytes are here.
    fn settle(&mut self) {
        let is_there = |flow: &Flow, total: u64| flow.is_closed || flow.moved >= total;
        while let Some(settling) = self
            .settling
            .pop_front_if(|s| is_there(&self.flows[0], s.stdout_total) && is_there(&self.flows[1], s.stderr_total))
        {
            self.conclude(settling);
        }
        if self.is_done && self.settling.is_empty() && self.kill_at.is_none() {
            self.send(HostMessage::Ack);
            self.limit = None;
            self.kill_at = Some(Instant::now() + POWER_OFF);
        }
    }

    fn conclude(&mut self, settling: Settling) {
        let Settling { program, end, stdout_bytes, stderr_bytes, started, ended, .. } = settling;
        let end = match end {
            ExitReason::Signal(signal) if self.is_over_limit && i32::from(signal) == SIGKILL => {
                self.is_over_limit = self.options.time_limit.is_some();
                ExitReason::TimedOut("the time limit was reached".into())
            }
            end => end,
        };
        let result = ProgramResult {
            program,
            status: status_of(&end),
            end,
            stdout: take(&self.options.stdout, stdout_bytes),
            stderr: take(&self.options.stderr, stderr_bytes),
            duration: ended.saturating_duration_since(started),
        };
        if let Some(results) = &self.options.results {
            // Who stopped listening reads the outcome.
            let _ = results.send(result.clone());
        }
        self.outcome.programs.push(result);
    }

    fn log_line(&mut self, line: String) {
        if self.options.is_verbose {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        if line.starts_with(wire::PANIC_PREFIX) && self.kill_at.is_none() {
            self.kill_at = Some(Instant::now() + LAST_WORDS);
        }
        if self.outcome.log.len() < LOG_LINES {
            self.outcome.log.push(line);
        }
    }

    fn signal(&mut self, signal: i32) {
        if signal == SIGWINCH {
            if let Some(wire::WindowSize { columns, rows }) = crate::program::window_size() {
                self.send(HostMessage::Window { columns, rows });
            }
            return;
        }
        self.interrupts += u32::from(signal == SIGINT);
        let nobody_to_tell = self.running.is_none() && self.settling.is_empty() && signal != SIGQUIT;
        if nobody_to_tell || self.interrupts > 1 {
            self.fail(Reason::Signal(signal as u8), crate::interrupt::ended_by(signal).message);
            self.child.kill();
        } else if matches!(signal, SIGINT | SIGTERM | SIGQUIT) || self.running.is_some() {
            self.send(HostMessage::Signal(signal as u8));
        }
    }

    fn time_is_up(&mut self) {
        self.is_over_limit = true;
        if self.running.is_some() {
            // The guest ends the program, sends the files that are wanted, and goes on.
            self.send(HostMessage::Signal(SIGKILL as u8));
        }
        self.kill_at = Some(Instant::now() + LAST_WORDS);
        if self.options.time_limit.is_none() {
            // One of several programs: if it ends in time the machine lives on.
            self.kill_at = Some(Instant::now() + 2 * LAST_WORDS);
        }
    }

    fn send(&mut self, message: HostMessage) {
        // A machine that is gone does not hear it; its end is an event of its own.
        let _ = self.control.write_all(message.to_string().as_bytes());
    }

    /// Notes the first failure.
    fn fail(&mut self, reason: Reason, message: String) {
        self.outcome.failure.get_or_insert((reason, message));
    }
}
