//! Kernel stacks with an unmapped guard page below. Stacks that come back stay mapped for the next thread. Under memory
//! pressure and at a process's end the spare ones give their frames up, once every vCPU has dropped its translations of them; their
//! addresses, and the page tables there, serve later stacks.

use alloc::vec::Vec;

use hal::addr::{KERNEL_STACKS, PAGE_SIZE};
use hal::stack::{KernelStack, StackProvider};
use hal::sync::SpinLock;

use core::sync::atomic::Ordering::Relaxed;

use crate::frame;
use crate::frame::meta::NONE;
use crate::machine::Pfn;
use crate::page_table::kernel;
use crate::space::shootdown::{self, Flush};

/// Spare stacks that stay.
const KEPT: usize = 8;
/// Stacks that one flush gives up.
const BATCH: usize = 32;

/// Spare stacks, chained through their lowest bytes, and where new ones go.
struct Spare {
    head: u64,
    count: usize,
    /// Places without frames, all translations dropped.
    bare: Vec<KernelStack>,
    /// Next address never used.
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
pub static POOL: StackPool =
    StackPool(SpinLock::new(Spare { head: 0, count: 0, bare: Vec::new(), next: KERNEL_STACKS }));

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

    /// Takes the first spare stack.
    fn pop(&mut self) -> Option<KernelStack> {
        let lo = self.head;
        if lo == 0 {
            return None;
        }
        let link = read_link(lo);
        self.head = link.next;
        self.count -= 1;
        Some(KernelStack { lo, hi: link.hi })
    }

    /// A place for a new stack, above a guard page.
    fn place(&mut self, len: u64) -> KernelStack {
        if let Some(i) = self.bare.iter().rposition(|stack| stack.hi - stack.lo == len) {
            return self.bare.swap_remove(i);
        }
        let lo = self.next + PAGE_SIZE;
        self.next = lo + len;
        KernelStack { lo, hi: lo + len }
    }

    /// Remembers a place whose translations are dropped. Without memory for that, the address is lost.
    fn add_bare(&mut self, stack: KernelStack) {
        if self.bare.try_reserve(1).is_ok() {
            self.bare.push(stack);
        }
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
        let stack = {
            let mut spare = self.0.lock();
            if let Some(stack) = spare.take(len) {
                return Some(stack);
            }
            spare.place(len)
        };
        // A place that could not be filled is not used again: its translations have not been dropped.
        self.map(stack).then_some(stack)
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
    fn map(&self, stack: KernelStack) -> bool {
        for addr in pages(stack) {
            let Some(frame) = frame::alloc() else {
                unmap(stack).free();
                return false;
            };
            // The lock is the tables' too: two threads may need the same new table.
            let spare = self.0.lock();
            let mut take = || frame::alloc_urgent().map(frame::Frame::into_pfn);
            let mapped = kernel::map(addr, frame.phys().0, kernel::DATA, &mut take);
            drop(spare);
            if !mapped {
                unmap(stack).free();
                return false;
            }
            frame.into_pfn();
        }
        true
    }

    /// Gives the frames of spare stacks up, all but a few. Returns how many frames that freed. Interrupts are on.
    pub(crate) fn shrink(&self) -> usize {
        let mut frames = Chain::EMPTY;
        let mut stacks = 0;
        let mut gone = [KernelStack { lo: 0, hi: 0 }; BATCH];
        let mut freed = 0;
        loop {
            let surplus = {
                let mut spare = self.0.lock();
                if spare.count > KEPT { spare.pop() } else { None }
            };
            if let Some(stack) = surplus {
                frames.append(unmap(stack));
                gone[stacks] = stack;
                stacks += 1;
            }
            if stacks == BATCH || (surplus.is_none() && stacks > 0) {
                shootdown::flush(Flush::EVERYTHING);
                freed += core::mem::replace(&mut frames, Chain::EMPTY).free();
                let mut spare = self.0.lock();
                gone[..stacks].iter().for_each(|&stack| spare.add_bare(stack));
                stacks = 0;
            }
            if surplus.is_none() {
                return freed;
            }
        }
    }

    /// Spare stacks.
    pub fn spare_count(&self) -> usize {
        self.0.lock().count
    }
}

/// Addresses of a stack's pages.
fn pages(stack: KernelStack) -> impl Iterator<Item = u64> {
    (stack.lo..stack.hi).step_by(PAGE_SIZE as usize)
}

/// Frames that wait for the vCPUs to drop their translations, chained through their metadata.
struct Chain {
    head: Pfn,
    last: Pfn,
}

impl Chain {
    const EMPTY: Chain = Chain { head: NONE, last: NONE };

    fn push(&mut self, pfn: Pfn) {
        frame::table().get(pfn).next.store(self.head, Relaxed);
        if self.head == NONE {
            self.last = pfn;
        }
        self.head = pfn;
    }

    fn append(&mut self, other: Chain) {
        if other.head == NONE {
            return;
        }
        frame::table().get(other.last).next.store(self.head, Relaxed);
        if self.head == NONE {
            self.last = other.last;
        }
        self.head = other.head;
    }

    /// Frees all; returns how many there were.
    fn free(self) -> usize {
        let mut count = 0;
        let mut pfn = self.head;
        while pfn != NONE {
            let next = frame::table().get(pfn).next.load(Relaxed);
            frame::cache::give(pfn);
            pfn = next;
            count += 1;
        }
        count
    }
}

/// Takes a stack's frames out of the page table.
fn unmap(stack: KernelStack) -> Chain {
    let mut frames = Chain::EMPTY;
    pages(stack).filter_map(kernel::unmap).for_each(|pfn| frames.push(pfn));
    frames
}
