//! Page-table entries and translation caches. The tables themselves are walked and changed by `mm`.
//! Intel SDM volume 3, section 4.5.

use crate::addr::{PhysAddr, VirtAddr};
use crate::arch::current as arch;

bitflags::bitflags! {
    /// Bits of an entry of a 4-level page table.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PteFlags: u64 {
        /// The entry translates.
        const PRESENT = 1 << 0;
        /// Writes are allowed (CR0.WP holds in ring 0 too).
        const WRITABLE = 1 << 1;
        /// Belongs to the application's half.
        const USER = 1 << 2;
        /// Write-through.
        const WRITE_THROUGH = 1 << 3;
        /// Not cached: device registers.
        const NO_CACHE = 1 << 4;
        /// Set by the CPU at the first use.
        const ACCESSED = 1 << 5;
        /// Set by the CPU at the first write.
        const DIRTY = 1 << 6;
        /// A page-directory entry that maps 2 MiB (or 1 GiB one level up).
        const HUGE = 1 << 7;
        /// Kept over a switch of the root.
        const GLOBAL = 1 << 8;
        /// Free for `mm`.
        const SW1 = 1 << 9;
        /// Free for `mm`.
        const SW2 = 1 << 10;
        /// Free for `mm`.
        const SW3 = 1 << 11;
        /// Instructions cannot be fetched.
        const NO_EXECUTE = 1 << 63;
    }
}

/// Bits of an entry that hold the physical address.
pub const ADDR_MASK: u64 = 0x000f_ffff_ffff_f000;

/// Physical address of the one root table.
pub fn root() -> PhysAddr {
    arch::page_table_root()
}

/// Drops this vCPU's cached translation of the page at `addr`.
pub fn flush_page(addr: VirtAddr) {
    arch::flush_page(addr);
}

/// Drops all of this vCPU's cached translations but global ones.
pub fn flush_all() {
    arch::flush_all();
}
