//! The application's memory, as the kernel touches it: range-checked, with fault fix-up. A bad pointer gives a
//! [`UserFault`], never a crash. Call with interrupts on and no spin lock held (but for [`load_u32_nofault`]).

use crate::addr::USER_END;
use crate::arch::current as arch;
use crate::trap::TrapFrame;
use alloc::vec::Vec;

/// The application gave an address that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserFault {
    /// Start of the access that failed.
    pub addr: u64,
}

/// An atomic change of a word in the application's memory (futex(2), FUTEX_WAKE_OP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtomicOp {
    /// Store the argument.
    Set,
    /// Add the argument.
    Add,
    /// Or with the argument.
    Or,
    /// And with the argument's complement.
    AndNot,
    /// Exclusive or with the argument.
    Xor,
}

/// Why a string could not be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringError {
    /// It runs into memory that cannot be read.
    Fault(UserFault),
    /// No NUL within the limit.
    TooLong,
}

/// `addr..addr+len` lies in the application's half.
pub fn check(addr: u64, len: usize) -> Result<(), UserFault> {
    match USER_END.checked_sub(len as u64) {
        Some(last) if addr <= last => Ok(()),
        _ => Err(UserFault { addr }),
    }
}

/// Copies from the application.
pub fn copy_from(to: &mut [u8], from: u64) -> Result<(), UserFault> {
    check(from, to.len())?;
    // SAFETY: `to` is ours; `from` is in the application's half, where faults are fixed up.
    unsafe { arch::user_copy(to.as_mut_ptr(), from as *const u8, to.len()) }.map_err(|()| UserFault { addr: from })
}

/// Copies to the application.
pub fn copy_to(to: u64, from: &[u8]) -> Result<(), UserFault> {
    check(to, from.len())?;
    // SAFETY: `from` is ours; `to` is in the application's half, where faults are fixed up.
    unsafe { arch::user_copy(to as *mut u8, from.as_ptr(), from.len()) }.map_err(|()| UserFault { addr: to })
}

/// Clears `len` bytes of the application's memory.
pub fn zero(to: u64, len: usize) -> Result<(), UserFault> {
    check(to, len)?;
    // SAFETY: `to` is in the application's half, where faults are fixed up.
    unsafe { arch::user_zero(to as *mut u8, len) }.map_err(|()| UserFault { addr: to })
}

/// Reads a word.
pub fn read_u32(from: u64) -> Result<u32, UserFault> {
    let mut bytes = [0; 4];
    copy_from(&mut bytes, from)?;
    Ok(u32::from_ne_bytes(bytes))
}

/// Reads a double word.
pub fn read_u64(from: u64) -> Result<u64, UserFault> {
    let mut bytes = [0; 8];
    copy_from(&mut bytes, from)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Writes a word.
pub fn write_u32(to: u64, value: u32) -> Result<(), UserFault> {
    copy_to(to, &value.to_ne_bytes())
}

/// Writes a double word.
pub fn write_u64(to: u64, value: u64) -> Result<(), UserFault> {
    copy_to(to, &value.to_ne_bytes())
}

/// Reads an aligned word without ever sleeping: fails where no page is mapped now. May be called under a spin lock.
pub fn load_u32_nofault(from: u64) -> Result<u32, UserFault> {
    check(from, 4)?;
    // With interrupts masked the trap handler goes straight to the fix-up instead of to `mm`.
    let _irq = crate::irq::IrqGuard::mask();
    // SAFETY: in the application's half, where faults are fixed up.
    unsafe { arch::user_load_u32(from as *const u32) }.map_err(|()| UserFault { addr: from })
}

/// Replaces `old` by `new` at `addr` if it is there; `Ok(Err(found))` if it is not.
pub fn compare_exchange_u32(addr: u64, old: u32, new: u32) -> Result<Result<u32, u32>, UserFault> {
    check(addr, 4)?;
    // SAFETY: in the application's half, where faults are fixed up.
    let found = unsafe { arch::user_compare_exchange(addr as *mut u32, old, new) }.map_err(|()| UserFault { addr })?;
    Ok(if found == old { Ok(old) } else { Err(found) })
}

/// Applies `op` with `arg` to the word at `addr`; returns what was there before.
pub fn fetch_op_u32(addr: u64, op: AtomicOp, arg: u32) -> Result<u32, UserFault> {
    let mut old = read_u32(addr)?;
    loop {
        let new = match op {
            AtomicOp::Set => arg,
            AtomicOp::Add => old.wrapping_add(arg),
            AtomicOp::Or => old | arg,
            AtomicOp::AndNot => old & !arg,
            AtomicOp::Xor => old ^ arg,
        };
        match compare_exchange_u32(addr, old, new)? {
            Ok(_) => return Ok(old),
            Err(found) => old = found,
        }
    }
}

/// Copies a NUL-terminated string (without the NUL) of at most `max` bytes.
pub fn copy_string(from: u64, max: usize) -> Result<Vec<u8>, StringError> {
    let mut text = Vec::new();
    let mut chunk = [0u8; 256];
    loop {
        let addr = from + text.len() as u64;
        // Never over a page's end: the string may end right before an unmapped page.
        let to_page_end = (crate::addr::PAGE_SIZE - addr % crate::addr::PAGE_SIZE) as usize;
        let want = chunk.len().min(to_page_end).min(max + 1 - text.len());
        copy_from(&mut chunk[..want], addr).map_err(StringError::Fault)?;
        match chunk[..want].iter().position(|&byte| byte == 0) {
            Some(end) => {
                text.extend_from_slice(&chunk[..end]);
                return Ok(text);
            }
            None => text.extend_from_slice(&chunk[..want]),
        }
        if text.len() > max {
            return Err(StringError::TooLong);
        }
    }
}

/// Makes the page at `addr` readable now, by reading it.
pub fn prefault_read(addr: u64) -> Result<(), UserFault> {
    let mut byte = [0];
    copy_from(&mut byte, addr)
}

/// Makes the page at `addr` writable now, by an atomic no-op.
pub fn prefault_write(addr: u64) -> Result<(), UserFault> {
    let word = addr & !3;
    compare_exchange_u32(word, 0, 0).map(|_| ())
}

/// Bytes of an XSAVE image ([`xsave`]).
pub fn xsave_size() -> usize {
    crate::cpu::features().xsave_size
}

/// State components in an XSAVE image (XCR0).
pub fn xsave_mask() -> u64 {
    crate::cpu::features().xcr0
}

/// Writes the interrupted code's whole vector state as an XSAVE image to `to`, 64-byte aligned.
pub fn xsave(to: u64, frame: &TrapFrame) -> Result<(), UserFault> {
    check(to, xsave_size())?;
    // SAFETY: in the application's half, where faults are fixed up.
    let save = || unsafe { arch::user_xsave(to as *mut u8, frame) };
    // The registers are loaded with interrupts masked, so that a page that is not there is a failure: fault it in.
    save().or_else(|()| {
        each_page(to, prefault_write)?;
        save().map_err(|()| UserFault { addr: to })
    })
}

/// `prefault` for each page of an XSAVE image.
fn each_page(image: u64, prefault: impl Fn(u64) -> Result<(), UserFault>) -> Result<(), UserFault> {
    let mut page = image;
    while page < image + xsave_size() as u64 {
        prefault(page)?;
        page = (page & !0xfff) + 0x1000;
    }
    Ok(())
}

/// Loads the interrupted code's whole vector state from an XSAVE image at `from`. On failure (a bad pointer, or an
/// image that the CPU refuses) the state is the initial one.
pub fn xrstor(from: u64, frame: &mut TrapFrame) -> Result<(), UserFault> {
    check(from, xsave_size())?;
    // SAFETY: in the application's half, where faults are fixed up; so is an image that the CPU refuses, also one that
    // another thread changes meanwhile.
    let mut load = || unsafe { arch::user_xrstor(from as *const u8, frame) };
    load().or_else(|()| {
        each_page(from, prefault_read)?;
        load().map_err(|()| UserFault { addr: from })
    })
}

/// The interrupted code's vector state becomes the one of a new program.
pub fn fpu_reset(frame: &mut TrapFrame) {
    arch::fpu_reset(frame);
}
