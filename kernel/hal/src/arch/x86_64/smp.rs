//! Starting the other vCPUs (Intel SDM volume 3, 9.4).

use super::cpu_local::{self, CPU_AREA_PAGES, CpuArea};
use super::{apic, cpuid, paging, trap};
use crate::addr::PhysAddr;
use crate::cpu::MAX_CPUS;
use crate::stack::{self, KERNEL_STACK_PAGES};
use core::sync::atomic::{AtomicUsize, Ordering};

/// The trampoline's page: below 1 MiB, in memory that boot keeps from `mm`.
const TRAMPOLINE: u64 = 0x8000;
/// How long a vCPU may take to answer.
const PATIENCE_NS: u64 = 500_000_000;

static ENTRY: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    static ap_trampoline: u8;
    static ap_trampoline_end: u8;
    static ap_words: u8;
}

/// Starts every vCPU of the MADT; each calls `entry` on a stack of its own with interrupts masked. Returns how many
/// run. Call before there is an application: the lower half shows boot's identity map meanwhile.
pub fn start_others(entry: fn() -> !) -> usize {
    let Some(madt) = crate::acpi::madt() else { return 1 };
    let this = apic::id_of(0);
    if madt.cpus.iter().all(|&id| id == this) {
        return 1;
    }
    ENTRY.store(entry as *const () as usize, Ordering::SeqCst);
    paging::show_identity_map(true);
    for &apic_id in madt.cpus.iter().filter(|&&id| id != this) {
        if cpu_local::cpu_count() == MAX_CPUS {
            ::log::warn!("only {MAX_CPUS} vCPUs are used: give the machine no more");
            break;
        }
        if let Err(reason) = start(apic_id) {
            ::log::warn!("vCPU with APIC id {apic_id} stays off: {reason}");
        }
    }
    paging::show_identity_map(false);
    cpu_local::cpu_count()
}

fn start(apic_id: u32) -> Result<(), &'static str> {
    let provider = stack::provider().ok_or("no kernel stacks yet")?;
    let stack = provider.allocate(KERNEL_STACK_PAGES).ok_or("no memory for its stack")?;
    // Trap stacks want guard pages no less, and stay for ever: a kernel stack is just the thing.
    let area = provider.allocate(CPU_AREA_PAGES).ok_or("no memory for its trap stacks")?.lo as *mut CpuArea;
    let index = cpu_local::cpu_count();
    // SAFETY: fresh memory of the right size; the trampoline's page is reserved for this.
    unsafe {
        area.cast::<u8>().write_bytes(0, CPU_AREA_PAGES * 4096);
        cpu_local::prepare(area, index, apic_id, stack);
        let from = &raw const ap_trampoline;
        let to = crate::phys_to_virt(PhysAddr(TRAMPOLINE));
        let len = &raw const ap_trampoline_end as usize - from as usize;
        to.copy_from_nonoverlapping(from, len);
        let words = to.add(&raw const ap_words as usize - from as usize).cast::<u64>();
        words.write(crate::paging::root().0);
        words.add(1).write(stack.hi);
        words.add(2).write(area as u64);
        words.add(3).write(ap_main as *const () as u64);
    }
    apic::send_init(apic_id);
    delay(10_000);
    for _ in 0..2 {
        apic::send_startup(apic_id, (TRAMPOLINE >> 12) as u8);
        let deadline = crate::clock::now_ns() + PATIENCE_NS;
        while crate::clock::now_ns() < deadline {
            if cpu_local::cpu_count() > index {
                return Ok(());
            }
            crate::cpu::relax();
        }
    }
    Err("it does not answer")
}

fn delay(ns: u64) {
    let end = crate::clock::now_ns() + ns;
    while crate::clock::now_ns() < end {
        crate::cpu::relax();
    }
}

extern "C" fn ap_main(area: *mut CpuArea) -> ! {
    // SAFETY: `start` prepared it for this vCPU.
    unsafe { cpu_local::load(area) };
    cpuid::init_control_registers();
    trap::init_cpu();
    apic::init_cpu();
    let entry = ENTRY.load(Ordering::SeqCst);
    cpu_local::add_cpu();
    // SAFETY: `start_others` stored a `fn() -> !`.
    unsafe { core::mem::transmute::<usize, fn() -> !>(entry)() }
}
