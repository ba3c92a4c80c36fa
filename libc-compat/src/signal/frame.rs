//! Builds the signal frame and comes back from it.
//!
//! From high to low addresses: interrupted stack, 128 bytes of red zone, XSAVE image (64-byte aligned, the magic
//! numbers around it), siginfo, ucontext, return address. The handler starts with RSP 8 below a multiple of 16, as
//! after a call (System V ABI, AMD64, 3.2.2 and 3.4).

use super::action::Action;
use super::info::SigInfo;
use super::layout::*;
use super::set::SigSet;
use crate::Errno;
use crate::task::Task;
use crate::uaccess::UserPtr;
use core::sync::atomic::Ordering;
use hal::addr::USER_END;
use hal::trap::{RFLAGS_APP_MASK, RFLAGS_IF, TrapFrame};
use linux_raw_sys::general as linux;
use sched::Thread;

const RED_ZONE_BYTES: u64 = 128;
/// RFLAGS that a handler starts without: TF, DF, RF.
const CLEARED_FLAGS: u64 = 1 << 8 | 1 << 10 | 1 << 16;
/// Bit 1 of RFLAGS is always one.
const RFLAGS_ONE: u64 = 1 << 1;

/// [`TrapFrame::error`] of a call that must not be restarted: its registers are not those of the call any more.
pub const NO_RESTART: u64 = u64::MAX;

/// Makes the interrupted code run the handler of `action` for `info` when it runs on. An error means that the frame
/// could not be written; then nothing of the thread has changed.
pub fn push(
    frame: &mut TrapFrame,
    task: &Task,
    action: &Action,
    info: &SigInfo,
    saved_mask: SigSet,
) -> Result<(), Errno> {
    if !action.has(linux::SA_RESTORER) || action.handler >= USER_END {
        return Err(Errno::EFAULT);
    }
    let (alt_start, alt_bytes, alt_flags) = task.signals.alternate_stack();
    let mut stack = frame.rsp.wrapping_sub(RED_ZONE_BYTES);
    let on_alternate = task.signals.on_alternate_stack(frame.rsp);
    let enter_alternate =
        action.has(linux::SA_ONSTACK) && !on_alternate && alt_flags & linux::SS_DISABLE == 0 && alt_bytes != 0;
    if enter_alternate {
        stack = alt_start + alt_bytes;
    }
    let image_bytes = hal::user::xsave_size() as u64;
    let image = stack.wrapping_sub(image_bytes + 4) & !63;
    let base = (image.wrapping_sub(FRAME_BYTES) & !15).wrapping_sub(8);
    if image >= USER_END || (on_alternate || enter_alternate) && base < alt_start {
        return Err(Errno::EFAULT);
    }
    write_image(frame, image, image_bytes)?;
    let alt_now = match (alt_flags & linux::SS_DISABLE != 0, on_alternate) {
        (true, _) => linux::SS_DISABLE,
        (false, true) => linux::SS_ONSTACK,
        (false, false) => 0,
    };
    let head = FrameHead {
        return_address: action.restorer,
        uc: UContext {
            flags: UC_FLAGS,
            link: 0,
            stack: AltStack {
                sp: alt_start,
                flags: (alt_now | alt_flags & linux::SS_AUTODISARM) as i32,
                pad: 0,
                size: alt_bytes,
            },
            mcontext: save_registers(frame, task, saved_mask, image),
            sigmask: saved_mask.0,
        },
    };
    UserPtr::new(base).write(head)?;
    if action.has(linux::SA_SIGINFO) {
        info.write(UserPtr::new(base + INFO_OFFSET))?;
    }
    if alt_flags & linux::SS_AUTODISARM != 0 {
        task.signals.set_alternate_stack(0, 0, linux::SS_DISABLE);
    }
    frame.rdi = info.signo as u64;
    frame.rsi = base + INFO_OFFSET;
    frame.rdx = base + UC_OFFSET;
    frame.rax = 0;
    frame.rsp = base;
    frame.rip = action.handler;
    frame.rflags &= !CLEARED_FLAGS;
    if frame.is_syscall() {
        frame.error = NO_RESTART;
    }
    frame.force_iret();
    Ok(())
}

/// The XSAVE image with the marks that tell unwinders and rt_sigreturn its size.
fn write_image(frame: &TrapFrame, image: u64, image_bytes: u64) -> Result<(), Errno> {
    hal::user::xsave(image, frame)?;
    UserPtr::new(image + SOFTWARE_OFFSET).write(SoftwareBytes {
        magic1: FP_XSTATE_MAGIC1,
        extended_size: image_bytes as u32 + 4,
        xfeatures: hal::user::xsave_mask(),
        xstate_size: image_bytes as u32,
        padding: [0; 7],
    })?;
    UserPtr::new(image + image_bytes).write(FP_XSTATE_MAGIC2)
}

fn save_registers(frame: &TrapFrame, task: &Task, saved_mask: SigSet, image: u64) -> SigContext {
    SigContext {
        r8: frame.r8,
        r9: frame.r9,
        r10: frame.r10,
        r11: frame.r11,
        r12: frame.r12,
        r13: frame.r13,
        r14: frame.r14,
        r15: frame.r15,
        rdi: frame.rdi,
        rsi: frame.rsi,
        rbp: frame.rbp,
        rbx: frame.rbx,
        rdx: frame.rdx,
        rax: frame.rax,
        rcx: frame.rcx,
        rsp: frame.rsp,
        rip: frame.rip,
        eflags: frame.rflags,
        cs: LINUX_CS,
        gs: 0,
        fs: 0,
        ss: LINUX_SS,
        err: task.last_fault.error.load(Ordering::Relaxed),
        trapno: task.last_fault.trap_number.load(Ordering::Relaxed),
        oldmask: saved_mask.0,
        cr2: task.last_fault.cr2.load(Ordering::Relaxed),
        fpstate: image,
        reserved: [0; 8],
    }
}

/// rt_sigreturn(2): everything is again as the frame says. An error means that the frame is no frame.
pub fn pop(frame: &mut TrapFrame, task: &Task, thread: &Thread) -> Result<(), Errno> {
    // The handler's `ret` took the return address off.
    let head: FrameHead = UserPtr::new(frame.rsp.wrapping_sub(8)).read()?;
    let registers = &head.uc.mcontext;
    if registers.rip >= USER_END || registers.rsp > USER_END {
        return Err(Errno::EFAULT);
    }
    task.set_signal_mask(thread, SigSet(head.uc.sigmask));
    restore_vectors(frame, registers.fpstate)?;
    frame.r8 = registers.r8;
    frame.r9 = registers.r9;
    frame.r10 = registers.r10;
    frame.r11 = registers.r11;
    frame.r12 = registers.r12;
    frame.r13 = registers.r13;
    frame.r14 = registers.r14;
    frame.r15 = registers.r15;
    frame.rdi = registers.rdi;
    frame.rsi = registers.rsi;
    frame.rbp = registers.rbp;
    frame.rbx = registers.rbx;
    frame.rdx = registers.rdx;
    frame.rax = registers.rax;
    frame.rcx = registers.rcx;
    frame.rsp = registers.rsp;
    frame.rip = registers.rip;
    frame.rflags = registers.eflags & RFLAGS_APP_MASK | RFLAGS_IF | RFLAGS_ONE;
    frame.error = NO_RESTART;
    frame.force_iret();
    let stack = &head.uc.stack;
    // As Linux's restore_altstack: a stack that is refused is not an error here.
    let _ = crate::syscall::signal::replace_alternate_stack(task, frame.rsp, stack);
    Ok(())
}

fn restore_vectors(frame: &mut TrapFrame, image: u64) -> Result<(), Errno> {
    if image == 0 {
        hal::user::fpu_reset(frame);
        return Ok(());
    }
    let marks: SoftwareBytes = UserPtr::new(image + SOFTWARE_OFFSET).read()?;
    let image_bytes = hal::user::xsave_size();
    let magic2 = UserPtr::<u32>::new(image.wrapping_add(image_bytes as u64)).read();
    if marks.magic1 != FP_XSTATE_MAGIC1 || marks.xstate_size as usize != image_bytes || magic2 != Ok(FP_XSTATE_MAGIC2) {
        // Linux takes such an image for a bare FXSAVE area; glibc and HotSpot never make one.
        crate::unsupported!("rt_sigreturn: frame without an XSAVE image, size", marks.xstate_size);
        return Err(Errno::EFAULT);
    }
    Ok(hal::user::xrstor(image, frame)?)
}
