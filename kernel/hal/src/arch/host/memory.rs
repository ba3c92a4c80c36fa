//! Physical memory as an arena, and the application's memory as the test's own.

use crate::addr::PhysAddr;
use crate::sync::Once;
use crate::trap::TrapFrame;
use core::sync::atomic::{AtomicU32, Ordering};

/// Bytes of physical memory that the host backend has, from physical address 0. Touched lazily.
pub const ARENA_BYTES: usize = 1 << 30;

static ARENA: Once<usize> = Once::new();

fn arena() -> usize {
    *ARENA.call_once(|| {
        const ALIGN: usize = 2 << 20;
        // An ordinary alignment: std clears blocks of a larger one byte by byte, which would touch all of the arena.
        let layout = std::alloc::Layout::from_size_align(ARENA_BYTES + ALIGN, 16).expect("a power of two");
        // SAFETY: the layout has a size; the block is never freed.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        assert!(!base.is_null(), "no host memory for the arena");
        (base as usize).next_multiple_of(ALIGN)
    })
}

pub fn phys_to_virt(phys: PhysAddr) -> *mut u8 {
    assert!((phys.0 as usize) < ARENA_BYTES, "physical address {phys} is outside the host backend's arena");
    (arena() + phys.0 as usize) as *mut u8
}

/// The root table: a page in the arena, at physical address 4096.
pub fn page_table_root() -> PhysAddr {
    PhysAddr(4096)
}

/// # Safety
/// As `mem::zero_pages`.
pub unsafe fn zero_pages(start: *mut u8, pages: usize) {
    // SAFETY: the caller's duty.
    unsafe { start.write_bytes(0, pages * 4096) }
}
/// # Safety
/// As `mem::copy_page`.
pub unsafe fn copy_page(to: *mut u8, from: *const u8) {
    // SAFETY: the caller's duty.
    unsafe { to.copy_from_nonoverlapping(from, 4096) }
}

fn bad(addr: usize) -> bool {
    addr < 65536
}

/// # Safety
/// The kernel side is valid; the other side is the test's memory or below 64 KiB.
pub unsafe fn user_copy(to: *mut u8, from: *const u8, len: usize) -> Result<(), ()> {
    if len > 0 && (bad(to as usize) || bad(from as usize)) {
        return Err(());
    }
    // SAFETY: the caller's duty.
    unsafe { to.copy_from(from, len) };
    Ok(())
}
/// # Safety
/// As [`user_copy`].
pub unsafe fn user_zero(to: *mut u8, len: usize) -> Result<(), ()> {
    if len > 0 && bad(to as usize) {
        return Err(());
    }
    // SAFETY: the caller's duty.
    unsafe { to.write_bytes(0, len) };
    Ok(())
}
/// # Safety
/// As [`user_copy`].
pub unsafe fn user_load_u32(from: *const u32) -> Result<u32, ()> {
    if bad(from as usize) {
        return Err(());
    }
    // SAFETY: the caller's duty.
    Ok(unsafe { AtomicU32::from_ptr(from.cast_mut()) }.load(Ordering::SeqCst))
}
/// # Safety
/// As [`user_copy`].
pub unsafe fn user_compare_exchange(addr: *mut u32, old: u32, new: u32) -> Result<u32, ()> {
    if bad(addr as usize) {
        return Err(());
    }
    // SAFETY: the caller's duty.
    let word = unsafe { AtomicU32::from_ptr(addr) };
    Ok(word.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).unwrap_or_else(|found| found))
}
/// # Safety
/// As [`user_copy`].
pub unsafe fn user_xsave(to: *mut u8, _frame: &TrapFrame) -> Result<(), ()> {
    // SAFETY: the caller's duty.
    unsafe { user_zero(to, 576) }
}
/// # Safety
/// As [`user_copy`].
pub unsafe fn user_xrstor(_from: *const u8, _frame: &mut TrapFrame) -> Result<(), ()> {
    Ok(())
}
pub fn fpu_reset(frame: &mut TrapFrame) {
    frame.xmm = [0; 16];
}
