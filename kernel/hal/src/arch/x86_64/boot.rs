//! From `boot.s` to the kernel's first line: the loader's description is read, the final page tables are built, this
//! vCPU gets its tables, the clock starts. Then `kernel_main`, which the kernel crate gives, wires the rest.

use super::{apic, calibrate, cpu_local, cpuid, paging, trap};
use crate::addr::{KERNEL_BASE, PAGE_SIZE, PhysAddr};
use crate::boot_info::{self, BootInfo, MemoryKind, MemoryRegion};
use crate::stack::KernelStack;
use core::arch::global_asm;

global_asm!(include_str!("boot.s"), options(att_syntax));

const PVH_MAGIC: u32 = 0x336e_c578;
/// The kernel command line is cut to this many bytes.
const CMDLINE_BYTES: usize = 4096;
/// Physical memory below this is left to the firmware's leftovers and the other vCPUs' trampoline.
const LOW_RESERVED: u64 = 0x1_0000;

static mut CMDLINE: [u8; CMDLINE_BYTES] = [0; CMDLINE_BYTES];

/// `hvm_start_info` version 1 (Xen's `start_info.h`).
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    cmdline: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    _reserved: u32,
}

/// `hvm_memmap_table_entry`: an E820 entry.
#[repr(C)]
struct MemoryMapEntry {
    addr: u64,
    size: u64,
    kind: u32,
    _reserved: u32,
}

/// Pages for the first tables, taken from behind the kernel's image.
pub struct BootMemory {
    next: u64,
    limit: u64,
}

impl BootMemory {
    /// Physical address of a cleared page. Boot's identity map must be in force.
    ///
    /// # Panics
    /// When the memory behind the kernel is out: less than the smallest machine has.
    pub fn page(&mut self) -> u64 {
        let page = self.next;
        assert!(page + PAGE_SIZE <= self.limit, "no memory behind the kernel for its page tables");
        self.next += PAGE_SIZE;
        // SAFETY: usable memory behind the image that nobody else has; in the identity map.
        unsafe { crate::mem::zero_page(page as *mut u8) };
        page
    }
}

unsafe extern "C" {
    static kernel_data_end: u8;
    static boot_stack_bottom: u8;
    static boot_stack_top: u8;
}

unsafe extern "Rust" {
    /// The kernel crate's entry.
    safe fn kernel_main() -> !;
}

/// First Rust code: on boot's stack, boot's page tables, interrupts off.
#[unsafe(no_mangle)]
extern "C" fn hal_boot(magic: u32, info: u32) -> ! {
    let stack = KernelStack { lo: &raw const boot_stack_bottom as u64, hi: &raw const boot_stack_top as u64 };
    let area = cpu_local::boot_area();
    // SAFETY: the boot vCPU's area, used by nobody yet.
    unsafe {
        cpu_local::prepare(area, 0, 0, stack);
        cpu_local::load(area);
    }
    cpuid::init_control_registers();
    trap::init_boot_cpu();
    calibrate::start();
    crate::log::mark("kernel entry");
    assert!(
        magic == PVH_MAGIC,
        "boot: not entered by PVH (magic {magic:#x}): start the kernel by -kernel or a PVH loader"
    );
    // SAFETY: by the PVH ABI `info` is the physical address of a start info in low memory; identity-mapped.
    let (mut info, ram_end) = unsafe { read_start_info(info) };
    let image_end = &raw const kernel_data_end as u64 - KERNEL_BASE;
    let limit = usable_end_around(&info, image_end);
    let mut memory = BootMemory { next: image_end.next_multiple_of(PAGE_SIZE), limit };
    // SAFETY: boot's tables are in force; `memory` lies in the first GiB (the kernel is linked at 2 MiB).
    unsafe { paging::init(&mut memory, ram_end) };
    info.kernel.end = PhysAddr(memory.next);
    boot_info::set(info);
    crate::log::init(boot_info::option("loglevel"));
    cpuid::mask_legacy_pic();
    read_acpi_tables(ram_end);
    apic::init_boot_cpu();
    crate::log::mark("hal ready");
    kernel_main()
}

/// Reads the ACPI tables through the direct map. A machine without them runs on one vCPU.
fn read_acpi_tables(ram_end: u64) {
    let read = |phys: PhysAddr, len: usize| {
        let inside = phys.0.checked_add(len as u64).is_some_and(|end| end <= ram_end.max(1 << 20));
        // SAFETY: the direct map shows all memory up to `ram_end`; firmware tables do not change.
        inside.then(|| unsafe { core::slice::from_raw_parts(crate::phys_to_virt(phys).cast_const(), len) })
    };
    let rsdp = boot_info::get().rsdp.or_else(|| crate::acpi::find_root_pointer(read));
    if let Err(reason) = crate::acpi::init(rsdp, read) {
        ::log::warn!("no ACPI tables, so one vCPU and no power-off: {reason:?}");
    }
}

/// End of the usable region that holds `addr`, cut to the identity map.
fn usable_end_around(info: &BootInfo, addr: u64) -> u64 {
    info.memory()
        .iter()
        .filter(|region| region.kind == MemoryKind::Usable)
        .find(|region| (region.start.0..region.start.0 + region.len).contains(&addr))
        .map_or(addr, |region| region.start.0 + region.len)
        .min(1 << 30)
}

/// Copies what is needed out of low memory. Returns the end of usable memory too.
///
/// # Safety
/// `info` is the physical address of a PVH start info, identity-mapped like all that it points to.
unsafe fn read_start_info(info: u32) -> (BootInfo, u64) {
    // SAFETY: the caller's duty.
    let start = unsafe { &*(info as usize as *const StartInfo) };
    assert!(
        start.magic == PVH_MAGIC && start.version >= 1,
        "boot: the PVH start info has no memory map (version {})",
        start.version
    );
    // SAFETY: as above.
    let cmdline = unsafe { copy_cmdline(start.cmdline) };
    let rsdp = (start.rsdp != 0).then_some(PhysAddr(start.rsdp));
    let mut boot = BootInfo::new(cmdline, rsdp, PhysAddr(2 << 20)..PhysAddr(2 << 20));
    let mut ram_end = 0;
    for index in 0..start.memory_map_entries as usize {
        // SAFETY: the caller's duty.
        let entry = unsafe { &*(start.memory_map as usize as *const MemoryMapEntry).add(index) };
        let kind = match entry.kind {
            1 => MemoryKind::Usable,
            3 => MemoryKind::Acpi,
            _ => MemoryKind::Reserved,
        };
        let (mut first, end) = (entry.addr, entry.addr.saturating_add(entry.size));
        if kind == MemoryKind::Usable {
            first = first.max(LOW_RESERVED);
            if end <= first {
                continue;
            }
            ram_end = ram_end.max(end);
        } else if kind == MemoryKind::Acpi {
            // The tables are read through the direct map.
            ram_end = ram_end.max(end);
        }
        boot.push(MemoryRegion { start: PhysAddr(first), len: end - first, kind });
    }
    // Whole GiB: firmware keeps its tables in a reserved region right above usable memory.
    (boot, ram_end.max(1).next_multiple_of(1 << 30))
}

/// # Safety
/// `addr` is 0 or the address of a NUL-terminated string.
unsafe fn copy_cmdline(addr: u64) -> &'static str {
    if addr == 0 {
        return "";
    }
    let mut len = 0;
    while len < CMDLINE_BYTES {
        // SAFETY: the caller's duty; we stop at the NUL.
        let byte = unsafe { *(addr as *const u8).add(len) };
        if byte == 0 {
            break;
        }
        // SAFETY: only the boot vCPU runs, once.
        unsafe { (&raw mut CMDLINE).cast::<u8>().add(len).write(byte) };
        len += 1;
    }
    // SAFETY: written above, never again.
    let bytes = unsafe { core::slice::from_raw_parts((&raw const CMDLINE).cast::<u8>(), len) };
    core::str::from_utf8(bytes).unwrap_or("")
}
