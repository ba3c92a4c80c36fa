//! The machine. The only crate with privileged instructions: everything above it names *operations* (mask interrupts,
//! switch threads, flush a translation, send an IPI, copy to the application), never instructions.
//!
//! # Key types
//! [`trap::TrapFrame`] is the one picture of interrupted code, whether by a system call, a fault or an interrupt;
//! [`trap::Hooks`] are the calls upward, set once by the kernel's wiring; [`context::Context`] is a suspended thread;
//! [`cpu::PerCpu`] is data of one vCPU; [`sync::SpinLock`] masks interrupts while it is held.
//!
//! # Two backends
//! With the feature `bare` the crate drives a real x86-64 (`arch/x86_64`). Without it, `arch/host` stands in with the
//! same names on top of std, so that the crates above run their unit, property and concurrency tests under `cargo test`.
//!
//! # Specifications
//! Intel SDM volume 3 (paging, interrupts, APIC, XSAVE), the PVH boot ABI (Xen `start_info.h`), ACPI 6.5, virtio 1.2.
#![cfg_attr(feature = "bare", no_std)]
extern crate alloc;

pub mod acpi;
pub mod addr;
mod arch;
pub mod boot_info;
pub mod clock;
pub mod context;
pub mod cpu;
pub mod hil;
pub mod irq;
pub mod log;
pub mod mem;
#[cfg(feature = "loom")]
pub mod model;
pub mod paging;
#[cfg(feature = "bare")]
mod panic;
pub mod pio;
pub mod power;
pub mod random;
pub mod stack;
pub mod sync;
pub mod trap;
pub mod user;
pub mod watchdog;

pub use addr::phys_to_virt;
#[cfg(feature = "bare")]
pub use arch::current::smp;
