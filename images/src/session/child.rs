//! The QEMU process.

use super::Event;
use crate::failure::{self, Failure};
use crate::machine::Machine;
use crate::ports::GuestEnds;
use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::io::{BufRead, BufReader};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

/// Killed when it is dropped.
pub(super) struct Child {
    process: std::process::Child,
}

impl Child {
    /// Starts the machine in a session of its own. It dies with the thread that called this.
    pub(super) fn start(machine: &Machine, ends: GuestEnds, events: Sender<Event>) -> Result<Child, Failure> {
        let mut command = Command::new(&machine.qemu);
        command.args(machine.arguments()).args(machine.connections(&ends));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let inherited = ends.raw();
        let parent = rustix::process::getpid();
        // SAFETY: the closure makes system calls only; it neither allocates nor takes locks.
        unsafe { command.pre_exec(move || prepare(&inherited, parent)) };
        let mut process = command.spawn().map_err(|error| {
            Failure::machine(format!("cannot run {}: {}", machine.qemu.display(), failure::reason(&error)))
        })?;
        if let Some(stderr) = process.stderr.take() {
            let events = events.clone();
            thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let _ = events.send(Event::Qemu(line));
                }
                let _ = events.send(Event::QemuSilent);
            });
        }
        let pid = Pid::from_child(&process);
        thread::spawn(move || {
            // Leaves the status for the owner to take.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), options) {}
            let _ = events.send(Event::Ended);
        });
        Ok(Child { process })
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        let _ = self.process.kill();
    }

    /// Its status; waits for its end.
    pub(super) fn wait(&mut self) -> Option<ExitStatus> {
        self.process.wait().ok()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs in the child before exec.
fn prepare(inherited: &[i32], parent: Pid) -> std::io::Result<()> {
    // Not the terminal's signals: they go to the program, by the control channel.
    rustix::process::setsid()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the line above took effect.
    if rustix::process::getppid() != Some(parent) {
        return Err(std::io::Error::from(rustix::io::Errno::SRCH));
    }
    for &number in inherited {
        // SAFETY: the descriptors are open in the parent until the spawn has returned.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        rustix::io::fcntl_setfd(fd, FdFlags::empty())?;
    }
    Ok(())
}
