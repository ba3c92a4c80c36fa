//! The Linux system-call ABI that HotSpot and glibc need: everything that the real, unmodified libc of the image sees
//! of the kernel. Linux names (`MAP_*`, `O_*`, errno) live here and nowhere below.
//!
//! # How to read it
//! * [`entry`]: every way from the application into the kernel and back, top to bottom.
//! * [`syscall`]: one row a call ([`syscall::Row`]), one file a family; a handler decodes, makes one call into a
//!   subsystem and encodes.
//! * [`process`], [`task`]: the one process and its threads.
//! * [`signal`]: queues, frames, default actions, restarts.
//! * [`vdso`]: the clock reads that never enter the kernel.
//! * [`errno`], [`uaccess`]: errors and the application's memory.
//!
//! # Lock order
//! `Process::threads` -> `Task`/`Process` pending signals -> sched's. All are spin locks held for a few instructions;
//! user memory is never touched under one. Sleeping locks of fs and mm are taken with none of ours held.
//!
//! # Specifications
//! Linux man pages, sections 2 and 7; the System V ABI, AMD64 supplement (red zone, initial stack).
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]
extern crate alloc;

pub mod deadlock;
pub mod entry;
pub mod errno;
pub mod file_context;
mod fs_errno;
mod netlink;
pub mod notice;
pub mod process;
pub mod procfs;
pub mod signal;
pub mod syscall;
pub mod task;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod uaccess;
pub mod user_io;
pub mod vdso;

pub use errno::Errno;
pub use process::{ExitStatus, Process, ProcessHandle, ProcessSpec};
pub use task::{Task, current_process, current_task};
