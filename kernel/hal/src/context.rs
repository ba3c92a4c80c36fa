//! Suspended threads, and what the return path looks at: the current thread's work flags.

use crate::arch::current as arch;
use crate::stack::KernelStack;
use crate::sync::atomic::{AtomicU32, Ordering};

pub use arch::Context;

/// Reasons to do something before going back to the application. One word a thread; the return path reads it with
/// interrupts masked, so a flag set before an interrupt of the vCPU is never missed.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct WorkFlags(AtomicU32);

impl WorkFlags {
    /// Another thread should run.
    pub const RESCHED: u32 = 1;
    /// A signal may be deliverable.
    pub const SIGNAL: u32 = 2;
    /// The process ends: the thread must not go back.
    pub const STOP: u32 = 4;
    /// The kernel has used memory that it keeps for itself: somebody has to give some back, or to end.
    pub const MEMORY: u32 = 8;

    /// No flag set.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }
    /// Sets `bits`; returns what was set before.
    pub fn set(&self, bits: u32) -> u32 {
        self.0.fetch_or(bits, Ordering::SeqCst)
    }
    /// Clears `bits`; returns what was set before.
    pub fn clear(&self, bits: u32) -> u32 {
        self.0.fetch_and(!bits, Ordering::SeqCst)
    }
    /// All flags.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
    /// Whether any of `bits` is set.
    pub fn any(&self, bits: u32) -> bool {
        self.get() & bits != 0
    }
}

/// Makes `thread` (an opaque pointer for the caller) the current thread of this vCPU: its flags are what the return
/// path reads, its stack is where traps from the application land. `sched` calls it right before [`switch`].
///
/// # Safety
/// Interrupts are masked; the pointers stay valid while the thread is current; `stack` is the stack of the context
/// that runs or is switched to next.
pub unsafe fn set_current(thread: *const (), flags: *const WorkFlags, stack: KernelStack) {
    // SAFETY: the caller's duty.
    unsafe { arch::set_current(thread, flags, stack) }
}

/// The pointer that [`set_current`] was last called with on this vCPU; null before the first.
pub fn current() -> *const () {
    arch::current_thread()
}

/// Suspends the running code in `prev` and resumes `next`. Returns when something switches back to `prev`.
///
/// # Safety
/// Interrupts are masked; both contexts are alive; `next` is suspended and runs on no other vCPU.
pub unsafe fn switch(prev: *mut Context, next: *mut Context) {
    // SAFETY: the caller's duty.
    unsafe { arch::switch(prev, next) }
}

/// The running thread's FS base (the application's thread pointer).
pub fn fs_base() -> u64 {
    arch::fs_base()
}

/// Sets the running thread's FS base. The caller checks that it is canonical.
pub fn set_fs_base(base: u64) {
    arch::set_fs_base(base);
}

/// Bytes of a non-compacted XSAVE image with the state components of `xcr0` (Intel SDM volume 1, 13.4): the legacy
/// area and header, then each component where `place(component)` = CPUID.0xD's (offset, size) says.
pub fn xsave_image_size(xcr0: u64, place: impl Fn(u32) -> (u32, u32)) -> usize {
    (2..63)
        .filter(|component| xcr0 >> component & 1 != 0)
        .map(place)
        .map(|(offset, size)| (offset + size) as usize)
        .fold(512 + 64, usize::max)
}

#[cfg(test)]
mod tests {
    use super::xsave_image_size;

    /// Offsets and sizes of a processor with AVX-512 (CPUID leaf 0xD of the Skylake servers).
    fn skylake(component: u32) -> (u32, u32) {
        match component {
            2 => (576, 256),
            5 => (1088, 64),
            6 => (1152, 512),
            7 => (1664, 1024),
            _ => (0, 0),
        }
    }

    #[test]
    fn xsave_images_have_the_documented_sizes() {
        assert_eq!(xsave_image_size(0b11, skylake), 576);
        assert_eq!(xsave_image_size(0b111, skylake), 832);
        assert_eq!(xsave_image_size(0b1110_0111, skylake), 2688);
    }
}
