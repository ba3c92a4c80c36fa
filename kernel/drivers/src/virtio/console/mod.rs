//! The console device with several ports (section 5.3): named byte streams, one each for stdin, stdout, stderr and control.
//!
//! `control` speaks on the control queues (which ports exist, their names, whether the host's end is open), `port` moves
//! the bytes. All queues are made at start, for the first [`MAX_PORTS`] port numbers; buffers only for ports that exist.
//! Ports are expected to be there at boot; one that is plugged in later is not used.
//!
//! Locks: a port's state after the control queues', never both ways round; neither is held over a wake-up or notify hook.

mod control;
mod port;

use super::VirtioError;
use super::queue::{QueueOptions, SharedMemory, VirtQueue};
use super::start::{go, negotiate, queue_options, queue_size, reset, start_queue};
use super::transport::{ANY_ENTRY, Transport};
use crate::interrupts::Service;
use alloc::{format, string::String, sync::Arc, vec::Vec};
use control::{Control, Event};
use core::sync::atomic::{AtomicBool, Ordering};
use hal::hil;
use hal::sync::SpinLock;
use mm::dma::DmaBuffer;
use port::{ConsolePort, PortCore};
use sched::{Interruptible, WaitQueue};

/// Ports with numbers from this on are not used. (Number 0 is a plain console's in QEMU.)
const MAX_PORTS: u32 = 8;
/// Feature (section 5.3.3) and configuration field (section 5.3.4).
const MULTIPORT: u64 = 1 << 1;
const CONFIG_MAX_PORTS: usize = 4;
const PORT_QUEUE_SIZE: u16 = 8;
/// Interrupt entries where each kind has its own.
const CONTROL_ENTRY: u16 = 0;
const PORTS_ENTRY: u16 = 1;
/// How long the host may take to tell of its ports.
const GREETING_NS: u64 = 2_000_000_000;

struct Console {
    transport: Arc<dyn Transport>,
    /// `None` on a device with one nameless port.
    control: Option<Control>,
    ports: Vec<Arc<PortCore>>,
    /// Woken for every control message.
    heard: WaitQueue,
    /// Messages are taken and applied in the host's order, whether by an interrupt or by the greeting thread.
    hearing: SpinLock<()>,
    has_entries: bool,
    is_broken: AtomicBool,
    _memory: DmaBuffer,
}

/// Starts the device and registers its ports.
pub(super) fn start(transport: Arc<dyn Transport>) -> Result<String, VirtioError> {
    let agreed = negotiate(&*transport, MULTIPORT)?;
    let is_multiport = agreed & MULTIPORT != 0;
    let port_count = match transport.config_u32(CONFIG_MAX_PORTS) {
        _ if !is_multiport => 1,
        0 => return Err(VirtioError::BadConfiguration),
        count => count.min(MAX_PORTS),
    };
    let options = QueueOptions { indirect_descriptors: 0, ..queue_options(agreed, 0) };
    let entries = transport.entries(2);
    let ports_entry = if entries > PORTS_ENTRY { PORTS_ENTRY } else { CONTROL_ENTRY };

    let port_bytes = VirtQueue::memory_bytes(PORT_QUEUE_SIZE, options);
    let control_bytes = if is_multiport { Control::memory_bytes(options) } else { 0 };
    let total = port_bytes * 2 * port_count as usize + control_bytes;
    let memory = DmaBuffer::new(total).ok_or(VirtioError::NoMemory)?;
    // SAFETY: the device structure keeps the buffer, is never dropped once started, and uses it through these only.
    let shared = unsafe { SharedMemory::of(&memory) }.ok_or(VirtioError::NoMemory)?;
    let mut used = 0;
    let mut take = |len: usize| {
        let part = shared.part(used, len).ok_or(VirtioError::NoMemory);
        used += len;
        part
    };
    let mut ports = Vec::new();
    for number in 0..port_count {
        // Queues 0 and 1 are port 0's, 2 and 3 are control, then two each.
        let first = if number == 0 { 0 } else { number as u16 * 2 + 2 };
        let mut queue = |index: u16| {
            let size = queue_size(&*transport, index, PORT_QUEUE_SIZE)?;
            start_queue(&*transport, index, size, options, take(port_bytes)?, ports_entry)
        };
        let (receive, transmit) = (queue(first)?, queue(first + 1)?);
        ports.push(Arc::new(PortCore::new(number, receive, transmit)));
    }
    let control = match is_multiport {
        true => Some(Control::start(&*transport, options, take(control_bytes)?, CONTROL_ENTRY)?),
        false => None,
    };
    let console = Arc::new(Console {
        transport: transport.clone(),
        control,
        ports,
        heard: WaitQueue::new(),
        hearing: SpinLock::new(()),
        has_entries: entries > PORTS_ENTRY,
        is_broken: AtomicBool::new(false),
        _memory: memory,
    });
    transport.connect("virtio-console", console.clone(), entries)?;
    go(&*transport);
    let names = if is_multiport { console.greet()? } else { console.use_single_port()? };
    Ok(format!("console, ports {}", names.join(" ")))
}

impl Console {
    /// Asks the host for its ports, waits for their names and registers them. Returns the names.
    fn greet(self: &Arc<Self>) -> Result<Vec<String>, VirtioError> {
        let Some(control) = &self.control else { return Ok(Vec::new()) };
        let deadline_ns = hal::clock::now_ns().saturating_add(GREETING_NS);
        control.open_for_messages();
        control.send(control::ANY_PORT, Event::DeviceReady, 1);
        let mut registered = Vec::new();
        loop {
            // The host answers in order: when the known ports have their names, all ports were announced.
            let heard = self.heard.wait_until(Some(deadline_ns), Interruptible::No, || {
                self.hear();
                let new = self.ports.iter().any(|port| port.is_announced() && !port.has_buffers());
                let known = self.ports.iter().any(|port| port.has_buffers());
                let named = self.ports.iter().all(|port| !port.has_buffers() || port.given_name().is_some());
                let is_broken = self.is_broken.load(Ordering::Relaxed);
                (new || known && named || is_broken).then_some(())
            });
            if self.is_broken.load(Ordering::Relaxed) {
                return Err(VirtioError::NoAnswer);
            }
            let new: Vec<_> =
                self.ports.iter().filter(|port| port.is_announced() && !port.has_buffers()).cloned().collect();
            for port in &new {
                port.give_buffers()?;
                control.send(port.number(), Event::PortReady, 1);
                control.send(port.number(), Event::PortOpen, 1);
            }
            if new.is_empty() || heard.is_err() {
                break;
            }
        }
        for port in self.ports.iter().filter(|port| port.has_buffers()) {
            let name = port.given_name().unwrap_or_else(|| format!("port{}", port.number()));
            hil::register_port(Arc::new(ConsolePort::new(name.clone(), port.clone(), self.clone())));
            registered.push(name);
        }
        Ok(registered)
    }

    /// A device without control queues has one port, whose host end is always open.
    fn use_single_port(self: &Arc<Self>) -> Result<Vec<String>, VirtioError> {
        let name = String::from("console");
        if let Some(port) = self.ports.first() {
            port.give_buffers()?;
            port.set_host_open(true);
            hil::register_port(Arc::new(ConsolePort::new(name.clone(), port.clone(), self.clone())));
        }
        Ok([name].into())
    }

    /// Takes all control messages.
    fn hear(&self) {
        let Some(control) = &self.control else { return };
        let hearing = self.hearing.lock();
        loop {
            let message = match control.next_message() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(_) => {
                    drop(hearing);
                    return self.give_up();
                }
            };
            // Events for ports that we do not use are not ours.
            let Some(port) = self.ports.get(message.port as usize) else { continue };
            match message.event {
                Event::PortAdd => port.announce(),
                Event::PortName => port.set_given_name(message.name()),
                Event::PortOpen => port.set_host_open(message.value != 0),
                Event::PortRemove => port.set_host_open(false),
                _ => {}
            }
        }
    }

    /// Stops the device for good: every port is closed.
    fn give_up(&self) {
        if self.is_broken.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(control) = &self.control {
            control.break_down();
        }
        for port in &self.ports {
            port.break_down();
        }
        reset(&*self.transport);
        log::error!("virtio console breaks the protocol; it is not used any more");
        for port in &self.ports {
            port.announce_change();
        }
        self.heard.wake_all();
    }
}

impl Service for Console {
    fn interrupt(&self, entry: u16) {
        let is_for_all = entry == ANY_ENTRY || !self.has_entries;
        if is_for_all || entry == CONTROL_ENTRY {
            self.hear();
            self.heard.wake_all();
        }
        if is_for_all || entry == PORTS_ENTRY {
            for port in &self.ports {
                if port.collect().is_err() {
                    return self.give_up();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
