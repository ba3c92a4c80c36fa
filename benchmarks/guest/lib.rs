//! What the benchmarks share: Demitasse and a Linux guest under the same QEMU with the same disks, and how figures of
//! the two are compared.
//!
//! * [`system`], [`linux`], [`initramfs`]: the two machines.
//! * [`run`], [`qmp`], [`gdb`]: one run, and the count of executed instructions.
//! * [`turns`], [`stats`], [`report`]: samples in turns, medians, intervals, tables.

pub mod gdb;
pub mod initramfs;
pub mod linux;
pub mod qmp;
pub mod report;
pub mod run;
pub mod stats;
pub mod system;
pub mod turns;

use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles the Java programs of `sources` into `classes`.
pub fn compile_java(sources: &Path, classes: &Path) -> Result<()> {
    let files: Vec<PathBuf> = std::fs::read_dir(sources)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let status = Command::new("javac").arg("-d").arg(classes).args(files).status()?;
    anyhow::ensure!(status.success(), "javac failed");
    Ok(())
}

/// Compiles the C program `source` into `directory`; its name is the source's without `.c`.
pub fn compile_c(source: &Path, directory: &Path) -> Result<()> {
    let name = source.file_stem().unwrap_or_default();
    let status = Command::new("cc")
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(directory.join(name))
        .arg(source)
        .status()?;
    anyhow::ensure!(status.success(), "cc failed");
    Ok(())
}
