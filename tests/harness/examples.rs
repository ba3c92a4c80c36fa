//! The examples, each started as its README's line says, asked by curl on this computer, and ended by Ctrl-C's signal.

use crate::build;
use crate::tally::Tally;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Folder of each, whether its libraries are fetched by Maven, and what an answer to `/a/path` has in it.
const EXAMPLES: [(&str, bool, &str); 3] = [
    ("http-server", false, "Hello from Java "),
    ("netty", true, "Hello from Netty, you asked for /a/path\n"),
    ("tomcat", true, "Hello from Tomcat, you asked for /a/path\n"),
];
/// Until it answers, fetching and building included; and until it has ended.
const START: Duration = Duration::from_secs(400);
const END: Duration = Duration::from_secs(60);
/// What a shell says of a program that SIGINT ended, and what run-java.sh says then.
const INTERRUPTED: i32 = 130;

/// Runs those that `filter` lets through.
pub fn run(filter: &dyn Fn(&str) -> bool, tally: &mut Tally) {
    for (folder, needs_maven, answer) in EXAMPLES {
        let name = format!("example-{folder}");
        if !filter(&name) {
            continue;
        }
        if needs_maven && Command::new("mvn").arg("--version").output().is_err() {
            tally.skip(&name, "NO MAVEN: its libraries cannot be fetched (Debian's package maven)");
            continue;
        }
        match one(folder, answer) {
            Ok(()) => tally.pass(&name),
            Err(error) => tally.fail(&name, &format!("{error:#}")),
        }
    }
}

fn one(folder: &str, answer: &str) -> Result<()> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let said = tempfile::NamedTempFile::new()?;
    let output = File::options().append(true).open(said.path())?;
    let mut example = Command::new(build::root().join("examples").join(folder).join("run.sh"))
        .env("PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let result = talk(&mut example, port, answer).and_then(|()| end(&mut example));
    // Where it has not ended already.
    let _ = example.kill();
    let _ = example.wait();
    result.with_context(|| format!("it said: {}", std::fs::read_to_string(said.path()).unwrap_or_default().trim()))
}

fn talk(example: &mut Child, port: u16, answer: &str) -> Result<()> {
    let url = format!("http://localhost:{port}/a/path");
    let patience = Instant::now() + START;
    loop {
        let curl = Command::new("curl").args(["--silent", "--fail", "--max-time", "20", &url]).output();
        let curl = curl.context("cannot start curl")?;
        let text = String::from_utf8_lossy(&curl.stdout);
        if curl.status.success() {
            ensure!(text.contains(answer), "it answered {text:?}");
            return Ok(());
        }
        if let Some(status) = example.try_wait()? {
            bail!("it ended with {status}");
        }
        ensure!(Instant::now() < patience, "no answer: {}", curl.status);
        thread::sleep(Duration::from_millis(300));
    }
}

fn end(example: &mut Child) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(example.id())?).context("a process has a number")?;
    // run.sh has become run-java.sh's tool: exec.
    kill_process(pid, Signal::INT)?;
    let patience = Instant::now() + END;
    while Instant::now() < patience {
        if let Some(status) = example.try_wait()? {
            ensure!(status.code() == Some(INTERRUPTED), "after SIGINT it ended with {status}");
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("it did not end after SIGINT")
}
