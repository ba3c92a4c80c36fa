//! The birth of a process.

use super::{Break, ExitStatus, Limits, Process, Program, RUNNING, exit::ExitState, task_of};
use crate::file_context::FileContext;
use crate::signal::ProcessSignals;
use crate::syscall::timer::ProcessTimers;
use crate::task::{Start, Task};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use hal::sync::SpinLock;
use hal::trap::TrapFrame;
use sched::{Spawn, SpawnError};

/// A program whose regions are mapped and whose initial stack is written.
pub struct ProcessSpec {
    /// First instruction (of ld.so, if there is one).
    pub entry: u64,
    /// Initial stack pointer: `argc` lies there.
    pub stack_pointer: u64,
    /// Where the heap (brk) begins, page-aligned.
    pub heap_start: u64,
    /// What /proc/self shows.
    pub program: Program,
    /// Descriptors, working directory, umask.
    pub files: FileContext,
    /// Resource limits.
    pub limits: Limits,
}

/// Why a process cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// One is running.
    Busy,
    /// No thread to run it.
    Spawn(SpawnError),
}

/// The process, for who started it.
pub struct ProcessHandle {
    process: Arc<Process>,
}

impl ProcessHandle {
    /// Waits for the end; everything is given back by then.
    pub fn wait(&self) -> ExitStatus {
        self.process.wait()
    }
    /// Sends signal `signo` to the process, as kill(2) from outside would.
    pub fn signal(&self, signo: u8) {
        crate::signal::send_from_outside(&self.process, signo);
    }
    /// The process.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }
}

/// Starts the program on a thread of its own.
pub fn start(spec: ProcessSpec) -> Result<ProcessHandle, StartError> {
    if RUNNING.lock().is_some() {
        return Err(StartError::Busy);
    }
    let name = thread_name(&spec.program.exe);
    let process = Arc::new(Process::new(spec.program, spec.files, spec.limits, spec.heap_start));
    crate::syscall::memory::apply_limits(&process);
    let frame = TrapFrame::new_app(spec.entry, spec.stack_pointer);
    let task = Task::new(process.clone(), Start { frame, fs_base: 0 });
    let thread = sched::spawn_suspended(Spawn {
        name: &name,
        ext: Some(Box::new(task)),
        affinity: None,
        start: Box::new(crate::task::run_new),
    })
    .map_err(StartError::Spawn)?;
    let task = task_of(&thread).expect("the thread was made with a task");
    task.set_tid(thread.id());
    process.pid.store(thread.id(), Ordering::Relaxed);
    process.add_thread(&thread);
    *RUNNING.lock() = Some(process.clone());
    thread.start();
    Ok(ProcessHandle { process })
}

impl Process {
    /// Without threads yet.
    fn new(program: Program, files: FileContext, limits: Limits, heap_start: u64) -> Self {
        Self {
            pid: AtomicU32::new(0),
            program,
            files,
            limits,
            signals: ProcessSignals::new(),
            timers: ProcessTimers::new(),
            heap: sched::Mutex::new(Break { start: heap_start, end: heap_start }),
            no_new_privileges: AtomicBool::new(false),
            uses_membarrier: AtomicBool::new(false),
            threads: SpinLock::new(BTreeMap::new()),
            ended_cpu_ns: AtomicU64::new(0),
            start_ns: hal::clock::now_ns(),
            exit: ExitState::new(),
        }
    }
}

/// The last component of the executable's path (proc(5): comm).
fn thread_name(exe: &[u8]) -> String {
    let name = exe.rsplit(|&byte| byte == b'/').next().unwrap_or(exe);
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
impl Process {
    /// A process without threads, for host tests.
    pub(crate) fn for_test() -> Arc<Process> {
        Arc::new(Process::new(Program::default(), FileContext::for_test(), Limits::default(), 0))
    }
    pub(crate) fn set_pid(&self, pid: u32) {
        self.pid.store(pid, Ordering::Relaxed);
    }
}
