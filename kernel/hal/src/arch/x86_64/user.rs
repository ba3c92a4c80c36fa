//! Access to the application's memory with fault fix-up: see `user_copy.s`.

use crate::trap::TrapFrame;
use core::arch::global_asm;

global_asm!(include_str!("user_copy.s"), options(att_syntax));

const FAULTED: u64 = 1 << 32;

unsafe extern "C" {
    fn hal_user_copy(to: *mut u8, from: *const u8, len: usize) -> u32;
    fn hal_user_zero(to: *mut u8, len: usize) -> u32;
    fn hal_user_load_u32(from: *const u32) -> u64;
    fn hal_user_compare_exchange(addr: *mut u32, old: u32, new: u32) -> u64;
    fn hal_user_xsave(to: *mut u8, xmm: *const u128, mask: u64) -> u32;
    fn hal_xrstor(from: *const u8, xmm: *mut u128, mask: u64) -> u32;
    static extable_start: [u64; 3];
    static extable_end: [u64; 3];
}

/// Where code that faults at `rip` goes on, if it is one of the routines of `user_copy.s`.
pub fn fixup(rip: u64) -> Option<u64> {
    let first = &raw const extable_start;
    let count = (&raw const extable_end as usize - first as usize) / size_of::<[u64; 3]>();
    // SAFETY: the linker script collects whole entries between the two symbols.
    let entries = unsafe { core::slice::from_raw_parts(first, count) };
    entries.iter().find(|[start, end, _]| (*start..*end).contains(&rip)).map(|entry| entry[2])
}

fn result(status: u32) -> Result<(), ()> {
    if status == 0 { Ok(()) } else { Err(()) }
}

/// # Safety
/// The kernel's side is valid for `len` bytes; the other lies in the lower half.
pub unsafe fn user_copy(to: *mut u8, from: *const u8, len: usize) -> Result<(), ()> {
    // SAFETY: the caller's duty.
    result(unsafe { hal_user_copy(to, from, len) })
}
/// # Safety
/// `to` lies in the lower half.
pub unsafe fn user_zero(to: *mut u8, len: usize) -> Result<(), ()> {
    // SAFETY: the caller's duty.
    result(unsafe { hal_user_zero(to, len) })
}
/// # Safety
/// `from` lies in the lower half.
pub unsafe fn user_load_u32(from: *const u32) -> Result<u32, ()> {
    // SAFETY: the caller's duty.
    let value = unsafe { hal_user_load_u32(from) };
    if value & FAULTED == 0 { Ok(value as u32) } else { Err(()) }
}
/// # Safety
/// `addr` lies in the lower half.
pub unsafe fn user_compare_exchange(addr: *mut u32, old: u32, new: u32) -> Result<u32, ()> {
    // SAFETY: the caller's duty.
    let found = unsafe { hal_user_compare_exchange(addr, old, new) };
    if found & FAULTED == 0 { Ok(found as u32) } else { Err(()) }
}
/// # Safety
/// `to` lies in the lower half, 64-byte aligned (else the access faults and is fixed up).
pub unsafe fn user_xsave(to: *mut u8, frame: &TrapFrame) -> Result<(), ()> {
    let mask = super::features().xcr0;
    // Masked: a thread switch in between would take the registers with it.
    let _irq = crate::irq::IrqGuard::mask();
    // SAFETY: the caller's duty.
    result(unsafe { hal_user_xsave(to, frame.xmm.as_ptr(), mask) })
}
/// # Safety
/// `from` lies in the lower half or is a kernel image, 64-byte aligned (else the access faults and is fixed up).
pub unsafe fn user_xrstor(from: *const u8, frame: &mut TrapFrame) -> Result<(), ()> {
    let mask = super::features().xcr0;
    let _irq = crate::irq::IrqGuard::mask();
    // SAFETY: the caller's duty.
    let loaded = result(unsafe { hal_xrstor(from, frame.xmm.as_mut_ptr(), mask) });
    if loaded.is_err() {
        fpu_reset(frame);
    }
    loaded
}

#[repr(C, align(64))]
struct InitialImage([u32; 208]);

/// An XSAVE image with every component in its initial state; FCW and MXCSR at their defaults (SDM volume 1, 13.6).
static INITIAL: InitialImage = {
    let mut image = [0; 208];
    image[0] = 0x37f;
    image[6] = 0x1f80;
    InitialImage(image)
};

/// The interrupted code's vector state becomes the one of a new program.
pub fn fpu_reset(frame: &mut TrapFrame) {
    let _irq = crate::irq::IrqGuard::mask();
    // SAFETY: the header's empty XSTATE_BV makes the CPU read the legacy area and the header only.
    let status = unsafe { hal_xrstor(INITIAL.0.as_ptr().cast(), frame.xmm.as_mut_ptr(), super::features().xcr0) };
    debug_assert!(status == 0, "the CPU refused the initial vector state");
}
