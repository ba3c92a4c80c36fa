//! What each vCPU has of its own: the words that `trap.s` reads through GS, descriptor tables, and the stacks that
//! traps enter on.

use crate::context::WorkFlags;
use crate::stack::KernelStack;
use core::arch::asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicUsize, Ordering};

const MSR_FS_BASE: u32 = 0xc000_0100;
const MSR_GS_BASE: u32 = 0xc000_0101;
const IST_BYTES: usize = 8192;

/// IST slots (1-based, as the descriptors have them).
pub const IST_FAULT: u8 = 1;
pub const IST_INTERRUPT: u8 = 2;
pub const IST_NMI: u8 = 3;
pub const IST_DOUBLE_FAULT: u8 = 4;
pub const IST_MACHINE_CHECK: u8 = 5;
const IST_COUNT: usize = 5;

/// One vCPU's own data. `trap.s` knows the first fields' offsets.
#[repr(C, align(64))]
pub struct CpuLocal {
    this: *const CpuLocal,
    /// Top of the current thread's kernel stack.
    pub stack_top: u64,
    /// Its lowest byte.
    pub stack_bottom: u64,
    scratch: u64,
    /// The current thread, for `sched`.
    pub thread: *const (),
    /// The current thread's work flags, never null.
    pub flags: *const WorkFlags,
    /// Index of this vCPU.
    pub index: usize,
    /// Its local APIC's identity.
    pub apic_id: u32,
    /// The stack on which this vCPU started.
    pub boot_stack: KernelStack,
    tss: Tss,
    gdt: [u64; 5],
    no_flags: WorkFlags,
}

const _: () = {
    assert!(offset_of!(CpuLocal, stack_top) == 8);
    assert!(offset_of!(CpuLocal, stack_bottom) == 16);
    assert!(offset_of!(CpuLocal, scratch) == 24);
    assert!(offset_of!(CpuLocal, thread) == 32);
    assert!(offset_of!(CpuLocal, flags) == 40);
    assert!(offset_of!(CpuLocal, index) == 48);
};

/// Task-state segment (Intel SDM volume 3, 8.7), of which only the IST is used.
#[repr(C, packed(4))]
struct Tss {
    _reserved0: u32,
    _rsp: [u64; 3],
    _reserved1: u64,
    ist: [u64; 7],
    _reserved2: u64,
    _reserved3: u16,
    io_map_base: u16,
}

/// A vCPU's data and its trap stacks.
#[repr(C, align(4096))]
pub struct CpuArea {
    stacks: UnsafeCell<[[u8; IST_BYTES]; IST_COUNT]>,
    local: UnsafeCell<CpuLocal>,
}

// SAFETY: each area belongs to one vCPU; before that to the one that prepares it.
unsafe impl Sync for CpuArea {}

/// Pages of a [`CpuArea`].
pub const CPU_AREA_PAGES: usize = size_of::<CpuArea>().div_ceil(4096);

static BOOT_CPU: CpuArea = CpuArea {
    stacks: UnsafeCell::new([[0; IST_BYTES]; IST_COUNT]),
    local: UnsafeCell::new(CpuLocal {
        this: core::ptr::null(),
        stack_top: 0,
        stack_bottom: 0,
        scratch: 0,
        thread: core::ptr::null(),
        flags: core::ptr::null(),
        index: 0,
        apic_id: 0,
        boot_stack: KernelStack { lo: 0, hi: 0 },
        tss: Tss {
            _reserved0: 0,
            _rsp: [0; 3],
            _reserved1: 0,
            ist: [0; 7],
            _reserved2: 0,
            _reserved3: 0,
            io_map_base: 0,
        },
        gdt: [0; 5],
        no_flags: WorkFlags::new(),
    }),
};

static CPU_COUNT: AtomicUsize = AtomicUsize::new(1);

/// Area of the boot vCPU.
pub fn boot_area() -> *mut CpuArea {
    (&raw const BOOT_CPU).cast_mut()
}

/// Prepares `area` for vCPU `index`, which starts on `boot_stack`.
///
/// # Safety
/// `area` is writable, page-aligned, zeroed memory of [`CPU_AREA_PAGES`] pages that stays for ever and that no vCPU uses yet.
pub unsafe fn prepare(area: *mut CpuArea, index: usize, apic_id: u32, boot_stack: KernelStack) {
    // SAFETY: the caller's duty.
    let area = unsafe { &*area };
    let local = area.local.get();
    let stacks = area.stacks.get() as u64;
    let tss_address = local as u64 + offset_of!(CpuLocal, tss) as u64;
    let mut ist = [0; 7];
    for (slot, top) in ist.iter_mut().take(IST_COUNT).enumerate() {
        *top = stacks + ((slot + 1) * IST_BYTES) as u64;
    }
    // A TSS descriptor's base is spread over the double entry (SDM volume 3, 8.2.3).
    let limit = size_of::<Tss>() as u64 - 1;
    let tss_low = limit | (tss_address & 0xff_ffff) << 16 | 0x89 << 40 | (tss_address >> 24 & 0xff) << 56;
    let gdt = [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, tss_low, tss_address >> 32];
    let tss = Tss {
        _reserved0: 0,
        _rsp: [0; 3],
        _reserved1: 0,
        ist,
        _reserved2: 0,
        _reserved3: 0,
        io_map_base: size_of::<Tss>() as u16,
    };
    // SAFETY: exclusive by the caller's duty.
    unsafe {
        local.write(CpuLocal {
            this: local,
            stack_top: boot_stack.hi,
            stack_bottom: boot_stack.lo,
            scratch: 0,
            thread: core::ptr::null(),
            flags: &raw const (*local).no_flags,
            index,
            apic_id,
            boot_stack,
            tss,
            gdt,
            no_flags: WorkFlags::new(),
        });
    }
}

/// Makes `area` this vCPU's: GS base, descriptor tables, task register.
///
/// # Safety
/// `area` was [`prepare`]d for this vCPU; interrupts are masked.
pub unsafe fn load(area: *mut CpuArea) {
    #[repr(C, packed)]
    struct TablePointer {
        limit: u16,
        base: u64,
    }
    // SAFETY: the caller's duty.
    let local = unsafe { (*area).local.get() };
    // SAFETY: the table stays for ever; the selectors are those of trap.rs; GS is loaded before its base is set.
    unsafe {
        let pointer = TablePointer { limit: 5 * 8 - 1, base: &raw const (*local).gdt as u64 };
        asm!(
            "lgdt [{pointer}]",
            "push 8",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ss, {data:e}",
            "mov ds, {data:e}",
            "mov es, {data:e}",
            "mov fs, {null:e}",
            "mov gs, {null:e}",
            "ltr {tss:x}",
            pointer = in(reg) &pointer,
            scratch = out(reg) _,
            data = in(reg) 16u32,
            null = in(reg) 0u32,
            tss = in(reg) 24u32,
        );
        super::cpuid::write_msr(MSR_FS_BASE, 0);
        super::cpuid::write_msr(MSR_GS_BASE, local as u64);
    }
}

/// This vCPU's own data. The reference must not be kept over a thread switch.
pub fn local() -> *mut CpuLocal {
    let this: *mut CpuLocal;
    // SAFETY: GS base points to a prepared CpuLocal from the first Rust code on.
    unsafe { asm!("mov {}, gs:[0]", out(reg) this, options(nostack, preserves_flags, readonly)) };
    this
}

/// Index of this vCPU.
pub fn cpu_id() -> usize {
    let index: usize;
    // SAFETY: as in `local`. Not `pure`: the thread may move between two calls.
    unsafe { asm!("mov {}, gs:[48]", out(reg) index, options(nostack, preserves_flags, readonly)) };
    index
}

/// vCPUs that run.
pub fn cpu_count() -> usize {
    CPU_COUNT.load(Ordering::Relaxed)
}

/// One more vCPU runs.
pub fn add_cpu() {
    CPU_COUNT.fetch_add(1, Ordering::SeqCst);
}

/// See `crate::stack::room_bytes`.
pub fn stack_room() -> u64 {
    let here: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) here, options(nomem, nostack, preserves_flags)) };
    // SAFETY: this vCPU's own data.
    here.saturating_sub(unsafe { (*local()).stack_bottom })
}

/// The stack on which this vCPU started, which its idle thread keeps.
pub fn boot_stack() -> KernelStack {
    // SAFETY: set by `prepare`, never changed.
    unsafe { (*local()).boot_stack }
}
