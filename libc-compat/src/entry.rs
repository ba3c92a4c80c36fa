//! Every way from the application into the kernel and back, top to bottom.
//!
//! ```text
//!  `syscall`           fault                      interrupt
//!     |                  |                            |
//!  hal: trap frame on the thread's kernel stack, interrupts on
//!     |                  |                            |
//!  syscall()          fault()                     (hal, sched)
//!     |                  |- mm resolves it ------------|
//!  table::handler        `- signal of this thread -----|
//!     |                                                |
//!     `---------- hal: work flags set? ----------------'
//!                        |  yes: return_work() until none is set
//!                        v
//!                   application
//! ```
//! There is no change of ring or page table on the way: it is one call chain. The kernel's wiring passes [`syscall`],
//! [`fault`] and [`return_work`] to hal as hooks.

use crate::errno::SysResult;
use crate::process::{ExitStatus, running, task_of};
use crate::signal::{self, SigInfo, deliver};
use crate::syscall::{self, Call, table, thread};
use crate::task::Task;
use core::sync::atomic::Ordering;
use hal::addr::USER_END;
use hal::context::WorkFlags;
use hal::trap::{Fault, FaultOutcome, TrapFrame};
use mm::{Access, FaultError};

/// Reads the command line's switches and prepares what the first process needs. Called once, before any runs.
pub fn init() {
    if hal::boot_info::option("strace").is_some() {
        syscall::enable_trace();
    }
    crate::vdso::init();
    crate::deadlock::init();
    mm::frame::on_reserve_used(note_reserve_used);
}

/// The thread for which the kernel has used its reserve looks after it before it goes back to the application.
fn note_reserve_used() {
    if !hal::context::current().is_null() {
        sched::current().work_flags().set(WorkFlags::MEMORY);
    }
}

/// [`hal::trap::Hooks::syscall`]: a system call (path 2).
pub extern "C" fn syscall(frame: &mut TrapFrame) {
    let thread = sched::current();
    let task = task_of(&thread).expect("system calls come from application threads only");
    let number = frame.error;
    let mut call = Call::new(frame, &thread, task);
    let result: SysResult =
        if syscall::trace_enabled() { syscall::traced(&mut call) } else { table::handler(number)(&mut call) };
    frame.rax = match result {
        Ok(value) => value,
        Err(error) => {
            if error.is_restart() {
                // The signal step turns it into EINTR or a restart before the application could see it.
                thread.work_flags().set(WorkFlags::SIGNAL);
            }
            error.to_rax()
        }
    };
}

/// [`hal::trap::Hooks::fault`]: a fault (path 3).
pub fn fault(frame: &mut TrapFrame, fault: &Fault) -> FaultOutcome {
    let info = match *fault {
        Fault::Page { addr, write, fetch, .. } if addr < USER_END => {
            match mm::space().fault(addr, Access { write, fetch }) {
                Ok(()) => {
                    count_fault(frame);
                    return FaultOutcome::Handled;
                }
                Err(FaultError::NoMemory) => return out_of_memory(frame, fault, addr),
                Err(error) => signal::fault::page_fault_info(addr, error),
            }
        }
        _ => signal::fault::info(frame, fault),
    };
    if !frame.is_app() {
        // A bad pointer given to a call: hal's fix-up makes it EFAULT. Anything else is a bug of the kernel.
        return FaultOutcome::Unhandled;
    }
    raise_fault(frame, fault, &info);
    FaultOutcome::Handled
}

fn raise_fault(frame: &mut TrapFrame, fault: &Fault, info: &SigInfo) {
    let thread = sched::current();
    let task = task_of(&thread).expect("application code runs on application threads only");
    signal::fault::remember(&task.last_fault, frame, fault);
    if syscall::trace_enabled() {
        log::info!(
            "[{}] --- {} code {} addr {:#x} rip {:#x}",
            task.tid(),
            signal::set::name(info.signo()),
            info.code,
            info.fields[0],
            frame.rip
        );
    }
    deliver::deliver_fault(frame, &thread, task, info);
}

/// getrusage(2): ru_minflt. Only the thread itself writes the counter.
fn count_fault(frame: &TrapFrame) {
    if !frame.is_app() {
        return;
    }
    let thread = sched::current();
    if let Some(task) = task_of(&thread) {
        task.minor_faults.store(task.minor_faults.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// Memory is out, after reclaim. The first application thread that meets it gets a SIGBUS and mm's reserve, so that
/// HotSpot can write its report and abort; without a handler, or when the reserve is used up too, the process ends.
#[cold]
fn out_of_memory(frame: &mut TrapFrame, fault: &Fault, addr: u64) -> FaultOutcome {
    let Some(process) = running() else { return FaultOutcome::Unhandled };
    let is_first = !process.is_ending() && process.note_out_of_memory();
    if is_first {
        log::error!("out of memory: no frame for the application's page at {:#x}", addr & !0xfff);
        mm::frame::open_reserve();
        crate::notice::show("memory is out: give the machine more (--memory) or the JVM a smaller heap (-J -Xmx...)");
    }
    if !frame.is_app() {
        if is_first {
            // A call touches the application's memory: it goes on with the reserve.
            return fault_again(frame, fault, addr);
        }
        process.request_exit(ExitStatus::OutOfMemory);
        return FaultOutcome::Unhandled;
    }
    if is_first && process.signals.actions.caught().contains(signal::set::SIGBUS) {
        raise_fault(frame, fault, &signal::fault::page_fault_info(addr, FaultError::NoMemory));
    } else {
        process.request_exit(ExitStatus::OutOfMemory);
    }
    FaultOutcome::Handled
}

/// Files, threads, timers and page tables have eaten into what the kernel keeps for itself. When the caches have nothing to give
/// back, the process ends while there is enough left for that.
#[cold]
fn restore_reserve() {
    const PAGES: usize = 64;
    const ROUNDS: u32 = 20;
    for _ in 0..ROUNDS {
        if !mm::frame::is_reserve_used() {
            return;
        }
        if mm::frame::reclaim(PAGES) == 0 {
            // Another thread may be at it.
            sched::yield_now();
        }
    }
    if mm::frame::is_reserve_used()
        && let Some(process) = running()
    {
        if process.note_out_of_memory() {
            log::error!("out of memory: the kernel's structures for the application have used up what there was");
        }
        process.request_exit(ExitStatus::OutOfMemory);
    }
}

fn fault_again(frame: &TrapFrame, fault: &Fault, addr: u64) -> FaultOutcome {
    debug_assert!(!frame.is_app());
    let access = match *fault {
        Fault::Page { write, fetch, .. } => Access { write, fetch },
        _ => Access::default(),
    };
    if mm::space().fault(addr, access).is_ok() { FaultOutcome::Handled } else { FaultOutcome::Unhandled }
}

/// [`hal::trap::Hooks::return_work`]: the current thread is about to go back to the application and has work flags.
pub fn return_work(frame: &mut TrapFrame) {
    let thread = sched::current();
    let flags = thread.work_flags().get();
    if flags == WorkFlags::RESCHED {
        return sched::preempt_point();
    }
    let task: Option<&Task> = task_of(&thread);
    let Some(task) = task else { return sched::preempt_point() };
    if flags & WorkFlags::STOP != 0 {
        thread::leave_stopped(&thread, task);
    }
    if flags & WorkFlags::MEMORY != 0 {
        thread.work_flags().clear(WorkFlags::MEMORY);
        restore_reserve();
    }
    if flags & WorkFlags::RESCHED != 0 {
        sched::preempt_point();
    }
    if flags & WorkFlags::SIGNAL != 0 {
        deliver::deliver(frame, &thread, task);
    }
}
