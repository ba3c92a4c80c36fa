//! Every way from the application into the kernel and back ends here: system calls, faults and interrupts build the
//! same [`TrapFrame`], and the kernel's wiring answers through [`Hooks`].

use crate::arch::current as arch;
use crate::sync::Once;

/// [`TrapFrame::vector`] of a system call.
pub const VECTOR_SYSCALL: u64 = 0x100;
/// [`TrapFrame::vector`] of a system call whose frame was changed as a whole and must be returned from by `iretq`.
pub const VECTOR_SYSCALL_IRET: u64 = 0x101;

/// RFLAGS: interrupts on.
pub const RFLAGS_IF: u64 = 1 << 9;
/// RFLAGS bits that the application may choose (Linux's `FIX_EFLAGS`): AC, RF, OF, DF, TF, SF, ZF, AF, PF, CF.
pub const RFLAGS_APP_MASK: u64 = 0x0005_0dd5;

/// The interrupted code's registers. Changing them changes what runs on.
#[repr(C, align(16))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrapFrame {
    /// Low 128 bits of the vector registers: all that the kernel's own code can change. The rest of the XSAVE state
    /// stays in the CPU until a thread switch.
    pub xmm: [u128; 16],
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// Exception or interrupt vector; [`VECTOR_SYSCALL`] for a system call.
    pub vector: u64,
    /// The CPU's error code, 0 where it gives none; a system call's number, so that it can be restarted.
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// CS of all code.
pub const CODE_SELECTOR: u64 = 8;
/// SS of all code.
pub const DATA_SELECTOR: u64 = 16;

impl TrapFrame {
    /// A frame that starts application code at `rip` with stack `rsp`, all else zero, interrupts on.
    pub fn new_app(rip: u64, rsp: u64) -> Self {
        Self {
            xmm: [0; 16],
            r15: 0,
            r14: 0,
            r13: 0,
            r12: 0,
            rbp: 0,
            rbx: 0,
            r11: 0,
            r10: 0,
            r9: 0,
            r8: 0,
            rax: 0,
            rcx: 0,
            rdx: 0,
            rsi: 0,
            rdi: 0,
            vector: VECTOR_SYSCALL_IRET,
            error: 0,
            rip,
            cs: CODE_SELECTOR,
            rflags: RFLAGS_IF | 2,
            rsp,
            ss: DATA_SELECTOR,
        }
    }

    /// Whether application code was interrupted: its stack pointer lay outside the thread's kernel stack.
    pub fn is_app(&self) -> bool {
        arch::is_app_stack_pointer(self.rsp)
    }

    /// Whether this is a system call.
    pub fn is_syscall(&self) -> bool {
        self.vector >= VECTOR_SYSCALL
    }

    /// After a change of RCX, R11, the flags, RBX or R12 to R15: return by `iretq` with all registers from the frame.
    pub fn force_iret(&mut self) {
        if self.is_syscall() {
            self.vector = VECTOR_SYSCALL_IRET;
        }
    }
}

/// A CPU exception (Intel SDM volume 3, chapter 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// #PF.
    Page {
        /// The address, to the byte (CR2).
        addr: u64,
        /// By a write.
        write: bool,
        /// By an instruction fetch.
        fetch: bool,
        /// The page is present: a protection fault.
        present: bool,
    },
    /// #DE.
    DivideError,
    /// #DB.
    Debug,
    /// #BP.
    Breakpoint,
    /// #OF.
    Overflow,
    /// #BR.
    BoundRange,
    /// #UD.
    InvalidOpcode,
    /// #NM.
    DeviceNotAvailable,
    /// #NP, with its error code.
    SegmentNotPresent {
        /// Selector.
        error: u64,
    },
    /// #SS, with its error code.
    StackSegment {
        /// Selector.
        error: u64,
    },
    /// #GP, with its error code.
    GeneralProtection {
        /// Selector or 0.
        error: u64,
    },
    /// #MF: x87.
    X87 {
        /// x87 control word at the fault: masked exceptions.
        control: u16,
        /// x87 status word at the fault: raised exceptions.
        status: u16,
    },
    /// #XM, with MXCSR.
    Simd {
        /// MXCSR at the fault.
        mxcsr: u32,
    },
    /// #AC.
    AlignmentCheck,
    /// Any other vector.
    Other {
        /// The vector.
        vector: u8,
    },
}

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultOutcome {
    /// The interrupted code may run on (or a signal is on its way).
    Handled,
    /// Nobody can help: in kernel code hal tries the fix-ups of `user`, then panics.
    Unhandled,
}

/// The calls upward, set once.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// A system call, interrupts on, on the thread's kernel stack.
    pub syscall: extern "C" fn(&mut TrapFrame),
    /// A fault. Interrupts are on if the interrupted code had them on; for kernel code that had them off the hook is
    /// not called.
    pub fault: fn(&mut TrapFrame, &Fault) -> FaultOutcome,
    /// The current thread has work flags set and is about to go back to the application. Interrupts on. Called again
    /// until no flag is left.
    pub return_work: fn(&mut TrapFrame),
    /// An interrupt came; its handler is called next. Interrupts off.
    pub interrupt: fn(),
    /// This vCPU's timer fired. Interrupts off.
    pub timer: fn(),
    /// [`crate::irq::Ipi::Reschedule`] came. Interrupts off.
    pub reschedule: fn(),
    /// [`crate::irq::Ipi::TlbFlush`] came. Interrupts off.
    pub tlb_flush: fn(),
    /// Kernel code that had interrupts on was interrupted and RESCHED is set. Interrupts off.
    pub preempt: fn(),
}

static HOOKS: Once<Hooks> = Once::new();

/// Sets the hooks, once, before interrupts or application code.
pub fn set_hooks(hooks: Hooks) {
    #[cfg(feature = "bare")]
    arch::set_syscall_hook(hooks.syscall);
    HOOKS.call_once(|| hooks);
}

/// The hooks; `None` early in boot.
#[cfg(feature = "bare")]
pub(crate) fn hooks() -> Option<&'static Hooks> {
    HOOKS.get()
}

/// Leaves the kernel for application code as `frame` says. The thread's kernel stack is empty then.
///
/// # Safety
/// The current thread has a kernel stack; `frame` lies in the application's half.
pub unsafe fn enter_app(frame: &TrapFrame) -> ! {
    // SAFETY: the caller's duty.
    unsafe { arch::enter_app(frame) }
}
