//! Thread contexts and the switch between them.

use super::cpu_local;
use super::cpuid::{features, read_msr, write_msr};
use crate::context::WorkFlags;
use crate::stack::KernelStack;
use core::arch::asm;

const MSR_FS_BASE: u32 = 0xc000_0100;

unsafe extern "C" {
    fn hal_switch(prev: *mut u64, next: *const u64);
    fn hal_thread_start();
}

/// A suspended thread: its stack pointer, and for an application thread its FS base and vector state, which lies at the
/// top of its kernel stack.
#[derive(Debug)]
pub struct Context {
    rsp: u64,
    fs_base: u64,
    /// 64-byte aligned XSAVE area; null for a kernel thread.
    xsave: *mut u8,
}

// SAFETY: a context is used by one vCPU at a time, which is `switch`'s contract.
unsafe impl Send for Context {}
// SAFETY: shared references give nothing.
unsafe impl Sync for Context {}

impl Default for Context {
    /// The context of the code that runs now: filled in by its first `switch` away.
    fn default() -> Self {
        Self { rsp: 0, fs_base: 0, xsave: core::ptr::null_mut() }
    }
}

impl Context {
    /// A context that starts `entry(arg)` on `stack` with interrupts masked. With `app` it gets vector state, which
    /// takes the top of the stack: see [`Context::usable_stack`]. `None` if the stack is too small.
    pub fn new(stack: KernelStack, entry: extern "C" fn(usize) -> !, arg: usize, app: bool) -> Option<Self> {
        let mut context = Self::default();
        if app {
            let area = (stack.hi.checked_sub(features().xsave_size as u64)?) & !63;
            context.xsave = area as *mut u8;
            // SAFETY: inside the stack, which is the caller's and not in use.
            unsafe {
                context.xsave.write_bytes(0, features().xsave_size);
                context.xsave.cast::<u32>().write(0x37f);
                context.xsave.add(24).cast::<u32>().write(0x1f80);
            }
        }
        let top = context.usable_stack(stack).hi & !15;
        // hal_switch pops r15 r14 r13 r12 rbx rbp and returns; hal_thread_start wants RSP 16-byte aligned.
        let frame = top - 64;
        if frame < stack.lo + 1024 {
            return None;
        }
        let words = [0, 0, entry as *const () as u64, arg as u64, 0, 0, hal_thread_start as *const () as u64, 0];
        // SAFETY: as above.
        unsafe { (frame as *mut [u64; 8]).write(words) };
        context.rsp = frame;
        Some(context)
    }

    /// The part of the thread's `stack` that code runs on.
    pub fn usable_stack(&self, stack: KernelStack) -> KernelStack {
        if self.xsave.is_null() { stack } else { KernelStack { hi: self.xsave as u64, ..stack } }
    }

    /// Gives a new application thread the running thread's x87 and vector control state, as clone(2) does.
    pub fn copy_fpu_from_current(&mut self) {
        if !self.xsave.is_null() {
            let _irq = crate::irq::IrqGuard::mask();
            save_vector_state(self.xsave);
        }
    }
}

fn save_vector_state(area: *mut u8) {
    let mask = features().xcr0;
    // SAFETY: every XSAVE area has the features' size and alignment.
    unsafe {
        asm!("xsave64 [{}]", in(reg) area, in("eax") mask as u32, in("edx") (mask >> 32) as u32, options(nostack, preserves_flags));
    }
}

fn load_vector_state(area: *const u8) {
    let mask = features().xcr0;
    // SAFETY: the area was written by XSAVE or is an initial image. The low halves of the vector registers that this
    // changes under the compiler's hands are declared.
    unsafe {
        asm!("xrstor64 [{}]", in(reg) area, in("eax") mask as u32, in("edx") (mask >> 32) as u32,
             out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
             out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
             out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
             options(nostack, preserves_flags));
    }
}

/// # Safety
/// As `crate::context::set_current`.
pub unsafe fn set_current(thread: *const (), flags: *const WorkFlags, stack: KernelStack) {
    let local = cpu_local::local();
    // SAFETY: this vCPU's own data, interrupts masked by the caller.
    unsafe {
        (*local).thread = thread;
        (*local).flags = flags;
        (*local).stack_top = stack.hi;
        (*local).stack_bottom = stack.lo;
    }
}

/// The current thread's pointer.
pub fn current_thread() -> *const () {
    let thread;
    // SAFETY: GS base points to this vCPU's data; one instruction, so no thread switch can come between.
    unsafe { asm!("mov {}, gs:[32]", out(reg) thread, options(nostack, preserves_flags, readonly)) };
    thread
}

/// # Safety
/// As `crate::context::switch`.
pub unsafe fn switch(prev: *mut Context, next: *mut Context) {
    // SAFETY: the caller's duty. `next`'s registers are loaded here, on `prev`'s stack, so that a new thread needs no
    // code of its own for it; kernel code touches only the low halves of the vector registers, which every thread's
    // trap frame keeps.
    unsafe {
        if !(*prev).xsave.is_null() {
            save_vector_state((*prev).xsave);
            (*prev).fs_base = fs_base();
        }
        if !(*next).xsave.is_null() {
            load_vector_state((*next).xsave);
            set_fs_base((*next).fs_base);
        }
        hal_switch(&raw mut (*prev).rsp, &raw const (*next).rsp);
    }
}

/// FS base of the running thread.
pub fn fs_base() -> u64 {
    if features().fsgsbase {
        let base;
        // SAFETY: CR4.FSGSBASE is set where the CPU has it.
        unsafe { asm!("rdfsbase {}", out(reg) base, options(nostack, preserves_flags, nomem)) };
        base
    } else {
        // SAFETY: the register exists on every x86-64.
        unsafe { read_msr(MSR_FS_BASE) }
    }
}

/// Sets the FS base of the running thread.
pub fn set_fs_base(base: u64) {
    if features().fsgsbase {
        // SAFETY: as above; the caller gives a canonical address.
        unsafe { asm!("wrfsbase {}", in(reg) base, options(nostack, preserves_flags, nomem)) };
    } else {
        // SAFETY: as above.
        unsafe { write_msr(MSR_FS_BASE, base) };
    }
}
