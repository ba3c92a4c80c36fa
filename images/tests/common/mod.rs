//! Runs the tool as users do, with a script in QEMU's place.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A directory for one test, and how to run the tool in it.
pub struct Stage {
    pub dir: tempfile::TempDir,
    cache: PathBuf,
}

impl Stage {
    /// Uses a cache that all tests share.
    pub fn new() -> Stage {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        Stage::with_cache(cache)
    }

    pub fn with_cache(cache: PathBuf) -> Stage {
        // Not below /tmp: that is the guest's own.
        let dir = tempfile::tempdir_in("/var/tmp").expect("a directory for the test");
        std::fs::create_dir(dir.path().join("tmp")).expect("a TMPDIR");
        std::fs::create_dir(dir.path().join("cwd")).expect("a working directory");
        Stage { dir, cache }
    }

    pub fn cwd(&self) -> PathBuf {
        self.dir.path().join("cwd")
    }

    /// The tool with `arguments`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demitasse"));
        command.args(arguments).current_dir(self.cwd()).stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", &self.cache).env("TMPDIR", self.dir.path().join("tmp"));
        command.env("LANG", "C.UTF-8").env_remove("LC_ALL");
        command
    }

    /// The tool running a program under the fake QEMU that does what `script` says.
    pub fn fake(&self, script: &str, options: &[&str]) -> Command {
        let mut arguments = vec!["--accel", "tcg", "--kernel", "/bin/true"];
        arguments.extend(options);
        arguments.extend(["--exec", "/bin/true"]);
        let mut command = self.command(&arguments);
        let qemu = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/fake-qemu.sh");
        command.env("DEMITASSE_QEMU", qemu).env("FAKE", script);
        command
    }

    /// Asserts that a run left nothing behind.
    pub fn assert_clean(&self) {
        let left: Vec<_> =
            std::fs::read_dir(self.dir.path().join("tmp")).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

pub fn output(mut command: Command) -> (i32, String, String) {
    let output = command.output().expect("the tool runs");
    shown(&output)
}

pub fn finish(child: Child) -> (i32, String, String) {
    shown(&child.wait_with_output().expect("the tool ends"))
}

fn shown(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Waits until `condition` holds, at most ten seconds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("never happened: {what}");
}
