//! From the manifest to the first instruction of ld.so, and back to an exit status.
//!
//! # The path of a program
//! [`run`] mounts the [`root`], reads the manifest and takes its programs one after the other: [`launch`] judges the
//! executable ([`elf`]), maps it and its loader ([`map`]), lays out the initial stack ([`stack`], [`auxv`]) and starts the
//! process; [`control`] reports its end to the host, after the files that the user wants back ([`copy_out`]).
//!
//! # Neighbours
//! Below: `libc-compat` (the process), `fs` (the tree), `mm` (the address space). The words between guest and host are
//! `wire`'s. Java's names stop here: [`options`] sizes the JVM to the machine.
//!
//! # Specifications
//! System V ABI and its AMD64 supplement (process initialization), execve(2), getauxval(3).
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]
extern crate alloc;

pub mod auxv;
pub mod control;
pub mod copy_out;
pub mod elf;
pub mod launch;
pub mod map;
pub mod options;
pub mod root;
mod run;
pub mod stack;
pub mod volumes;

pub use run::run;
