//! One run: start QEMU, wait for a line of the program's output, read clocks and counters, end the machine.

use crate::qmp::{self, Monitor};
use crate::system::{Places, Plan, Side, Systems};
use anyhow::{Context, Result, bail};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A started machine; ended when dropped.
pub struct Run {
    directory: tempfile::TempDir,
    qemu: Child,
    started: Instant,
    output: UnixStream,
    seen: Vec<u8>,
}

impl Run {
    /// Starts a machine.
    pub fn start(systems: &Systems, side: Side, plan: &Plan) -> Result<Run> {
        let directory = tempfile::Builder::new().prefix("guest").tempdir()?;
        let places = Places(directory.path());
        let (program, args) = systems.command(side, plan, &places)?;
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(std::fs::File::create(directory.path().join("stderr"))?));
        let started = Instant::now();
        let mut qemu = command.spawn().context("cannot start QEMU")?;
        let output = match qmp::connect(&places.output()) {
            Ok(output) => output,
            Err(error) => {
                let _ = qemu.kill();
                let _ = qemu.wait();
                let text = std::fs::read_to_string(directory.path().join("stderr")).unwrap_or_default();
                return Err(error.context(format!("QEMU: {}", text.trim())));
            }
        };
        Ok(Run { directory, qemu, started, output, seen: Vec::new() })
    }

    /// The monitor of this machine.
    pub fn monitor(&self) -> Result<Monitor> {
        Monitor::connect(&Places(self.directory.path()).monitor())
    }

    /// gdb's protocol of this machine.
    pub fn gdb(&self) -> Result<crate::gdb::Stub> {
        crate::gdb::Stub::connect(&Places(self.directory.path()).gdb())
    }

    /// Waits until a whole line of output starts with `start`; its text, and the time since QEMU was started.
    pub fn wait_for_line(&mut self, start: &str, limit: Duration) -> Result<(String, Duration)> {
        let deadline = self.started + limit;
        let mut chunk = [0; 4096];
        loop {
            if let Some(line) = take_line(&mut self.seen, start) {
                return Ok((line, self.started.elapsed()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!(
                    "no line {start:?} within {limit:?}; the output so far: {:?}",
                    String::from_utf8_lossy(&self.seen)
                );
            }
            self.output.set_read_timeout(Some(left))?;
            match self.output.read(&mut chunk) {
                Ok(0) => bail!(
                    "the machine ended without a line {start:?}; its output: {:?}{}",
                    String::from_utf8_lossy(&self.seen),
                    self.remarks()
                ),
                Ok(length) => self.seen.extend_from_slice(&chunk[..length]),
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The output that [`Self::wait_for_line`] has seen and not returned.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// What QEMU and our kernel had to say.
    fn remarks(&self) -> String {
        let read = |path: &std::path::Path| {
            std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
        };
        let places = Places(self.directory.path());
        format!("\n{}\n{}", read(&self.directory.path().join("stderr")).trim(), read(&places.log()).trim())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Ours, by its handle; it may have ended on its own.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// The first whole line in `seen` that starts with `start`. Lines before it stay.
fn take_line(seen: &mut Vec<u8>, start: &str) -> Option<String> {
    let mut at = 0;
    while let Some(length) = seen[at..].iter().position(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(&seen[at..at + length]).trim_end().to_string();
        if line.starts_with(start) {
            seen.drain(at..=at + length);
            return Some(line);
        }
        at += length + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::take_line;

    #[test]
    fn only_whole_lines_with_the_start_count() {
        let mut seen = b"noise\r\nhello 17".to_vec();
        assert_eq!(take_line(&mut seen, "hello"), None);
        seen.extend_from_slice(b".0\r\nmore\n");
        assert_eq!(take_line(&mut seen, "hello").as_deref(), Some("hello 17.0"));
        assert_eq!(take_line(&mut seen, "hello"), None);
    }
}
