//! Builds virtual-machine images out of a JDK and a jar, and runs them.
//!
//! The binary `demitasse` (what `run-java.sh` execs) is [`cli`]; tests and benchmarks use the pieces as a library:
//! ```no_run
//! # fn main() -> Result<(), images::Failure> {
//! use images::{cache::Cache, jdk::Jdk, kernel::Kernel, layers, machine::Machine, program, session};
//! let cache = Cache::open()?;
//! let jdk = Jdk::discover(None)?;
//! let mut machine = Machine::new(Kernel::prepare(&cache)?);
//! machine.add_layer(layers::application(&cache, &layers::Application::classes("out".as_ref()))?);
//! machine.add_layer(layers::base(&cache, Some(&jdk))?);
//! let manifest = program::manifest([program::java(&jdk, &["-cp", "/classes", "Hello"])]);
//! for result in session::capture(&machine, &manifest)?.programs {
//!     println!("{:?}: {}", result.end, String::from_utf8_lossy(&result.stdout));
//! }
//! # Ok(()) }
//! ```
//!
//! # From top to bottom
//! * what to run: [`cli`], [`program`], [`jar`], [`jdk`], [`size`]
//! * what it needs: [`closure`] (with [`elf`], [`ldcache`]), [`system`], [`tree`]
//! * images: [`layers`], [`cache`], [`mkfs`], [`kernel`] (with [`ksyms`]), [`bundle`]
//! * running: [`machine`] (the QEMU command), [`accel`], [`session`] (with [`ports`], [`pump`], [`collect`]), [`symbolize`],
//!   [`switch`]
//! * for all: [`failure`], [`interrupt`], [`progress`]

pub mod accel;
pub mod bundle;
pub mod cache;
pub mod cli;
pub mod closure;
pub mod collect;
pub mod elf;
pub mod failure;
pub mod interrupt;
pub mod jar;
pub mod jdk;
pub mod kernel;
pub mod ksyms;
pub mod layers;
pub mod ldcache;
pub mod machine;
pub mod mkfs;
pub mod network;
pub mod ports;
pub mod program;
pub mod progress;
pub mod pump;
pub mod session;
pub mod size;
pub mod switch;
pub mod symbolize;
pub mod system;
pub mod tree;
pub mod volume;

pub use failure::{Failure, Reason};
