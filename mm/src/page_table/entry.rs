//! Entries: what their bits mean to mm.

use hal::paging::{ADDR_MASK, PteFlags};

use crate::machine::Pfn;
use crate::space::Protection;

/// The frame belongs to this mapping alone: anonymous memory, or a private copy of a file's page.
pub(crate) const OWNED: u64 = PteFlags::SW1.bits();
/// The shared frame of zeros, which nobody counts.
pub(crate) const ZERO: u64 = PteFlags::SW2.bits();
/// Translations may be cached although the accessed bit is clear: mm has cleared it.
pub(crate) const CACHED: u64 = PteFlags::SW3.bits();
pub(crate) const PRESENT: u64 = PteFlags::PRESENT.bits();
pub(crate) const WRITABLE: u64 = PteFlags::WRITABLE.bits();
pub(crate) const ACCESSED: u64 = PteFlags::ACCESSED.bits();
pub(crate) const DIRTY: u64 = PteFlags::DIRTY.bits();
pub(crate) const HUGE: u64 = PteFlags::HUGE.bits();
pub(crate) const NO_EXECUTE: u64 = PteFlags::NO_EXECUTE.bits();
const USER: u64 = PteFlags::USER.bits();

/// What an entry that names a table of the application's half holds beside the address.
pub(crate) const TABLE: u64 = PRESENT | WRITABLE | USER | ACCESSED;
/// The same in the kernel's half.
pub(crate) const KERNEL_TABLE: u64 = PRESENT | WRITABLE | ACCESSED;

/// The entry for a frame, without the permission to write. `PROT_NONE` gives an entry that keeps its frame but does
/// not translate.
pub(crate) fn leaf(pfn: Pfn, prot: Protection, extra: u64) -> u64 {
    u64::from(pfn) << 12 | permissions(prot) & !WRITABLE | USER | extra
}

/// The bits that follow from a protection.
#[inline]
pub(crate) fn permissions(prot: Protection) -> u64 {
    let mut bits = 0;
    if !prot.is_empty() {
        // x86 has neither write-only nor execute-only pages.
        bits |= PRESENT;
    }
    if prot.contains(Protection::WRITE) {
        bits |= WRITABLE;
    }
    if !prot.contains(Protection::EXEC) {
        bits |= NO_EXECUTE;
    }
    bits
}

/// The frame that an entry names.
#[inline]
pub(crate) const fn pfn(entry: u64) -> Pfn {
    ((entry & ADDR_MASK) >> 12) as Pfn
}

/// Whether the entry maps 2 MiB (even if it does not translate now).
#[inline]
pub(crate) const fn is_huge(entry: u64) -> bool {
    entry & HUGE != 0
}

/// Whether the access is allowed by the entry as it is.
#[inline]
pub(crate) const fn allows(entry: u64, write: bool, fetch: bool) -> bool {
    entry & PRESENT != 0 && (!write || entry & WRITABLE != 0) && (!fetch || entry & NO_EXECUTE == 0)
}
