//! The guest's side of the control channel (`wire::control`): what happens is reported, and what the host asks for is
//! done by a thread that reads the port.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use hal::hil::Port;
use libc_compat::terminal::{self, WindowSize};
use sched::{Completion, Interruptible};
use wire::{GuestMessage, HostMessage, PORT_CONTROL};

/// How long the guest waits for the host to take all output before it powers off.
const ACK_PATIENCE_NS: u64 = 10_000_000_000;
/// How long after boot the host may open its end; a machine that nobody watches must not run for ever.
const OPEN_PATIENCE_NS: u64 = 60_000_000_000;
const LOOK_NS: u64 = 1_000_000;
/// Status of a run that nobody asked for the result of.
const NO_HOST_STATUS: u8 = 125;
/// Longest line that the host sends.
const LINE_MAX: usize = 256;

/// The channel. A machine without the port (an image that runs by itself in a cloud) says what happens in the log.
pub struct Control {
    port: Option<Arc<dyn Port>>,
    acknowledged: Completion,
}

impl Control {
    /// Opens the channel and starts listening.
    pub fn open() -> Arc<Self> {
        let control = Arc::new(Self { port: hal::hil::port(PORT_CONTROL), acknowledged: Completion::new() });
        if control.port.is_some() {
            let listener = control.clone();
            let start = alloc::boxed::Box::new(move || listener.listen());
            if let Err(error) = sched::spawn(sched::Spawn { name: "control", ext: None, affinity: None, start }) {
                log::error!("no thread for the control channel: signals from the host are lost: {error:?}");
            }
        }
        control
    }

    /// Reports `message`.
    pub fn send(&self, message: &GuestMessage) {
        let line = message.to_string();
        match &self.port {
            Some(_) => self.send_bytes(line.as_bytes()),
            None => hal::log::line(format_args!("demitasse: {}", line.trim_end())),
        }
    }

    /// Sends the raw bytes of a file that was announced.
    pub fn send_bytes(&self, mut bytes: &[u8]) {
        let Some(port) = &self.port else { return };
        if !port.host_open() {
            await_host(port.as_ref());
        }
        while !bytes.is_empty() {
            match port.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                // Nobody listens any more: the host ends the machine, or it is gone.
                Err(_) => return,
            }
        }
    }

    /// Whether a host listens.
    pub fn has_host(&self) -> bool {
        self.port.is_some()
    }

    /// One line for the user.
    pub fn note(&self, text: String) {
        self.send(&GuestMessage::Note(text));
    }

    /// Tells the host that all programs have ended, and waits until it has taken all output.
    pub fn finish(&self) {
        self.send(&GuestMessage::Done);
        if self.port.is_some() {
            let deadline = hal::clock::now_ns() + ACK_PATIENCE_NS;
            // Without an answer the machine ends all the same.
            let _ = self.acknowledged.wait_until(Some(deadline), Interruptible::No);
        }
    }

    fn listen(&self) {
        let Some(port) = &self.port else { return };
        let mut pending: Vec<u8> = Vec::new();
        let mut buffer = [0; LINE_MAX];
        while let Ok(count @ 1..) = port.read(&mut buffer) {
            pending.extend_from_slice(&buffer[..count]);
            while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                self.obey(&line[..end]);
            }
            if pending.len() > LINE_MAX {
                log::warn!("a control line of over {LINE_MAX} bytes is dropped");
                pending.clear();
            }
        }
    }

    fn obey(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        match HostMessage::parse(&text) {
            Ok(HostMessage::Signal(signo)) => match libc_compat::process::running() {
                Some(process) => libc_compat::signal::send_from_outside(&process, signo),
                None => log::info!("signal {signo} from the host: no program runs"),
            },
            Ok(HostMessage::Window { columns, rows }) => {
                if terminal::set_size(WindowSize { columns, rows })
                    && let Some(process) = libc_compat::process::running()
                {
                    libc_compat::signal::send_from_outside(&process, libc_compat::signal::set::SIGWINCH);
                }
            }
            Ok(HostMessage::Ack) => self.acknowledged.complete(),
            Err(error) => log::warn!("{error}"),
        }
    }
}

/// Waits until the host opens its end; ends the machine when it never does. A closed end is left to the write.
#[cold]
fn await_host(port: &dyn Port) {
    while !port.host_open() && !port.readiness().closed {
        let now_ns = hal::clock::now_ns();
        if now_ns >= OPEN_PATIENCE_NS {
            log::error!("nobody opened the control port in {} s: power off", OPEN_PATIENCE_NS / 1_000_000_000);
            hal::power::off(NO_HOST_STATUS)
        }
        sched::sleep_until(now_ns + LOOK_NS, Interruptible::No);
    }
}
