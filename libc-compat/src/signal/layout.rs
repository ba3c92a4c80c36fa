//! The signal frame as Linux lays it out on x86-64 (`struct rt_sigframe`, `struct ucontext`, `struct sigcontext`).
//! Unwinders, debuggers and HotSpot's handlers read and change it: offsets are checked against the C headers.

#![allow(missing_docs, reason = "the fields are named and described in the C headers")]

use super::info::{SIGINFO_BYTES, SigInfo};
use crate::uaccess::plain;

/// `struct sigcontext_64`: registers at the interruption.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigContext {
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rsp: u64,
    pub rip: u64,
    pub eflags: u64,
    pub cs: u16,
    pub gs: u16,
    pub fs: u16,
    pub ss: u16,
    pub err: u64,
    pub trapno: u64,
    pub oldmask: u64,
    pub cr2: u64,
    /// Address of the XSAVE image; 0: none.
    pub fpstate: u64,
    pub reserved: [u64; 8],
}

/// `stack_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AltStack {
    pub sp: u64,
    pub flags: i32,
    pub pad: u32,
    pub size: u64,
}

/// `struct ucontext` as the kernel has it (glibc's `ucontext_t` is longer).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UContext {
    pub flags: u64,
    pub link: u64,
    pub stack: AltStack,
    pub mcontext: SigContext,
    pub sigmask: u64,
}

/// `struct rt_sigframe` up to the siginfo, which follows it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHead {
    /// Where the handler returns to.
    pub return_address: u64,
    /// What the handler gets as its third argument.
    pub uc: UContext,
}

/// `struct _fpx_sw_bytes`: what the kernel adds in the unused part of the FXSAVE area.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoftwareBytes {
    /// [`FP_XSTATE_MAGIC1`].
    pub magic1: u32,
    /// Bytes of the image with the second magic number.
    pub extended_size: u32,
    /// State components in the image.
    pub xfeatures: u64,
    /// Bytes of the image.
    pub xstate_size: u32,
    pub padding: [u32; 7],
}

plain!(FrameHead, SoftwareBytes, AltStack);

/// Bytes of the frame: head and siginfo.
pub const FRAME_BYTES: u64 = (size_of::<FrameHead>() + SIGINFO_BYTES) as u64;
/// The siginfo's offset.
pub const INFO_OFFSET: u64 = size_of::<FrameHead>() as u64;
/// The ucontext's offset.
pub const UC_OFFSET: u64 = core::mem::offset_of!(FrameHead, uc) as u64;
/// [`SoftwareBytes`]' offset in the FXSAVE area.
pub const SOFTWARE_OFFSET: u64 = 464;
/// First magic number.
pub const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
/// Second magic number, behind the image.
pub const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
/// uc_flags: there is an XSAVE image; SS is saved; SS is to be restored strictly.
pub const UC_FLAGS: u64 = 1 | 2 | 4;
/// CS and SS that a 64-bit program sees on Linux; ours are the kernel's own and are not restored from a frame.
pub const LINUX_CS: u16 = 0x33;
/// See [`LINUX_CS`].
pub const LINUX_SS: u16 = 0x2b;

/// Bytes of stack that a signal frame takes at most (AT_MINSIGSTKSZ): the frame, the vector state with its second magic
/// number, and what aligning both costs.
pub fn largest_frame_bytes() -> u64 {
    FRAME_BYTES + hal::user::xsave_size() as u64 + 4 + 64 + 16
}

const _: () = assert!(size_of::<SigContext>() == 256 && size_of::<UContext>() == 304 && FRAME_BYTES == 440);
const _: () = assert!(size_of::<SigInfo>() == 48 && size_of::<SoftwareBytes>() == 48);
