//! The end after a kernel bug: one line that says what, registers, a symbolised backtrace, and a status of its own.
//!
//! Frame pointers give the backtrace (`.cargo/config.toml` switches them on), the section `.ksyms`, which the host
//! tool fills in after linking, gives the names. Lines start with `demitasse: panic:` or `demitasse:   `: run-java.sh
//! finds them in the log and adds files and lines from the unstripped kernel.

use crate::arch::current as arch;
use crate::log::panic_write;
use crate::trap::TrapFrame;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The vCPU that panics.
static PANICKING: AtomicUsize = AtomicUsize::new(NOBODY);
const NOBODY: usize = usize::MAX;

#[panic_handler]
fn on_panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let location = info.location();
    let (file, line) = location.map_or(("?", 0), |location| (location.file(), location.line()));
    begin(format_args!("{} ({file}:{line})", info.message()));
    backtrace(frame_pointer(), 0);
    arch::panic_stop()
}

/// Panics over a trap that nobody can handle.
pub fn trap(frame: &TrapFrame, what: fmt::Arguments<'_>) -> ! {
    begin(what);
    registers(frame);
    backtrace(frame.rbp, frame.rip);
    arch::panic_stop()
}

/// Stops the other vCPUs and prints the first line. A panic in a panic ends the machine at once; a second vCPU that panics
/// leaves it to the first one, whose words these are to be.
fn begin(what: fmt::Arguments<'_>) {
    arch::irq_save();
    let me = arch::cpu_id();
    match PANICKING.compare_exchange(NOBODY, me, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => arch::stop_others(),
        Err(first) if first == me => {
            panic_write(format_args!("\ndemitasse: panic: again, while panicking: {what}\n"));
            arch::panic_stop();
        }
        Err(_) => arch::halt_for_ever(),
    }
    panic_write(format_args!("\ndemitasse: panic: vCPU {me}: {what}\n"));
}

fn registers(f: &TrapFrame) {
    let rows = [
        [("rip", f.rip), ("rsp", f.rsp), ("rflags", f.rflags), ("error", f.error)],
        [("rax", f.rax), ("rbx", f.rbx), ("rcx", f.rcx), ("rdx", f.rdx)],
        [("rsi", f.rsi), ("rdi", f.rdi), ("rbp", f.rbp), ("vector", f.vector)],
        [("r8", f.r8), ("r9", f.r9), ("r10", f.r10), ("r11", f.r11)],
        [("r12", f.r12), ("r13", f.r13), ("r14", f.r14), ("r15", f.r15)],
    ];
    for row in rows {
        panic_write(format_args!("demitasse:   "));
        for (name, value) in row {
            panic_write(format_args!("{name:>6} {value:016x} "));
        }
        panic_write(format_args!("\n"));
    }
}

fn frame_pointer() -> u64 {
    let rbp;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack, preserves_flags)) };
    rbp
}

/// Follows saved frame pointers up the kernel stack; `rip`, if not 0, is the innermost address.
fn backtrace(mut rbp: u64, rip: u64) {
    if rip != 0 {
        print_address(rip);
    }
    for _ in 0..32 {
        // Only the kernel's half, aligned, and growing: a broken chain ends the trace instead of faulting much.
        if rbp as i64 >= 0 || rbp % 8 != 0 || rbp > u64::MAX - 16 {
            break;
        }
        // SAFETY: a saved frame pointer in kernel memory; a fault here is caught by the second-panic check.
        let (next, ret) = unsafe { (*(rbp as *const u64), *(rbp as *const u64).add(1)) };
        if !arch::kernel_text().contains(&ret) {
            break;
        }
        // The call, not the instruction after it.
        print_address(ret - 1);
        if next <= rbp {
            break;
        }
        rbp = next;
    }
}

fn print_address(addr: u64) {
    match symbol(addr) {
        Some((path, name, offset)) => {
            panic_write(format_args!("demitasse:   at {addr:#018x} {path}{name}+{offset:#x}\n"));
        }
        None => panic_write(format_args!("demitasse:   at {addr:#018x}\n")),
    }
}

const SYMBOL_MAGIC: u32 = 0x4d59_534b;

/// Name of the function at `addr` in two parts, and how far in. The table's form is in its writer, `images/src/ksyms.rs`.
fn symbol(addr: u64) -> Option<(&'static str, &'static str, u64)> {
    unsafe extern "C" {
        static ksyms_start: u8;
        static ksyms_end: u8;
    }
    let start = &raw const ksyms_start;
    let len = &raw const ksyms_end as usize - start as usize;
    // SAFETY: the linker script reserves the section.
    let table = unsafe { core::slice::from_raw_parts(start, len) };
    let word = |index: usize| {
        let bytes = table.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    if word(0)? != SYMBOL_MAGIC {
        return None;
    }
    let count = word(1)? as usize;
    let wanted = u32::try_from(addr.checked_sub(crate::addr::KERNEL_BASE)?).ok()?;
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = (low + high) / 2;
        if word(2 + 2 * middle)? <= wanted { low = middle + 1 } else { high = middle }
    }
    let index = low.checked_sub(1)?;
    let text = |at: usize| {
        let text = table.get(at..)?;
        let end = text.iter().position(|&byte| byte == 0)?;
        core::str::from_utf8(&text[..end]).ok()
    };
    let name_at = word(3 + 2 * index)? as usize;
    let path_at = usize::from(u16::from_le_bytes([*table.get(name_at)?, *table.get(name_at + 1)?]));
    let offset = u64::from(wanted - word(2 + 2 * index)?);
    Some((text(8 + 8 * count + path_at)?, text(name_at + 2)?, offset))
}
