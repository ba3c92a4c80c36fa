//! What a session's end means: a panic, a limit, a machine that is gone, or simply that all programs have ended.

use super::State;
use crate::failure::Reason;
use crate::session::{Outcome, ProgramResult, take};
use crate::symbolize;
use std::process::ExitStatus;
use wire::ExitReason;

impl State<'_> {
    /// The outcome, once the machine has ended with `status` and nothing more will be heard.
    pub(super) fn finish(mut self, status: Option<ExitStatus>) -> Outcome {
        while let Some(settling) = self.settling.pop_front() {
            self.conclude(settling);
        }
        let panic = self.outcome.log.iter().position(|line| line.starts_with(wire::PANIC_PREFIX));
        let all_ended = self.is_done && self.outcome.programs.len() >= self.manifest.programs.len();
        if let Some(at) = panic {
            let lines = symbolize::annotate(&self.machine.kernel.unstripped, &self.outcome.log[at..]);
            self.outcome.failure = Some((Reason::Panic, panic_text(&lines)));
        } else if status.and_then(|status| status.code()) == Some(i32::from(wire::STATUS_PANIC)) {
            self.fail(Reason::Panic, "the kernel panicked without a message".to_string());
        } else if !all_ended && self.is_over_limit {
            self.fail(Reason::Timeout, "the time limit was reached".to_string());
        } else if !all_ended {
            let why = self.why_it_ended(status);
            self.fail(Reason::Machine, why);
        }
        if self.running.is_some() && self.outcome.failure.is_some() {
            // Whatever the unfinished program wrote is in the sinks: worth showing.
            let (program, started) = self.running.unwrap_or((0, self.began));
            let end = ExitReason::Failed("the machine ended first".into());
            self.outcome.programs.push(ProgramResult {
                program,
                status: self.outcome.failure.as_ref().map_or(125, |(reason, _)| reason.status()),
                end,
                stdout: take(&self.options.stdout, u64::MAX),
                stderr: take(&self.options.stderr, u64::MAX),
                duration: started.elapsed(),
            });
        }
        self.outcome
    }

    fn why_it_ended(&self, status: Option<ExitStatus>) -> String {
        let said =
            |lines: &[String]| lines.iter().rfind(|line| !line.trim().is_empty()).map(|line| line.trim().to_string());
        let how = match status {
            Some(status) if status.success() => "the machine switched off before the program had ended".to_string(),
            Some(status) => format!("QEMU ended early ({status})"),
            None => "QEMU is gone".to_string(),
        };
        match said(&self.qemu_lines).or_else(|| said(&self.outcome.log)) {
            Some(line) => format!("{how}: {line}"),
            None => format!("{how} without a word; --verbose shows its log"),
        }
    }
}

/// The panic's lines, the first one first; the caller prints them as they are.
fn panic_text(lines: &[String]) -> String {
    let first = lines.first().map_or("", |line| line.strip_prefix("demitasse: ").unwrap_or(line));
    let rest = lines.iter().skip(1).take_while(|line| line.starts_with("demitasse:"));
    std::iter::once(first.to_string()).chain(rest.cloned()).collect::<Vec<_>>().join("\n")
}

/// The status that the run reports for a program's end.
pub(super) fn status_of(end: &ExitReason) -> u8 {
    match end {
        ExitReason::Code(code) => *code,
        ExitReason::Signal(signal) => 128u8.saturating_add(*signal),
        ExitReason::Deadlock(_) => Reason::Deadlock.status(),
        ExitReason::OutOfMemory(_) => Reason::Memory.status(),
        ExitReason::TimedOut(_) => Reason::Timeout.status(),
        ExitReason::Failed(_) => Reason::Machine.status(),
    }
}
