//! Kernel stacks: who gives them out lies above (`mm` maps them with a guard page), so here is only the meeting point.

use crate::sync::Once;

/// A kernel stack: `lo` inclusive, `hi` exclusive, in bytes. Below `lo` lies an unmapped page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelStack {
    /// Lowest mapped byte.
    pub lo: u64,
    /// One past the highest byte; 64-byte aligned.
    pub hi: u64,
}

/// Pages of an ordinary thread's kernel stack (16 KiB).
pub const KERNEL_STACK_PAGES: usize = 4;

/// Gives and takes back kernel stacks.
pub trait StackProvider: Sync {
    /// A stack of `pages` pages above a guard page; `None` when memory is out.
    fn allocate(&self, pages: usize) -> Option<KernelStack>;

    /// Takes a stack back.
    ///
    /// # Safety
    /// `stack` came from `allocate`, and no vCPU runs on it or will.
    unsafe fn release(&self, stack: KernelStack);
}

static PROVIDER: Once<&'static dyn StackProvider> = Once::new();

/// Sets the provider, once.
pub fn set_provider(provider: &'static dyn StackProvider) {
    PROVIDER.call_once(|| provider);
}

/// The provider; `None` before `mm` set it.
pub fn provider() -> Option<&'static dyn StackProvider> {
    PROVIDER.get().copied()
}

/// Bytes of the running thread's kernel stack that are left. Interrupts are masked.
pub fn room_bytes() -> u64 {
    crate::arch::current::stack_room()
}

/// The stack on which this vCPU started; its idle thread keeps it.
pub fn boot_stack() -> KernelStack {
    crate::arch::current::boot_stack()
}
