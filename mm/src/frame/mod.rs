//! Physical memory in frames of 4 KiB.
//!
//! [`Frame`] owns a run of frames, [`FrameRef`] and [`HugeRef`] share one. Below them: per-CPU caches of single frames
//! (`cache`), blocks that were cleared in idle time (`zeroed`), the buddy allocator (`zone`), 16 bytes of state a frame (`meta`); when memory is short, `reclaim`.

pub(crate) mod cache;
mod global;
pub(crate) mod meta;
mod owned;
mod reclaim;
mod shared;
#[cfg(all(test, not(feature = "loom")))]
mod tests;
mod zeroed;
pub(crate) mod zone;

pub use global::{Stats, is_reserve_used, is_scarce, on_reserve_used, open_reserve, stats};
pub(crate) use global::{Urgency, close_reserve, init, is_plentiful, split_used, table, take_contiguous, take_order};
pub(crate) use global::{give_order, total_frames};
pub use owned::{Frame, alloc, alloc_huge, alloc_order, alloc_zeroed};
pub(crate) use owned::{alloc_table, alloc_urgent, take_huge};
pub use reclaim::{Patience, reclaim, register_reclaimer};
pub use shared::{FrameRef, HUGE_PAGES, HugeRef};
pub use zeroed::zero_ahead;
pub(crate) use zone::MAX_ORDER;
