//! From a program of the manifest to a running process: what execve(2) does, in one address space.

use crate::auxv::{self, AuxInput};
use crate::map::{self, Executable, Role};
use crate::stack::{self, StackInput};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use fs::{Console, File, FollowLast, Namespace, OnExec, OpenFile, OpenFlags, StatusFlags};
use hal::addr::PAGE_SIZE;
use libc_compat::file_context::FileContext;
use libc_compat::process::{self, Limits, ProcessHandle, ProcessSpec};
use libc_compat::procfs::Layout;
use mm::{MapRequest, Placement, Protection};

/// The main thread's stack, demand-zeroed (RLIMIT_STACK).
const STACK_BYTES: u64 = 8 << 20;
/// Pages by which the heap's start may move: 32 MiB, as Linux.
const HEAP_RANDOM_PAGES: u64 = 0x1fff;
/// The stack pointer moves by less than this within its page pair.
const STACK_JITTER: u64 = 8192;

/// Standard streams of a program.
pub struct Streams {
    /// `None`: the end of file at once.
    pub stdin: Option<Arc<Console>>,
    /// Standard output.
    pub stdout: Arc<Console>,
    /// Standard error.
    pub stderr: Arc<Console>,
}

/// Builds the process and starts it. The error is a line for the user; nothing is left behind then.
pub fn start(namespace: &Arc<Namespace>, program: &wire::Program, streams: &Streams) -> Result<ProcessHandle, String> {
    let result = build(namespace, program, streams);
    if result.is_err() {
        mm::space().clear();
    }
    result
}

fn build(namespace: &Arc<Namespace>, program: &wire::Program, streams: &Streams) -> Result<ProcessHandle, String> {
    let executable = map::open(namespace, &program.exe)?;
    let loader = map::open_loader(namespace, &executable)?;
    let argv = arguments(program);
    let limits = Limits::default();
    let files = files(namespace, program, streams, &limits)?;

    let role = if loader.is_some() { Role::Program } else { role_without_loader(&executable) };
    let mapped = map::map(&executable, role)?;
    let loader = loader.as_ref().map(|loader| map::map(loader, Role::Loader)).transpose()?;
    let heap_start = mapped.end + mm::space().random_offset(HEAP_RANDOM_PAGES);
    let vdso = libc_compat::vdso::map().inspect_err(|error| log::warn!("no vDSO: {error:?}")).ok();

    let aux = auxv::entries(&AuxInput {
        vdso,
        signal_frame_len: libc_compat::signal::layout::largest_frame_bytes(),
        cpuid_1_edx: hal::cpu::features().cpuid_1_edx,
        fsgsbase: hal::cpu::features().fsgsbase,
        headers: executable.image.headers.map_or(0, |address| mapped.bias.wrapping_add(address)),
        header_count: executable.image.header_count.into(),
        interpreter_base: loader.as_ref().map_or(0, |loader| loader.bias),
        entry: mapped.entry,
    });
    let stack_top = map_stack(&executable)?;
    let mut random = [0; 16];
    hal::random::fill(&mut random);
    let jitter = if mm::space().random_offset(1) > 0 { hal::random::next_u64() % STACK_JITTER } else { 0 };
    let stack = stack::build(
        stack_top,
        &StackInput {
            argv: &argv,
            env: &program.env,
            exec_path: &program.exe,
            random,
            aux: &aux,
            jitter: jitter & !15,
        },
    )
    .map_err(|error| error.to_string())?;
    hal::user::copy_to(stack.pointer, &stack.bytes).map_err(|_| "no memory for the arguments".to_string())?;

    let segments = &executable.image.segments;
    let range = |wanted: fn(&crate::elf::Segment) -> bool| {
        let mut found = segments.iter().filter(|segment| wanted(segment));
        let first = found.next().map_or(0..0, |segment| segment.address..segment.end());
        let last_end = found.next_back().map_or(first.end, |segment| segment.end());
        mapped.bias.wrapping_add(first.start)..mapped.bias.wrapping_add(last_end)
    };
    let layout = Layout {
        code: range(|segment| segment.executable),
        data: range(|segment| segment.writable),
        stack_start: stack.pointer,
        args: stack.argv,
        env: stack.env,
    };
    let entry = loader.as_ref().map_or(mapped.entry, |loader| loader.entry);
    hal::log::mark("first instruction of the program");
    process::start(ProcessSpec {
        entry,
        stack_pointer: stack.pointer,
        heap_start,
        program: process::Program {
            exe: program.exe.clone(),
            argv,
            env: program.env.clone(),
            auxv: stack.auxv,
            layout,
        },
        files,
        limits,
    })
    .map_err(|error| format!("the process cannot start: {error:?}"))
}

/// A static position-independent program lies like any other; a loader that is run as a program lies where loaders do.
fn role_without_loader(executable: &Executable) -> Role {
    match executable.image.kind {
        crate::elf::Kind::Fixed => Role::Program,
        crate::elf::Kind::Relocatable => Role::Loader,
    }
}

/// The program's arguments, with ours for the JVM right behind its name so that the user's win.
fn arguments(program: &wire::Program) -> Vec<Vec<u8>> {
    let mut argv = program.argv.clone();
    if program.kind == wire::Kind::Java {
        let ours = crate::options::for_machine(&argv, &program.env, mm::frame::stats().total * PAGE_SIZE);
        argv.splice(argv.len().min(1)..argv.len().min(1), ours);
    }
    argv
}

fn map_stack(executable: &Executable) -> Result<u64, String> {
    let top = mm::space().stack_top() & !(PAGE_SIZE - 1);
    let mut prot = Protection::READ | Protection::WRITE;
    prot.set(Protection::EXEC, executable.image.stack_executable);
    let request = MapRequest { stack: true, ..MapRequest::anonymous(STACK_BYTES, prot) };
    mm::space()
        .map(&request.at(Placement::Fixed(top - STACK_BYTES)).named("[stack]"))
        .map_err(|error| format!("no place for the stack: {error:?}"))?;
    Ok(top)
}

fn files(
    namespace: &Arc<Namespace>,
    program: &wire::Program,
    streams: &Streams,
    limits: &Limits,
) -> Result<FileContext, String> {
    let cwd: &[u8] = if program.cwd.is_empty() { b"/" } else { &program.cwd };
    let place = namespace
        .resolve(namespace.root(), cwd, FollowLast::Yes)
        .map_err(|error| format!("the working directory {} is not there: {error:?}", String::from_utf8_lossy(cwd)))?;
    let files = FileContext::new(namespace.clone(), place, limits.descriptors());
    let stdin = match &streams.stdin {
        Some(console) => OpenFile::anonymous(console.clone() as Arc<dyn File>, StatusFlags::READ | StatusFlags::WRITE),
        None => namespace
            .open(namespace.root(), b"/dev/null", OpenFlags::empty(), StatusFlags::READ, 0)
            .map_err(|error| format!("/dev/null: {error:?}"))?,
    };
    let output = |console: &Arc<Console>| {
        OpenFile::anonymous(console.clone() as Arc<dyn File>, StatusFlags::READ | StatusFlags::WRITE)
    };
    for file in [stdin, output(&streams.stdout), output(&streams.stderr)] {
        files.insert(file, OnExec::Keep).map_err(|error| format!("standard streams: {error:?}"))?;
    }
    Ok(files)
}
