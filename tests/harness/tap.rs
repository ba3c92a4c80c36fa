//! A tap device in a network namespace of a test's own. Needs root.

use anyhow::{Context, Result, ensure};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::process::Command;
use std::thread;

/// Runs `inside` in a fresh network namespace: only that thread, and what it starts, is in it.
pub fn in_namespace<T: Send>(inside: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            // SAFETY: no table of descriptors is unshared.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.context("a network namespace")?;
            inside()
        });
        inside.join().map_err(|_| anyhow::anyhow!("the test panicked"))?
    })
}

/// Runs `ip` with these words.
pub fn ip(words: &str) -> Result<()> {
    let status = Command::new("ip").args(words.split(' ')).status().context("ip")?;
    ensure!(status.success(), "ip {words} fails");
    Ok(())
}

/// Frames that went over a tap: to the guest, and from it.
#[derive(Clone, Copy)]
pub struct Counts {
    pub taken: u64,
    pub given: u64,
}

/// How many have gone so far, in this thread's namespace.
pub fn counts(name: &str) -> Result<Counts> {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").context("/proc/net/dev")?;
    let line = table.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    let numbers: Vec<u64> = line.unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [_, given, _, _, _, _, _, _, _, taken, ..] => Ok(Counts { taken, given }),
        _ => anyhow::bail!("no {name} in {table}"),
    }
}
