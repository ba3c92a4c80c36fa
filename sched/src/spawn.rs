//! Birth and death of threads.
use crate::{CpuSet, ThreadRef};
use alloc::boxed::Box;
use core::any::Any;

/// What a new thread is.
pub struct Spawn<'a> {
    /// Cut after 15 bytes.
    pub name: &'a str,
    /// `Some` marks an application thread.
    pub ext: Option<Box<dyn Any + Send + Sync>>,
    /// `None`: every vCPU.
    pub affinity: Option<CpuSet>,
    /// Runs on the new thread; its return is the thread's end.
    pub start: Box<dyn FnOnce() + Send>,
}
/// Why a thread cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnError {
    /// No memory for the stack or the vector state.
    OutOfMemory,
    /// The machine has its limit of threads.
    TooMany,
}
/// Makes and starts a thread.
pub fn spawn(_spawn: Spawn<'_>) -> Result<ThreadRef, SpawnError> { unimplemented!() }
/// Makes a thread that runs after [`crate::Thread::start`].
pub fn spawn_suspended(_spawn: Spawn<'_>) -> Result<ThreadRef, SpawnError> { unimplemented!() }
/// Ends the running thread. Its stack is freed by a later thread. Nothing on the stack is dropped.
pub fn exit_current() -> ! { unimplemented!() }
/// Frees what ended threads left. Called by spawn and exit too.
pub fn reap() { unimplemented!() }
