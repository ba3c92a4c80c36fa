//! From a fault of application code to the signal that Linux gives for it on x86-64 (arch/x86: `exc_*` functions,
//! `bad_area`; signal codes in sigaction(2)).

use super::info::{SI_KERNEL, SigInfo};
use super::set::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};
use crate::task::LastFault;
use core::sync::atomic::Ordering;
use hal::trap::{Fault, TrapFrame};
use mm::FaultError;

const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const BUS_ADRALN: i32 = 1;
const BUS_ADRERR: i32 = 2;
const ILL_ILLOPN: i32 = 2;
const FPE_INTDIV: i32 = 1;
const FPE_FLTDIV: i32 = 3;
const FPE_FLTOVF: i32 = 4;
const FPE_FLTUND: i32 = 5;
const FPE_FLTRES: i32 = 6;
const FPE_FLTINV: i32 = 7;
const TRAP_BRKPT: i32 = 1;
const TRAP_TRACE: i32 = 2;

const VECTOR_PAGE_FAULT: u64 = 14;
/// Page-fault error code: present, write, from ring 3, fetch.
const ERROR_PRESENT: u64 = 1;
const ERROR_WRITE: u64 = 2;
const ERROR_USER: u64 = 4;
const ERROR_FETCH: u64 = 16;

/// The signal for a page fault at `addr` that `mm` could not resolve. Not for [`FaultError::NoMemory`].
pub fn page_fault_info(addr: u64, error: FaultError) -> SigInfo {
    match error {
        FaultError::NotMapped => SigInfo::fault(SIGSEGV, SEGV_MAPERR, addr),
        FaultError::Denied => SigInfo::fault(SIGSEGV, SEGV_ACCERR, addr),
        FaultError::BeyondEnd | FaultError::Io | FaultError::NoMemory => SigInfo::fault(SIGBUS, BUS_ADRERR, addr),
    }
}

/// The signal for any other fault.
pub fn info(frame: &TrapFrame, fault: &Fault) -> SigInfo {
    let at_instruction = |signo, code| SigInfo::fault(signo, code, frame.rip);
    let by_kernel = |signo| SigInfo::new(signo, SI_KERNEL);
    match *fault {
        Fault::DivideError => at_instruction(SIGFPE, FPE_INTDIV),
        Fault::Debug if frame.rflags & 1 << 8 != 0 => at_instruction(SIGTRAP, TRAP_TRACE),
        Fault::Debug => at_instruction(SIGTRAP, TRAP_BRKPT),
        Fault::Breakpoint => by_kernel(SIGTRAP),
        Fault::InvalidOpcode => at_instruction(SIGILL, ILL_ILLOPN),
        Fault::X87 { control, status } => at_instruction(SIGFPE, float_code((status & !control).into())),
        Fault::Simd { mxcsr } => at_instruction(SIGFPE, float_code(mxcsr & !(mxcsr >> 7))),
        Fault::AlignmentCheck => SigInfo::fault(SIGBUS, BUS_ADRALN, 0),
        Fault::SegmentNotPresent { .. } | Fault::StackSegment { .. } => by_kernel(SIGBUS),
        Fault::Page { addr, .. } => SigInfo::fault(SIGSEGV, SEGV_MAPERR, addr),
        Fault::Overflow
        | Fault::BoundRange
        | Fault::DeviceNotAvailable
        | Fault::GeneralProtection { .. }
        | Fault::Other { .. } => by_kernel(SIGSEGV),
    }
}

/// Which raised and unmasked exception it was, in Linux's order (`fpu__exception_code`); the bits are the same in the
/// x87 status word and in MXCSR.
fn float_code(raised: u32) -> i32 {
    match raised {
        bits if bits & 0x01 != 0 => FPE_FLTINV,
        bits if bits & 0x04 != 0 => FPE_FLTDIV,
        bits if bits & 0x08 != 0 => FPE_FLTOVF,
        bits if bits & 0x12 != 0 => FPE_FLTUND,
        bits if bits & 0x20 != 0 => FPE_FLTRES,
        _ => 0,
    }
}

/// Remembers the fault for the `sigcontext` of this and later frames, with the error code that ring 3 would see.
pub fn remember(last: &LastFault, frame: &TrapFrame, fault: &Fault) {
    last.trap_number.store(frame.vector, Ordering::Relaxed);
    let error = match *fault {
        Fault::Page { addr, write, fetch, present } => {
            last.cr2.store(addr, Ordering::Relaxed);
            let bit = |set: bool, bit: u64| if set { bit } else { 0 };
            ERROR_USER | bit(present, ERROR_PRESENT) | bit(write, ERROR_WRITE) | bit(fetch, ERROR_FETCH)
        }
        _ => frame.error,
    };
    last.error.store(error, Ordering::Relaxed);
    debug_assert!(!matches!(fault, Fault::Page { .. }) || frame.vector == VECTOR_PAGE_FAULT);
}
