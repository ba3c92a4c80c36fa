//! A program in the guest and a client on the host's side of its network, which have to agree.

use anyhow::{Context, Result, bail};
use images::machine::Machine;
use images::session::{self, Options};
use std::thread::JoinHandle;
use std::time::Duration;
use wire::Manifest;

/// What the program said in the end.
pub struct Said {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit status, as a shell gives it.
    pub status: u8,
}

/// Runs the manifest's only program while `client` runs. Errors: what failed on either side, with what the other one said.
pub fn run(
    machine: &Machine,
    manifest: &Manifest,
    time_limit: Duration,
    client: JoinHandle<Result<()>>,
) -> Result<Said> {
    let options = Options { time_limit: Some(time_limit), ..Options::default() };
    let outcome = session::run(machine, manifest, options)?;
    let asked = client.join().map_err(|_| anyhow::anyhow!("the client panicked"))?;
    let failure = outcome.failure.map(|(_, text)| text).unwrap_or_default();
    let Some(result) = outcome.programs.into_iter().next() else { bail!("{asked:?}: {failure}") };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = Said { stdout: text(&result.stdout), stderr: text(&result.stderr), status: result.status };
    let Said { stdout, stderr, status } = &said;
    asked.with_context(|| format!("status {status}, {failure}; the guest said: {stdout}{stderr}"))?;
    Ok(said)
}
