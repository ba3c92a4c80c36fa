//! Where a request's instructions go: QEMU logs every executed instruction of a few requests, one a block.

use crate::load::Clients;
use anyhow::{Context, Result};
use goblin::elf::Elf;
use goblin::elf::sym::{STT_FUNC, STT_NOTYPE};
use guest::qmp::Monitor;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Requests that are logged; each instruction is a line of some 90 bytes.
const REQUESTS: usize = 32;
/// Functions that are shown.
const SHOWN: usize = 100;
/// The kernel's half of the addresses.
const KERNEL: u64 = 1 << 63;

/// Functions by address: start, end, name.
struct Symbols(Vec<(u64, u64, String)>);

impl Symbols {
    fn read(kernel: &Path) -> Result<Symbols> {
        let bytes = std::fs::read(kernel)?;
        let elf = Elf::parse(&bytes)?;
        let mut all: Vec<_> = elf
            .syms
            .iter()
            .filter(|symbol| matches!(symbol.st_type(), STT_FUNC | STT_NOTYPE) && symbol.st_value >= KERNEL)
            .filter_map(|symbol| {
                let name = elf.strtab.get_at(symbol.st_name)?;
                let end = symbol.st_value + symbol.st_size;
                Some((symbol.st_value, end, format!("{:#}", rustc_demangle::demangle(name))))
            })
            .collect();
        all.sort();
        // Labels of assembly have no size: they last until the next.
        for at in 1..all.len() {
            let next = all[at].0;
            let (start, end, _) = &mut all[at - 1];
            if start == end {
                *end = next;
            }
        }
        Ok(Symbols(all))
    }

    /// The function that `address` lies in, and whether it is its first.
    fn name(&self, address: u64) -> (&str, bool) {
        let after = self.0.partition_point(|(start, ..)| *start <= address);
        match after.checked_sub(1).map(|at| &self.0[at]) {
            Some((start, end, name)) if address < *end => (name, address == *start),
            _ => ("(kernel, without a name)", false),
        }
    }
}

/// The address in a line "Trace 0: 0x7f1c [00000000/ffffffff80001234/0040c0b3/ff000201]".
fn address(line: &str) -> Option<u64> {
    let (_, rest) = line.strip_prefix("Trace ")?.split_once('[')?;
    u64::from_str_radix(rest.split('/').nth(1)?, 16).ok()
}

/// Prints the instructions a request, how many of them each function of `kernel` (its ELF file) has, and how often it is called;
/// `None`: it has no names. `addresses`: a file for the executed addresses of the kernel, each with its count a request.
pub fn print(
    monitor: &mut Monitor,
    clients: &mut Clients,
    kernel: Option<&Path>,
    addresses: Option<&Path>,
) -> Result<()> {
    let symbols = kernel.map_or_else(|| Ok(Symbols(Vec::new())), Symbols::read)?;
    let directory = tempfile::tempdir_in("/var/tmp")?;
    let log = directory.path().join("log");
    let each = REQUESTS.div_ceil(clients.count());
    for line in ["singlestep on", &format!("logfile {}", log.display()), "log exec,nochain"] {
        monitor.human(line)?;
    }
    clients.ask(each)?;
    for line in ["log none", "singlestep off", "logfile /dev/null"] {
        monitor.human(line)?;
    }
    let mut counts: HashMap<&str, (u64, u64)> = HashMap::new();
    let mut each_address: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut kernel_count, mut all) = (0_u64, 0_u64);
    for line in BufReader::new(File::open(&log).context("QEMU wrote no log")?).lines() {
        let Some(address) = address(&line?) else { continue };
        all += 1;
        if address >= KERNEL {
            kernel_count += 1;
            *each_address.entry(address).or_default() += 1;
            let (name, is_entered) = symbols.name(address);
            let (count, calls) = counts.entry(name).or_default();
            *count += 1;
            *calls += u64::from(is_entered);
        }
    }
    let requests = (each * clients.count()) as u64;
    println!(
        "{} connections: {} instructions a request, {} in the kernel",
        clients.count(),
        all / requests,
        kernel_count / requests
    );
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    println!("   total    calls  function");
    for (name, (count, calls)) in counts.iter().take(SHOWN) {
        println!("{:8} {:8.1}  {name}", count / requests, *calls as f64 / requests as f64);
    }
    if let Some(file) = addresses {
        let mut text = String::new();
        for (address, count) in each_address {
            writeln!(text, "{address:#x} {:.2}", count as f64 / requests as f64)?;
        }
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_are_found() {
        let line = "Trace 0: 0x7f1c40001000 [00000000/ffffffff80001234/0040c0b3/ff000201] ";
        assert_eq!(address(line), Some(0xffff_ffff_8000_1234));
        assert_eq!(address("Stopped execution of TB chain before 0x0 [0]"), None);
    }
}
