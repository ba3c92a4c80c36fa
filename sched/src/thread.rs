//! Threads.
use crate::CpuSet;
use alloc::{boxed::Box, string::String, sync::Arc};
use core::any::Any;
use hal::context::WorkFlags;

/// A thread of the kernel or of the application.
pub struct Thread {
    id: u32,
    work: WorkFlags,
    ext: Option<Box<dyn Any + Send + Sync>>,
}
/// Shared ownership of a [`Thread`].
pub type ThreadRef = Arc<Thread>;

impl Thread {
    /// Unique among living threads; 1 and up.
    pub fn id(&self) -> u32 { self.id }
    /// The name, at most 15 bytes as Linux keeps it.
    pub fn name(&self) -> String { unimplemented!() }
    /// Renames the thread; cut after 15 bytes.
    pub fn set_name(&self, _name: &str) { unimplemented!() }
    /// What the layer above hung on the thread. Application threads have it, kernel threads do not.
    pub fn ext(&self) -> Option<&(dyn Any + Send + Sync)> { self.ext.as_deref() }
    /// The flags that the return to the application looks at.
    pub fn work_flags(&self) -> &WorkFlags { &self.work }
    /// Time on a vCPU so far, in nanoseconds.
    pub fn cpu_time_ns(&self) -> u64 { unimplemented!() }
    /// Where the thread may run.
    pub fn affinity(&self) -> CpuSet { unimplemented!() }
    /// Binds the thread to `set`; false when no running vCPU is in it.
    pub fn set_affinity(&self, _set: CpuSet) -> bool { unimplemented!() }
    /// -20 (most) to 19 (least).
    pub fn nice(&self) -> i32 { unimplemented!() }
    /// Clamped to -20..=19.
    pub fn set_nice(&self, _nice: i32) { unimplemented!() }
    /// State letter of proc(5): R, S, D or X.
    pub fn state(&self) -> char { unimplemented!() }
    /// Lets a suspended thread run, once.
    pub fn start(&self) { unimplemented!() }
    /// Makes the thread look at its work flags soon.
    pub fn kick(&self) { unimplemented!() }
    /// vCPU that runs or last ran the thread.
    pub fn last_cpu(&self) -> usize { unimplemented!() }
    /// Voluntary and involuntary context switches.
    pub fn switches(&self) -> (u64, u64) { unimplemented!() }
}
