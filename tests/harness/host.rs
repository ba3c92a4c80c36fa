//! Runs a test on the host's Linux, in the sandbox: nothing that it does reaches the machine.

use crate::Outcome;
use crate::build::{self, Built};
use crate::table::{Program, Test};
use anyhow::{Context, Result, bail};
use images::jdk::Jdk;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

/// The whole environment, on both systems.
pub const ENVIRONMENT: [&str; 4] = ["HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin", "TZ=UTC"];
/// The interpreter of the distribution, whose standard library comes along.
pub const PYTHON: &str = "/usr/bin/python3";
/// The working directory, on both systems.
pub const DIRECTORY: &str = "/tmp";

/// Executable, which is also `argv[0]`, and further arguments.
pub fn command(test: &Test, built: &Built, jdk: &Jdk) -> (String, Vec<String>) {
    let mut args = Vec::new();
    let class_path = |path: &Path, class: &String| ["-cp".into(), path.display().to_string(), class.clone()];
    let mut java = |path: &Path, class: &String| {
        args.extend(test.jvm.iter().cloned().chain(class_path(path, class)));
        jdk.java()
    };
    let exe = match &test.program {
        Program::C(name) => built.programs.join(name),
        Program::Java(class) => java(&built.classes, class),
        Program::Java22(class) => java(&built.classes_22, class),
        Program::Tomcat(class) => java(&built.tomcat.join("*"), class),
        Program::Jar(class) => java(&built.jar, class),
        Program::Host(path) => path.clone(),
        Program::Python(name) => {
            args.push(build::folder().join(format!("guest/python/{name}.py")).display().to_string());
            PYTHON.into()
        }
    };
    // Files that were built lie where both systems see them.
    let folder = built.folder.display().to_string();
    args.extend(test.args.iter().map(|word| word.replace("{built}", &folder)));
    (exe.display().to_string(), args)
}

/// Runs it to its end.
pub fn run(test: &Test, built: &Built, jdk: &Jdk) -> Result<Outcome> {
    let childless = built.programs.join("childless");
    let prefix: &[&OsStr] = if test.is_childless { &[childless.as_os_str()] } else { &[] };
    run_behind(prefix, test, built, jdk, None)
}

/// Runs it with one more directory to be seen in the sandbox.
pub fn run_keeping(test: &Test, built: &Built, jdk: &Jdk, kept: &Path) -> Result<Outcome> {
    run_behind(&[], test, built, jdk, Some(kept))
}

/// Runs it and takes the `file` that it leaves; its own output is lost.
pub fn run_and_take(test: &Test, built: &Built, jdk: &Jdk, file: &str) -> Result<(Outcome, Vec<u8>)> {
    let script = format!("\"$@\" >/dev/null 2>&1; s=$?; cat {file}; exit $s");
    let prefix = ["sh", "-c", &script, "sh"].map(OsStr::new);
    let mut outcome = run_behind(&prefix, test, built, jdk, None)?;
    let taken = std::mem::take(&mut outcome.stdout);
    Ok((outcome, taken))
}

fn run_behind(prefix: &[&OsStr], test: &Test, built: &Built, jdk: &Jdk, kept: Option<&Path>) -> Result<Outcome> {
    let (exe, args) = command(test, built, jdk);
    let sandbox = build::folder().join("host/sandbox.sh");
    let mut keep = built.folder.as_os_str().to_os_string();
    if let Some(kept) = kept {
        keep.push(":");
        keep.push(kept);
    }
    let started = Instant::now();
    let mut child = Command::new("timeout")
        // KILL: unshare ignores the others, and its child dies with it.
        .args(["--foreground", "--signal=KILL"])
        .arg((test.timeout_ms / 1000).to_string())
        .arg(sandbox)
        .env("SANDBOX_KEEP", keep)
        .args(["/usr/bin/env", "-i"])
        .args(ENVIRONMENT)
        .args(prefix)
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
