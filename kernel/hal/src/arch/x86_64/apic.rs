//! The local APIC: timer, interrupts between vCPUs, end of interrupt. Through MSRs where the CPU has x2APIC, else
//! through its page of registers (Intel SDM volume 3, chapter 11).

use super::cpuid::{features, read_msr, write_msr};
use super::irq::{VECTOR_RESCHEDULE, VECTOR_SPURIOUS, VECTOR_STOP, VECTOR_TIMER, VECTOR_TLB_FLUSH};
use super::{cpu_local, paging};
use crate::cpu::MAX_CPUS;
use crate::irq::Ipi;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

const MSR_APIC_BASE: u32 = 0x1b;
const MSR_TSC_DEADLINE: u32 = 0x6e0;
const X2APIC_MSR: u32 = 0x800;
const APIC_ENABLE: u64 = 1 << 11;
const APIC_X2: u64 = 1 << 10;

const REG_ID: u32 = 0x20;
const REG_TPR: u32 = 0x80;
const REG_EOI: u32 = 0xb0;
const REG_SPURIOUS: u32 = 0xf0;
const REG_ICR_LOW: u32 = 0x300;
const REG_ICR_HIGH: u32 = 0x310;
const REG_LVT_TIMER: u32 = 0x320;
const REG_LVT_LINT0: u32 = 0x350;
const REG_TIMER_INITIAL: u32 = 0x380;
const REG_TIMER_CURRENT: u32 = 0x390;
const REG_TIMER_DIVIDE: u32 = 0x3e0;

const LVT_MASKED: u32 = 1 << 16;
const LVT_TSC_DEADLINE: u32 = 2 << 17;
const DIVIDE_BY_1: u32 = 0b1011;
const DELIVERY_NMI: u32 = 4 << 8;
const DELIVERY_INIT: u32 = 5 << 8;
const DELIVERY_STARTUP: u32 = 6 << 8;
const LEVEL_ASSERT: u32 = 1 << 14;
const DELIVERY_PENDING: u32 = 1 << 12;

/// Register page, while not in x2APIC mode.
static REGISTERS: AtomicUsize = AtomicUsize::new(0);
static IDS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];
static STOPPING: AtomicBool = AtomicBool::new(false);

fn read(register: u32) -> u32 {
    if features().x2apic {
        // SAFETY: x2APIC mode is on; the registers are hal's own.
        unsafe { read_msr(X2APIC_MSR + register / 16) as u32 }
    } else {
        // SAFETY: the mapped register page.
        unsafe { ((REGISTERS.load(Ordering::Relaxed) + register as usize) as *const u32).read_volatile() }
    }
}

fn write(register: u32, value: u32) {
    if features().x2apic {
        // SAFETY: as in `read`.
        unsafe { write_msr(X2APIC_MSR + register / 16, value.into()) };
    } else {
        // SAFETY: as in `read`.
        unsafe { ((REGISTERS.load(Ordering::Relaxed) + register as usize) as *mut u32).write_volatile(value) };
    }
}

/// Switches this vCPU's APIC on. The boot vCPU comes first.
pub fn init_cpu() {
    // SAFETY: every x86-64 has the register; setting the enable bits is what it is for.
    unsafe {
        let base = read_msr(MSR_APIC_BASE);
        let mode = if features().x2apic { APIC_ENABLE | APIC_X2 } else { APIC_ENABLE };
        write_msr(MSR_APIC_BASE, base | mode);
        if !features().x2apic && REGISTERS.load(Ordering::Relaxed) == 0 {
            REGISTERS.store(paging::map_device(0, base & 0xf_ffff_f000) as usize, Ordering::Relaxed);
        }
    }
    write(REG_TPR, 0);
    write(REG_SPURIOUS, 1 << 8 | u32::from(VECTOR_SPURIOUS));
    write(REG_LVT_LINT0, LVT_MASKED);
    write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
    let mode = if features().tsc_deadline { LVT_TSC_DEADLINE } else { 0 };
    write(REG_LVT_TIMER, u32::from(VECTOR_TIMER) | mode);
    let id = if features().x2apic { read(REG_ID) } else { read(REG_ID) >> 24 };
    let cpu = cpu_local::cpu_id();
    IDS[cpu].store(id, Ordering::Relaxed);
    // SAFETY: this vCPU's own data.
    unsafe { (*cpu_local::local()).apic_id = id };
}

/// As [`init_cpu`], and starts measuring the timer's rate.
pub fn init_boot_cpu() {
    init_cpu();
    super::calibrate::apic_ready();
}

/// APIC identity of vCPU `cpu`.
pub fn id_of(cpu: usize) -> u32 {
    IDS[cpu].load(Ordering::Relaxed)
}

/// Ends the interrupt in service.
pub fn end_of_interrupt() {
    write(REG_EOI, 0);
}

/// Counts the timer down from `ticks`; 0 stops it.
pub fn start_timer(ticks: u32) {
    write(REG_TIMER_INITIAL, ticks);
}

/// Ticks left.
pub fn timer_current() -> u32 {
    read(REG_TIMER_CURRENT)
}

/// Lets the timer count without an interrupt, for measuring its rate, or with one.
pub fn mask_timer(masked: bool) {
    let mode = if masked {
        LVT_MASKED
    } else if features().tsc_deadline {
        LVT_TSC_DEADLINE
    } else {
        0
    };
    write(REG_LVT_TIMER, u32::from(VECTOR_TIMER) | mode);
}

/// Fires the timer when the counter reaches `tsc`; 0 never.
pub fn set_tsc_deadline(tsc: u64) {
    // SAFETY: only called where the CPU has the register, in its timer mode.
    unsafe { write_msr(MSR_TSC_DEADLINE, tsc) };
}

fn command(apic_id: u32, low: u32) {
    if features().x2apic {
        // SAFETY: as in `write`; one write sends.
        unsafe { write_msr(X2APIC_MSR + REG_ICR_LOW / 16, u64::from(apic_id) << 32 | u64::from(low)) };
    } else {
        // Two writes: an interrupt handler's own command must not come between.
        let _irq = crate::irq::IrqGuard::mask();
        while read(REG_ICR_LOW) & DELIVERY_PENDING != 0 {
            crate::cpu::relax();
        }
        write(REG_ICR_HIGH, apic_id << 24);
        write(REG_ICR_LOW, low);
    }
}

/// See `crate::irq::send_ipi`.
pub fn send_ipi(cpu: usize, kind: Ipi) {
    let vector = match kind {
        Ipi::Reschedule => VECTOR_RESCHEDULE,
        Ipi::TlbFlush => VECTOR_TLB_FLUSH,
        Ipi::Stop => VECTOR_STOP,
    };
    command(id_of(cpu), u32::from(vector) | LEVEL_ASSERT);
    // QEMU's emulation with one thread for all vCPUs leaves the sender at work, up to a tenth of a second, before the receiver has its
    // turn; PAUSE gives it away. A CPU takes some dozen cycles for it.
    core::hint::spin_loop();
}

/// Stops every other vCPU by NMI, also one that has interrupts masked.
pub fn stop_others() {
    STOPPING.store(true, Ordering::SeqCst);
    for cpu in 0..cpu_local::cpu_count() {
        if cpu != cpu_local::cpu_id() {
            command(id_of(cpu), DELIVERY_NMI | LEVEL_ASSERT);
        }
    }
}

/// The vCPU that an NMI shall make panic; none while this is [`MAX_CPUS`].
static STUCK: AtomicUsize = AtomicUsize::new(MAX_CPUS);

/// See `crate::watchdog::report_stuck`.
pub fn report_stuck(cpu: usize) -> ! {
    STUCK.store(cpu, Ordering::SeqCst);
    command(id_of(cpu), DELIVERY_NMI | LEVEL_ASSERT);
    let end = crate::clock::now_ns() + 2_000_000_000;
    while crate::clock::now_ns() < end {
        crate::cpu::relax();
    }
    panic!("vCPU {cpu} answers neither interrupts nor an NMI")
}

/// Whether this vCPU was found stuck.
pub fn is_stuck() -> bool {
    STUCK.load(Ordering::SeqCst) == cpu_local::cpu_id()
}

/// Whether an NMI means "stop".
pub fn stop_requested() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// INIT, the first step of starting a vCPU (SDM volume 3, 9.4.4.1).
pub fn send_init(apic_id: u32) {
    command(apic_id, DELIVERY_INIT | LEVEL_ASSERT);
}

/// STARTUP at physical `page << 12`.
pub fn send_startup(apic_id: u32, page: u8) {
    command(apic_id, DELIVERY_STARTUP | LEVEL_ASSERT | u32::from(page));
}
