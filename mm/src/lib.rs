//! Memory: frames, page tables, areas and faults, the kernel heap.
#![cfg_attr(not(test), no_std)]
extern crate alloc;

pub mod backing;
pub mod device_map;
pub mod dma;
pub mod frame;
pub mod heap;
pub mod kernel_stack;
mod machine;
pub mod space;

pub use backing::{Backing, BackingError};
pub use device_map::mmio_map;
pub use frame::{Frame, FrameRef, HugeRef};
pub use machine::PhysAddr;
pub use space::{
    Access, AddressSpace, Advice, AreaInfo, FaultError, MapError, MapRequest, Placement,
    Protection, Remap, Sharing, Usage, space,
};
