//! `/proc`: the system's files, made here, and the processes' files, which `libc-compat` gives through [`ProcessView`].

mod cpuinfo;
mod process;
mod stat;
pub mod sys;
mod text;

use crate::generated::{GenDir, GenFile, GenFs, GenLink};
use crate::inode::{FileSystem, InodeRef, Link};
use crate::{FsError, FsResult, Namespace};
use alloc::{sync::Arc, sync::Weak, vec::Vec};

/// The processes, as `/proc` sees them. One source for the machine's life, given to [`procfs`].
pub trait ProcessSource: Send + Sync {
    /// The numbers of the living processes, ascending.
    fn processes(&self) -> Vec<u32>;
    /// A living process.
    fn process(&self, pid: u32) -> Option<Arc<dyn ProcessView>>;
    /// The caller's process and thread (`/proc/self`, `/proc/thread-self`).
    fn current(&self) -> Option<(u32, u32)>;
}

/// One process, as `/proc/PID` shows it. File names are those of proc(5).
pub trait ProcessView: Send + Sync {
    /// Names of the files in `/proc/PID` with their permission bits, such as `("maps", 0o444)`.
    fn files(&self) -> &'static [(&'static str, u32)];
    /// The text of a file.
    fn read(&self, name: &str) -> FsResult<Vec<u8>>;
    /// A write to a file whose permission bits have a `w`.
    fn write(&self, name: &str, bytes: &[u8]) -> FsResult<()>;
    /// Names of the links in `/proc/PID`: `exe`, `cwd`, `root`.
    fn links(&self) -> &'static [&'static str];
    /// Where a link leads; use [`Link::Place`] for what may have lost its name.
    fn link(&self, name: &str) -> FsResult<Link>;
    /// Open descriptors, ascending, for `fd` and `fdinfo`.
    fn descriptors(&self) -> Vec<i32>;
    /// What a descriptor leads to: [`crate::OpenFile::place_or_made_up`] and its path.
    fn descriptor(&self, fd: i32) -> Option<Link>;
    /// Text of `fdinfo/FD`.
    fn descriptor_info(&self, fd: i32) -> Option<Vec<u8>>;
    /// Thread numbers, ascending, for `task`.
    fn threads(&self) -> Vec<u32>;
    /// Names of the files in `task/TID` with their permission bits.
    fn thread_files(&self) -> &'static [(&'static str, u32)];
    /// The text of a thread's file. Errors: `NoProcess` when it has ended.
    fn thread_read(&self, tid: u32, name: &str) -> FsResult<Vec<u8>>;
    /// A write to a thread's file (`comm`).
    fn thread_write(&self, tid: u32, name: &str, bytes: &[u8]) -> FsResult<()> {
        let _ = (tid, name, bytes);
        Err(FsError::Access)
    }
}

/// The kernel release that `uname` and `/proc` show: the Linux whose interface this is.
pub const RELEASE: &str = "6.1.0-demitasse";

/// The `/proc` file system. `namespace` is asked for the mounts.
pub fn procfs(source: Arc<dyn ProcessSource>, namespace: &Arc<Namespace>) -> Arc<dyn FileSystem> {
    let namespace: Weak<Namespace> = Arc::downgrade(namespace);
    let self_source = source.clone();
    let thread_source = source.clone();
    let mut entries: Vec<(&'static str, InodeRef)> = alloc::vec![
        ("cgroups", text_file(text::cgroups)),
        ("cmdline", text_file(text::kernel_command_line)),
        ("cpuinfo", text_file(cpuinfo::cpuinfo)),
        ("devices", text_file(text::devices)),
        ("filesystems", text_file(text::filesystems)),
        ("loadavg", text_file(stat::load_average)),
        ("meminfo", text_file(text::memory)),
        ("mounts", GenLink::fixed("self/mounts") as InodeRef),
        ("net", sys::net()),
        ("stat", text_file(stat::stat)),
        ("swaps", text_file(|| b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec())),
        ("sys", sys::sys()),
        ("uptime", text_file(stat::uptime)),
        ("version", text_file(text::version)),
        ("vmstat", text_file(text::vmstat)),
    ];
    entries.push((
        "self",
        GenLink::new(move || {
            let (pid, _) = self_source.current().ok_or(FsError::NotFound)?;
            Ok(Link::Path(alloc::format!("{pid}").into_bytes()))
        }),
    ));
    entries.push((
        "thread-self",
        GenLink::new(move || {
            let (pid, tid) = thread_source.current().ok_or(FsError::NotFound)?;
            Ok(Link::Path(alloc::format!("{pid}/task/{tid}").into_bytes()))
        }),
    ));
    let root = GenDir::with_dynamic(0o555, entries, process::Processes::new(source, namespace));
    GenFs::new("proc", 0x9fa0, root)
}

fn text_file(text: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> InodeRef {
    GenFile::new(text)
}
