//! Runs a test on the host's Linux, in the sandbox: nothing that it does reaches the machine.

use crate::Outcome;
use crate::build::{self, Built};
use crate::table::{Program, Test};
use anyhow::{Context, Result, bail};
use images::jdk::Jdk;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

/// The whole environment, on both systems.
pub const ENVIRONMENT: [&str; 4] = ["HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin", "TZ=UTC"];
/// The working directory, on both systems.
pub const DIRECTORY: &str = "/tmp";

/// Executable, `argv[0]`, further arguments.
pub fn command(test: &Test, built: &Built, jdk: &Jdk) -> (String, Vec<String>) {
    let mut args = Vec::new();
    let exe = match &test.program {
        Program::C(name) => built.programs.join(name),
        Program::Java(class) => {
            args.extend(test.jvm.iter().cloned());
            args.extend(["-cp".into(), built.classes.display().to_string(), class.clone()]);
            jdk.java()
        }
    };
    args.extend(test.args.iter().cloned());
    (exe.display().to_string(), args)
}

/// Runs it to its end.
pub fn run(test: &Test, built: &Built, jdk: &Jdk) -> Result<Outcome> {
    let (exe, args) = command(test, built, jdk);
    let sandbox = build::folder().join("host/sandbox.sh");
    let mut keep = built.programs.as_os_str().to_os_string();
    keep.push(":");
    keep.push(&built.classes);
    let started = Instant::now();
    let mut child = Command::new("timeout")
        // KILL: unshare ignores the others, and its child dies with it.
        .args(["--foreground", "--signal=KILL"])
        .arg((test.timeout_ms / 1000).to_string())
        .arg(sandbox)
        .env("SANDBOX_KEEP", keep)
        .args(["/usr/bin/env", "-i"])
        .args(ENVIRONMENT)
        .arg(exe)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the sandbox")?;
    let mut stdin = child.stdin.take().expect("piped");
    let input = test.stdin.clone().unwrap_or_default();
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    // A program that does not read its input closes it: not an error.
    let _ = writer.join();
    let status = output.status.code().context("the sandbox was killed")?;
    // What the tools in front of the program say when there was no program: no result to compare anything with.
    if (125..=127).contains(&status) {
        bail!("{} did not start: {}", test.name, String::from_utf8_lossy(&output.stderr).trim());
    }
    if started.elapsed().as_millis() >= u128::from(test.timeout_ms) {
        bail!("{} did not end on the host", test.name);
    }
    Ok(Outcome { stdout: output.stdout, stderr: output.stderr, status: u8::try_from(status)? })
}
