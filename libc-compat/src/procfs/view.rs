//! The process behind the files of /proc/PID.

use super::{joined, limits, maps, name_of, smaps, stat, status, text_bytes};
use crate::process::{Process, running, task_of};
use crate::syscall::fd::flags_of;
use alloc::{format, sync::Arc, vec::Vec};
use fs::{FollowLast, FsError, FsResult, Link, ProcessSource, ProcessView};
use linux_raw_sys::general as linux;
use sched::ThreadRef;

/// The only process, whenever one runs.
pub struct Processes;

impl ProcessSource for Processes {
    fn processes(&self) -> Vec<u32> {
        running().map(|process| process.pid()).into_iter().collect()
    }
    fn process(&self, pid: u32) -> Option<Arc<dyn ProcessView>> {
        // As on Linux a thread's number leads to its process too, though it is not listed.
        let process = running().filter(|process| process.pid() == pid || process.thread(pid).is_some())?;
        Some(Arc::new(View(process)))
    }
    fn current(&self) -> Option<(u32, u32)> {
        let task = crate::task::try_current_task()?;
        Some((task.process().pid(), task.tid()))
    }
}

struct View(Arc<Process>);

const FILES: &[(&str, u32)] = &[
    ("auxv", 0o400),
    ("cgroup", 0o444),
    ("cmdline", 0o444),
    ("comm", 0o644),
    ("coredump_filter", 0o644),
    ("cpuset", 0o444),
    ("environ", 0o400),
    ("io", 0o400),
    ("limits", 0o444),
    ("loginuid", 0o644),
    ("maps", 0o444),
    ("oom_adj", 0o644),
    ("oom_score", 0o444),
    ("oom_score_adj", 0o644),
    ("personality", 0o400),
    ("schedstat", 0o444),
    ("sessionid", 0o444),
    ("smaps", 0o444),
    ("smaps_rollup", 0o444),
    ("stat", 0o444),
    ("statm", 0o444),
    ("status", 0o444),
    ("timerslack_ns", 0o666),
    ("wchan", 0o444),
];

const THREAD_FILES: &[(&str, u32)] = &[
    ("auxv", 0o400),
    ("cgroup", 0o444),
    ("cmdline", 0o444),
    ("comm", 0o644),
    ("environ", 0o400),
    ("limits", 0o444),
    ("maps", 0o444),
    ("oom_score", 0o444),
    ("schedstat", 0o444),
    ("smaps", 0o444),
    ("smaps_rollup", 0o444),
    ("stat", 0o444),
    ("statm", 0o444),
    ("status", 0o444),
    ("wchan", 0o444),
];

/// A number that a file of /proc was given (EINVAL).
fn number(bytes: &[u8]) -> FsResult<i64> {
    let text = core::str::from_utf8(bytes).map_err(|_| FsError::Invalid)?.trim_matches(['\n', '\0', ' ']);
    let (digits, negative) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
    let (digits, radix) = digits.strip_prefix("0x").map_or((digits, 10), |rest| (rest, 16));
    let value = i64::from_str_radix(digits, radix).map_err(|_| FsError::Invalid)?;
    Ok(if negative { -value } else { value })
}

impl ProcessView for View {
    fn files(&self) -> &'static [(&'static str, u32)] {
        FILES
    }
    fn read(&self, name: &str) -> FsResult<Vec<u8>> {
        self.text(name, None)
    }
    fn write(&self, name: &str, bytes: &[u8]) -> FsResult<()> {
        let settings = &self.0.files.settings;
        match name {
            "comm" => self.main_thread()?.set_name_bytes(without_line_end(bytes)),
            "coredump_filter" => {
                settings.set_coredump_filter(u32::try_from(number(bytes)?).map_err(|_| FsError::Invalid)?)
            }
            "oom_score_adj" => match number(bytes)? {
                value @ -1000..=1000 => settings.set_oom_score_adj(value as i32),
                _ => return Err(FsError::Invalid),
            },
            "oom_adj" => match number(bytes)? {
                value @ -17..=15 => settings.set_oom_score_adj((value * 1000 / 17) as i32),
                _ => return Err(FsError::Invalid),
            },
            // Nobody logs in here; the slack has no effect.
            "loginuid" | "timerslack_ns" => {
                number(bytes)?;
            }
            _ => return Err(FsError::Access),
        }
        Ok(())
    }
    fn links(&self) -> &'static [&'static str] {
        &["cwd", "exe", "root"]
    }
    fn link(&self, name: &str) -> FsResult<Link> {
        let files = &self.0.files;
        let place = match name {
            "cwd" => files.cwd(),
            "root" => files.namespace().root().clone(),
            "exe" => {
                let exe = &self.0.program.exe;
                match files.namespace().resolve(files.namespace().root(), exe, FollowLast::Yes) {
                    Ok(place) => place,
                    Err(_) => return Ok(Link::Path(exe.clone())),
                }
            }
            _ => return Err(FsError::NotFound),
        };
        let text = place.path_with_deleted_mark();
        Ok(Link::Place(place, text))
    }
    fn descriptors(&self) -> Vec<i32> {
        self.0.files.fds.list()
    }
    fn descriptor(&self, fd: i32) -> Option<Link> {
        let file = self.0.files.fds.get(fd).ok()?;
        Some(Link::Place(file.place_or_made_up(), file.path()))
    }
    fn descriptor_info(&self, fd: i32) -> Option<Vec<u8>> {
        let file = self.0.files.fds.get(fd).ok()?;
        let closes = self.0.files.fds.on_exec(fd).ok()? == fs::OnExec::Close;
        let flags = flags_of(&file) | if closes { linux::O_CLOEXEC } else { 0 };
        let metadata = file.metadata();
        let mount = file.place().map_or(0, |place| place.mount().id);
        Some(
            format!("pos:\t{}\nflags:\t0{flags:o}\nmnt_id:\t{mount}\nino:\t{}\n", position(&file), metadata.ino)
                .into_bytes(),
        )
    }
    fn threads(&self) -> Vec<u32> {
        self.0.threads().iter().map(|thread| thread.id()).collect()
    }
    fn thread_files(&self) -> &'static [(&'static str, u32)] {
        THREAD_FILES
    }
    fn thread_read(&self, tid: u32, name: &str) -> FsResult<Vec<u8>> {
        self.text(name, Some(self.0.thread(tid).ok_or(FsError::NoProcess)?))
    }
    fn thread_write(&self, tid: u32, name: &str, bytes: &[u8]) -> FsResult<()> {
        let thread = self.0.thread(tid).ok_or(FsError::NoProcess)?;
        match name {
            "comm" => thread.set_name_bytes(without_line_end(bytes)),
            _ => return Err(FsError::Access),
        }
        Ok(())
    }
}

/// Streams have no position; asking one that another thread holds would wait for its transfer to end.
fn position(file: &fs::OpenFile) -> u64 {
    if file.file().access() == fs::Access::Stream { 0 } else { file.position() }
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").unwrap_or(bytes)
}

impl View {
    fn main_thread(&self) -> FsResult<ThreadRef> {
        // The first thread may have ended before the others: the oldest one left stands for it.
        let threads = self.0.threads();
        self.0.thread(self.0.pid()).or_else(|| threads.into_iter().next()).ok_or(FsError::NoProcess)
    }

    /// A file of the process, or of one thread of it.
    fn text(&self, name: &str, thread: Option<ThreadRef>) -> FsResult<Vec<u8>> {
        let process = &self.0;
        let space = mm::space();
        let areas = || space.areas().map_err(|_| FsError::NoMemory);
        Ok(match name {
            "auxv" => process.program.auxv.clone(),
            // Control groups version 2, unlimited: container-aware programs see the whole machine.
            "cgroup" => b"0::/\n".to_vec(),
            "cpuset" => b"/\n".to_vec(),
            "cmdline" => joined(&process.program.argv),
            "environ" => joined(&process.program.env),
            "comm" => format!("{}\n", name_of(&*self.thread_or_main(thread)?)).into_bytes(),
            "coredump_filter" => format!("{:08x}\n", process.files.settings.coredump_filter()).into_bytes(),
            "io" => {
                b"rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n"
                    .to_vec()
            }
            "limits" => {
                let of = |resource| process.limits.get(resource).map_or((0, 0), |limit| (limit.soft, limit.hard));
                limits::render((0..linux::RLIM_NLIMITS).map(of))
            }
            "loginuid" | "sessionid" => b"4294967295".to_vec(),
            "maps" => maps::render(&areas()?)?,
            "smaps" => smaps::render(&areas()?, |range| space.residence(range))?,
            "smaps_rollup" => smaps::rollup(&areas()?, |range| space.residence(range)),
            "oom_adj" => format!("{}\n", process.files.settings.oom_score_adj() * 17 / 1000).into_bytes(),
            "oom_score" => b"0\n".to_vec(),
            "oom_score_adj" => format!("{}\n", process.files.settings.oom_score_adj()).into_bytes(),
            "personality" => b"00000000\n".to_vec(),
            "schedstat" => {
                let thread = self.thread_or_main(thread)?;
                let (waits, preempted) = thread.switches();
                format!("{} 0 {}\n", thread.cpu_time_ns(), waits + preempted).into_bytes()
            }
            "stat" => stat::render(&self.stat(thread)?),
            "statm" => {
                let usage = space.usage();
                stat::statm(&usage, text_bytes(process, &usage).0)
            }
            "status" => status::render(&self.status(thread)?),
            "timerslack_ns" => b"50000\n".to_vec(),
            "wchan" => b"0".to_vec(),
            _ => return Err(FsError::NotFound),
        })
    }

    fn thread_or_main(&self, thread: Option<ThreadRef>) -> FsResult<ThreadRef> {
        thread.map_or_else(|| self.main_thread(), Ok)
    }

    fn stat(&self, thread: Option<ThreadRef>) -> FsResult<stat::Stat> {
        let process = &self.0;
        // Of the process: all threads' time. Of a thread: its own.
        let user_ns = thread.as_ref().map_or_else(|| process.cpu_time_ns(), |thread| thread.cpu_time_ns());
        let of_thread = thread.is_some();
        let thread = self.thread_or_main(thread)?;
        let task = task_of(&thread).ok_or(FsError::NoProcess)?;
        let usage = mm::space().usage();
        let layout = process.program.layout.clone();
        Ok(stat::Stat {
            id: if of_thread { thread.id() } else { process.pid() },
            process: process.pid(),
            name: name_of(&thread),
            state: state_of(process, &thread),
            minor_faults: task.minor_faults.load(core::sync::atomic::Ordering::Relaxed),
            user_ns,
            system_ns: 0,
            nice: thread.nice(),
            threads: process.thread_count(),
            start_ns: process.start_ns,
            virtual_bytes: usage.virtual_bytes,
            resident_bytes: usage.resident,
            resident_limit: process.limits.soft(linux::RLIMIT_RSS),
            code: layout.code,
            data: layout.data,
            stack_start: layout.stack_start,
            brk_start: process.heap.lock().start,
            args: layout.args,
            env: layout.env,
            pending: task.signals.pending.set().0,
            blocked: task.signals.mask().0,
            ignored: process.signals.actions.ignored().0,
            caught: process.signals.actions.caught().0,
            last_cpu: thread.last_cpu(),
        })
    }

    fn status(&self, thread: Option<ThreadRef>) -> FsResult<status::Status> {
        let process = &self.0;
        let of_thread = thread.is_some();
        let thread = self.thread_or_main(thread)?;
        let task = task_of(&thread).ok_or(FsError::NoProcess)?;
        let usage = mm::space().usage();
        let (program_text, library_text) = text_bytes(process, &usage);
        let (voluntary_switches, involuntary_switches) = thread.switches();
        let open = process.files.fds.list();
        Ok(status::Status {
            name: name_of(&thread),
            umask: process.files.umask(),
            state: state_of(process, &thread),
            process: process.pid(),
            thread: if of_thread { thread.id() } else { process.pid() },
            fd_table_len: open.last().map_or(64, |&last| (last as usize + 1).next_multiple_of(64)),
            usage,
            program_text,
            library_text,
            threads: process.thread_count(),
            queued_signals_max: process.limits.soft(linux::RLIMIT_SIGPENDING),
            thread_pending: task.signals.pending.set().0,
            process_pending: process.signals.pending.set().0,
            blocked: task.signals.mask().0,
            ignored: process.signals.actions.ignored().0,
            caught: process.signals.actions.caught().0,
            allowed_cpus: thread.affinity().bits() & sched::CpuSet::first(hal::cpu::count()).bits(),
            cpu_count: hal::cpu::count(),
            voluntary_switches,
            involuntary_switches,
        })
    }
}

/// The letter, T while the process is stopped.
fn state_of(process: &Process, thread: &sched::Thread) -> char {
    match thread.state() {
        'D' if process.signals.job.is_stopped() => 'T',
        state => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_linux_reads_them() {
        assert_eq!(number(b"0x33\n"), Ok(0x33));
        assert_eq!(number(b"-17"), Ok(-17));
        assert_eq!(number(b"abc"), Err(FsError::Invalid));
        assert_eq!(number(b""), Err(FsError::Invalid));
    }
}
