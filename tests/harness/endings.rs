//! How runs end, as a user sees it: `run-java.sh` with its statuses, its one line, its signals and files.

use crate::build::{self, Built};
use crate::tally::Tally;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Nothing here takes this long; a run that does hangs, which is what these tests are about.
const LIMIT: Duration = Duration::from_secs(120);

/// One finished run.
struct Finished {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

type Check = Result<(), String>;
type Case<'a> = (&'static str, Box<dyn Fn(&Runner<'a>) -> Check + 'a>);

struct Runner<'a> {
    built: &'a Built,
    scratch: PathBuf,
}

/// Runs all cases whose names pass `filter`.
pub fn run(filter: &dyn Fn(&str) -> bool, built: &Built, tally: &mut Tally) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let runner = Runner { built, scratch: scratch.path().canonicalize()? };
    for (name, case) in cases() {
        if filter(name) {
            tally.check(name, case(&runner));
        }
    }
    Ok(())
}

fn cases<'a>() -> Vec<Case<'a>> {
    vec![
        ("end-status-0-to-255", Box::new(|r| r.ends(&[], "endings", &["exit", "255"], 255, "program 255"))),
        ("end-jar", Box::new(Runner::jar)),
        ("end-signal", Box::new(|r| r.ends(&[], "endings", &["raise", "15"], 143, "program 143"))),
        ("end-abort", Box::new(|r| r.ends(&[], "endings", &["abort"], 134, "program 134"))),
        ("end-timeout", Box::new(|r| r.ours(&["--timeout", "8"], "sleeper", &[], 124, "demitasse timeout"))),
        ("end-deadlock", Box::new(|r| r.ours(&[], "deadlock", &[], 122, "demitasse deadlock"))),
        ("end-panic", Box::new(|r| r.ours(&["--kernel-arg", "crash=panic"], "sleeper", &[], 121, "demitasse panic"))),
        (
            "end-kernel-recursion",
            Box::new(|r| r.ours(&["--kernel-arg", "crash=recursion"], "sleeper", &[], 121, "demitasse panic")),
        ),
        (
            "end-stuck-vcpu",
            Box::new(|r| r.ours(&["--kernel-arg", "crash=stuck"], "sleeper", &[], 121, "demitasse panic")),
        ),
        ("end-out-of-memory", Box::new(Runner::out_of_memory)),
        ("end-reader-gone", Box::new(Runner::reader_gone)),
        ("end-files-after-crash", Box::new(Runner::files_after_crash)),
        ("end-stdin-to-its-end", Box::new(Runner::stdin_to_its_end)),
        ("end-ctrl-c-hook", Box::new(|r| r.interrupted("hook", &[Signal::INT], 40))),
        ("end-sigterm-hook", Box::new(|r| r.interrupted("hook", &[Signal::TERM], 41))),
        ("end-ctrl-c", Box::new(|r| r.interrupted("plain", &[Signal::INT], 130))),
        ("end-second-ctrl-c", Box::new(|r| r.interrupted("stubborn", &[Signal::INT, Signal::INT], 130))),
        ("end-bad-input", Box::new(Runner::bad_input)),
    ]
}

impl Runner<'_> {
    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(build::root().join("run-java.sh"));
        command.args(["--cpus", "2", "--accel", "tcg"]).args(options).current_dir(&self.scratch);
        command
    }

    fn program(&self, name: &str) -> PathBuf {
        self.built.programs.join(name)
    }

    /// The program's own end: its status, and nothing of ours on stderr beyond what the program says.
    fn ends(&self, options: &[&str], program: &str, args: &[&str], status: i32, word: &str) -> Check {
        let done = self.exec(options, program, args)?;
        expect(done.status == Some(status), "status", &done)?;
        expect(done.stderr.lines().all(|line| !line.starts_with("demitasse")), "silence on stderr", &done)?;
        self.status_file(word, &done)
    }

    /// An end of ours: its status, and one line that says why.
    fn ours(&self, options: &[&str], program: &str, args: &[&str], status: i32, word: &str) -> Check {
        let done = self.exec(options, program, args)?;
        expect(done.status == Some(status), "status", &done)?;
        let first = done.stderr.lines().filter(|line| line.starts_with("demitasse")).count();
        expect(first >= 1, "a line that says why", &done)?;
        self.status_file(word, &done)
    }

    fn status_file(&self, word: &str, done: &Finished) -> Check {
        let text = fs::read_to_string(self.scratch.join("status")).unwrap_or_default();
        expect(text.trim() == word, &format!("status file {word:?}, not {text:?}"), done)
    }

    fn exec(&self, options: &[&str], program: &str, args: &[&str]) -> Result<Finished, String> {
        let mut command = self.command(options);
        command.args(["--status-file", "status", "--exec"]).arg(self.program(program)).args(args);
        finish(command.stdin(Stdio::null()))
    }

    fn jar(&self) -> Check {
        let mut command = self.command(&["--status-file", "status"]);
        let done = finish(command.arg(build::root().join("examples/hello.jar")).stdin(Stdio::null()))?;
        expect(
            done.status == Some(0) && !done.stdout.is_empty() && done.stderr.is_empty(),
            "output alone, status 0",
            &done,
        )?;
        self.status_file("program 0", &done)
    }

    fn out_of_memory(&self) -> Check {
        let done = self.exec(&["--memory", "128M"], "memory_hog", &[])?;
        expect(done.status == Some(137), "status 137", &done)?;
        expect(done.stderr.to_lowercase().contains("memory"), "a line about memory", &done)
    }

    fn reader_gone(&self) -> Check {
        let mut child = self.spawn(&[], "yes_lines", &[])?;
        let mut first = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        reader.read_line(&mut first).map_err(|error| error.to_string())?;
        drop(reader);
        let done = wait(child)?;
        expect(first == "line 0\n", "the first line", &done)?;
        expect(done.status == Some(5) && done.stderr.contains("EPIPE"), "EPIPE and status 5", &done)
    }

    fn files_after_crash(&self) -> Check {
        let done = self.exec(&["--get", "/tmp/left/file:got", "--get", "/tmp/left:directory"], "leaves_file", &[])?;
        expect(done.status == Some(134), "status 134", &done)?;
        let text = fs::read_to_string(self.scratch.join("got")).unwrap_or_default();
        expect(text.lines().count() == 10_000 && text.ends_with("line 9999\n"), "the whole file", &done)?;
        expect(self.scratch.join("directory").is_dir(), "the directory", &done)
    }

    fn stdin_to_its_end(&self) -> Check {
        let mut command = self.command(&["--exec"]);
        command
            .arg(self.program("standard_streams"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut stdin = child.stdin.take().expect("piped");
        let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let writer = std::thread::spawn(move || stdin.write_all(&bytes));
        let done = wait(child)?;
        writer.join().expect("no panic").map_err(|error| error.to_string())?;
        expect(done.status == Some(0) && done.stdout.contains("read 300000 bytes, "), "all bytes, then the end", &done)
    }

    fn interrupted(&self, how: &str, signals: &[Signal], status: i32) -> Check {
        let mut child = self.spawn(&[], "sleeper", &[how])?;
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        reader.read_line(&mut line).map_err(|error| error.to_string())?;
        let pid = Pid::from_child(&child);
        for signal in signals {
            kill_process(pid, *signal).map_err(|error| error.to_string())?;
            std::thread::sleep(Duration::from_millis(1500));
        }
        let done = wait(child)?;
        expect(line == "up\n" && done.status == Some(status), &format!("up, then status {status}"), &done)
    }

    /// One line that says what and why, status 2, nothing left behind.
    fn bad_input(&self) -> Check {
        let text = self.scratch.join("text.jar");
        fs::write(&text, "not a jar").map_err(|error| error.to_string())?;
        let here = self.scratch.display().to_string();
        let cases: [&[&str]; 6] = [
            &["missing.jar"],
            &["text.jar"],
            &["--jdk", &here, "text.jar"],
            &["--memory", "1M", "--exec", "/bin/true"],
            &["--exec", "/nowhere"],
            &["--add", "/nowhere:/x", "--exec", "/bin/true"],
        ];
        for case in cases {
            let done = finish(self.command(&[]).args(case).stdin(Stdio::null()))?;
            let lines = done.stderr.lines().count();
            expect(
                done.status == Some(2) && lines == 1 && done.stdout.is_empty(),
                &format!("{case:?}: status 2, one line"),
                &done,
            )?;
        }
        Ok(())
    }

    fn spawn(&self, options: &[&str], program: &str, args: &[&str]) -> Result<Child, String> {
        let mut command = self.command(options);
        command.arg("--exec").arg(self.program(program)).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| error.to_string())
    }
}

fn expect(is_so: bool, what: &str, done: &Finished) -> Check {
    let Finished { status, stdout, stderr } = done;
    let cut = |text: &str| text.chars().take(1500).collect::<String>();
    if is_so {
        Ok(())
    } else {
        Err(format!("expected {what}; status {status:?}\nstdout: {}\nstderr: {}", cut(stdout), cut(stderr)))
    }
}

fn finish(command: &mut Command) -> Result<Finished, String> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    wait(child.map_err(|error| error.to_string())?)
}

/// Waits for the end, at most [`LIMIT`].
fn wait(mut child: Child) -> Result<Finished, String> {
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status.code(),
            None if Instant::now() > deadline => {
                // SIGTERM first: the tool takes its machine along.
                let _ = kill_process(Pid::from_child(&child), Signal::TERM);
                std::thread::sleep(Duration::from_secs(3));
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it hangs: no end within {LIMIT:?}"));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let text = |from: mpsc::Receiver<Vec<u8>>| String::from_utf8_lossy(&from.recv().unwrap_or_default()).into_owned();
    Ok(Finished { status, stdout: text(stdout), stderr: text(stderr) })
}

fn collect(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}
