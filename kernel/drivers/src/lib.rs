//! Device drivers: PCI and virtio (block, console ports, entropy).
//!
//! [`probe_all`] finds the machine's devices, starts them and registers them under the traits of `hal::hil`, where the
//! layers above look for them. Nothing else is public: the two sides never see each other.
//!
//! # Trust
//! A device may answer badly. What it says is checked where it enters (`virtio::queue`, `registers`, the capability walk);
//! a lie makes a warning and errors for those who wait, never a panic or an endless wait. A request that is not answered
//! for a minute counts as a lie. (A device that writes where it was not told to is the host's business: there is no IOMMU.)
//!
//! # Neighbours and locks
//! `mm` gives memory that devices share and maps registers; `sched` gives wait queues and timers; `hal` gives vectors.
//! Each device has one spin lock around its queues, taken in threads and in its interrupt handler; completions and
//! wake-ups happen after it is released. Shared memory and devices are never freed: there is no removal.
#![cfg_attr(not(test), no_std)]
extern crate alloc;

mod interrupts;
pub mod pci;
mod registers;
pub mod virtio;

pub use virtio::probe_all;
