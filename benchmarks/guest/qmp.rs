//! A client for QEMU's machine protocol, as far as the measurements need it: stop, and the count of executed instructions.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// A connected monitor.
pub struct Monitor {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Monitor {
    /// Connects to the socket at `path`, for which QEMU may need a moment.
    pub fn connect(path: &Path) -> Result<Monitor> {
        let stream = connect(path)?;
        let mut monitor = Monitor { reader: BufReader::new(stream.try_clone()?), writer: stream };
        monitor.answer("\"QMP\"")?;
        monitor.execute("qmp_capabilities")?;
        Ok(monitor)
    }

    /// Stops the vCPUs.
    pub fn stop(&mut self) -> Result<()> {
        self.execute("stop").map(drop)
    }

    /// Lets the vCPUs go on.
    pub fn go_on(&mut self) -> Result<()> {
        self.execute("cont").map(drop)
    }

    /// Instructions executed since reset. Only in record mode: <https://www.qemu.org/docs/master/system/replay.html>.
    pub fn instructions(&mut self) -> Result<u64> {
        let answer = self.execute("query-replay")?;
        let digits: String = answer
            .split_once("\"icount\":")
            .context("query-replay without icount")?
            .1
            .trim_start()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().with_context(|| format!("query-replay answered {answer}"))
    }

    /// A line as a person would type it at QEMU's monitor.
    pub fn human(&mut self, line: &str) -> Result<()> {
        let call = "human-monitor-command";
        writeln!(self.writer, "{{\"execute\":\"{call}\",\"arguments\":{{\"command-line\":\"{line}\"}}}}")?;
        let answer = self.answer("\"return\"")?;
        anyhow::ensure!(answer.contains("\"return\": \"\""), "QEMU answers {line:?} with {}", answer.trim());
        Ok(())
    }

    fn execute(&mut self, command: &str) -> Result<String> {
        writeln!(self.writer, "{{\"execute\":\"{command}\"}}")?;
        self.answer("\"return\"")
    }

    /// The next line that is an answer: events come between.
    fn answer(&mut self, what: &str) -> Result<String> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                bail!("QEMU closed its monitor");
            }
            if line.contains("\"error\"") {
                bail!("QEMU refused: {}", line.trim());
            }
            if line.contains(what) {
                return Ok(line);
            }
        }
    }
}

/// A connection to a socket that QEMU is about to make.
pub fn connect(path: &Path) -> Result<UnixStream> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => {
                return Err(error).with_context(|| format!("QEMU did not open {}", path.display()));
            }
        }
    }
}
