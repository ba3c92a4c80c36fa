//! Birth and death of threads.

use crate::machine::{self, Machine};
use crate::registry::{self, Place};
use crate::{CpuSet, Thread, ThreadRef};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicPtr, Ordering};

/// What a new thread is.
pub struct Spawn<'a> {
    /// Cut after 15 bytes.
    pub name: &'a str,
    /// What the layer above hangs on the thread; `Some` marks an application thread. Dropped with the thread's last
    /// reference, by a thread that may sleep.
    pub ext: Option<Box<dyn Any + Send + Sync>>,
    /// `None`: every vCPU. A set without a running vCPU counts as `None`.
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
pub fn spawn(spawn: Spawn<'_>) -> Result<ThreadRef, SpawnError> {
    let thread = spawn_suspended(spawn)?;
    thread.start();
    Ok(thread)
}

/// Makes a thread that runs after [`Thread::start`]. An application thread starts with the vector state of the
/// application thread that makes it, as a clone does. One that is never to be started must be started all the same, with
/// STOP in its work flags: only a thread ends itself.
pub fn spawn_suspended(spawn: Spawn<'_>) -> Result<ThreadRef, SpawnError> {
    reap();
    let place = Place::take().ok_or(SpawnError::TooMany)?;
    let machine = Machine::new(spawn.ext.is_some()).ok_or(SpawnError::OutOfMemory)?;
    let running = CpuSet::first(hal::cpu::count());
    let affinity = spawn.affinity.filter(|set| !set.intersection(running).is_empty()).unwrap_or(CpuSet::ALL);
    let thread = Arc::new(Thread::new(place.id(), spawn.name, spawn.ext, affinity, Some(spawn.start), machine));
    if let Some(parent) = crate::try_current() {
        thread.cpu.store(parent.last_cpu(), Ordering::Relaxed);
    }
    place.fill(thread.clone());
    Ok(thread)
}

/// Sets how many threads there may be on a machine with so much memory.
pub fn limit_threads(memory_bytes: u64) {
    registry::limit_threads(memory_bytes);
}

/// The first code of every thread: runs what it was spawned for.
pub(crate) fn run_start(thread: &Thread) {
    let start = thread.start.lock().take();
    if let Some(start) = start {
        start();
    }
}

/// Ends the running thread. Nothing on its stack is dropped; the stack and the registry's reference are freed by a later
/// [`reap`], since nobody can free the stack that he stands on.
pub fn exit_current() -> ! {
    reap();
    let registered = registry::remove(&crate::current());
    machine::exit(registered)
}

/// Ended threads that wait for [`reap`]: pushed one by one, taken all at once, hence no ABA.
static DEAD: AtomicPtr<Thread> = AtomicPtr::new(core::ptr::null_mut());

/// Leaves `thread`, off its stack, to the next [`reap`]. Called with interrupts masked in the middle of a switch, where
/// nothing may be freed: what hangs on a thread may sleep when it is dropped, and freeing a stack may wait for vCPUs.
#[cfg_attr(not(feature = "bare"), allow(dead_code, reason = "std frees the stacks of the host's threads"))]
pub(crate) fn bury(thread: ThreadRef) {
    let thread = Arc::into_raw(thread).cast_mut();
    let mut head = DEAD.load(Ordering::Relaxed);
    loop {
        // SAFETY: the count that `into_raw` gave up keeps the thread alive.
        unsafe { &*thread }.dead_next.store(head, Ordering::Relaxed);
        match DEAD.compare_exchange_weak(head, thread, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(found) => head = found,
        }
    }
}

/// Frees what ended threads left. Spawning and ending threads do it too; the end of a process calls it so that nothing is left.
pub fn reap() {
    if DEAD.load(Ordering::Relaxed).is_null() {
        return;
    }
    let mut next = DEAD.swap(core::ptr::null_mut(), Ordering::Acquire);
    while !next.is_null() {
        // SAFETY: `bury` gave up this count.
        let thread = unsafe { Arc::from_raw(next) };
        next = thread.dead_next.load(Ordering::Relaxed);
        thread.machine.free_stack();
    }
}
