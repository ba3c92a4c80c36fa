//! A program in the guest and a client on the host's side of its network, which have to agree.

use anyhow::{Context, Result, bail, ensure};
use images::machine::Machine;
use images::session::{self, Options};
use std::io::{Read, Write};
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
    /// The kernel's log.
    pub log: Vec<String>,
}

/// Written before as many are read.
const PIECE: usize = 20_000;

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
    let (stdout, stderr) = (text(&result.stdout), text(&result.stderr));
    let said = Said { stdout, stderr, status: result.status, log: outcome.log };
    let Said { stdout, stderr, status, .. } = &said;
    asked.with_context(|| format!("status {status}, {failure}; the guest said: {stdout}{stderr}"))?;
    Ok(said)
}

/// Sends `bytes` bytes to `echo_server` that no other connection sends, and takes them back.
pub fn echo(stream: &mut (impl Read + Write), number: u32, bytes: usize) -> Result<()> {
    let mut random = number.wrapping_mul(0x9e37_79b9) | 1;
    let mut back = vec![0; PIECE];
    let mut left = bytes;
    while left > 0 {
        let piece: Vec<u8> = (0..left.min(PIECE))
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // 'Q' has a meaning.
                (random >> 24) as u8 & 0x3f
            })
            .collect();
        stream.write_all(&piece).with_context(|| format!("write, {left} left"))?;
        stream.read_exact(&mut back[..piece.len()]).with_context(|| format!("read, {left} left"))?;
        ensure!(back[..piece.len()] == piece, "other bytes came back, {left} left");
        left -= piece.len();
    }
    Ok(())
}
