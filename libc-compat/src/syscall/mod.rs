//! System calls: one file a family, one row a call.
//!
//! A handler decodes its arguments from the [`Call`], makes one call into a subsystem and encodes the result:
//! ```ignore
//! pub const ROWS: &[Row] = &[row(__NR_close, "close", "d", close, Full, "close(2)")];
//! fn close(call: &mut Call<'_>) -> SysResult { call.process().files.close(call.int(0))?; Ok(0) }
//! ```
//! [`table`] puts the families' rows together at compile time and refuses a number that has two.

pub mod attr;
pub mod copy;
pub mod dir;
pub mod event;
pub mod fd;
pub mod file;
pub mod futex;
mod futex_pi;
pub mod ioctl;
pub mod limits;
pub mod lock;
pub mod memory;
pub mod open;
pub mod poll;
pub mod process;
pub mod sched_params;
pub mod signal;
mod signalfd;
pub mod socket;
pub(crate) use socket::interface;
pub mod space;
pub mod stat;
pub mod system;
pub mod table;
pub mod thread;
pub mod time;
pub mod timer;
mod trace;
pub mod unsupported;
pub mod usage;
pub mod xattr;

pub use crate::errno::{Errno, SysResult};
pub(crate) use trace::traced;
pub use trace::{enable_trace, trace_enabled};

use crate::process::Process;
use crate::task::Task;
use crate::uaccess::{UserPtr, UserSlice};
use hal::trap::TrapFrame;

/// What carries out a call.
pub type Handler = fn(&mut Call<'_>) -> SysResult;

/// How much of a call exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// All of it.
    Full,
    /// The parts that the man page names, minus flags that are refused or counted.
    Partial,
    /// Accepted without effect, because nothing here could make a difference.
    Accepted,
    /// Always refused, with the error that Linux gives where the feature is off.
    Refused,
}

/// One call.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// One letter an argument, for the trace: `d` decimal, `x` hexadecimal, `o` octal, `s` string.
    pub args: &'static str,
    /// What carries it out.
    pub handler: Handler,
    /// How much of it exists.
    pub support: Support,
    /// The page of the manual that it follows.
    pub man: &'static str,
}

/// A row, in one line.
pub const fn row(
    number: u32,
    name: &'static str,
    args: &'static str,
    handler: Handler,
    support: Support,
    man: &'static str,
) -> Row {
    Row { number, name, args, handler, support, man }
}

/// A system call under way: its arguments, and who makes it.
pub struct Call<'a> {
    frame: &'a mut TrapFrame,
    thread: &'a sched::Thread,
    task: &'a Task,
}

impl<'a> Call<'a> {
    pub(crate) fn new(frame: &'a mut TrapFrame, thread: &'a sched::Thread, task: &'a Task) -> Self {
        Self { frame, thread, task }
    }

    /// Argument `n` (0 to 5) as the register holds it.
    #[inline(always)]
    pub fn arg(&self, n: usize) -> u64 {
        match n {
            0 => self.frame.rdi,
            1 => self.frame.rsi,
            2 => self.frame.rdx,
            3 => self.frame.r10,
            4 => self.frame.r8,
            _ => self.frame.r9,
        }
    }
    /// Argument `n` as a C `int`.
    #[inline(always)]
    pub fn int(&self, n: usize) -> i32 {
        self.arg(n) as i32
    }
    /// Argument `n` as a C `unsigned int`.
    #[inline(always)]
    pub fn uint(&self, n: usize) -> u32 {
        self.arg(n) as u32
    }
    /// Argument `n` as a pointer.
    #[inline(always)]
    pub fn ptr<T>(&self, n: usize) -> UserPtr<T> {
        UserPtr::new(self.arg(n))
    }
    /// Arguments `n` and `n + 1` as a buffer and its length.
    #[inline(always)]
    pub fn buffer(&self, n: usize) -> UserSlice {
        UserSlice::new(self.arg(n), self.arg(n + 1) as usize)
    }
    /// Argument `n` as a path: its bytes without the NUL (EFAULT, ENAMETOOLONG).
    pub fn path(&self, n: usize) -> Result<alloc::vec::Vec<u8>, Errno> {
        crate::uaccess::path(self.arg(n))
    }
    /// The caller.
    #[inline(always)]
    pub fn task(&self) -> &'a Task {
        self.task
    }
    /// The caller's process.
    #[inline(always)]
    pub fn process(&self) -> &'a Process {
        self.task.process()
    }
    /// The caller as the scheduler knows it.
    #[inline(always)]
    pub fn thread(&self) -> &'a sched::Thread {
        self.thread
    }
    /// The caller's registers, for the calls that change them (rt_sigreturn, clone, rt_sigsuspend).
    pub fn frame(&mut self) -> &mut TrapFrame {
        self.frame
    }
    /// The call's number.
    pub fn number(&self) -> u64 {
        self.frame.error
    }
}
