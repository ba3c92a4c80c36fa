//! Kernel stacks with an unmapped guard page below. Stacks that come back stay mapped for the next thread; under memory
//! pressure and at a process's end the spare ones are given up, and their addresses are never used again, so that no
//! vCPU needs to drop translations for them.

use hal::addr::{KERNEL_STACKS, PAGE_SIZE};
use hal::stack::{KernelStack, StackProvider};
use hal::sync::SpinLock;

use crate::frame;
use crate::machine::{Pfn, pfn_phys};
use crate::page_table::kernel;

/// Spare stacks that stay.
const KEPT: usize = 8;

/// Spare stacks, chained through their lowest bytes, and the next free address.
struct Spare {
    head: u64,
    count: usize,
    next: u64,
}

/// Lies at the lowest address of a spare stack.
#[derive(Clone, Copy)]
#[repr(C)]
struct Link {
    next: u64,
    hi: u64,
}

/// What the kernel's wiring gives to `hal::stack::set_provider`.
pub fn provider() -> &'static dyn StackProvider {
    &POOL
}

/// Gives sched its stacks.
pub struct StackPool(SpinLock<Spare>);

/// The one pool.
pub static POOL: StackPool = StackPool(SpinLock::new(Spare { head: 0, count: 0, next: KERNEL_STACKS }));

impl Spare {
    /// Takes the first spare stack of a length. Nearly all have the same, so the first one fits.
    fn take(&mut self, len: u64) -> Option<KernelStack> {
        let mut before = 0;
        let mut at = self.head;
        while at != 0 {
            let link = read_link(at);
            if link.hi - at == len {
                if before == 0 {
                    self.head = link.next;
                } else {
                    write_link(before, Link { next: link.next, ..read_link(before) });
                }
                self.count -= 1;
                return Some(KernelStack { lo: at, hi: link.hi });
            }
            before = at;
            at = link.next;
        }
        None
    }
}

fn read_link(lo: u64) -> Link {
    // SAFETY: `lo` is the lowest byte of a spare stack: mapped, page-aligned, written by `write_link`, and ours under
    // the pool's lock.
    unsafe { (lo as *const Link).read() }
}

fn write_link(lo: u64, link: Link) {
    // SAFETY: as above; nobody runs on a spare stack.
    unsafe { (lo as *mut Link).write(link) }
}

impl StackProvider for StackPool {
    fn allocate(&self, pages: usize) -> Option<KernelStack> {
        let len = pages as u64 * PAGE_SIZE;
        let lo = {
            let mut spare = self.0.lock();
            if let Some(stack) = spare.take(len) {
                return Some(stack);
            }
            let lo = spare.next + PAGE_SIZE;
            spare.next = lo + len;
            lo
        };
        self.map(lo, pages as u64).then_some(KernelStack { lo, hi: lo + len })
    }

    unsafe fn release(&self, stack: KernelStack) {
        let mut spare = self.0.lock();
        write_link(stack.lo, Link { next: spare.head, hi: stack.hi });
        spare.head = stack.lo;
        spare.count += 1;
    }
}

impl StackPool {
    /// Maps new frames; all or none.
    fn map(&self, lo: u64, pages: u64) -> bool {
        for i in 0..pages {
            let Some(frame) = frame::alloc() else {
                unmap(lo, i);
                return false;
            };
            // The table lock: two threads may need the same new table.
            let _spare = self.0.lock();
            let mut take = || frame::alloc_urgent().map(frame::Frame::into_pfn);
            if !kernel::map(lo + i * PAGE_SIZE, frame.phys().0, kernel::DATA, &mut take) {
                unmap(lo, i);
                return false;
            }
            frame.into_pfn();
        }
        true
    }

    /// Gives spare stacks up, all but a few. Returns how many frames that freed.
    pub(crate) fn shrink(&self) -> usize {
        let mut freed = 0;
        loop {
            let mut spare = self.0.lock();
            if spare.count <= KEPT {
                return freed;
            }
            let lo = spare.head;
            let link = read_link(lo);
            spare.head = link.next;
            spare.count -= 1;
            drop(spare);
            let pages = (link.hi - lo) / PAGE_SIZE;
            unmap(lo, pages);
            freed += pages as usize;
        }
    }

    /// Spare stacks.
    pub fn spare_count(&self) -> usize {
        self.0.lock().count
    }
}

fn unmap(lo: u64, pages: u64) {
    for i in 0..pages {
        if let Some(pfn) = kernel::unmap(lo + i * PAGE_SIZE) {
            give(pfn);
        }
    }
}

fn give(pfn: Pfn) {
    debug_assert_ne!(pfn_phys(pfn).0, 0);
    frame::cache::give(pfn);
}
