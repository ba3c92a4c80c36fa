//! The few packets of gdb's remote protocol that stop a guest at an address: at a breakpoint QEMU's instruction count is exact.
//! <https://sourceware.org/gdb/current/onlinedocs/gdb.html/Remote-Protocol.html>

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connection to QEMU's stub; the guest is stopped.
pub struct Stub(UnixStream);

impl Stub {
    /// Connects to the socket at `path`.
    pub fn connect(path: &Path) -> Result<Stub> {
        let mut stub = Stub(crate::qmp::connect(path)?);
        stub.request("?")?;
        Ok(stub)
    }

    /// Runs until the instruction at `address` is next; the breakpoint is gone afterwards.
    pub fn run_to(&mut self, address: u64) -> Result<()> {
        for (packet, answer) in
            [(format!("Z1,{address:x},1"), "OK"), ("c".to_string(), "T05"), (format!("z1,{address:x},1"), "OK")]
        {
            let got = self.request(&packet)?;
            if !got.starts_with(answer) {
                bail!("the gdb stub answered {got:?} to {packet:?}");
            }
        }
        Ok(())
    }

    fn request(&mut self, packet: &str) -> Result<String> {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        write!(self.0, "${packet}#{sum:02x}")?;
        let mut answer = Vec::new();
        let mut byte = [0];
        // "+" acknowledges; then $text#sum.
        loop {
            self.0.read_exact(&mut byte).context("the gdb stub is gone")?;
            match byte[0] {
                b'+' | b'-' if answer.is_empty() => {}
                b'$' => answer.clear(),
                b'#' => break,
                other => answer.push(other),
            }
        }
        self.0.read_exact(&mut [0; 2])?;
        self.0.write_all(b"+")?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
