//! The one page-table root: built once from the boot loader's memory map, with the kernel's image under its real
//! permissions and all of RAM in the direct map. `mm` fills in the rest.

use super::boot::BootMemory;
use crate::addr::{DIRECT_MAP, HUGE_PAGE_SIZE, KERNEL_BASE, PAGE_SIZE, PhysAddr, VirtAddr};
use crate::paging::{ADDR_MASK, PteFlags};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

const GIB: u64 = 1 << 30;
/// Device pages that hal itself maps (local APIC, I/O APICs, HPET): the last GiB's first pages.
const FIXMAP: u64 = 0xffff_ffff_c000_0000;

static ROOT: AtomicU64 = AtomicU64::new(0);

/// Physical address of the root.
pub fn page_table_root() -> PhysAddr {
    PhysAddr(ROOT.load(Ordering::Relaxed))
}

/// The direct map's view of `phys`.
pub fn phys_to_virt(phys: PhysAddr) -> *mut u8 {
    (DIRECT_MAP + phys.0) as *mut u8
}

/// Drops this vCPU's translation of one page.
pub fn flush_page(addr: VirtAddr) {
    // SAFETY: dropping a cached translation is always sound.
    unsafe { asm!("invlpg [{}]", in(reg) addr.0, options(nostack, preserves_flags)) };
}

/// Drops this vCPU's translations.
pub fn flush_all() {
    let root = page_table_root().0;
    // SAFETY: the root is the one in use.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

unsafe extern "C" {
    static kernel_text_start: u8;
    static kernel_text_end: u8;
    static kernel_rodata_end: u8;
    static kernel_data_end: u8;
    static boot_stack_guard: u8;
}

fn virt(symbol: &'static u8) -> u64 {
    core::ptr::from_ref(symbol) as u64
}

/// Tables are reached at their physical address while boot's identity map is in force.
struct Builder<'a> {
    memory: &'a mut BootMemory,
    root: *mut u64,
}

impl Builder<'_> {
    fn table(&mut self) -> *mut u64 {
        self.memory.page() as *mut u64
    }

    /// The table that entry `index` of `table` points to, made when it is not there.
    fn child(&mut self, table: *mut u64, index: u64) -> *mut u64 {
        // SAFETY: `table` is a page of ours in the identity map; `index` is below 512.
        let entry = unsafe { &mut *table.add(index as usize) };
        if *entry == 0 {
            let child = self.table();
            *entry = child as u64 | (PteFlags::PRESENT | PteFlags::WRITABLE).bits();
        }
        (*entry & ADDR_MASK) as *mut u64
    }

    /// Writes the entry for `addr` at `level` (1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB).
    fn map(&mut self, addr: u64, phys: u64, level: u32, flags: PteFlags) {
        let mut table = self.root;
        for upper in (level + 1..=4).rev() {
            table = self.child(table, addr >> (12 + 9 * (upper - 1)) & 511);
        }
        // SAFETY: as in `child`.
        unsafe { *table.add((addr >> (12 + 9 * (level - 1)) & 511) as usize) = phys | flags.bits() };
    }
}

/// Builds the final tables and switches to them. `ram_end` is the end of usable memory.
///
/// # Safety
/// The boot tables (identity map of the first GiB) are in force, and `memory` gives pages of it.
pub unsafe fn init(memory: &mut BootMemory, ram_end: u64) {
    let root = memory.page() as *mut u64;
    let mut builder = Builder { memory, root };
    // Every entry of the upper half of the root exists from the start: whoever copies or caches the root sees all.
    // SAFETY: the symbols' addresses only.
    let (text, text_end, rodata_end, data_end, guard) = unsafe {
        (
            virt(&kernel_text_start),
            virt(&kernel_text_end),
            virt(&kernel_rodata_end),
            virt(&kernel_data_end),
            virt(&boot_stack_guard),
        )
    };
    let base = PteFlags::PRESENT | PteFlags::GLOBAL | PteFlags::ACCESSED | PteFlags::DIRTY;
    let mut addr = text;
    while addr < data_end {
        let flags = if addr < text_end {
            base
        } else if addr < rodata_end {
            base | PteFlags::NO_EXECUTE
        } else {
            base | PteFlags::NO_EXECUTE | PteFlags::WRITABLE
        };
        if addr != guard {
            builder.map(addr, addr - KERNEL_BASE, 1, flags);
        }
        addr += PAGE_SIZE;
    }
    let (step, level) = if super::features().huge_1g { (GIB, 3) } else { (HUGE_PAGE_SIZE, 2) };
    let mut phys = 0;
    while phys < ram_end {
        let flags = base | PteFlags::NO_EXECUTE | PteFlags::WRITABLE | PteFlags::HUGE;
        builder.map(DIRECT_MAP + phys, phys, level, flags);
        phys += step;
    }
    // The fixmap's table, so that mapping a device later needs no memory.
    builder.map(FIXMAP, 0, 1, PteFlags::empty());
    ROOT.store(root as u64, Ordering::SeqCst);
    flush_all();
}

/// Maps the page of device registers at `phys` in fixmap slot `slot` (below 16).
pub fn map_device(slot: u64, phys: u64) -> *mut u8 {
    assert!(slot < 16, "hal maps at most 16 device pages by itself");
    let addr = FIXMAP + slot * PAGE_SIZE;
    let flags = PteFlags::PRESENT
        | PteFlags::WRITABLE
        | PteFlags::NO_EXECUTE
        | PteFlags::NO_CACHE
        | PteFlags::WRITE_THROUGH
        | PteFlags::GLOBAL;
    let mut table = page_table_root();
    for level in [4u32, 3, 2] {
        let index = (addr >> (12 + 9 * (level - 1)) & 511) as usize;
        // SAFETY: `init` made these tables; they are only read.
        table = PhysAddr(unsafe { *phys_to_virt(table).cast::<u64>().add(index) } & ADDR_MASK);
    }
    // SAFETY: the fixmap's table is hal's own; the slot's page is not in use for anything else.
    unsafe { *phys_to_virt(table).cast::<u64>().add(slot as usize) = phys & ADDR_MASK | flags.bits() };
    flush_page(VirtAddr(addr));
    (addr + phys % PAGE_SIZE) as *mut u8
}

/// Shows or hides boot's identity map of the first GiB in the application's half, for the start of the other vCPUs.
pub fn show_identity_map(show: bool) {
    unsafe extern "C" {
        static boot_pdpt: u8;
    }
    // Its low, physical address; boot's tables are kept.
    let pdpt = &raw const boot_pdpt as u64;
    let entry = if show { pdpt | (PteFlags::PRESENT | PteFlags::WRITABLE).bits() } else { 0 };
    // SAFETY: the first entry of the root belongs to the application's half, which is empty during boot.
    unsafe { phys_to_virt(page_table_root()).cast::<u64>().write_volatile(entry) };
    flush_all();
}
