//! The life of the machine after boot: mount, read the manifest, run its programs one after the other, report each
//! end, power off.

use crate::control::Control;
use crate::launch::{self, Streams};
use crate::{copy_out, root, volumes};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use fs::console::Terminal;
use fs::{Console, Namespace};
use libc_compat::process::{ExitStatus, ProcessHandle};
use libc_compat::terminal::{self, WindowSize};
use sched::timer::{Timer, TimerOwner};
use wire::{ExitReason, GuestMessage, Manifest, PORT_STDERR, PORT_STDIN, PORT_STDOUT, Program, Stdin};

/// The channel, for notices from below.
static CONTROL: hal::sync::Once<Arc<Control>> = hal::sync::Once::new();

/// SIGKILL, which nothing can catch.
const SIGKILL: u8 = 9;

/// Runs everything and powers off. `status` of the power-off is the last program's, for hosts without a control
/// channel.
pub fn run() -> ! {
    libc_compat::entry::init();
    let control = Control::open();
    CONTROL.call_once(|| control.clone());
    libc_compat::notice::set_sink(|text| {
        if let Some(control) = CONTROL.get() {
            control.note(text.into());
        }
    });
    let status = match prepare() {
        Ok((namespace, manifest)) => run_all(&control, &namespace, &manifest),
        Err(reason) => {
            // Also as the first program's end: the host waits for one.
            fail(&control, 0, reason);
            125
        }
    };
    for problem in volumes::close() {
        control.note(problem);
    }
    timeline();
    control.finish();
    hal::power::off(status & 0x7f)
}

/// What `--verbose` shows of the boot: when each stage was reached, from the kernel's first instruction on.
fn timeline() {
    if log::log_enabled!(log::Level::Info) {
        // From the counter itself: the clock's own line may have been drawn anew since.
        let params = hal::clock::tsc_params();
        let marks = hal::log::marks();
        let entry = marks.first().map_or(0, |mark| mark.1);
        for (name, tsc, _) in marks {
            let ns = (u128::from(tsc.saturating_sub(entry)) * u128::from(params.mult)) >> params.shift;
            log::info!("timeline: {:>8} us {name}", ns / 1000);
        }
    }
}

fn prepare() -> Result<(Arc<Namespace>, Manifest), String> {
    let namespace = root::mount()?;
    fs::pressure::register(&namespace);
    let manifest = root::manifest(&namespace)?;
    root::bind(&namespace, &manifest.binds)?;
    hal::clock::init_realtime(manifest.epoch_ns);
    volumes::mount(&namespace, &manifest.volumes)?;
    libc_compat::syscall::system::set_hostname(manifest.hostname.as_deref().unwrap_or("demitasse"));
    network(&manifest);
    hal::log::mark("root mounted");
    Ok((namespace, manifest))
}

/// Tells the stack what the user fixed. Nothing is started: that is for who first needs the network.
fn network(manifest: &Manifest) {
    use core::net::IpAddr;
    let mut fixed = net::config::Configuration::default();
    for wanted in &manifest.addresses {
        let prefix_bits = wanted.prefix_bits;
        match (wanted.address, wanted.gateway) {
            (IpAddr::V4(address), gateway) => {
                let gateway = gateway.and_then(|gateway| if let IpAddr::V4(v4) = gateway { Some(v4) } else { None });
                fixed.ipv4 = Some(net::config::Ipv4Config { address, prefix_bits, gateway });
            }
            (IpAddr::V6(address), gateway) => {
                fixed.ipv6.push(net::config::Ipv6Config { address, prefix_bits });
                fixed.gateway6 = gateway.and_then(|gateway| if let IpAddr::V6(v6) = gateway { Some(v6) } else { None });
            }
        }
        fixed.dns.extend(&wanted.dns);
    }
    net::config::set_wish(net::config::Wish(fixed), manifest.hostname.as_deref().unwrap_or("demitasse"));
}

fn run_all(control: &Arc<Control>, namespace: &Arc<Namespace>, manifest: &Manifest) -> u8 {
    let mut consoles = Consoles::default();
    let mut last = 0;
    for (index, program) in (0..).zip(&manifest.programs) {
        if index > 0
            && let Err(reason) = root::renew_scratch(namespace, &manifest.binds)
        {
            log::warn!("{reason}: the program finds what the one before it left");
        }
        let streams = match consoles.streams(program) {
            Ok(streams) => streams,
            Err(reason) => {
                fail(control, index, reason);
                last = 125;
                continue;
            }
        };
        control.send(&GuestMessage::Start { program: index });
        let (reason, status) = run_one(namespace, program, &streams);
        for path in &program.get {
            copy_out::send(control, namespace, path);
        }
        for console in [&streams.stdout, &streams.stderr] {
            // A closed host end is no matter: what was written before has left or never will.
            let _ = console.drain();
        }
        log_memory(index);
        control.send(&GuestMessage::Exit {
            program: index,
            reason,
            stdout_bytes: streams.stdout.bytes_written(),
            stderr_bytes: streams.stderr.bytes_written(),
        });
        last = status;
    }
    last
}

/// One line for `--verbose`: where memory is.
fn log_memory(program: u32) {
    let frames = mm::frame::stats();
    log::info!(
        "memory after program {program}: {} KiB, free {} (never touched {}), kernel heap {}, file pages {}, files in memory {}",
        frames.total * 4,
        frames.free * 4,
        frames.untouched * 4,
        mm::heap::used_bytes() / 1024,
        fs::page_cache::cached_pages() * 4,
        fs::tmpfs::used_pages() * 4,
    );
}

fn fail(control: &Control, program: u32, reason: String) {
    log::error!("{reason}");
    let reason = ExitReason::Failed(reason);
    control.send(&GuestMessage::Exit { program, reason, stdout_bytes: 0, stderr_bytes: 0 });
}

fn run_one(namespace: &Arc<Namespace>, program: &Program, streams: &Streams) -> (ExitReason, u8) {
    let size = program.window.as_ref().map(|window| WindowSize { columns: window.columns, rows: window.rows });
    terminal::reset(size);
    let handle = match launch::start(namespace, program, streams) {
        Ok(handle) => handle,
        Err(reason) => return (ExitReason::Failed(reason), 125),
    };
    let limit = program.timeout_ms.map(|ms| TimeLimit::start(&handle, ms));
    let status = handle.wait();
    // The last thread's kernel stack and the process itself go now, not with the next program's first thread.
    drop(handle);
    sched::reap();
    if limit.is_some_and(|limit| limit.has_passed()) {
        let text = format!("the program ran longer than {} ms", program.timeout_ms.unwrap_or(0));
        return (ExitReason::TimedOut(text), 124);
    }
    (reason_of(status), status.shell_code())
}

fn reason_of(status: ExitStatus) -> ExitReason {
    match status {
        ExitStatus::Exited(code) => ExitReason::Code(code),
        ExitStatus::Signaled { signo, .. } => ExitReason::Signal(signo),
        ExitStatus::Deadlock => ExitReason::Deadlock("every thread waits for another one, for ever".into()),
        ExitStatus::OutOfMemory => ExitReason::OutOfMemory(
            "memory is out: give the machine more (--memory) or the JVM a smaller heap (-J -Xmx...)".into(),
        ),
    }
}

/// Ends a program that runs too long.
struct TimeLimit {
    timer: Timer,
    end_ns: u64,
}

impl TimeLimit {
    fn start(handle: &ProcessHandle, ms: u64) -> Self {
        let process = Arc::downgrade(handle.process());
        let end_ns = hal::clock::now_ns().saturating_add(ms.saturating_mul(1_000_000));
        let timer = Timer::new(
            TimerOwner::Kernel,
            alloc::boxed::Box::new(move || {
                if let Some(process) = process.upgrade() {
                    process.request_exit(ExitStatus::Signaled { signo: SIGKILL, core: false });
                }
            }),
        );
        timer.arm(end_ns);
        Self { timer, end_ns }
    }

    fn has_passed(self) -> bool {
        self.timer.cancel();
        hal::clock::now_ns() >= self.end_ns
    }
}

/// The standard streams' consoles: one a port for the whole life of the machine, since a console owns its port's hook.
#[derive(Default)]
struct Consoles {
    open: Vec<(&'static str, Terminal, Arc<Console>)>,
}

impl Consoles {
    fn streams(&mut self, program: &Program) -> Result<Streams, String> {
        let stdin = match program.stdin {
            Stdin::None => None,
            Stdin::Port => Some(self.console(PORT_STDIN, program.ttys.stdin)?),
        };
        let stdout = self.console(PORT_STDOUT, program.ttys.stdout)?;
        let stderr = self.console(PORT_STDERR, program.ttys.stderr)?;
        stdout.reset_bytes_written();
        stderr.reset_bytes_written();
        let any_terminal = [(&stdout, program.ttys.stdout), (&stderr, program.ttys.stderr)];
        let terminal = any_terminal.into_iter().find(|(_, is_tty)| *is_tty).map(|(console, _)| console.clone());
        fs::dev::set_terminal(terminal.map(|console| console as Arc<dyn fs::File>));
        Ok(Streams { stdin, stdout, stderr })
    }

    fn console(&mut self, name: &'static str, is_tty: bool) -> Result<Arc<Console>, String> {
        let terminal = if is_tty { Terminal::Yes } else { Terminal::No };
        if let Some((.., console)) = self.open.iter().find(|(port, kind, _)| *port == name && *kind == terminal) {
            return Ok(console.clone());
        }
        let port = hal::hil::port(name).ok_or_else(|| format!("the machine has no virtio-serial port {name}"))?;
        let console = Console::new(port, terminal);
        self.open.retain(|(port, ..)| *port != name);
        self.open.push((name, terminal, console.clone()));
        Ok(console)
    }
}
