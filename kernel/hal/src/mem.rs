//! Fast clearing and copying of whole pages.

use crate::arch::current as arch;

/// Clears one page.
///
/// # Safety
/// `page` is 4 KiB of writable memory, page-aligned, that nobody else uses.
pub unsafe fn zero_page(page: *mut u8) {
    // SAFETY: the caller's duty.
    unsafe { arch::zero_pages(page, 1) }
}

/// Clears `pages` pages from `start`.
///
/// # Safety
/// As [`zero_page`], for every page.
pub unsafe fn zero_pages(start: *mut u8, pages: usize) {
    // SAFETY: the caller's duty.
    unsafe { arch::zero_pages(start, pages) }
}

/// Copies one page.
///
/// # Safety
/// Both are page-aligned pages, `to` is writable and nobody else uses it; they are not the same.
pub unsafe fn copy_page(to: *mut u8, from: *const u8) {
    // SAFETY: the caller's duty.
    unsafe { arch::copy_page(to, from) }
}
