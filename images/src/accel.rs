//! How the guest's processor is made: by the hardware (KVM) or by QEMU's software emulation (TCG).
//!
//! That /dev/kvm can be opened does not mean that it works (nested virtualisation may be broken or be emulation itself).
//! So a trial guest runs under it once: no firmware, a few instructions from the reset vector on that count to a number in
//! real mode and then leave by the debug-exit device. The verdict holds for this QEMU until the host restarts.

use crate::cache::{Cache, Key, Record};
use crate::failure::Failure;
use crate::machine::Qemu;
use crate::progress;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest that the trial guest may take.
const TRIAL: Duration = Duration::from_secs(1);
/// What the trial guest's exit looks like outside: `(value << 1) | 1`.
const TRIAL_STATUS: i32 = (0x10 << 1) | 1;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// Hardware virtualisation.
    Kvm,
    /// Software emulation.
    Tcg,
}

impl Accel {
    /// The value of QEMU's `-accel`. The emulation runs all vCPUs in one thread: in several, its translator can read an instruction
    /// that another vCPU is just replacing half old, half new (seen with 7.2 at methods that HotSpot replaces: SIGILL, SIGSEGV).
    pub fn qemu_name(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg,thread=single",
        }
    }
}

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// KVM if a trial guest runs under it, else TCG.
    #[default]
    Auto,
    /// Hardware virtualisation.
    Kvm,
    /// Software emulation: works everywhere, ten to thirty times slower.
    Tcg,
}

/// Decides; says in one line when `auto` had to fall back.
pub fn choose(choice: Choice, cache: &Cache, qemu: &Qemu) -> Result<Accel, Failure> {
    match choice {
        Choice::Tcg => return Ok(Accel::Tcg),
        Choice::Kvm if Path::new("/dev/kvm").exists() => return Ok(Accel::Kvm),
        Choice::Kvm => {
            return Err(Failure::usage("--accel kvm: this host has no /dev/kvm; use --accel tcg"));
        }
        Choice::Auto => {}
    }
    // A restart of the host, or another user, calls for a new trial.
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let user = rustix::process::geteuid().as_raw().to_le_bytes();
    let key = Key::new("accel").with_path(&qemu.program).with(&qemu.version).with(boot).with(user);
    let (_, record) = cache.entry(&format!("accel-{}", key.finish()), |entry| {
        let kvm = Path::new("/dev/kvm");
        let verdict = match trial(kvm, qemu) {
            Ok(()) => "kvm",
            Err(why) => {
                progress::note(&format!("using software emulation, which is slow: {why}"));
                "tcg"
            }
        };
        std::fs::write(entry, "").map_err(|error| Failure::own_file("write", entry, &error))?;
        Ok(Record::of([kvm], vec![verdict.to_string()]))
    })?;
    match record.notes.first().map(String::as_str) {
        Some("kvm") => Ok(Accel::Kvm),
        _ => Ok(Accel::Tcg),
    }
}

/// Runs the trial guest; says why hardware virtualisation cannot be used.
fn trial(kvm: &Path, qemu: &Qemu) -> Result<(), String> {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(kvm);
    opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "this host has no /dev/kvm".to_string(),
        std::io::ErrorKind::PermissionDenied => "you may not open /dev/kvm (are you in the group kvm?)".to_string(),
        _ => format!("/dev/kvm: {}", crate::failure::reason(&error)),
    })?;
    let rom = tempfile::NamedTempFile::new()
        .map_err(|error| format!("no trial was possible: {}", crate::failure::reason(&error)))?;
    std::fs::write(rom.path(), trial_rom())
        .map_err(|error| format!("no trial was possible: {}", crate::failure::reason(&error)))?;
    let mut command = Command::new(&qemu.program);
    command.args([
        "-M",
        "q35",
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "32",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
    ]);
    command.args(["-no-reboot", "-device", "isa-debug-exit,iobase=0x501,iosize=4", "-bios"]).arg(rom.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child =
        command.spawn().map_err(|error| format!("QEMU does not start: {}", crate::failure::reason(&error)))?;
    while started.elapsed() < TRIAL {
        match child.try_wait() {
            Ok(Some(status)) if status.code() == Some(TRIAL_STATUS) => return Ok(()),
            Ok(Some(_)) => return Err("KVM does not work on this host".to_string()),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    Err("a trial guest did not finish under KVM within a second".to_string())
}

/// 64 KiB that a PC starts at their last 16 bytes, in real mode: counts to 2^24, then writes 0x10 to port 0x501.
fn trial_rom() -> Vec<u8> {
    const COUNT: [u8; 18] = [
        0x66, 0xb9, 0, 0, 0, 1, // mov ecx, 0x1000000
        0x67, 0xe2, 0xfd, // loop (32-bit counter) to itself
        0xb0, 0x10, // mov al, 0x10
        0xba, 0x01, 0x05, // mov dx, 0x501
        0xee, // out dx, al
        0xf4, // hlt
        0xeb, 0xfd, // jmp to the hlt
    ];
    let mut rom = vec![0xf4; 64 << 10];
    rom[..COUNT.len()].copy_from_slice(&COUNT);
    // jmp from 0xfff0 to 0: the displacement counts from 0xfff3.
    rom[0xfff0..0xfff3].copy_from_slice(&[0xe9, 0x0d, 0x00]);
    rom
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The trial program itself is right: software emulation runs it.
    #[test]
    fn the_trial_guest_leaves_with_its_status() {
        let rom = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(rom.path(), trial_rom()).unwrap();
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-M", "q35", "-accel", "tcg", "-m", "32", "-nodefaults", "-no-user-config", "-display", "none"]);
        command.args(["-no-reboot", "-device", "isa-debug-exit,iobase=0x501,iosize=4", "-bios"]).arg(rom.path());
        assert_eq!(command.status().unwrap().code(), Some(TRIAL_STATUS));
    }
}
