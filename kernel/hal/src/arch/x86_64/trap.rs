//! The Rust side of `trap.s`: sorts what came in, calls the kernel's hooks, and decides how to go back.

use super::{apic, cpu_local, irq};
use crate::context::WorkFlags;
use crate::trap::{Fault, FaultOutcome, RFLAGS_IF, TrapFrame, hooks};
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, Ordering};

global_asm!(include_str!("trap.s"), options(att_syntax));

const VECTOR_NMI: u64 = 2;
const VECTOR_DOUBLE_FAULT: u64 = 8;
const VECTOR_PAGE_FAULT: u64 = 14;
/// First vector that is an interrupt, not an exception.
const FIRST_INTERRUPT: u64 = 32;

const PAGE_FAULT_PRESENT: u64 = 1 << 0;
const PAGE_FAULT_WRITE: u64 = 1 << 1;
const PAGE_FAULT_FETCH: u64 = 1 << 4;

const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_FMASK: u32 = 0xc000_0084;
const MSR_PAT: u32 = 0x277;
/// The PAT of reset: write-back, write-through, UC-, UC, twice.
const PAT: u64 = 0x0007_0406_0007_0406;
/// Masked at a system call: TF, IF, DF, NT, AC (IOPL is 0 anyway).
const FMASK: u64 = 1 << 8 | 1 << 9 | 1 << 10 | 1 << 14 | 1 << 18;

unsafe extern "C" {
    static trap_stubs: u8;
    fn syscall_entry();
    fn hal_enter_app(frame: *const TrapFrame) -> !;
}

#[repr(C, align(16))]
struct Idt(UnsafeCell<[[u64; 2]; 256]>);

// SAFETY: written once by the boot vCPU before any other runs.
unsafe impl Sync for Idt {}

static IDT: Idt = Idt(UnsafeCell::new([[0; 2]; 256]));

/// Fills the interrupt descriptor table and makes this vCPU use it.
pub fn init_boot_cpu() {
    let stubs = &raw const trap_stubs as u64;
    for vector in 0..256u64 {
        let ist = match vector {
            2 => cpu_local::IST_NMI,
            8 => cpu_local::IST_DOUBLE_FAULT,
            18 => cpu_local::IST_MACHINE_CHECK,
            0..FIRST_INTERRUPT => cpu_local::IST_FAULT,
            _ => cpu_local::IST_INTERRUPT,
        };
        // A stub is 16 bytes, or 32 where two pushes and a long jump do not fit: the assembler says which.
        let stub = stubs + vector * STUB_BYTES;
        let low = stub & 0xffff | 8 << 16 | u64::from(ist) << 32 | 0x8e << 40 | (stub >> 16 & 0xffff) << 48;
        // SAFETY: only the boot vCPU runs.
        unsafe { (*IDT.0.get())[vector as usize] = [low, stub >> 32] };
    }
    init_cpu();
}

const STUB_BYTES: u64 = 16;

/// Points this vCPU's trap and system-call registers to the kernel's entries.
pub fn init_cpu() {
    #[repr(C, packed)]
    struct TablePointer {
        limit: u16,
        base: u64,
    }
    let pointer = TablePointer { limit: 4095, base: IDT.0.get() as u64 };
    // SAFETY: the table is complete; the entries follow the register's formats (SDM volume 3, 5.8.8).
    unsafe {
        asm!("lidt [{}]", in(reg) &pointer, options(nostack, preserves_flags));
        super::cpuid::write_msr(MSR_STAR, 8 << 32);
        super::cpuid::write_msr(MSR_LSTAR, syscall_entry as *const () as u64);
        super::cpuid::write_msr(MSR_FMASK, FMASK);
        super::cpuid::write_msr(MSR_PAT, PAT);
    }
}

/// Whether `rsp` belongs to the application: all of the lower half does.
pub fn is_app_stack_pointer(rsp: u64) -> bool {
    rsp as i64 >= 0
}

/// # Safety
/// As `crate::trap::enter_app`.
pub unsafe fn enter_app(frame: &TrapFrame) -> ! {
    // SAFETY: the caller's duty.
    unsafe { hal_enter_app(frame) }
}

/// What `trap.s` calls for a system call: set before there is an application that could make one.
#[unsafe(no_mangle)]
static hal_syscall_hook: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Sets the hook for system calls.
pub fn set_syscall_hook(hook: extern "C" fn(&mut TrapFrame)) {
    hal_syscall_hook.store(hook as *mut (), Ordering::Relaxed);
}

/// Runs the work of the current thread's flags until none is left. Called and returns with interrupts masked.
#[unsafe(no_mangle)]
extern "C" fn hal_return_work(frame: &mut TrapFrame) {
    let Some(hooks) = hooks() else { return };
    // The pointer is read anew each time: the thread may have moved to another vCPU meanwhile.
    while current_flags().get() != 0 {
        // SAFETY: on the way back to the application no lock is held.
        unsafe { irq::irq_enable() };
        (hooks.return_work)(frame);
        irq::irq_save();
    }
}

fn current_flags() -> &'static WorkFlags {
    // SAFETY: never null; the current thread outlives its trap.
    unsafe { &*(*cpu_local::local()).flags }
}

/// A fault or an interrupt, on the thread's kernel stack, interrupts masked.
#[unsafe(no_mangle)]
extern "C" fn hal_trap(frame: &mut TrapFrame) {
    let from_app = frame.is_app();
    let interruptible = frame.rflags & RFLAGS_IF != 0;
    if frame.vector < FIRST_INTERRUPT {
        fault(frame, interruptible);
    } else {
        irq::dispatch(frame.vector as u8);
    }
    if from_app {
        hal_return_work(frame);
    } else if interruptible && current_flags().any(WorkFlags::RESCHED) && frame.vector >= FIRST_INTERRUPT {
        if let Some(hooks) = hooks() {
            (hooks.preempt)();
        }
    }
}

fn fault(frame: &mut TrapFrame, interruptible: bool) {
    let fault = decode(frame);
    if interruptible {
        // SAFETY: the interrupted code had them on, so it held no lock.
        unsafe { irq::irq_enable() };
        let outcome = match hooks() {
            Some(hooks) => (hooks.fault)(frame, &fault),
            None => FaultOutcome::Unhandled,
        };
        irq::irq_save();
        if outcome == FaultOutcome::Handled {
            return;
        }
    }
    match super::user::fixup(frame.rip) {
        Some(fixup) if !frame.is_app() => frame.rip = fixup,
        _ => crate::panic::trap(frame, format_args!("{fault:x?} in kernel code")),
    }
}

fn decode(frame: &TrapFrame) -> Fault {
    match frame.vector {
        0 => Fault::DivideError,
        1 => Fault::Debug,
        3 => Fault::Breakpoint,
        4 => Fault::Overflow,
        5 => Fault::BoundRange,
        6 => Fault::InvalidOpcode,
        7 => Fault::DeviceNotAvailable,
        11 => Fault::SegmentNotPresent { error: frame.error },
        12 => Fault::StackSegment { error: frame.error },
        13 => Fault::GeneralProtection { error: frame.error },
        VECTOR_PAGE_FAULT => Fault::Page {
            addr: read_cr2(),
            write: frame.error & PAGE_FAULT_WRITE != 0,
            fetch: frame.error & PAGE_FAULT_FETCH != 0,
            present: frame.error & PAGE_FAULT_PRESENT != 0,
        },
        16 => read_x87(),
        17 => Fault::AlignmentCheck,
        19 => Fault::Simd { mxcsr: read_mxcsr() },
        vector => Fault::Other { vector: vector as u8 },
    }
}

fn read_cr2() -> u64 {
    let addr;
    // SAFETY: reading CR2 changes nothing. Not `pure`: each fault has its own.
    unsafe { asm!("mov {}, cr2", out(reg) addr, options(nostack, preserves_flags, nomem)) };
    addr
}

fn read_x87() -> Fault {
    let (mut control, mut status) = (0u16, 0u16);
    // SAFETY: each stores two bytes; the no-wait forms raise nothing.
    unsafe {
        asm!("fnstcw [{}]", "fnstsw [{}]", in(reg) &mut control, in(reg) &mut status, options(nostack, preserves_flags));
    }
    Fault::X87 { control, status }
}

fn read_mxcsr() -> u32 {
    let mut mxcsr = 0u32;
    // SAFETY: stores four bytes.
    unsafe { asm!("stmxcsr [{}]", in(reg) &mut mxcsr, options(nostack, preserves_flags)) };
    mxcsr
}

/// NMI, #DF or #MC, on its own stack: nothing here may fault or take a lock, but for the last words of a panic.
#[unsafe(no_mangle)]
extern "C" fn hal_trap_on_ist(frame: &mut TrapFrame) {
    match frame.vector {
        VECTOR_NMI if apic::stop_requested() => super::power::halt_for_ever(),
        VECTOR_NMI if apic::is_stuck() => crate::panic::trap(
            frame,
            format_args!("stuck: no interrupt was taken for {} s", crate::watchdog::PATIENCE_NS / 1_000_000_000),
        ),
        // A stray NMI (a watchdog's, a host operator's) is no reason to stop.
        VECTOR_NMI => {}
        VECTOR_DOUBLE_FAULT => crate::panic::trap(frame, format_args!("double fault")),
        vector => crate::panic::trap(frame, format_args!("machine check (vector {vector})")),
    }
}

/// The interrupted stack pointer is in the kernel's half, but not where the thread's kernel stack has room.
#[unsafe(no_mangle)]
extern "C" fn hal_lost_stack(frame: &mut TrapFrame) -> ! {
    // SAFETY: this vCPU's own data.
    let (lo, hi) = unsafe { ((*cpu_local::local()).stack_bottom, (*cpu_local::local()).stack_top) };
    let what =
        if (lo.wrapping_sub(4096)..hi).contains(&frame.rsp) { "kernel stack overflow" } else { "lost stack pointer" };
    if frame.vector == VECTOR_PAGE_FAULT {
        crate::panic::trap(frame, format_args!("{what}: stack {lo:#x}..{hi:#x}, fault at {:#x}", read_cr2()))
    }
    crate::panic::trap(frame, format_args!("{what}: stack {lo:#x}..{hi:#x}"))
}

/// The kernel's code, for backtraces.
pub fn kernel_text() -> core::ops::Range<u64> {
    unsafe extern "C" {
        static kernel_text_start: u8;
        static kernel_text_end: u8;
    }
    &raw const kernel_text_start as u64..&raw const kernel_text_end as u64
}
