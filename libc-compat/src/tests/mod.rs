//! System calls on the host: application threads are sched's host threads, application memory is the test's own, and
//! [`App::call`] stands for the `syscall` instruction with the way back to the application.

mod futexes;
mod layout;
mod process;
mod signals;
mod timers;

use crate::process::{Process, task_of};
use crate::task::{Start, Task};
use crate::{entry, signal};
use hal::context::WorkFlags;
use hal::trap::{TrapFrame, VECTOR_SYSCALL};
use std::sync::Arc;
use std::sync::mpsc;

/// The running application thread.
pub struct App {
    /// The process.
    pub process: Arc<Process>,
    /// Handlers that were entered by the last call, in order, with their frames' addresses.
    pub entered: Vec<u64>,
}

/// Where calls pretend to come from.
const RIP: u64 = 0x1000_0000;
/// What a test gives as a handler's address.
pub const HANDLER: u64 = 0x2000_0000;

/// A thread that was started by [`spawn`].
pub struct Spawned<R> {
    pub tid: u32,
    result: mpsc::Receiver<R>,
}

impl<R> Spawned<R> {
    /// What its function returned.
    pub fn join(self) -> R {
        self.result.recv().expect("the application thread panicked")
    }
}

/// Runs `body` on a new thread of `process`.
pub fn spawn<R: Send + 'static>(
    process: &Arc<Process>,
    body: impl FnOnce(&mut App) -> R + Send + 'static,
) -> Spawned<R> {
    let task = Task::new(process.clone(), Start { frame: TrapFrame::new_app(RIP, 0), fs_base: 0 });
    let (sender, result) = mpsc::channel();
    let of_thread = process.clone();
    let thread = sched::spawn_suspended(sched::Spawn {
        name: "test",
        ext: Some(Box::new(task)),
        affinity: None,
        start: Box::new(move || {
            let mut app = App { process: of_thread, entered: Vec::new() };
            let result = body(&mut app);
            app.process.leave(&sched::current(), 0);
            // The test may have stopped listening.
            let _ = sender.send(result);
        }),
    })
    .expect("the host has threads");
    let tid = thread.id();
    task_of(&thread).expect("made with one").set_tid(tid);
    if process.thread_count() == 0 {
        process.set_pid(tid);
    }
    process.add_thread(&thread);
    thread.start();
    Spawned { tid, result }
}

/// Runs `body` on the only thread of a new process.
pub fn run<R: Send + 'static>(body: impl FnOnce(&mut App) -> R + Send + 'static) -> R {
    spawn(&Process::for_test(), body).join()
}

impl App {
    /// Makes a system call; what it leaves in RAX. Restarts are followed; handlers are not run, but returned from at
    /// once by rt_sigreturn.
    pub fn call(&mut self, number: u32, args: &[u64]) -> i64 {
        self.entered.clear();
        // An application stack for signal frames.
        let stack = vec![0u8; 64 << 10];
        let top = (stack.as_ptr() as u64 + stack.len() as u64) & !15;
        let mut frame = TrapFrame::new_app(RIP + 2, top);
        let arg = |n: usize| args.get(n).copied().unwrap_or(0);
        (frame.rdi, frame.rsi, frame.rdx) = (arg(0), arg(1), arg(2));
        (frame.r10, frame.r8, frame.r9) = (arg(3), arg(4), arg(5));
        frame.rax = number.into();
        loop {
            self.enter(&mut frame);
            match frame.rip {
                RIP => frame.rip = RIP + 2,
                HANDLER => {
                    self.entered.push(frame.rdi);
                    // The handler's `ret` into the restorer.
                    frame.rsp += 8;
                    frame.rax = linux_raw_sys::general::__NR_rt_sigreturn.into();
                    frame.rip = RIP + 2;
                }
                _ => return frame.rax as i64,
            }
        }
    }

    /// hal's part: the call, then the work flags until none is left.
    fn enter(&mut self, frame: &mut TrapFrame) {
        frame.vector = VECTOR_SYSCALL;
        frame.error = frame.rax;
        entry::syscall(frame);
        let thread = sched::current();
        while thread.work_flags().get() != 0 && !thread.work_flags().any(WorkFlags::STOP) {
            entry::return_work(frame);
            if frame.rip == HANDLER {
                // One frame at a time; the flag stays for the next.
                return;
            }
        }
    }

    /// Installs [`HANDLER`] for `signo`.
    pub fn handle(&mut self, signo: u8, flags: u32) {
        let action = signal::action::Action {
            handler: HANDLER,
            flags: (flags | linux_raw_sys::general::SA_RESTORER) as u64,
            restorer: 1,
            mask: 0,
        };
        assert_eq!(
            self.call(linux_raw_sys::general::__NR_rt_sigaction, &[signo.into(), &raw const action as u64, 0, 8],),
            0
        );
    }

    /// Replaces the signal mask.
    pub fn block(&mut self, signals: u64) {
        let result = self.call(linux_raw_sys::general::__NR_rt_sigprocmask, &[2, &raw const signals as u64, 0, 8]);
        assert_eq!(result, 0);
    }
}

/// Waits until `condition` holds.
pub fn eventually(condition: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed().as_secs() < 10, "it never happened");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
