//! Memory: frames, page tables, areas and faults, the kernel's heap.
//!
//! # Concept
//! Physical memory is a wilderness that a buddy allocator takes in 2 MiB at a time ([`frame`]); the kernel's heap is
//! slabs of such frames ([`heap`]). The application's half of the one address space is a tree of areas ([`space`]);
//! touching a page of an area faults, and the fault fills the page table. What a file shows in memory comes from `fs`
//! through the trait [`Backing`].
//!
//! # Key types
//! [`Frame`] and [`FrameRef`] own and share physical memory; [`AddressSpace`] with [`MapRequest`] is the application's memory;
//! [`dma::DmaBuffer`] and [`mmio_map`] are for drivers; [`kernel_stack::POOL`] is for sched; [`heap::KernelHeap`] is
//! the global allocator.
//!
//! # Neighbours
//! Below: `hal` (page-table bits, flushes, the direct map) and `sched` (the sleeping lock). Above: `fs` implements
//! [`Backing`] and registers a reclaimer; `libc-compat` calls the verbs and [`AddressSpace::fault`]; the kernel's wiring
//! sets `Hooks::tlb_flush` to [`space::shootdown::serve`] and the stack provider.
//!
//! # Lock order
//! ```text
//! address-space lock (sleeping; faults shared, verbs exclusive)
//! └─ locks of a Backing in peek_page, peek_pages, fault_huge, mark_dirty, note_* (must not sleep)
//!    └─ pool of kernel stacks, device mappings, slab classes (spin)
//!       └─ per-CPU caches of frames (interrupts masked)
//!          └─ zone (spin)
//! flush queues (spin): leaves; nobody waits for a vCPU with a spin lock held or interrupts masked
//! ```
//! `Backing::fault_page`, `writeback`, `prefetch` and `punch_hole` run with no lock of mm's. Reclaimers run inside allocations and only
//! try locks.
//!
//! # Reading
//! Intel SDM volume 3, chapter 4 (paging), 4.10 (what may be cached, and when); Linux's man pages of mmap, mprotect,
//! mremap and madvise; `Documentation/mm/overcommit-accounting.rst`.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(feature = "loom", allow(dead_code, reason = "the models are of the shoot-down only"))]
extern crate alloc;

pub mod backing;
pub mod device_map;
pub mod dma;
pub mod frame;
pub mod heap;
pub mod kernel_stack;
mod machine;
mod page_table;
pub mod space;

pub use backing::{Backing, BackingError, Hole};
pub use device_map::mmio_map;
pub use frame::{Frame, FrameRef, HugeRef};
pub use hal::addr::PhysAddr;
pub use space::{
    Access, AddressSpace, Advice, AreaInfo, FaultError, HugePages, HugePolicy, Limits, MapError, MapRequest, Placement,
    PrivateCopies, Protection, Remap, Residence, Sharing, Usage, space,
};

/// Takes over the machine's memory. Before anything that allocates; once, on the boot vCPU.
pub fn init(info: &hal::boot_info::BootInfo) {
    frame::init(info);
}
