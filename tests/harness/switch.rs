//! Two machines on a virtual switch: a server that the other machine and, by way of the gateway, the host ask.

use crate::build::{self, Built};
use crate::parts::ask;
use anyhow::{Context, Result, ensure};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Answer sizes that the other machine asks for, and the host, in bytes.
const WITHIN: [usize; 5] = [1, 100, 20_000, 1_000_000, 3];
const FROM_HOST: [usize; 3] = [7, 300_000, 4096];
const LIMIT: &str = "300";

/// Killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(directory: &Path, words: &[&str]) -> Result<Running> {
    let mut command = Command::new(build::root().join("run-java.sh"));
    command.args(words).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(Running(command.spawn().with_context(|| format!("run-java.sh {words:?}"))?))
}

/// A Java program at an address of the switch's network.
fn machine(built: &Built, directory: &Path, address: &str, program: &[&str]) -> Result<Running> {
    let classes = built.classes.display().to_string();
    let network = ["--accel", "tcg", "--cpus", "1", "--memory", "512M", "--timeout", LIMIT, "--net", "switch=net.sock"];
    let words = [&network, ["--ip", address, "-cp", &classes].as_slice(), program].concat();
    start(directory, &words)
}

/// What it says, when it has ended with status 0.
fn output(mut running: Running) -> Result<String> {
    let mut text = [String::new(), String::new()];
    let (stdout, stderr) = (running.0.stdout.take(), running.0.stderr.take());
    std::io::Read::read_to_string(&mut stdout.context("piped")?, &mut text[0])?;
    std::io::Read::read_to_string(&mut stderr.context("piped")?, &mut text[1])?;
    let status = running.0.wait()?;
    ensure!(status.success(), "{status}: {}{}", text[0], text[1]);
    let [stdout, _] = text;
    Ok(stdout)
}

/// The test.
pub fn run(built: &Built) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let publish = format!("{port}:10.0.2.11:8080");
    let mut switch = start(dir.path(), &["--switch", "net.sock", "--publish", &publish])?;
    let patience = Instant::now() + Duration::from_secs(120);
    while !dir.path().join("net.sock").exists() {
        ensure!(switch.0.try_wait()?.is_none(), "the switch has ended");
        ensure!(Instant::now() < patience, "the switch does not come");
        thread::sleep(Duration::from_millis(50));
    }
    let count = (WITHIN.len() + FROM_HOST.len()).to_string();
    let server = machine(built, dir.path(), "10.0.2.11/24", &["Serve", &count])?;
    let sizes = WITHIN.map(|size| size.to_string());
    let words: Vec<&str> = ["Fetch", "10.0.2.11:8080"].into_iter().chain(sizes.iter().map(String::as_str)).collect();
    let client = machine(built, dir.path(), "10.0.2.12/24", &words)?;
    let asked = FROM_HOST.iter().try_for_each(|size| ask(port, *size));
    let fetched = output(client).context("the client");
    asked.and(fetched).and_then(|fetched| {
        let expected: String = WITHIN.iter().map(|size| format!("{size}: {size}\n")).collect();
        ensure!(fetched == expected, "the client says {fetched}");
        let served = output(server).context("the server")?;
        ensure!(served == format!("ready\n{count} answered\n"), "the server says {served}");
        Ok(())
    })
}
