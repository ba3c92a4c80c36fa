//! Page clearing and copying, and the memory routines of `mem.s`.

use core::arch::global_asm;

global_asm!(include_str!("mem.s"), options(att_syntax));

unsafe extern "C" {
    fn hal_zero_pages(start: *mut u8, pages: usize);
    fn hal_copy_page(to: *mut u8, from: *const u8);
}

/// # Safety
/// As `crate::mem::zero_pages`.
pub unsafe fn zero_pages(start: *mut u8, pages: usize) {
    if pages > 0 {
        // SAFETY: the caller's duty.
        unsafe { hal_zero_pages(start, pages) }
    }
}

/// # Safety
/// As `crate::mem::copy_page`.
pub unsafe fn copy_page(to: *mut u8, from: *const u8) {
    // SAFETY: the caller's duty.
    unsafe { hal_copy_page(to, from) }
}
